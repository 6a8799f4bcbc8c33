/* FULLY_CONNECTED over few rows: a product of matrix and vector, four outputs at a time. */
#include "asc_nn_dsp.h"

void asc_gemv_dsp(const asc_gemv *p, const int8_t *x, int8_t *y)
{
    const int32_t words = (p->in_n - 1) / 4, left = p->in_n - 4 * words; /* the last 1 .. 4 values apart */
    for (int32_t row = 0; row < p->rows; row++, x += p->in_n) {
        const uint32_t *w = p->weights;
        uint32_t last = 0;
        memcpy(&last, x + 4 * words, (size_t)left);
        for (int32_t c = 0; c < p->out_n; c += 4, w += 4 * (words + 1)) {
            int32_t sums[4];
            asc_gemv4(x, w, sums, (uint32_t)words, last);
            for (int32_t i = c; i < p->out_n && i < c + 4; i++) {
                const asc_channel *const ch = p->channels + i;
                *y++ = asc_output(ch->bias + sums[i - c], ch, p->out_zero, p->act_min, p->act_max);
            }
        }
    }
}
