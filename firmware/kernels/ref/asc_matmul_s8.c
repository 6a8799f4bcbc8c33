/* BATCH_MATMUL, portable. */
#include "asc_broadcast.h"
#include "asc_nn.h"

static int8_t product(const asc_matmul *p, const int8_t *a, const int8_t *b)
{
    int32_t sum = 0;
    for (int32_t k = 0; k < p->depth; k++) {
        sum += (*a - p->a_zero) * (*b - p->b_zero);
        a += p->a_depth_step;
        b += p->b_depth_step;
    }
    return (int8_t)asc_clamp(asc_offset(asc_scaled(sum, p->scale), p->out_zero), INT8_MIN, INT8_MAX);
}

/* The matrices of the innermost batch dimension. */
static void run(const void *parameters, const int8_t *a, const int8_t *b, int8_t *y)
{
    const asc_matmul *p = parameters;
    for (int32_t i = 0; i < p->size[3]; i++) {
        for (int32_t row = 0; row < p->rows; row++)
            for (int32_t col = 0; col < p->columns; col++)
                *y++ = product(p, a + row * p->a_row_step, b + col * p->b_column_step);
        a += p->a_step[3];
        b += p->b_step[3];
    }
}

void asc_matmul_s8(const asc_matmul *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    asc_broadcast(p->size, p->a_step, p->b_step, p->size[3] * p->rows * p->columns, run, p, a, b, y);
}
