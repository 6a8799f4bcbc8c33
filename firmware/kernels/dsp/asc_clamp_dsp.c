/* Bytes to a range, in place. */
#include "asc_insn.h"
#include "asc_nn_dsp.h"

void asc_clamp_dsp(const asc_clamp_bytes *p, int8_t *y)
{
    const uint32_t low = (uint8_t)p->act_min * 0x01010101u, high = (uint8_t)p->act_max * 0x01010101u;
    int32_t n = p->n;
    for (; n >= 4; n -= 4, y += 4)
        asc_put_word(y, asc_min4(asc_max4(asc_word(y), low), high));
    for (; n > 0; n--, y++)
        *y = (int8_t)(*y < p->act_min ? p->act_min : *y > p->act_max ? p->act_max : *y);
}
