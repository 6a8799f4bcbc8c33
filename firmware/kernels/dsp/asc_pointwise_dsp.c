/* 1x1 convolutions: four pixels at a time through asc_gemm4. */
#include "asc_nn_dsp.h"
#include <string.h>

void asc_pointwise_dsp(const asc_pointwise *p, const int8_t *x, int8_t *y, void *scratch)
{
    const int32_t k = p->in_c, n = p->out_c;
    uint32_t *const columns = scratch;
    int8_t *const spare = (int8_t *)(columns + 4 * p->shape.k_pairs); /* 4 pixels, channels even */
    const int32_t spare_stride = 2 * (int32_t)p->shape.c_pairs;
    const asc_gemm spare_shape = {p->shape.k_pairs, p->shape.c_pairs, (uint32_t)spare_stride};

    for (int32_t left = p->pixels; left > 0; left -= 4, x += 4 * k) {
        const int32_t count = left < 4 ? left : 4;
        const int8_t *const row[4] = {x, count > 1 ? x + k : x, count > 2 ? x + 2 * k : x,
                                      count > 3 ? x + 3 * k : x};
        asc_im2col4(row, columns, (uint32_t)k, 1, 0);
        if (count == 4 && !(n & 1)) {
            p->gemm(columns, p->weights, y, &p->shape);
            y += 4 * n;
            continue;
        }
        p->gemm(columns, p->weights, spare, &spare_shape);
        for (int32_t i = 0; i < count; i++, y += n)
            memcpy(y, spare + i * spare_stride, (size_t)n);
    }
}
