/* MEAN, SUM and the average of an image, portable. */
#include "asc_nn.h"

void asc_sum_s8(const asc_sum *p, const int8_t *x, int8_t *y, void *sums)
{
    int32_t *const kept = sums;
    const int32_t k1 = p->keep[1], k2 = p->keep[2], r0 = p->reduce[0], r1 = p->reduce[1];
    for (int32_t i = 0, n = 0; i < p->keep[0]; i++, x += r0 * k1 * r1 * k2)
        for (int32_t j = 0; j < k1; j++)
            for (int32_t k = 0; k < k2; k++, n++) {
                int32_t sum = p->opens ? p->start : kept[n];
                for (int32_t u = 0; u < r0; u++) {
                    const int8_t *a = x + (u * k1 + j) * r1 * k2 + k;
                    for (int32_t v = 0; v < r1; v++, a += k2)
                        sum += *a;
                }
                if (p->closes)
                    y[n] = asc_sum_output(sum, p);
                else
                    kept[n] = sum;
            }
}
