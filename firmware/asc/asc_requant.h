/* From 32-bit sums to int8 values, rounding as TFLite's int8 kernels do: twice, ties away from zero in the
 * second step.  Definitions: MultiplyByQuantizedMultiplier in tensorflow/lite/kernels/internal/common.cc. */
#ifndef ASC_REQUANT_H
#define ASC_REQUANT_H
#include <stdint.h>

/* A positive real factor: multiplier / 2^31 * 2^left / 2^right. */
typedef struct {
    int32_t multiplier;  /* 0, or 2^29 .. 2^31 - 1 */
    uint8_t left, right; /* 0 .. 30 and 0 .. 31; at least one of them is 0 */
} asc_scale;

/* Shift with wrap-around, as a 32-bit register does it. */
static inline int32_t asc_shift_left(int32_t x, uint32_t left) { return (int32_t)((uint32_t)x << left); }

/* round(a * b / 2^31), ties towards plus infinity.  b >= 0, so it cannot overflow. */
static inline int32_t asc_high_mul(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* round(x / 2^right), ties away from zero; right 0 .. 31. */
static inline int32_t asc_shift_right(int32_t x, uint32_t right)
{
    const int32_t mask = (int32_t)(((uint32_t)1 << right) - 1u);
    return (x >> right) + ((x & mask) > (mask >> 1) + (x < 0));
}

static inline int32_t asc_clamp(int32_t x, int32_t low, int32_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* x times the factor. */
static inline int32_t asc_scaled(int32_t x, asc_scale s)
{
    return asc_shift_right(asc_high_mul(asc_shift_left(x, s.left), s.multiplier), s.right);
}

/* a + b where the sum may leave int32: a scaled value next to INT32_MAX and a zero point. */
static inline int32_t asc_offset(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }
#endif
