#include "asc_bands.h"
#include <string.h>

#if defined(__arm__) && !defined(ARDUINO) /* ports/cortex-m/memory.S */
void asc_bands_move(uint8_t *arena, const uint32_t *at)
{
    memmove(arena + at[ASC_BANDS_OUT], arena + at[ASC_BANDS_IN], at[ASC_BANDS_IN2]);
}
#else
static uint32_t load(const uint8_t *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static void store(uint8_t *at, uint32_t word) { memcpy(at, &word, sizeof word); }

static void copy16(uint8_t *to, const uint8_t *from)
{
    const uint32_t a = load(from), b = load(from + 4), c = load(from + 8), d = load(from + 12);
    store(to, a);
    store(to + 4, b);
    store(to + 8, c);
    store(to + 12, d);
}

/* As memmove, which libraries do bytewise when it goes upwards. */
void asc_bands_move(uint8_t *arena, const uint32_t *at)
{
    uint8_t *to = arena + at[ASC_BANDS_OUT];
    const uint8_t *from = arena + at[ASC_BANDS_IN];
    const uint32_t bytes = at[ASC_BANDS_IN2], whole = bytes - bytes % 16;
    if (to < from) {
        for (uint32_t i = 0; i < whole; i += 16)
            copy16(to + i, from + i);
        for (uint32_t i = whole; i < bytes; i++)
            to[i] = from[i];
    } else {
        for (uint32_t i = bytes; i > whole; i--)
            to[i - 1] = from[i - 1];
        for (uint32_t i = whole; i > 0; i -= 16)
            copy16(to + i - 16, from + i - 16);
    }
}
#endif

void asc_bands_run(const asc_band *bands, uint32_t count, uint8_t *arena, asc_probe_fn *probe, void *context)
{
    for (const asc_band *band = bands; band < bands + count; band++)
        for (uint32_t pass = 0; pass < band->passes; pass++)
            for (const asc_piece *piece = band->pieces; piece < band->pieces + band->count; piece++) {
                uint32_t at[ASC_BANDS_PLACES];
                for (uint32_t i = 0; i < ASC_BANDS_PLACES; i++)
                    at[i] = piece->at[i] + pass * piece->step[i];
                piece->run(arena, at);
                if (probe != NULL)
                    probe(context, piece->layer);
            }
}
