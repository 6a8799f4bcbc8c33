/* SOFTMAX, portable.  The sum of a row's exponentials is held in Q12.19, its reciprocal found by three
 * Newton steps in fixed point, as gemmlowp's one_over_one_plus_x_for_x_in_0_1 does. */
#include "asc_nn.h"

static uint32_t leading_zeros(uint32_t x)
{
    uint32_t n = 0;
    while (!(x & 0x80000000u)) {
        x <<= 1;
        n++;
    }
    return n;
}

/* round(a * b / 2^31) for any signs, ties towards plus infinity. */
static int32_t q31(int32_t a, int32_t b) { return asc_high_mul(a, b); }

static int32_t saturated(int64_t x)
{
    return x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : (int32_t)x;
}

/* 1 / (1 + a) in Q0.31 for a in [0, 1), Q0.31. */
static int32_t one_over_one_plus(int32_t a)
{
    const int32_t half = (int32_t)(((int64_t)a + INT32_MAX + 1) / 2); /* (1 + a) / 2 */
    int32_t r = 1515870810 + q31(half, -1010580540);                  /* 48/17 - 32/17 half, Q2.29 */
    for (int32_t i = 0; i < 3; i++) {
        const int32_t error = (1 << 29) - q31(half, r);
        r += saturated((int64_t)q31(r, error) * 4);
    }
    return saturated((int64_t)r * 2);
}

void asc_softmax_s8(const asc_softmax *p, const int8_t *x, int8_t *y)
{
    for (int32_t i = 0; i < p->rows; i++) {
        int32_t most = x[0];
        for (int32_t c = 1; c < p->depth; c++)
            most = x[c] > most ? x[c] : most;
        int32_t sum = 0;
        for (int32_t c = 0; c < p->depth; c++)
            if (most - x[c] < p->exp_n)
                sum += asc_shift_right(p->exp[most - x[c]], 12);
        /* sum = 2^(12 - zeros) * (1 + rest) */
        const uint32_t zeros = leading_zeros((uint32_t)sum);
        const int32_t rest = (int32_t)(((uint32_t)sum << zeros) - 0x80000000u);
        const int32_t reciprocal = one_over_one_plus(rest);
        const uint32_t right = 12u - zeros + 31u - 8u;
        for (int32_t c = 0; c < p->depth; c++) {
            int32_t value = 0;
            if (most - x[c] < p->exp_n)
                value = asc_shift_right(q31(reciprocal, p->exp[most - x[c]]), right);
            y[c] = (int8_t)asc_clamp(value + INT8_MIN, INT8_MIN, INT8_MAX);
        }
        x += p->depth;
        y += p->depth;
    }
}
