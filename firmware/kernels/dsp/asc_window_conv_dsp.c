/* k x k convolutions: a window of input rows, padded left and right, slides through scratch, so that a row of
 * the kernel is one run of bytes; four pixels at a time, which may lie on two output rows or more. */
#include "asc_nn_dsp.h"

/* The columns of four pixels; taps of a row are `apart`, or one run. */
static inline __attribute__((always_inline)) void gather(const asc_window_conv *p, const int8_t *pixel[4],
                                                         uint32_t *columns, int32_t apart)
{
    const int32_t row = p->dilation_h * p->window.pitch, in_c = p->window.in_c, taps = p->kernel_w;
    if (!apart) {
        asc_im2col4(pixel, columns, (uint32_t)(taps * in_c), (uint32_t)p->kernel_h, (uint32_t)row);
        return;
    }
    const uint32_t pairs = p->shape.k_pairs / (uint32_t)p->kernel_h;
    for (int32_t k = 0; k < p->kernel_h; k++) {
        asc_im2col4(pixel, columns, (uint32_t)in_c, (uint32_t)taps, (uint32_t)(p->dilation_w * in_c));
        columns += 4 * pairs;
        for (int32_t i = 0; i < 4; i++)
            pixel[i] += row;
    }
}

static inline __attribute__((always_inline)) void image(const asc_window_conv *p, const int8_t *x, int8_t *y,
                                                        uint32_t *columns, int32_t apart)
{
    const int32_t n = p->out_c, step = p->stride_w * p->window.in_c, pitch = p->window.pitch;
    const int32_t spare_stride = 2 * (int32_t)p->shape.c_pairs;
    const asc_gemm spare_shape = {p->shape.k_pairs, p->shape.c_pairs, (uint32_t)spare_stride};
    int8_t *const spare = (int8_t *)(columns + 4 * p->shape.k_pairs);
    int8_t *const window = spare + 8 * p->shape.c_pairs;

    int32_t top = -p->pad_top; /* the window's first input row */
    asc_window_fill(&p->window, window, x, top);
    int32_t oy = 0, ox = 0;
    for (int32_t left = p->out_h * p->out_w; left > 0; left -= 4) {
        const int32_t ahead = oy * p->stride_h - p->pad_top - top, count = left < 4 ? left : 4;
        if (ahead > 0) {
            asc_window_slide(&p->window, window, x, top, ahead);
            top += ahead;
        }
        const int8_t *pixel[4], *at = window + ox * step;
        for (int32_t i = 0; i < 4; i++) {
            pixel[i] = at;
            if (i >= count)
                pixel[i] = pixel[0]; /* no such pixel */
            else if (++ox == p->out_w) {
                ox = 0;
                oy++;
                at += p->stride_h * pitch - (p->out_w - 1) * step;
            } else
                at += step;
        }
        gather(p, pixel, columns, apart);
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

static inline __attribute__((always_inline)) void images(const asc_window_conv *p, const int8_t *x, int8_t *y,
                                                         void *scratch, int32_t apart)
{
    const int32_t in_bytes = p->window.in_h * p->window.in_w * p->window.in_c;
    for (int32_t b = 0; b < p->batches; b++)
        image(p, x + b * in_bytes, y + b * p->out_h * p->out_w * p->out_c, scratch, apart);
}

void asc_window_conv_dsp(const asc_window_conv *p, const int8_t *x, int8_t *y, void *scratch)
{
    images(p, x, y, scratch, 0);
}

void asc_dilated_conv_dsp(const asc_window_conv *p, const int8_t *x, int8_t *y, void *scratch)
{
    images(p, x, y, scratch, 1);
}
