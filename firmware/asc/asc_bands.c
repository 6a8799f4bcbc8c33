#include "asc_bands.h"
#include <string.h>

void asc_bands_move(uint8_t *arena, const uint32_t *at)
{
    memmove(arena + at[ASC_BANDS_OUT], arena + at[ASC_BANDS_IN], at[ASC_BANDS_IN2]);
}

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
