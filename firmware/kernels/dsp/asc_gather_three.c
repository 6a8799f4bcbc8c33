/* Columns of a kernel whose rows have three values, as of 3x3 on the one channel that a front end gives. */
#include "asc_nn_dsp.h"

void asc_gather_three(const asc_window_conv *p, const int8_t *pixel[4], uint32_t *columns)
{
    asc_im2col4_threes(pixel, columns, (uint32_t)p->kernel_h, (uint32_t)(p->dilation_h * p->window.pitch));
}
