/* REDUCE_MAX, portable. */
#include "asc_nn.h"

void asc_reduce_max_s8(const asc_reduce_max *p, const int8_t *x, int8_t *y)
{
    const int32_t k1 = p->keep[1], k2 = p->keep[2], r0 = p->reduce[0], r1 = p->reduce[1];
    for (int32_t i = 0; i < p->keep[0]; i++) {
        for (int32_t j = 0; j < k1; j++)
            for (int32_t k = 0; k < k2; k++) {
                int32_t most = INT8_MIN;
                for (int32_t u = 0; u < r0; u++) {
                    const int8_t *a = x + (u * k1 + j) * r1 * k2 + k;
                    for (int32_t v = 0; v < r1; v++, a += k2)
                        most = *a > most ? *a : most;
                }
                *y++ = (int8_t)most;
            }
        x += r0 * k1 * r1 * k2;
    }
}
