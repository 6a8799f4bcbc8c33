/* Depthwise, kernels of up to 7 x 3 or 5 x 5 taps: four channels at a time, some strips of two output rows,
 * then the next ones.  Each input row is turned into pairs once. */
#include "asc_nn_dsp.h"

#define GROUP 4

/* Fewer channels than four: words of two rows, position by position. */
static void few(const asc_dwk *p, const int8_t *const from[2], const int32_t step[2], uint32_t *line)
{
    const int8_t *a = from[0], *b = from[1];
    for (int32_t i = 0; i < p->taken; i++, a += step[0], b += step[1])
        for (int32_t c = 0; c < p->group; c++)
            line[(uint32_t)c * (p->strips.pitch / 4) + (uint32_t)i] =
                (uint16_t)a[c] | (uint32_t)(uint16_t)b[c] << 16;
}

/* `n` pairs of rows across the strips, from `row` on, zeros where there is none -> a line each. */
static void load(const asc_dwk *p, const int8_t *x, int32_t row, int32_t n, uint32_t *line)
{
    const uint32_t zeros = (uint8_t)p->in_zero * 0x01010101u;
    const int8_t *next = x + row * p->in_across_step;
    for (line += p->pad_along; n > 0; n--, line += p->strips.slot / 4) {
        const int8_t *from[2];
        int32_t step[2];
        for (int32_t k = 0; k < 2; k++, row++, next += p->in_across_step) {
            const int32_t inside = row >= 0 && row < p->in_across;
            step[k] = inside ? p->in_along_step : 0;
            from[k] = inside ? next : (const int8_t *)&zeros;
        }
        if (p->group == GROUP)
            asc_dw_pairs_1(from[0], from[1], line, step[0], step[1], (uint32_t)p->taken, p->strips.pitch);
        else
            few(p, from, step, line);
    }
}

/* The outputs of strips, `rows` of them, from the lines of their input channels. */
static void make(const asc_dwk *p, const asc_dwk_strips *s, const uint32_t *lines, const uint32_t *weights,
                 int8_t *y, int32_t rows, uint32_t *tile)
{
    const int32_t m = p->multiplier, outputs = p->group * m, columns = (p->out_along + 1) & ~1;
    for (int32_t o = 0; o < outputs; o += GROUP) {
        if (o > outputs - GROUP)
            o = outputs - GROUP; /* the last group overlaps the one before */
        p->kernel(lines + (uint32_t)(o / m) * (s->pitch / 4), weights + o * p->record, (int8_t *)tile, s);
        const uint32_t *from = tile;
        int8_t *to = y + o;
        for (int32_t r = 0; r < rows; r += 2, from += 2 * columns, to += 2 * p->out_across_step)
            asc_dw_store(from, to, r + 1 < rows ? to + p->out_across_step : to, p->out_along_step,
                         (uint32_t)p->out_along);
    }
}

void asc_dwk_dsp(const asc_dwk *p, const int8_t *x, int8_t *y, void *scratch)
{
    const int32_t ahead = p->step_across, kept = p->lines - ahead, before = p->pad_along;
    const int32_t after = p->positions - before - p->taken;
    const uint32_t slot = p->strips.slot / 4, words = p->strips.pitch / 4;
    const uint32_t zero = (uint16_t)p->in_zero * 0x00010001u;
    uint32_t *const tile = scratch;
    uint32_t *const lines = tile + 2 * (uint32_t)((p->out_along + 1) & ~1) * p->strips.strips;

    uint32_t *line = lines;
    if (before + after > 0)
        for (uint32_t s = words / slot * (uint32_t)p->group; s > 0;
             s--) { /* padding: nothing else writes there */
            for (int32_t i = 0; i < before; i++)
                *line++ = zero;
            line += p->taken;
            for (int32_t i = 0; i < after; i++)
                *line++ = zero;
        }
    for (int32_t g = 0; g < p->channels; g += p->group) {
        if (g > p->channels - p->group)
            g = p->channels - p->group; /* the last group overlaps the one before */
        asc_dwk_strips s = p->strips;
        int32_t row = 2 * kept - p->pad_across, left = p->out_across;
        int8_t *to = y + g * p->multiplier;
        load(p, x + g, -p->pad_across, kept, lines);
        while (left > 0) {
            const int32_t n = left < 2 * (int32_t)s.strips ? (left + 1) / 2 : (int32_t)s.strips;
            const int32_t rows = left < 2 * n ? left : 2 * n, pairs = n * ahead;
            s.strips = (uint32_t)n;
            load(p, x + g, row, pairs, lines + (uint32_t)kept * slot);
            make(p, &s, lines, p->weights + g * p->multiplier * p->record, to, rows, tile);
            left -= rows;
            row += 2 * pairs;
            to += rows * p->out_across_step;
            if (left > 0)
                for (int32_t c = 0; c < p->group; c++)
                    asc_dw_move(lines + (uint32_t)c * words,
                                lines + (uint32_t)c * words + (uint32_t)pairs * slot, (uint32_t)kept * slot);
        }
    }
}
