/* Values picked from an input along up to five axes, portable. */
#include "asc_nn.h"
#include <string.h>

static const int8_t *at(const asc_axis *a, const int8_t *x, int32_t i)
{
    return x + (a->offsets != NULL ? a->offsets[i] : i * a->step);
}

/* The innermost axis. */
static void run(const asc_axis *a, const int8_t *x, int8_t *y)
{
    if (a->offsets == NULL && a->step == 1)
        memcpy(y, x, (size_t)a->size);
    else
        for (int32_t i = 0; i < a->size; i++)
            y[i] = *at(a, x, i);
}

void asc_take_s8(const asc_take *p, const int8_t *x, int8_t *y)
{
    const asc_axis *a = p->axis;
    x += p->start;
    for (int32_t i = 0; i < a[0].size; i++) {
        const int8_t *x0 = at(&a[0], x, i);
        for (int32_t j = 0; j < a[1].size; j++) {
            const int8_t *x1 = at(&a[1], x0, j);
            for (int32_t k = 0; k < a[2].size; k++) {
                const int8_t *x2 = at(&a[2], x1, k);
                for (int32_t l = 0; l < a[3].size; l++) {
                    run(&a[4], at(&a[3], x2, l), y);
                    y += a[4].size;
                }
            }
        }
    }
}
