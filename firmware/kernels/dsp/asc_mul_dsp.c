/* MUL: values less their zero points as halfwords, one SMULBB or SMULTT a product. */
#include "asc_broadcast.h"
#include "asc_insn.h"
#include "asc_nn_dsp.h"

static inline __attribute__((always_inline)) void row(const asc_mul_rows *p, const int8_t *a, const int8_t *b,
                                                      int8_t *y, int32_t plain)
{
    const int32_t left = plain ? p->left : 1;
    const int32_t m = p->multiplier, offset = p->offset, right = p->right;
    const int32_t a_zero = p->a_zero, b_zero = p->b_zero;
    const uint32_t a_zeros = (uint16_t)-a_zero * 0x00010001u, b_zeros = (uint16_t)-b_zero * 0x00010001u;
    int32_t n = p->n;
#define OUTPUT(s)                                                                                            \
    asc_ssat8(asc_smmlar((int32_t)((uint32_t)(s) << left), m, plain ? offset : offset + ((s) >> 31)) >> right)
    for (; n >= 4; n -= 4, a += 4, b += 4, y += 4) {
        const uint32_t u = asc_word(a), v = asc_word(b);
        const uint32_t u02 = asc_add_even(a_zeros, u), u13 = asc_add_odd(a_zeros, u);
        const uint32_t v02 = asc_add_even(b_zeros, v), v13 = asc_add_odd(b_zeros, v);
        const int32_t s0 = (int16_t)u02 * (int16_t)v02, s1 = (int16_t)u13 * (int16_t)v13;
        const int32_t s2 = ((int32_t)u02 >> 16) * ((int32_t)v02 >> 16);
        const int32_t s3 = ((int32_t)u13 >> 16) * ((int32_t)v13 >> 16);
        asc_put_word(y, asc_bytes(OUTPUT(s0), OUTPUT(s1), OUTPUT(s2), OUTPUT(s3)));
    }
    for (; n > 0; n--) {
        const int32_t s = (*a++ - a_zero) * (*b++ - b_zero);
        *y++ = (int8_t)OUTPUT(s);
    }
#undef OUTPUT
}

static void row_plain(const void *p, const int8_t *a, const int8_t *b, int8_t *y) { row(p, a, b, y, 1); }

static void row_linear(const void *p, const int8_t *a, const int8_t *b, int8_t *y) { row(p, a, b, y, 0); }

void asc_mul_rows_plain_dsp(const asc_mul_rows *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    asc_broadcast(p->size, p->a_step, p->b_step, p->n, row_plain, p, a, b, y);
}

void asc_mul_rows_linear_dsp(const asc_mul_rows *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    asc_broadcast(p->size, p->a_step, p->b_step, p->n, row_linear, p, a, b, y);
}
