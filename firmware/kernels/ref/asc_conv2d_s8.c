/* CONV_2D, portable: the taps of two output pixels are gathered into columns, then every pair of output
 * channels takes both columns in one loop, four sums at a time.  1x1 kernels read the image directly. */
#include "asc_nn.h"
#include <string.h>

/* The taps of the pixel whose window starts at (top, left), as [kernel_h][kernel_w][group_c]. */
static void gather(const asc_conv2d *p, const int8_t *x, int32_t top, int32_t left, int8_t *column)
{
    const int32_t group_c = p->in_c / p->groups;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int32_t row = top + ky * p->dilation_h;
        for (int32_t kx = 0; kx < p->kernel_w; kx++) {
            const int32_t col = left + kx * p->dilation_w;
            if (row < 0 || row >= p->in_h || col < 0 || col >= p->in_w)
                memset(column, (int)p->in_zero, (size_t)group_c);
            else
                memcpy(column, x + (row * p->in_w + col) * p->in_c, (size_t)group_c);
            column += group_c;
        }
    }
}

/* One or two pixels (y0, y1; both may be the same) for output channels first .. end - 1. */
static void pixels(const asc_conv2d *p, const int8_t *x0, const int8_t *x1, int8_t *y0, int8_t *y1,
                   int32_t taps, int32_t first, int32_t end)
{
    for (int32_t c = first; c < end; c += 2) {
        const int32_t d = c + 1 < end ? c + 1 : c; /* the last channel alone is its own partner */
        const int8_t *w0 = p->weights + c * taps, *w1 = p->weights + d * taps;
        const asc_channel *c0 = p->channels + c, *c1 = p->channels + d;
        int32_t s00 = c0->bias, s01 = s00, s10 = c1->bias, s11 = s10;
        for (int32_t k = 0; k < taps; k++) {
            const int32_t a = x0[k], b = x1[k], u = w0[k], v = w1[k];
            s00 += u * a;
            s01 += u * b;
            s10 += v * a;
            s11 += v * b;
        }
        y0[c] = asc_output(s00, c0, p->out_zero, p->act_min, p->act_max);
        y1[c] = asc_output(s01, c0, p->out_zero, p->act_min, p->act_max);
        y0[d] = asc_output(s10, c1, p->out_zero, p->act_min, p->act_max);
        y1[d] = asc_output(s11, c1, p->out_zero, p->act_min, p->act_max);
    }
}

void asc_conv2d_s8(const asc_conv2d *p, const int8_t *x, int8_t *y, void *scratch)
{
    const int32_t group_in = p->in_c / p->groups, group_out = p->out_c / p->groups;
    const int32_t taps = p->kernel_h * p->kernel_w * group_in, count = p->out_h * p->out_w;
    const int32_t direct = p->kernel_h * p->kernel_w == 1;
    int8_t *columns = scratch;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t g = 0; g < p->groups; g++) {
            const int8_t *image = x + g * group_in;
            int32_t oy = 0, ox = 0;
            for (int32_t i = 0; i < count; i += 2) {
                const int8_t *column[2];
                for (int32_t j = 0; j < 2; j++) {
                    if (i + j == count) {
                        column[1] = column[0];
                        break;
                    }
                    const int32_t top = oy * p->stride_h - p->pad_top, left = ox * p->stride_w - p->pad_left;
                    if (direct) {
                        column[j] = image + (top * p->in_w + left) * p->in_c;
                    } else {
                        gather(p, image, top, left, columns + j * taps);
                        column[j] = columns + j * taps;
                    }
                    if (++ox == p->out_w) {
                        ox = 0;
                        oy++;
                    }
                }
                int8_t *y0 = y + i * p->out_c;
                pixels(p, column[0], column[1], y0, i + 1 < count ? y0 + p->out_c : y0, taps, g * group_out,
                       (g + 1) * group_out);
            }
        }
        x += p->in_h * p->in_w * p->in_c;
        y += count * p->out_c;
    }
}
