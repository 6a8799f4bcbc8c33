/* Depthwise, kernels of up to 7 x 3 or 5 x 5 taps: four channels at a time, a strip of two output rows after
 * the other, as asc_dw3_dsp.c has it.  Each input row is turned into pairs once: lines stay where they are
 * from strip to strip, their order turns. */
#include "asc_nn_dsp.h"

#define GROUP 4

/* Fewer channels than four: words of two rows, position by position. */
static void few(const int8_t *a, const int8_t *b, uint32_t *line, int32_t a_step, int32_t b_step,
                const asc_dwk *p)
{
    for (int32_t i = 0; i < p->taken; i++, a += a_step, b += b_step)
        for (int32_t c = 0; c < p->group; c++)
            line[(uint32_t)c * (p->strip.pitch / 4) + (uint32_t)i] =
                (uint32_t)(uint16_t)a[c] | (uint32_t)(uint16_t)b[c] << 16;
}

/* Rows `row` and the next one across the strips, or zeros where there is none -> a line's positions. */
static void load(const asc_dwk *p, const int8_t *x, int32_t row, uint32_t *line)
{
    const uint32_t zeros = (uint8_t)p->in_zero * 0x01010101u;
    const int8_t *from[2];
    int32_t step[2];
    for (int32_t k = 0; k < 2; k++, row++) {
        const int32_t inside = row >= 0 && row < p->in_across;
        step[k] = inside ? p->in_along_step : 0;
        from[k] = inside ? x + row * p->in_across_step : (const int8_t *)&zeros;
    }
    line += p->pad_along;
    if (p->group == GROUP)
        asc_dw_pairs_1(from[0], from[1], line, step[0], step[1], (uint32_t)p->taken, p->strip.pitch);
    else
        few(from[0], from[1], line, step[0], step[1], p);
}

/* The outputs of a strip from its lines, the topmost of which is slot `first`. */
static void strip(const asc_dwk *p, const uint32_t *slots, int32_t first, const uint32_t *weights, int8_t *y,
                  int32_t two, uint32_t *tile)
{
    const uint32_t words = p->strip.pitch / 4;
    const int32_t m = p->multiplier, outputs = p->group * m;
    for (int32_t o = 0; o < outputs; o += GROUP) {
        if (o > outputs - GROUP)
            o = outputs - GROUP; /* the last group overlaps the one before */
        const uint32_t *lines[ASC_DWK_LINES];
        for (int32_t k = 0, s = first; k < p->lines; k++, s = s + 1 < p->lines ? s + 1 : 0)
            lines[k] = slots + (uint32_t)(s * p->group + o / m) * words;
        p->kernel(lines, weights + o * p->record, (int8_t *)tile, &p->strip);
        int8_t *const y0 = y + o;
        asc_dw_store(tile, y0, two ? y0 + p->out_across_step : y0, p->out_along_step, (uint32_t)p->out_along);
    }
}

void asc_dwk_dsp(const asc_dwk *p, const int8_t *x, int8_t *y, void *scratch)
{
    const int32_t m = p->multiplier, n = p->lines, ahead = p->step_across, before = p->pad_along;
    const uint32_t words = p->strip.pitch / 4, slot = words * (uint32_t)p->group;
    const uint32_t zero = (uint16_t)p->in_zero * 0x00010001u;
    uint32_t *const tile = scratch;
    uint32_t *const slots = tile + 4 * ((p->out_along + 1) / 2); /* [lines][group][positions] */

    for (int32_t s = 0; s < n * p->group; s++) { /* padding: nothing else writes there */
        uint32_t *const line = slots + (uint32_t)s * words;
        for (int32_t i = 0; i < before; i++)
            line[i] = zero;
        for (int32_t i = before + p->taken; i < p->positions; i++)
            line[i] = zero;
    }
    for (int32_t g = 0; g < p->channels; g += p->group) {
        if (g > p->channels - p->group)
            g = p->channels - p->group; /* the last group overlaps the one before */
        int32_t row = -p->pad_across, first = 0;
        for (int32_t k = 0; k < n - ahead; k++, row += 2)
            load(p, x + g, row, slots + (uint32_t)k * slot);
        for (int32_t out = 0; out < p->out_across; out += 2) {
            for (int32_t k = n - ahead; k < n; k++, row += 2) {
                const int32_t s = first + k < n ? first + k : first + k - n;
                load(p, x + g, row, slots + (uint32_t)s * slot);
            }
            strip(p, slots, first, p->weights + g * m * p->record, y + out * p->out_across_step + g * m,
                  out + 1 < p->out_across, tile);
            first = first + ahead < n ? first + ahead : first + ahead - n;
        }
    }
}
