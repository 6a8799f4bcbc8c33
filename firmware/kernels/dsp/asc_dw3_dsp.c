/* Depthwise 3x3: four channels at a time, a strip of two output rows after the other.  Each input row is
 * turned into pairs once.  "Along" is the way that a strip runs, "across" the other: strips may run down the
 * columns of a tall map. */
#include "asc_nn_dsp.h"

#define GROUP 4

/* Where row `r` across the strips begins and its step along, or a word of zeros where there is no such row.
 */
static const int8_t *row_of(const asc_dw3 *p, const int8_t *x, int32_t r, const uint32_t *zeros,
                            int32_t *step)
{
    const int32_t inside = r >= 0 && r < p->in_across;
    *step = inside ? p->in_along_step : 0;
    return inside ? x + r * p->in_across_step : (const int8_t *)zeros;
}

/* The next two rows -> one word of each position. */
static void load(const asc_dw3 *p, const int8_t *x, int32_t *row, uint32_t *line, const uint32_t *zeros)
{
    int32_t a_step, b_step;
    const int8_t *const a = row_of(p, x, *row, zeros, &a_step);
    const int8_t *const b = row_of(p, x, *row + 1, zeros, &b_step);
    p->pairs(a, b, line, a_step, b_step, (uint32_t)p->taken, p->strip.pitch);
    *row += 2;
}

void asc_dw3_dsp(const asc_dw3 *p, const int8_t *x, int8_t *y, void *scratch)
{
    const int32_t words = p->words, taken = p->taken, before = p->pad_along;
    const uint32_t pitch = p->strip.pitch;
    const uint32_t zeros = (uint8_t)p->in_zero * 0x01010101u, zero = (uint16_t)p->in_zero * 0x00010001u;
    uint32_t *const tile = scratch;
    uint32_t *const lines = tile + 2 * p->out_along; /* [GROUP][positions][words] */

    for (int32_t c = 0; c < GROUP; c++) { /* padding: nothing else writes there */
        uint32_t *const line = lines + (uint32_t)c * (pitch / 4);
        for (int32_t i = 0; i < before * words; i++)
            line[i] = zero;
        for (int32_t i = (before + taken) * words; i < p->positions * words; i++)
            line[i] = zero;
    }
    uint32_t *const first = lines + before * words;
    for (int32_t g = 0; g < p->channels; g += GROUP) {
        if (g > p->channels - GROUP)
            g = p->channels - GROUP; /* the last group overlaps the one before */
        int32_t row = -p->pad_across;
        load(p, x + g, &row, first, &zeros);
        for (int32_t out = 0, odd = 0; out < p->out_across; out += 2, odd ^= 1) {
            if (words == 2)
                load(p, x + g, &row, first + (odd ^ 1), &zeros);
            else {
                load(p, x + g, &row, first + 1, &zeros);
                load(p, x + g, &row, first + 2, &zeros);
            }
            p->kernel[odd](lines, p->weights + g, (int8_t *)tile, &p->strip);
            int8_t *const y0 = y + out * p->out_across_step + g;
            asc_dw_store(tile, y0, out + 1 < p->out_across ? y0 + p->out_across_step : y0, p->out_along_step,
                         (uint32_t)p->out_along);
        }
    }
}
