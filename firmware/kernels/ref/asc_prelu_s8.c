/* PRELU, portable. */
#include "asc_broadcast.h"
#include "asc_nn.h"

static void run(const void *parameters, const int8_t *a, const int8_t *b, int8_t *y)
{
    const asc_prelu *p = parameters;
    const int32_t n = p->size[3], step_a = p->a_step[3], step_b = p->b_step[3];
    for (int32_t i = 0; i < n; i++) {
        const int32_t x = *a - p->a_zero;
        const int32_t value =
            x >= 0 ? asc_scaled(x, p->positive) : asc_scaled(x * (*b - p->b_zero), p->negative);
        y[i] = (int8_t)asc_clamp(asc_offset(value, p->out_zero), INT8_MIN, INT8_MAX);
        a += step_a;
        b += step_b;
    }
}

void asc_prelu_s8(const asc_prelu *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    asc_broadcast(p->size, p->a_step, p->b_step, p->size[3], run, p, a, b, y);
}
