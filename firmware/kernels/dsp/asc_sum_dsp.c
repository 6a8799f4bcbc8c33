/* MEAN and SUM over all pixels, four channels a time. */
#include "asc_nn_dsp.h"
#include "asc_sums.h"

void asc_sum_dsp(const asc_sum *p, const int8_t *x, int8_t *y)
{
    const int32_t n = p->reduce[0], channels = p->keep[1];
    for (int32_t i = 0; i < p->keep[0]; i++, x += n * channels, y += channels)
        for (int32_t c = 0; c < channels; c += 4) {
            if (c > channels - 4)
                c = channels - 4;
            int32_t s[4] = {-p->in_zero_sum, -p->in_zero_sum, -p->in_zero_sum, -p->in_zero_sum};
            asc_sums4(x + c, channels, n, s);
            for (int32_t k = 0; k < 4; k++)
                y[c + k] = (int8_t)asc_clamp(asc_offset(asc_scaled(s[k], p->scale), p->out_zero), INT8_MIN,
                                             INT8_MAX);
        }
}
