/* k x k convolutions with stride 1 by asc_winograd: eight pixels at a time, four pairs of neighbours. */
#include "asc_nn_dsp.h"

/* Columns of one pair of pixels. */
static void columns_of(const asc_winograd_conv *p, const int8_t *at, uint32_t *columns)
{
    const int32_t c = p->window.in_c, row = p->dilation_h * p->window.pitch, triples = p->kernel_w / 3;
    asc_winograd_main(at, columns, (uint32_t)c, (uint32_t)p->kernel_h, (uint32_t)triples, (uint32_t)row);
    if (3 * triples == p->kernel_w)
        return;
    columns += p->kernel_h * triples * 8 * c;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) /* the rest of the taps have no partners */
        for (int32_t t = 3 * triples; t < p->kernel_w; t++, columns += 8 * c)
            asc_winograd_rest(at + ky * row + t * c, columns, (uint32_t)c, (uint32_t)c);
}

static void image(const asc_winograd_conv *p, const int8_t *x, int8_t *y, uint32_t *columns)
{
    const int32_t n = p->out_c, c = p->window.in_c, pitch = p->window.pitch;
    const int32_t spare_stride = 2 * (int32_t)p->shape.c_pairs;
    const int32_t row_pairs = (p->out_w + 1) / 2;
    asc_winograd spare_shape = p->shape;
    spare_shape.stride = (uint32_t)spare_stride;
    int8_t *const spare = (int8_t *)(columns + 16 * p->shape.k_pairs_03);
    int8_t *const window = spare + 8 * spare_stride;
    const int32_t direct = !(n & 1) && !(p->out_w & 1); /* eight pixels lie one after the other */

    int32_t top = -p->pad_top; /* the window's first input row */
    asc_window_fill(&p->window, window, x, top);
    int32_t oy = 0, ox = 0;
    for (int32_t left = p->out_h * row_pairs; left > 0; left -= 4) {
        const int32_t ahead = oy - p->pad_top - top, count = left < 4 ? left : 4;
        int32_t px = ox;
        if (ahead > 0) {
            asc_window_slide(&p->window, window, x, top, ahead);
            top += ahead;
        }
        const int8_t *at = window + ox * c, *pair = at;
        for (int32_t i = 0; i < 4; i++) {
            if (i < count) { /* else it is not there: the last one again */
                pair = at;
                at += 2 * c;
                ox += 2;
                if (ox >= p->out_w) {
                    at += pitch - 2 * row_pairs * c;
                    ox = 0;
                    oy++;
                }
            }
            columns_of(p, pair, columns + i);
        }
        if (direct && count == 4) {
            p->kernel(columns, p->weights, y, &p->shape);
            y += 8 * n;
            continue;
        }
        p->kernel(columns, p->weights, spare, &spare_shape);
        for (int32_t i = 0; i < 2 * count; i++) {
            if (px < p->out_w) {
                memcpy(y, spare + i * spare_stride, (size_t)n);
                y += n;
            }
            px++;
            if (px >= 2 * row_pairs)
                px = 0;
        }
    }
}

void asc_winograd_conv_dsp(const asc_winograd_conv *p, const int8_t *x, int8_t *y, void *scratch)
{
    const int32_t in_bytes = p->window.in_h * p->window.in_w * p->window.in_c;
    for (int32_t b = 0; b < p->batches; b++)
        image(p, x + b * in_bytes, y + b * p->out_h * p->out_w * p->out_c, scratch);
}
