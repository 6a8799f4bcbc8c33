/* ADD and SUB, portable. */
#include "asc_nn.h"

static int32_t widened(int32_t value, int32_t zero, asc_scale s)
{
    return asc_shift_right(asc_high_mul((value - zero) * (1 << 20), s.multiplier), s.right);
}

/* One run of the innermost loop. */
static void run(const asc_add *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    const int32_t n = p->size[3], step_a = p->a_step[3], step_b = p->b_step[3];
    for (int32_t i = 0; i < n; i++) {
        const int32_t u = widened(*a, p->a_zero, p->a), v = widened(*b, p->b_zero, p->b);
        const int32_t sum =
            asc_shift_right(asc_high_mul(p->subtract ? u - v : u + v, p->sum.multiplier), p->sum.right);
        y[i] = (int8_t)asc_clamp(sum + p->out_zero, p->act_min, p->act_max);
        a += step_a;
        b += step_b;
    }
}

void asc_add_s8(const asc_add *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    for (int32_t i = 0; i < p->size[0]; i++)
        for (int32_t j = 0; j < p->size[1]; j++)
            for (int32_t k = 0; k < p->size[2]; k++) {
                run(p, a + i * p->a_step[0] + j * p->a_step[1] + k * p->a_step[2],
                    b + i * p->b_step[0] + j * p->b_step[1] + k * p->b_step[2], y);
                y += p->size[3];
            }
}
