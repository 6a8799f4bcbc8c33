/* A function of one value by table, portable. */
#include "asc_nn.h"

void asc_lut_s8(const asc_lut *p, const int8_t *x, int8_t *y)
{
    const int8_t *zero = p->table + 128;
    for (int32_t i = 0; i < p->n; i++)
        y[i] = zero[x[i]];
}
