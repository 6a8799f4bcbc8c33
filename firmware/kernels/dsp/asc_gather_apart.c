/* Columns of a kernel whose taps lie apart in a row: each tap is a run of its own. */
#include "asc_nn_dsp.h"

void asc_gather_apart(const asc_window_conv *p, const int8_t *pixel[4], uint32_t *columns)
{
    const int32_t in_c = p->window.in_c, row = p->dilation_h * p->window.pitch;
    const uint32_t pairs = p->shape.k_pairs / (uint32_t)p->kernel_h;
    for (int32_t k = 0; k < p->kernel_h; k++) {
        asc_im2col4(pixel, columns, (uint32_t)in_c, (uint32_t)p->kernel_w, (uint32_t)(p->dilation_w * in_c));
        columns += 4 * pairs;
        for (int32_t i = 0; i < 4; i++)
            pixel[i] += row;
    }
}
