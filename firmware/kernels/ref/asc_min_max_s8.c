/* MINIMUM and MAXIMUM, portable. */
#include "asc_broadcast.h"
#include "asc_nn.h"

static void run(const void *parameters, const int8_t *a, const int8_t *b, int8_t *y)
{
    const asc_min_max *p = parameters;
    const int32_t n = p->size[3], step_a = p->a_step[3], step_b = p->b_step[3];
    for (int32_t i = 0; i < n; i++) {
        y[i] = (*a > *b) == (p->maximum != 0) ? *a : *b;
        a += step_a;
        b += step_b;
    }
}

void asc_min_max_s8(const asc_min_max *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    asc_broadcast(p->size, p->a_step, p->b_step, p->size[3], run, p, a, b, y);
}
