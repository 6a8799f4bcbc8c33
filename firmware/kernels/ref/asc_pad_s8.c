/* PAD, portable: the innermost two dimensions by runs of bytes. */
#include "asc_nn.h"
#include <string.h>

void asc_pad_s8(const asc_pad *p, const int8_t *x, int8_t *y)
{
    const int32_t run = p->in[3], before = p->before[3], after = p->out[3] - before - run;
    for (int32_t i = -p->before[0]; i < p->out[0] - p->before[0]; i++)
        for (int32_t j = -p->before[1]; j < p->out[1] - p->before[1]; j++)
            for (int32_t k = -p->before[2]; k < p->out[2] - p->before[2]; k++) {
                if (i < 0 || i >= p->in[0] || j < 0 || j >= p->in[1] || k < 0 || k >= p->in[2]) {
                    memset(y, (int)p->value, (size_t)p->out[3]);
                } else {
                    memset(y, (int)p->value, (size_t)before);
                    memcpy(y + before, x, (size_t)run);
                    memset(y + before + run, (int)p->value, (size_t)after);
                    x += run;
                }
                y += p->out[3];
            }
}
