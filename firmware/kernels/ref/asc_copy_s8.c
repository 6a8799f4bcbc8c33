/* Rows of bytes from one spacing to another, portable. */
#include "asc_nn.h"
#include <string.h>

void asc_copy_s8(const asc_copy *p, const int8_t *x, int8_t *y)
{
    for (int32_t i = 0; i < p->rows; i++) {
        memcpy(y, x, (size_t)p->bytes);
        x += p->in_step;
        y += p->out_step;
    }
}
