/* Two inputs of which either may repeat along some dimensions: the three outer loops, `run` is the fourth. */
#ifndef ASC_BROADCAST_H
#define ASC_BROADCAST_H
#include <stdint.h>

/* One run of the innermost loop; p is the kernel's own parameters. */
typedef void asc_run(const void *p, const int8_t *a, const int8_t *b, int8_t *y);

/* size, a_step, b_step: as in asc_add; y_step: values that one run writes. */
static inline void asc_broadcast(const int32_t *size, const int32_t *a_step, const int32_t *b_step,
                                 int32_t y_step, asc_run *run, const void *p, const int8_t *a,
                                 const int8_t *b, int8_t *y)
{
    for (int32_t i = 0; i < size[0]; i++)
        for (int32_t j = 0; j < size[1]; j++)
            for (int32_t k = 0; k < size[2]; k++) {
                run(p, a + i * a_step[0] + j * a_step[1] + k * a_step[2],
                    b + i * b_step[0] + j * b_step[1] + k * b_step[2], y);
                y += y_step;
            }
}
#endif
