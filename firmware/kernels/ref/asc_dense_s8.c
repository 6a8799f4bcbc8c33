/* FULLY_CONNECTED, portable: two output values at a time. */
#include "asc_nn.h"

void asc_dense_s8(const asc_dense *p, const int8_t *x, int8_t *y)
{
    for (int32_t r = 0; r < p->rows; r++) {
        for (int32_t c = 0; c < p->out_n; c += 2) {
            const int32_t d = c + 1 < p->out_n ? c + 1 : c;
            const int8_t *w0 = p->weights + c * p->in_n, *w1 = p->weights + d * p->in_n;
            int32_t s0 = p->channels[c].bias, s1 = p->channels[d].bias;
            for (int32_t k = 0; k < p->in_n; k++) {
                s0 += w0[k] * x[k];
                s1 += w1[k] * x[k];
            }
            y[c] = asc_output(s0, p->channels + c, p->out_zero, p->act_min, p->act_max);
            y[d] = asc_output(s1, p->channels + d, p->out_zero, p->act_min, p->act_max);
        }
        x += p->in_n;
        y += p->out_n;
    }
}
