/* MUL, portable. */
#include "asc_nn.h"

/* One run of the innermost loop. */
static void run(const asc_mul *p, const int8_t *a, const int8_t *b, int8_t *y)
{
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
    for (int32_t i = 0; i < p->size[0]; i++)
        for (int32_t j = 0; j < p->size[1]; j++)
            for (int32_t k = 0; k < p->size[2]; k++) {
                run(p, a + i * p->a_step[0] + j * p->a_step[1] + k * p->a_step[2],
                    b + i * p->b_step[0] + j * p->b_step[1] + k * p->b_step[2], y);
                y += p->size[3];
            }
}
