/* MINIMUM and MAXIMUM, four values at a time. */
#include "asc_broadcast.h"
#include "asc_insn.h"
#include "asc_nn_dsp.h"

static void row(const void *parameters, const int8_t *a, const int8_t *b, int8_t *y)
{
    const asc_min_max *const p = parameters;
    const uint32_t flip = p->maximum ? 0u : ~0u; /* ~x falls as x rises */
    int32_t n = p->size[3];
    for (; n >= 4; n -= 4, a += 4, b += 4, y += 4)
        asc_put_word(y, asc_max4(asc_word(a) ^ flip, asc_word(b) ^ flip) ^ flip);
    for (; n > 0; n--, a++, b++, y++)
        *y = (*a > *b) == (p->maximum != 0) ? *a : *b;
}

void asc_min_max_dsp(const asc_min_max *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    asc_broadcast(p->size, p->a_step, p->b_step, p->size[3], row, p, a, b, y);
}
