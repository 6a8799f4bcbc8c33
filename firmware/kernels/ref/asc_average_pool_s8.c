/* AVERAGE_POOL_2D, portable.  The mean is rounded to the nearest, ties away from zero. */
#include "asc_nn.h"

void asc_average_pool_s8(const asc_pool *p, const int8_t *x, int8_t *y)
{
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const int32_t top = oy * p->stride_h - p->pad_top;
            const int32_t row0 = top < 0 ? 0 : top;
            const int32_t row1 = top + p->kernel_h < p->in_h ? top + p->kernel_h : p->in_h;
            for (int32_t ox = 0; ox < p->out_w; ox++) {
                const int32_t left = ox * p->stride_w - p->pad_left;
                const int32_t col0 = left < 0 ? 0 : left;
                const int32_t col1 = left + p->kernel_w < p->in_w ? left + p->kernel_w : p->in_w;
                const int32_t count = (row1 - row0) * (col1 - col0), half = count / 2;
                for (int32_t c = 0; c < p->channels; c++) {
                    int32_t sum = 0;
                    for (int32_t row = row0; row < row1; row++) {
                        const int8_t *a = x + (row * p->in_w + col0) * p->channels + c;
                        for (int32_t col = col0; col < col1; col++, a += p->channels)
                            sum += *a;
                    }
                    sum = (sum > 0 ? sum + half : sum - half) / count;
                    *y++ = (int8_t)asc_clamp(sum, p->act_min, p->act_max);
                }
            }
        }
        x += p->in_h * p->in_w * p->channels;
    }
}
