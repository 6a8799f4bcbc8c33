/* AVERAGE_POOL_2D, four channels a time; windows of 2 x 2 by halving. */
#include "asc_nn_dsp.h"
#include "asc_sums.h"

/* One output pixel of a window of four pixels that lies inside the image. */
static void quarter(const int8_t *a, const int8_t *b, int8_t *y, int32_t channels)
{
    const int32_t rest = channels & 3, last = channels - 4;
    asc_quarter(a, b, y, (uint32_t)channels, (uint32_t)(channels - rest));
    if (rest)
        asc_quarter(a + last, b + last, y + last, (uint32_t)channels, 4);
}

void asc_average_pool_dsp(const asc_pool *p, const int8_t *x, int8_t *y)
{
    const int32_t channels = p->channels, pitch = p->in_w * channels;
    for (int32_t n = 0; n < p->batches; n++, x += p->in_h * pitch)
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const int32_t top = oy * p->stride_h - p->pad_top;
            const int32_t row0 = top < 0 ? 0 : top;
            const int32_t row1 = top + p->kernel_h < p->in_h ? top + p->kernel_h : p->in_h;
            for (int32_t ox = 0; ox < p->out_w; ox++, y += channels) {
                const int32_t left = ox * p->stride_w - p->pad_left;
                const int32_t col0 = left < 0 ? 0 : left;
                const int32_t col1 = left + p->kernel_w < p->in_w ? left + p->kernel_w : p->in_w;
                const int32_t count = (row1 - row0) * (col1 - col0), half = count / 2;
                const int8_t *const window = x + row0 * pitch + col0 * channels;
                if (row1 - row0 == 2 && col1 - col0 == 2) {
                    quarter(window, window + pitch, y, channels);
                    continue;
                }
                for (int32_t c = 0; c < channels; c += 4) {
                    if (c > channels - 4)
                        c = channels - 4;
                    int32_t s[4] = {0, 0, 0, 0};
                    const int8_t *a = window + c;
                    if (col1 - col0 == p->in_w) /* whole rows are one run */
                        asc_sums4(a, channels, count, s);
                    else
                        for (int32_t row = row0; row < row1; row++, a += pitch)
                            asc_sums4(a, channels, col1 - col0, s);
                    for (int32_t k = 0; k < 4; k++)
                        y[c + k] = (int8_t)((s[k] > 0 ? s[k] + half : s[k] - half) / count);
                }
            }
        }
}
