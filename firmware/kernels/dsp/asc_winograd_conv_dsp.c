/* k x k convolutions with stride 1 by asc_winograd: eight pixels at a time, four pairs of neighbours. */
#include "asc_nn_dsp.h"

static void image(const asc_winograd_conv *p, const int8_t *x, int8_t *y, uint32_t *columns)
{
    const int32_t n = p->out_c, c = p->window.in_c, pitch = p->window.pitch;
    const int32_t spare_stride = 2 * (int32_t)p->shape.c_pairs, words = 8 * c; /* of columns for c values */
    const int32_t taps = p->kernel_w / 3 * 3;                                  /* the rest have no partners */
    const int32_t row_pairs = (p->out_w + 1) / 2, row = p->dilation_h * pitch;
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
        const int32_t first_x = ox;
        if (ahead > 0) {
            asc_window_slide(&p->window, window, x, top, ahead);
            top += ahead;
        }
        const int8_t *at = window + ox * c;
        for (int32_t i = 0; i < 4; i++) {
            uint32_t *d = columns + i;
            for (int32_t ky = 0; ky < p->kernel_h; ky++)
                for (int32_t t = 0; t < taps; t += 3, d += words)
                    asc_winograd_main(at + ky * row + t * c, d, (uint32_t)c, (uint32_t)c);
            for (int32_t ky = 0; ky < p->kernel_h; ky++)
                for (int32_t t = taps; t < p->kernel_w; t++, d += words)
                    asc_winograd_rest(at + ky * row + t * c, d, (uint32_t)c, (uint32_t)c);
            if (i >= count - 1)
                continue; /* what follows is not there: the last one again */
            at += 2 * c;
            ox += 2;
            if (ox >= p->out_w) {
                at += pitch - 2 * row_pairs * c;
                ox = 0;
                oy++;
            }
        }
        /* past the last pair */
        ox += 2;
        if (ox >= p->out_w) {
            ox = 0;
            oy++;
        }
        if (direct && count == 4) {
            p->kernel(columns, p->weights, y, &p->shape);
            y += 8 * n;
            continue;
        }
        p->kernel(columns, p->weights, spare, &spare_shape);
        int32_t px = first_x;
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
