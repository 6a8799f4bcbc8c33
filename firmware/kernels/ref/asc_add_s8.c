/* ADD and SUB, portable. */
#include "asc_broadcast.h"
#include "asc_nn.h"

static int32_t widened(int32_t value, int32_t zero, asc_scale s)
{
    return asc_shift_right(asc_high_mul((value - zero) * (1 << 20), s.multiplier), s.right);
}

static void run(const void *parameters, const int8_t *a, const int8_t *b, int8_t *y)
{
    const asc_add *p = parameters;
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
    asc_broadcast(p->size, p->a_step, p->b_step, p->size[3], run, p, a, b, y);
}
