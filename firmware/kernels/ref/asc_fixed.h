/* What SOFTMAX and LOG_SOFTMAX share: exponentials by table, and gemmlowp's reciprocal. */
#ifndef ASC_FIXED_H
#define ASC_FIXED_H
#include "asc_requant.h"

/* round(a * b / 2^31) for any signs but both INT32_MIN, ties towards plus infinity. */
static inline int32_t asc_q31(int32_t a, int32_t b) { return asc_high_mul(a, b); }

static inline int32_t asc_saturated(int64_t x)
{
    return x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : (int32_t)x;
}

static inline int32_t asc_most(const int8_t *x, int32_t n)
{
    int32_t most = x[0];
    for (int32_t c = 1; c < n; c++)
        most = x[c] > most ? x[c] : most;
    return most;
}

/* exp(-d) of a difference to the row's maximum; what the table ends with stands for all beyond it. */
static inline int32_t asc_exp(const int32_t *exp, int32_t exp_n, int32_t d)
{
    return exp[d < exp_n ? d : exp_n];
}

/* The sum of a row's exponentials in Q12.19, each rounded. */
static inline uint32_t asc_exp_sum(const int32_t *exp, int32_t exp_n, const int8_t *x, int32_t n,
                                   int32_t most)
{
    uint32_t sum = 0;
    for (int32_t c = 0; c < n; c++)
        sum += ((uint32_t)asc_exp(exp, exp_n, most - x[c]) + (1u << 11)) >> 12;
    return sum;
}

/* 1 / (1 + a) in Q0.31 for a in [0, 1), Q0.31: three Newton steps, which stay far below where they would
 * saturate. */
static inline int32_t asc_one_over_one_plus(int32_t a)
{
    const int32_t half = (a >> 1) + (1 << 30);           /* (1 + a) / 2 */
    int32_t r = 1515870810 + asc_q31(half, -1010580540); /* 48/17 - 32/17 half, Q2.29 */
    for (int32_t i = 0; i < 3; i++)
        r += 4 * asc_q31(r, (1 << 29) - asc_q31(half, r));
    return r < 1 << 30 ? 2 * r : INT32_MAX;
}
#endif
