/* SOFTMAX, portable.  The sum of a row's exponentials is held in Q12.19, its reciprocal found by three
 * Newton steps in fixed point, as gemmlowp's one_over_one_plus_x_for_x_in_0_1 does. */
#include "asc_fixed.h"
#include "asc_nn.h"

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
        const uint32_t zeros = asc_leading_zeros((uint32_t)sum);
        const int32_t rest = (int32_t)(((uint32_t)sum << zeros) - 0x80000000u);
        const int32_t reciprocal = asc_one_over_one_plus(rest);
        const uint32_t right = 12u - zeros + 31u - 8u;
        for (int32_t c = 0; c < p->depth; c++) {
            int32_t value = 0;
            if (most - x[c] < p->exp_n)
                value = asc_shift_right(asc_q31(reciprocal, p->exp[most - x[c]]), right);
            y[c] = (int8_t)asc_clamp(value + INT8_MIN, INT8_MIN, INT8_MAX);
        }
        x += p->depth;
        y += p->depth;
    }
}
