/* MUL, portable. */
#include "asc_broadcast.h"
#include "asc_nn.h"

static void run(const void *parameters, const int8_t *a, const int8_t *b, int8_t *y)
{
    const asc_mul *p = parameters;
    const int32_t n = p->size[3], step_a = p->a_step[3], step_b = p->b_step[3];
    for (int32_t i = 0; i < n; i++) {
        const int32_t product = (*a - p->a_zero) * (*b - p->b_zero);
        y[i] = (int8_t)asc_clamp(asc_offset(asc_scaled(product, p->product), p->out_zero), p->act_min,
                                 p->act_max);
        a += step_a;
        b += step_b;
    }
}

void asc_mul_s8(const asc_mul *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    asc_broadcast(p->size, p->a_step, p->b_step, p->size[3], run, p, a, b, y);
}
