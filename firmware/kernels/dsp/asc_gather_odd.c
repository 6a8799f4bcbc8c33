/* Columns of a kernel whose rows have an odd number of values: one of each of two rows makes a pair. */
#include "asc_nn_dsp.h"

void asc_gather_odd(const asc_window_conv *p, const int8_t *pixel[4], uint32_t *columns)
{
    const uint32_t even = (uint32_t)(p->kernel_w * p->window.in_c - 1), rows = (uint32_t)p->kernel_h;
    const uint32_t pitch = (uint32_t)(p->dilation_h * p->window.pitch);
    asc_im2col4(pixel, columns, even, rows, pitch);
    asc_im2col4_ends(pixel, columns + 2 * rows * even, rows, pitch, even);
}
