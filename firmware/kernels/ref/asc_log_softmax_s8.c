/* LOG_SOFTMAX, portable.  The logarithm of the sum is TFLite's log_x_for_x_greater_than_or_equal_to_1: the
 * argument is brought near to 2^(-1/4) by a power of two or that times the root of two, the rest goes into
 * a quotient of polynomials. */
#include "asc_fixed.h"
#include "asc_nn.h"

enum { ROOT_HALF = 1518500250, FOURTH_ROOT_HALF = 1805811301, LOG_2 = 1488522236 }; /* Q0.31 */

/* ln(z) in Q5.26 for z >= 1 in Q12.19. */
static int32_t logarithm(int32_t z)
{
    const int32_t quarter = 1 << 23; /* Q6.25 */
    const int32_t zeros_a = (int32_t)__builtin_clz((uint32_t)z) - 1;
    const int32_t zeros_b = (int32_t)__builtin_clz((uint32_t)asc_q31(z, ROOT_HALF)) - 1;
    const int32_t scaled_a = asc_shift_left(z, (uint32_t)zeros_a);
    const int32_t a = asc_saturated((int64_t)asc_q31(scaled_a, ROOT_HALF) * 2);
    const int32_t b = asc_saturated((int64_t)z * (1 << zeros_b));
    const int32_t r = a < b ? a : b;
    const int32_t power_a = (11 - zeros_a) * (1 << 25) + quarter;
    const int32_t power_b = (12 - zeros_b) * (1 << 25) - quarter;
    const int32_t power = power_a > power_b ? power_a : power_b;

    const int32_t p = (int32_t)(((int64_t)r + FOURTH_ROOT_HALF + 1) / 2);
    const int32_t q = 2 * (r - FOURTH_ROOT_HALF);
    const int32_t square = asc_q31(q, q);
    const int32_t numerator = asc_q31(q, r) + asc_q31(asc_q31(q, square), 117049297);
    const int32_t denominator =
        asc_q31(p, 1057819769 + q + asc_q31(127690142, square)) + asc_q31(638450708, q);
    const int32_t rest = asc_q31(asc_shift_right(numerator, 6), asc_one_over_one_plus(denominator));
    return asc_saturated((int64_t)(asc_q31(power, LOG_2) + rest) * 2);
}

void asc_log_softmax_s8(const asc_log_softmax *p, const int8_t *x, int8_t *y)
{
    const int32_t n = p->depth;
    for (int32_t i = 0; i < p->rows; i++, x += n, y += n) {
        const int32_t most = asc_most(x, n);
        const int32_t log_sum = logarithm((int32_t)asc_exp_sum(p->exp, p->exp_n, x, n, most));
        /* The smallest difference whose logarithm Q5.26 still holds. */
        int32_t least = asc_scaled(asc_offset(log_sum, INT32_MIN), p->reverse);
        least = least > -p->exp_n ? least : -p->exp_n;
        /* No logarithm is above zero: half less one makes ties go away from it. */
        const int32_t offset = (1 << 21) - 1 - log_sum;
        for (int32_t c = 0; c < n; c++) {
            int32_t value = INT8_MIN;
            if (x[c] - most > least) {
                const int32_t log = asc_q31(asc_shift_left(x[c] - most, p->left), p->multiplier) + offset;
                value = (log >> 22) + INT8_MAX;
            }
            y[c] = (int8_t)(value > INT8_MIN ? value : INT8_MIN);
        }
    }
}
