/* SOFTMAX, portable.  The sum of a row's exponentials is held in Q12.19, its reciprocal found by three
 * Newton steps in fixed point, as gemmlowp's one_over_one_plus_x_for_x_in_0_1 does.
 *
 * An output is round(round(exp * reciprocal / 2^31) / 2^right), nothing of it negative: one sum with both
 * halves and one shift, since the inner floor changes nothing.  The shift is 54 and more: of the product's
 * upper word. */
#include "asc_fixed.h"
#include "asc_nn.h"

void asc_softmax_s8(const asc_softmax *p, const int8_t *x, int8_t *y)
{
    const int32_t n = p->depth, exp_n = p->exp_n;
    const int32_t *const exp = p->exp;
    for (int32_t i = 0; i < p->rows; i++, x += n, y += n) {
        const int32_t most = asc_most(x, n);
        const uint32_t sum = asc_exp_sum(exp, exp_n, x, n, most);
        /* sum = 2^(12 - zeros) * (1 + rest) */
        const uint32_t zeros = (uint32_t)__builtin_clz(sum);
        const int32_t rest = (int32_t)((sum << zeros) - 0x80000000u);
        const uint32_t reciprocal = (uint32_t)asc_one_over_one_plus(rest);
        const uint32_t right = 12u - zeros + 31u - 8u;
        const uint64_t halves = ((uint64_t)1 << (30 + right)) + (1u << 30);
        for (int32_t c = 0; c < n; c++) {
            const uint64_t product =
                halves + (uint64_t)reciprocal * (uint32_t)asc_exp(exp, exp_n, most - x[c]);
            const int32_t value = (int32_t)((uint32_t)(product >> 32) >> (right - 1)) + INT8_MIN;
            y[c] = (int8_t)(value < INT8_MAX ? value : INT8_MAX);
        }
    }
}
