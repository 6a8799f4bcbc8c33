/* MAX_POOL_2D, four channels a time. */
#include "asc_insn.h"
#include "asc_nn_dsp.h"

void asc_max_pool_dsp(const asc_pool *p, const int8_t *x, int8_t *y)
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
                for (int32_t c = 0; c < channels; c += 4) {
                    if (c > channels - 4)
                        c = channels - 4;
                    uint32_t most = 0x80808080u;
                    for (int32_t row = row0; row < row1; row++) {
                        const int8_t *a = x + row * pitch + col0 * channels + c;
                        for (int32_t col = col0; col < col1; col++, a += channels)
                            most = asc_max4(most, asc_word(a));
                    }
                    asc_put_word(y + c, most);
                }
            }
        }
}
