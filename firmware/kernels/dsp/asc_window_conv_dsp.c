/* k x k convolutions: a window of input rows, padded left and right, slides through scratch, so that a row of
 * the kernel is one run of bytes; four pixels at a time, which may lie on two output rows or more. */
#include "asc_nn_dsp.h"

static void image(const asc_window_conv *p, const int8_t *x, int8_t *y, uint32_t *columns)
{
    const int32_t n = p->out_c, step = p->stride_w * p->window.in_c, pitch = p->window.pitch;
    const uint32_t run = (uint32_t)(p->kernel_w * p->window.in_c),
                   tap_pitch = (uint32_t)(p->dilation_h * pitch);
    const int32_t spare_stride = 2 * (int32_t)p->shape.c_pairs;
    const asc_gemm spare_shape = {p->shape.k_pairs, p->shape.c_pairs, (uint32_t)spare_stride};
    int8_t *const spare = (int8_t *)(columns + 4 * p->shape.k_pairs);
    int8_t *const window = spare + 8 * p->shape.c_pairs;

    const int32_t out_w = p->out_w, next_row = p->stride_h * pitch - out_w * step;
    int32_t row = -p->pad_top;           /* where the next pixel's window begins in the image */
    int32_t top = row - p->window.rows;  /* and the one in scratch, which holds nothing yet */
    int32_t at = p->window.rows * pitch; /* the next pixel in it */
    int32_t ox = 0;
    for (int32_t left = p->out_h * out_w; left > 0; left -= 4) {
        const int32_t ahead = row - top, count = left < 4 ? left : 4;
        if (ahead > 0) {
            asc_window_slide(&p->window, window, x, top, ahead);
            top = row;
            at -= ahead * pitch;
        }
        const int8_t *const first = window + at;
        const int8_t *pixel[4] = {first, first + step, first + 2 * step, first + 3 * step};
        if (ox + 4 < out_w) {
            at += 4 * step;
            ox += 4;
        } else
            for (int32_t i = 0; i < 4; i++) {
                pixel[i] = i < count ? window + at : first; /* no such pixel */
                at += step;
                if (++ox == out_w) {
                    ox = 0;
                    row += p->stride_h;
                    at += next_row;
                }
            }
        if (p->gather != NULL)
            p->gather(p, pixel, columns);
        else
            asc_im2col4(pixel, columns, run, (uint32_t)p->kernel_h, tap_pitch);
        if (count == 4 && !(n & 1)) {
            p->gemm(columns, p->weights, y, &p->shape);
            y += 4 * n;
            continue;
        }
        p->gemm(columns, p->weights, spare, &spare_shape);
        for (int32_t i = 0; i < count; i++, y += n)
            memcpy(y, spare + i * spare_stride, (size_t)n);
    }
}

void asc_window_conv_dsp(const asc_window_conv *p, const int8_t *x, int8_t *y, void *scratch)
{
    const int32_t in_bytes = p->window.in_h * p->window.in_w * p->window.in_c;
    for (int32_t b = 0; b < p->batches; b++)
        image(p, x + b * in_bytes, y + b * p->out_h * p->out_w * p->out_c, scratch);
}
