/* ADD and SUB.  The input with the larger scale has a factor of exactly 1/2, its term is a
 * shift; the other's term is a table that takes both zero points:  2 * sum = table[b] +- (a << 20). */
#include "asc_broadcast.h"
#include "asc_insn.h"
#include "asc_nn_dsp.h"

static inline __attribute__((always_inline)) void add(const asc_add_table *p, const int8_t *a,
                                                      const int8_t *b, int8_t *y, int32_t relu, int32_t minus)
{
    const int32_t *const table = p->table;
    const int32_t m = p->multiplier, offset = p->offset, right = p->right;
    int32_t n = p->n;
#define TERM(at)  ((uint32_t)(int8_t)(u >> 8 * (at)) << 20)
#define SUM(at)   (int32_t)((uint32_t)table[(v >> 8 * (at)) & 255u] + (minus ? 0u - TERM(at) : TERM(at)))
#define OUTPUT(s) asc_ssat8(asc_smmlar(s, m, relu ? offset : offset + ((s) >> 31)) >> right)
    for (; n >= 4; n -= 4, a += 4, b += 4, y += 4) {
        const uint32_t u = asc_word(a), v = asc_word(b);
        const int32_t s0 = SUM(0), s1 = SUM(1), s2 = SUM(2), s3 = SUM(3);
        asc_put_word(y, asc_bytes(OUTPUT(s0), OUTPUT(s1), OUTPUT(s2), OUTPUT(s3)));
    }
    for (; n > 0; n--) {
        const uint32_t u = (uint8_t)*a++, v = (uint8_t)*b++;
        const int32_t s = SUM(0);
        *y++ = (int8_t)OUTPUT(s);
    }
#undef TERM
#undef SUM
#undef OUTPUT
}

void asc_add_relu_dsp(const asc_add_table *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    add(p, a, b, y, 1, 0);
}

void asc_add_linear_dsp(const asc_add_table *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    add(p, a, b, y, 0, 0);
}

static void row_relu(const void *p, const int8_t *a, const int8_t *b, int8_t *y) { add(p, a, b, y, 1, 0); }

static void row_linear(const void *p, const int8_t *a, const int8_t *b, int8_t *y) { add(p, a, b, y, 0, 0); }

void asc_add_rows_relu_dsp(const asc_add_rows *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    asc_broadcast(p->size, p->a_step, p->b_step, p->row.n, row_relu, &p->row, a, b, y);
}

void asc_add_rows_linear_dsp(const asc_add_rows *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    asc_broadcast(p->size, p->a_step, p->b_step, p->row.n, row_linear, &p->row, a, b, y);
}

void asc_subtract_dsp(const asc_add_table *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    add(p, a, b, y, 0, 1);
}

static void row_minus(const void *p, const int8_t *a, const int8_t *b, int8_t *y) { add(p, a, b, y, 0, 1); }

void asc_subtract_rows_dsp(const asc_add_rows *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    asc_broadcast(p->size, p->a_step, p->b_step, p->row.n, row_minus, &p->row, a, b, y);
}
