/* k x k convolutions: a window of input rows, padded left and right, slides through scratch, so that a row of
 * the kernel is one run of bytes; four pixels at a time, which may lie on two output rows or more. */
#include "asc_nn_dsp.h"
#include <string.h>

/* Input row `r` with `in_zero` around it. */
static void load_row(const asc_window_conv *p, int8_t *d, const int8_t *x, int32_t r)
{
    const int32_t c = p->in_c, need = (p->out_w - 1) * p->stride_w + p->kernel_w, room = need - p->pad_left;
    const int32_t taken = p->in_w < room ? p->in_w : room;
    if (r < 0 || r >= p->in_h) {
        memset(d, p->in_zero, (size_t)(need * c));
        return;
    }
    memset(d, p->in_zero, (size_t)(p->pad_left * c));
    memcpy(d + p->pad_left * c, x + r * p->in_w * c, (size_t)(taken * c));
    memset(d + (p->pad_left + taken) * c, p->in_zero, (size_t)((room - taken) * c));
}

static void image(const asc_window_conv *p, const int8_t *x, int8_t *y, uint32_t *columns)
{
    const int32_t n = p->out_c, step = p->stride_w * p->in_c, pitch = p->pitch, rows = p->rows;
    const uint32_t run = (uint32_t)(p->kernel_w * p->in_c);
    const int32_t spare_stride = 2 * (int32_t)p->shape.c_pairs;
    const asc_gemm spare_shape = {p->shape.k_pairs, p->shape.c_pairs, (uint32_t)spare_stride};
    int8_t *const spare = (int8_t *)(columns + 4 * p->shape.k_pairs);
    int8_t *const window = spare + 8 * p->shape.c_pairs;

    int32_t top = -p->pad_top; /* the window's first input row */
    for (int32_t r = 0; r < rows; r++)
        load_row(p, window + r * pitch, x, top + r);
    int32_t oy = 0, ox = 0;
    for (int32_t left = p->out_h * p->out_w; left > 0; left -= 4) {
        const int32_t ahead = oy * p->stride_h - p->pad_top - top, count = left < 4 ? left : 4;
        if (ahead > 0) {
            const int32_t keep = rows > ahead ? rows - ahead : 0;
            memmove(window, window + ahead * pitch, (size_t)(keep * pitch));
            top += ahead;
            for (int32_t r = keep; r < rows; r++)
                load_row(p, window + r * pitch, x, top + r);
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
        asc_im2col4(pixel, columns, run, (uint32_t)p->kernel_h, (uint32_t)pitch);
        if (count == 4 && !(n & 1)) {
            p->gemm(columns, p->weights, p->pairs, y, &p->shape);
            y += 4 * n;
            continue;
        }
        p->gemm(columns, p->weights, p->pairs, spare, &spare_shape);
        for (int32_t i = 0; i < count; i++, y += n)
            memcpy(y, spare + i * spare_stride, (size_t)n);
    }
}

void asc_window_conv_dsp(const asc_window_conv *p, const int8_t *x, int8_t *y, void *scratch)
{
    for (int32_t b = 0; b < p->batches; b++)
        image(p, x + b * p->in_h * p->in_w * p->in_c, y + b * p->out_h * p->out_w * p->out_c, scratch);
}
