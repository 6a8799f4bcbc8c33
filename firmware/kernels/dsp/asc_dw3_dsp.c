/* Depthwise 3x3: four channels at a time, a strip of two output rows (stride 2: one) after the other.  Each
 * input row is turned into pairs once.  "Along" is the way that a strip runs, "across" the other: strips may
 * run down the columns of a tall map. */
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

void asc_dw3_dsp(const asc_dw3 *p, const int8_t *x, int8_t *y, void *scratch)
{
    const int32_t pitch = p->strip.pitch, columns = pitch / 8, taken = p->taken, before = p->pad_along;
    const uint32_t zeros = (uint8_t)p->in_zero * 0x01010101u, zero = (uint16_t)p->in_zero * 0x00010001u;
    uint32_t *const tile = scratch;
    uint32_t *const lines = tile + p->strip_rows * p->out_along; /* [GROUP][columns][upper, lower pair] */

    for (int32_t c = 0; c < GROUP; c++) { /* padding: nothing else writes there, and copies keep it */
        uint32_t *line = lines + c * (pitch / 4);
        for (int32_t i = 0; i < columns; i++)
            if (i < before || i >= before + taken)
                line[2 * i] = line[2 * i + 1] = zero;
    }
    for (int32_t g = 0; g < p->channels; g += GROUP) {
        if (g > p->channels - GROUP)
            g = p->channels - GROUP; /* the last group overlaps the one before */
        int32_t row = -p->pad_across;
        for (int32_t out = -p->strip_rows; out < p->out_across; out += p->strip_rows, row += 2) {
            int32_t a_step, b_step;
            const int8_t *a = row_of(p, x + g, row, &zeros, &a_step);
            const int8_t *b = row_of(p, x + g, row + 1, &zeros, &b_step);
            asc_dw_pairs(a, b, lines + 2 * before + (out >= 0), a_step, b_step, (uint32_t)taken,
                         (uint32_t)pitch);
            if (out < 0)
                continue; /* the first upper pair */
            p->kernel(lines, p->weights + g, (int8_t *)tile, &p->strip);
            int8_t *const y0 = y + out * p->out_across_step + g;
            if (p->strip_rows == 1)
                asc_dw_store_1(tile, y0, p->out_along_step, (uint32_t)p->out_along);
            else
                asc_dw_store(tile, y0, out + 1 < p->out_across ? y0 + p->out_across_step : y0,
                             p->out_along_step, (uint32_t)p->out_along);
        }
    }
}
