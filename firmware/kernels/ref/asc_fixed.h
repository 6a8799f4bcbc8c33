/* Fixed-point arithmetic on 32-bit values that SOFTMAX and LOG_SOFTMAX share, as gemmlowp defines it. */
#ifndef ASC_FIXED_H
#define ASC_FIXED_H
#include "asc_requant.h"

/* x > 0 */
static inline uint32_t asc_leading_zeros(uint32_t x)
{
    uint32_t n = 0;
    while (!(x & 0x80000000u)) {
        x <<= 1;
        n++;
    }
    return n;
}

/* round(a * b / 2^31) for any signs but both INT32_MIN, ties towards plus infinity. */
static inline int32_t asc_q31(int32_t a, int32_t b) { return asc_high_mul(a, b); }

static inline int32_t asc_saturated(int64_t x)
{
    return x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : (int32_t)x;
}

/* 1 / (1 + a) in Q0.31 for a in [0, 1), Q0.31: three Newton steps. */
static inline int32_t asc_one_over_one_plus(int32_t a)
{
    const int32_t half = (int32_t)(((int64_t)a + INT32_MAX + 1) / 2); /* (1 + a) / 2 */
    int32_t r = 1515870810 + asc_q31(half, -1010580540);              /* 48/17 - 32/17 half, Q2.29 */
    for (int32_t i = 0; i < 3; i++) {
        const int32_t error = (1 << 29) - asc_q31(half, r);
        r += asc_saturated((int64_t)asc_q31(r, error) * 4);
    }
    return asc_saturated((int64_t)r * 2);
}
#endif
