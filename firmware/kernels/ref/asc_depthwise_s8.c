/* DEPTHWISE_CONV_2D, portable: per pixel, four channels at a time with their sums in registers. */
#include "asc_nn.h"

/* The part of a window that lies inside the image: taps first .. end - 1 along one side. */
typedef struct {
    int32_t start; /* of the window, may be negative */
    int32_t first, end;
} span;

static span inside(int32_t start, int32_t dilation, int32_t kernel, int32_t size)
{
    span s = {start, 0, kernel};
    while (s.first < kernel && start + s.first * dilation < 0)
        s.first++;
    while (s.end > s.first && start + (s.end - 1) * dilation >= size)
        s.end--;
    return s;
}

/* Multiplier 1: output channel c reads input channel c. */
static void pixel(const asc_depthwise *p, const int8_t *x, int8_t *y, span v, span h)
{
    const int32_t channels = p->out_c, zero = p->in_zero;
    int32_t c = 0;
    for (; c + 4 <= channels; c += 4) {
        const asc_channel *q = p->channels + c;
        int32_t s0 = q[0].bias, s1 = q[1].bias, s2 = q[2].bias, s3 = q[3].bias;
        for (int32_t ky = v.first; ky < v.end; ky++) {
            const int8_t *w = p->weights + (ky * p->kernel_w + h.first) * channels + c;
            const int8_t *a =
                x +
                ((v.start + ky * p->dilation_h) * p->in_w + h.start + h.first * p->dilation_w) * channels + c;
            for (int32_t kx = h.first; kx < h.end; kx++) {
                s0 += w[0] * (a[0] - zero);
                s1 += w[1] * (a[1] - zero);
                s2 += w[2] * (a[2] - zero);
                s3 += w[3] * (a[3] - zero);
                w += channels;
                a += p->dilation_w * channels;
            }
        }
        y[c] = asc_output(s0, q, p->out_zero, p->act_min, p->act_max);
        y[c + 1] = asc_output(s1, q + 1, p->out_zero, p->act_min, p->act_max);
        y[c + 2] = asc_output(s2, q + 2, p->out_zero, p->act_min, p->act_max);
        y[c + 3] = asc_output(s3, q + 3, p->out_zero, p->act_min, p->act_max);
    }
    for (; c < channels; c++) {
        int32_t sum = p->channels[c].bias;
        for (int32_t ky = v.first; ky < v.end; ky++)
            for (int32_t kx = h.first; kx < h.end; kx++) {
                const int32_t row = v.start + ky * p->dilation_h, col = h.start + kx * p->dilation_w;
                sum += p->weights[(ky * p->kernel_w + kx) * channels + c] *
                       (x[(row * p->in_w + col) * channels + c] - zero);
            }
        y[c] = asc_output(sum, p->channels + c, p->out_zero, p->act_min, p->act_max);
    }
}

/* Any multiplier: the output channels of one input channel follow each other. */
static void pixel_multiplied(const asc_depthwise *p, const int8_t *x, int8_t *y, span v, span h)
{
    int32_t c = 0;
    for (int32_t in = 0; in < p->in_c; in++)
        for (int32_t m = 0; m < p->multiplier; m++, c++) {
            int32_t sum = p->channels[c].bias;
            for (int32_t ky = v.first; ky < v.end; ky++)
                for (int32_t kx = h.first; kx < h.end; kx++) {
                    const int32_t row = v.start + ky * p->dilation_h, col = h.start + kx * p->dilation_w;
                    sum += p->weights[(ky * p->kernel_w + kx) * p->out_c + c] *
                           (x[(row * p->in_w + col) * p->in_c + in] - p->in_zero);
                }
            y[c] = asc_output(sum, p->channels + c, p->out_zero, p->act_min, p->act_max);
        }
}

void asc_depthwise_s8(const asc_depthwise *p, const int8_t *x, int8_t *y)
{
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t oy = 0; oy < p->out_h; oy++) {
            const span v = inside(oy * p->stride_h - p->pad_top, p->dilation_h, p->kernel_h, p->in_h);
            for (int32_t ox = 0; ox < p->out_w; ox++) {
                const span h = inside(ox * p->stride_w - p->pad_left, p->dilation_w, p->kernel_w, p->in_w);
                if (p->multiplier == 1)
                    pixel(p, x, y, v, h);
                else
                    pixel_multiplied(p, x, y, v, h);
                y += p->out_c;
            }
        }
        x += p->in_h * p->in_w * p->in_c;
    }
}
