/* The network's layers: int8 in, int8 out, bit for bit what TensorFlow Lite Micro computes.
 *
 * Every function takes its constant parameters (flash) first and works on the caller's memory.  Images are
 * [batch][row][column][channel], tensors dense, offsets of tensors in the arena multiples of 16.  Inputs and
 * output do not overlap unless the function says that it works in place, or so: convolutions, depthwise ones
 * and pools write output pixels in order, at most eight after the one whose window they read, and never go
 * back to rows above that window, so their output may lie over the input, far enough below it that nothing is
 * overwritten before it is read (mcu_asc/compiler/overlap.py).  The parameters were checked on the host
 * (mcu_asc/compiler), the functions do not check them again: all sizes are at least 1, zero points and clamps
 * are within -128 .. 127, sums stay within 32 bits.
 *
 * firmware/kernels/ref holds the portable implementation, one file a function. */
#ifndef ASC_NN_H
#define ASC_NN_H
#include "asc_requant.h"
#include <stddef.h>
#include <stdint.h>

/* One output channel: where its sum starts and what it is multiplied by. */
typedef struct {
    int32_t bias;
    int32_t multiplier; /* as in asc_scale */
    uint8_t left, right;
} asc_channel;

/* A sum of one channel as an output value. */
static inline int8_t asc_output(int32_t sum, const asc_channel *c, int32_t zero, int32_t low, int32_t high)
{
    const asc_scale s = {c->multiplier, c->left, c->right};
    return (int8_t)asc_clamp(asc_offset(asc_scaled(sum, s), zero), low, high);
}

/* CONV_2D.  out[oc] = sum over taps of weights * in, taps outside the image read in_zero. */
typedef struct {
    int32_t batches;
    int32_t in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left; /* rows and columns before the image; those after it follow from the sizes */
    int32_t groups;            /* divides in_c and out_c */
    int32_t in_zero, out_zero;
    int32_t act_min, act_max;
    const int8_t *weights;       /* [out_c][kernel_h][kernel_w][in_c / groups] */
    const asc_channel *channels; /* [out_c]; bias less in_zero * sum of the channel's weights */
} asc_conv2d;

/* Bytes of scratch, 16-aligned, that asc_conv2d_s8 works in; group_c = in_c / groups. */
#define ASC_CONV2D_SCRATCH(kernel_h, kernel_w, group_c)                                                      \
    ((kernel_h) * (kernel_w) == 1 ? 0 : 2 * (kernel_h) * (kernel_w) * (group_c))

void asc_conv2d_s8(const asc_conv2d *p, const int8_t *x, int8_t *y, void *scratch);

/* DEPTHWISE_CONV_2D.  Output channel c reads input channel c / multiplier. */
typedef struct {
    int32_t batches;
    int32_t in_h, in_w, in_c;
    int32_t out_h, out_w, out_c; /* out_c = in_c * multiplier */
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t multiplier;
    int32_t in_zero, out_zero;
    int32_t act_min, act_max;
    const int8_t *weights;       /* [kernel_h][kernel_w][out_c] */
    const asc_channel *channels; /* [out_c]; the plain bias */
} asc_depthwise;

void asc_depthwise_s8(const asc_depthwise *p, const int8_t *x, int8_t *y);

/* FULLY_CONNECTED: y[rows][out_n] = weights * x[rows][in_n]. */
typedef struct {
    int32_t rows;
    int32_t in_n, out_n;
    int32_t out_zero;
    int32_t act_min, act_max;
    const int8_t *weights;       /* [out_n][in_n] */
    const asc_channel *channels; /* [out_n]; bias less the input's zero point * sum of the row's weights */
} asc_dense;

void asc_dense_s8(const asc_dense *p, const int8_t *x, int8_t *y);

/* AVERAGE_POOL_2D and MAX_POOL_2D.  Cells outside the image do not count; each window holds at least one. */
typedef struct {
    int32_t batches;
    int32_t in_h, in_w, channels;
    int32_t out_h, out_w;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t pad_top, pad_left;
    int32_t act_min, act_max;
} asc_pool;

void asc_average_pool_s8(const asc_pool *p, const int8_t *x, int8_t *y);
void asc_max_pool_s8(const asc_pool *p, const int8_t *x, int8_t *y);

/* ADD and SUB: y = (a -+ b) rescaled, over four nested loops; a step of 0 repeats a value (broadcasting).
 * y may be a or b where that input has the output's size. */
typedef struct {
    int32_t size[4]; /* outermost first */
    int32_t a_step[4], b_step[4];
    int32_t a_zero, b_zero, out_zero;
    int32_t act_min, act_max;
    asc_scale a, b; /* of each input, shifted left by 20 bits first; both at most 1/2 */
    asc_scale sum;
    int32_t subtract; /* 1: a - b */
} asc_add;

void asc_add_s8(const asc_add *p, const int8_t *a, const int8_t *b, int8_t *y);

/* MUL, likewise; y may be a or b where that input has the output's size. */
typedef struct {
    int32_t size[4];
    int32_t a_step[4], b_step[4];
    int32_t a_zero, b_zero, out_zero;
    int32_t act_min, act_max;
    asc_scale product;
} asc_mul;

void asc_mul_s8(const asc_mul *p, const int8_t *a, const int8_t *b, int8_t *y);

/* PRELU: y = a where a is not negative, a * b elsewhere, likewise; y may be a or b likewise. */
typedef struct {
    int32_t size[4];
    int32_t a_step[4], b_step[4];
    int32_t a_zero, b_zero, out_zero;
    asc_scale positive, negative;
} asc_prelu;

void asc_prelu_s8(const asc_prelu *p, const int8_t *a, const int8_t *b, int8_t *y);

/* MINIMUM and MAXIMUM of values of one quantisation, likewise; y may be a or b likewise. */
typedef struct {
    int32_t size[4];
    int32_t a_step[4], b_step[4];
    int32_t maximum; /* 0: the minimum */
} asc_min_max;

void asc_min_max_s8(const asc_min_max *p, const int8_t *a, const int8_t *b, int8_t *y);

/* BATCH_MATMUL: y[batch][rows][columns] = a * b summed over depth; a or b repeats where its step is 0. */
typedef struct {
    int32_t size[4];              /* batch dimensions, outermost first */
    int32_t a_step[4], b_step[4]; /* from matrix to matrix */
    int32_t rows, depth, columns;
    int32_t a_row_step, a_depth_step; /* within a matrix of a, transposed or not */
    int32_t b_depth_step, b_column_step;
    int32_t a_zero, b_zero, out_zero;
    asc_scale scale;
} asc_matmul;

void asc_matmul_s8(const asc_matmul *p, const int8_t *a, const int8_t *b, int8_t *y);

/* MEAN, SUM, and AVERAGE_POOL_2D of a whole image: x[keep0][reduce0][keep1][reduce1][keep2] ->
 * y[keep0][keep1][keep2].
 *
 * The values may come in several calls: the first opens the sums, the last one closes them and writes y,
 * which the others leave alone.  In between `sums` keeps them, ASC_SUMS(values of y) bytes, aligned to 4; a
 * call that opens and closes does not touch it. */
typedef struct {
    int32_t keep[3];
    int32_t reduce[2]; /* in this call */
    int32_t opens, closes;
    int32_t start; /* of a sum: less the input's zero point times the number of values, those of all calls */
    int32_t out_zero;
    int32_t act_min, act_max;
    asc_scale scale; /* of a sum, the division included; multiplier may be any value from 0 */
    int32_t count;   /* unless 0: a sum is divided by it instead, to the nearest, ties away from zero */
} asc_sum;

#define ASC_SUMS(n) (((n) + 3) / 4 * 16)

/* A sum of all its values as an output value. */
static inline int8_t asc_sum_output(int32_t sum, const asc_sum *p)
{
    const int32_t half = p->count / 2;
    const int32_t v = p->count ? (sum > 0 ? sum + half : sum - half) / p->count : asc_scaled(sum, p->scale);
    return (int8_t)asc_clamp(asc_offset(v, p->out_zero), p->act_min, p->act_max);
}

void asc_sum_s8(const asc_sum *p, const int8_t *x, int8_t *y, void *sums);

/* REDUCE_MAX, likewise. */
typedef struct {
    int32_t keep[3];
    int32_t reduce[2];
} asc_reduce_max;

void asc_reduce_max_s8(const asc_reduce_max *p, const int8_t *x, int8_t *y);

/* PAD, PADV2. */
typedef struct {
    int32_t in[4];
    int32_t before[4]; /* values put before the input's first, per dimension */
    int32_t out[4];
    int32_t value;
} asc_pad;

void asc_pad_s8(const asc_pad *p, const int8_t *x, int8_t *y);

/* y[i][j][k][l][m] = x[start + the place of i + that of j + ...]: SLICE, STRIDED_SLICE, SPLIT, UNPACK,
 * TRANSPOSE, GATHER, MIRROR_PAD, RESIZE_NEAREST_NEIGHBOR, one call an output. */
typedef struct {
    int32_t size, step;
    const int32_t *offsets; /* [size] place of each index; NULL: index * step */
} asc_axis;

typedef struct {
    int32_t start;
    asc_axis axis[5]; /* outermost first */
} asc_take;

void asc_take_s8(const asc_take *p, const int8_t *x, int8_t *y);

/* Copy rows of bytes, each in_step after the other, to places out_step apart: CONCATENATION and PACK, one
 * call an input. */
typedef struct {
    int32_t rows, bytes, in_step, out_step;
} asc_copy;

void asc_copy_s8(const asc_copy *p, const int8_t *x, int8_t *y);

/* SOFTMAX of each row; output scale 1/256, zero point -128. */
typedef struct {
    int32_t rows, depth; /* depth 1 .. 511 */
    const int32_t
        *exp;      /* exp(-d * scale * beta) in Q0.31 for d = 0, 1, ... below the row's maximum, then 0 */
    int32_t exp_n; /* 1 .. 256, without that 0, which is absent after 256 */
} asc_softmax;

void asc_softmax_s8(const asc_softmax *p, const int8_t *x, int8_t *y);

/* LOG_SOFTMAX of each row; output scale 1/16, zero point 127. */
typedef struct {
    int32_t rows, depth; /* depth 1 .. 4095 */
    const int32_t *exp;  /* as in asc_softmax, beta 1 */
    int32_t exp_n;
    int32_t multiplier; /* of an input difference, shifted left, to Q5.26 */
    uint32_t left;      /* 1 .. 31 */
    asc_scale reverse;  /* Q5.26 to an input difference */
} asc_log_softmax;

void asc_log_softmax_s8(const asc_log_softmax *p, const int8_t *x, int8_t *y);

/* Any function of one value: y[i] = table[x[i] + 128].  Works in place. */
typedef struct {
    int32_t n;
    const int8_t *table; /* [256] */
} asc_lut;

void asc_lut_s8(const asc_lut *p, const int8_t *x, int8_t *y);
#endif
