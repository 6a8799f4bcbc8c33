/* Sums of four neighbouring channels over pixels. */
#ifndef ASC_SUMS_H
#define ASC_SUMS_H
#include "asc_insn.h"

#define ASC_SUMS_RUN 255 /* as many int8 as a halfword's sum takes */

/* As asc_sums4, n up to ASC_SUMS_RUN; not inlined, so that its loops have all registers. */
static __attribute__((noinline)) void asc_sums_run(const int8_t *x, int32_t step, int32_t n, int32_t s[4])
{
    uint32_t even = 0, odd = 0;
    for (; n >= 4; n -= 4, x += 4 * step) {
        const uint32_t a = asc_word(x), b = asc_word(x + step);
        const uint32_t c = asc_word(x + 2 * step), d = asc_word(x + 3 * step);
        even = asc_add_even(asc_add_even(asc_add_even(asc_add_even(even, a), b), c), d);
        odd = asc_add_odd(asc_add_odd(asc_add_odd(asc_add_odd(odd, a), b), c), d);
    }
    for (; n > 0; n--, x += step) {
        const uint32_t w = asc_word(x);
        even = asc_add_even(even, w);
        odd = asc_add_odd(odd, w);
    }
    s[0] += (int16_t)even;
    s[1] += (int16_t)odd;
    s[2] += (int32_t)even >> 16;
    s[3] += (int32_t)odd >> 16;
}

/* s[0..3] += the four channels at x, `step` bytes apart, n pixels. */
static inline void asc_sums4(const int8_t *x, int32_t step, int32_t n, int32_t s[4])
{
    for (; n > ASC_SUMS_RUN; n -= ASC_SUMS_RUN, x += ASC_SUMS_RUN * step)
        asc_sums_run(x, step, ASC_SUMS_RUN, s);
    asc_sums_run(x, step, n, s);
}
#endif
