/* Sums of four neighbouring channels over pixels. */
#ifndef ASC_SUMS_H
#define ASC_SUMS_H
#include "asc_insn.h"

#define ASC_SUMS_RUN 255 /* as many int8 as a halfword's sum takes */

/* s[0..3] += the four channels at x, `step` bytes apart, n pixels. */
static inline void asc_sums4(const int8_t *x, int32_t step, int32_t n, int32_t s[4])
{
    while (n > 0) {
        const int32_t run = n < ASC_SUMS_RUN ? n : ASC_SUMS_RUN;
        uint32_t even = 0, odd = 0;
        for (int32_t i = 0; i < run; i++, x += step) {
            const uint32_t w = asc_word(x);
            even = asc_add_even(even, w);
            odd = asc_add_odd(odd, w);
        }
        s[0] += (int16_t)even;
        s[1] += (int16_t)odd;
        s[2] += (int32_t)even >> 16;
        s[3] += (int32_t)odd >> 16;
        n -= run;
    }
}
#endif
