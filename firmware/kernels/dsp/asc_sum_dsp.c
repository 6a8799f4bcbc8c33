/* MEAN, SUM and averages over all pixels, four channels a time. */
#include "asc_nn_dsp.h"
#include "asc_sums.h"

void asc_sum_dsp(const asc_sum *p, const int8_t *x, int8_t *y, void *sums)
{
    const int32_t n = p->reduce[0], channels = p->keep[1], start = p->start;
    int32_t here[4], *s = p->opens && p->closes ? here : sums;
    for (int32_t i = 0; i < p->keep[0]; i++, x += n * channels, y += channels)
        for (int32_t c = 0; c < channels; c += 4) {
            if (c > channels - 4)
                c = channels - 4; /* some sums are kept twice */
            if (p->opens)
                s[0] = s[1] = s[2] = s[3] = start;
            asc_sums4(x + c, channels, n, s);
            if (p->closes)
                for (int32_t k = 0; k < 4; k++)
                    y[c + k] = asc_sum_output(s[k], p);
            if (s != here)
                s += 4;
        }
}
