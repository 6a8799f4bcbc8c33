/* Layers for cores with the DSP instructions and an FPU: Cortex-M4F, M7, M33.
 *
 * Same contract as asc_nn.h: constant parameters first, the caller's memory, nothing read or written outside
 * tensors and scratch.  Weights come packed in the order in which the inner loops read them, biases, zero
 * points and rounding folded; mcu_asc/compiler/dsp packs them and decides, layer by layer, whether these
 * functions apply.  Where they do not, the layer keeps its function of asc_nn.h.
 *
 * From sum to output, exactly, two ways.  With the right shift e of each channel, 1 .. 22, |sum| < 2^29:
 *   t = SMMLAR(2 * sum, multiplier, offset + (sum < 0 ? -1 : 0)),  y = SSAT8(t >> e)
 *   offset = 2^(e - 1) + zero * 2^e
 * "fixed": the zero point is the lowest output, so that negative sums clamp whatever their rounding; weights
 * are int16 and scaled by 2^(d + 1), d = ASC_FIXED_SHIFT - e at least 1, so that the shift is the same for
 * all and comes with the saturation; sums times 2^(d + 1) stay within 32 bits: y = SSAT8(SMMLA(2^(d + 1) *
 * sum, multiplier, offset) >> ASC_FIXED_SHIFT) offset = 2^(d - 1) + 2^(ASC_FIXED_SHIFT - 1) + zero *
 * 2^ASC_FIXED_SHIFT */
#ifndef ASC_NN_DSP_H
#define ASC_NN_DSP_H
#include "asc_nn.h"
#include "asc_window.h"

#define ASC_FIXED_SHIFT 12

/* ---- convolutions as products of matrices --------------------------------------------------------- */

typedef struct {
    uint32_t k_pairs, c_pairs; /* K in pairs of values, output channels in pairs */
    uint32_t stride;           /* bytes from one output pixel to the next */
} asc_gemm;

/* 4 pixels times all channels.  columns[k_pairs][4]: halfwords, the two K of each pair, a pixel a word.
 * The stream of weights holds, for each pair of channels: two biases, scaled as the sums are; the weights,
 * for each pair of K bytes {c0 k, c1 k, c0 k', c1 k'}, or two words of halfwords {c0 k, k'}, {c1 k, k'}
 * ("wide", doubled, and "fixed"); for each channel multiplier, offset and, unless "fixed", right shift.
 * Writes both channels of the last pair, also where their count is odd. */
typedef void asc_gemm4_fn(const uint32_t *columns, const uint32_t *weights, int8_t *y, const asc_gemm *shape);
asc_gemm4_fn asc_gemm4_packed, asc_gemm4_wide, asc_gemm4_fixed;

/* The same without the blocks of weights that are zero: 2 channels x 4 values of K, that is 2 pairs.  The
 * stream holds, for each pair of channels, a list, whose first word comes before the two biases, and the
 * scales. A list: a word, how many blocks its first group has less than 8, or 8 when there is no group; the
 * groups.  A group: the weights of its blocks; a word, 0 when another group follows, which has 8 blocks, or
 * else 8; 8 bytes, how many zero blocks to skip before each, those of missing blocks first. */
asc_gemm4_fn asc_gemm4_sparse_packed, asc_gemm4_sparse_wide, asc_gemm4_sparse_fixed;

/* Of 4 pixels `rows` runs of `run` values, `pitch` bytes apart -> columns; in a run groups of four K become
 * the pairs (0, 2), (1, 3), the last one to three values (0, -), (0, 1), (0, 2) (1, -). */
void asc_im2col4(const int8_t *const x[4], uint32_t *columns, uint32_t run, uint32_t rows, uint32_t pitch);

/* CONV_2D with a 1x1 kernel and stride 1; FULLY_CONNECTED over four rows and more. */
typedef struct {
    int32_t pixels, in_c, out_c; /* pixels of all batches */
    asc_gemm shape;
    asc_gemm4_fn *gemm;
    const uint32_t *weights;
} asc_pointwise;

#define ASC_POINTWISE_SCRATCH(k_pairs, c_pairs) (16 * (k_pairs) + 8 * (c_pairs))

void asc_pointwise_dsp(const asc_pointwise *p, const int8_t *x, int8_t *y, void *scratch);

/* Four sums over `words` words of four values at x, and over those of `last`; weights [words + 1][4]. */
void asc_gemv4(const int8_t *x, const uint32_t *weights, int32_t sums[4], uint32_t words, uint32_t last);

/* FULLY_CONNECTED over fewer rows; any scale and clamp. */
typedef struct {
    int32_t rows, in_n, out_n;
    int32_t out_zero;
    int32_t act_min, act_max;
    const uint32_t *weights; /* [ceil(out_n / 4)][ceil(in_n / 4)][4], four bytes of a channel a word */
    const asc_channel *channels;
} asc_gemv;

void asc_gemv_dsp(const asc_gemv *p, const int8_t *x, int8_t *y);

/* One value each, `skip` bytes in, of `rows` rows: pairs of rows, (0, 1), (2, 3), the last (n, -). */
void asc_im2col4_ends(const int8_t *const x[4], uint32_t *columns, uint32_t rows, uint32_t pitch,
                      uint32_t skip);

/* Three values of each of `rows` rows, of which four are read: of two rows a and b the pairs (a0, a2), (b0,
 * b2), (a1, b1), of the last of an odd number (a0, a2), (a1, -). */
void asc_im2col4_threes(const int8_t *const x[4], uint32_t *columns, uint32_t rows, uint32_t pitch);

/* The columns of four pixels of a window; pixel[] is lost. */
typedef struct asc_window_conv asc_window_conv;
typedef void asc_gather(const asc_window_conv *p, const int8_t *pixel[4], uint32_t *columns);

/* A kernel's row has an odd number of values; it has three, and rows of the window at least one byte behind
 * their width; dilation_w is more than 1. */
asc_gather asc_gather_odd, asc_gather_three, asc_gather_apart;

/* CONV_2D, one group: rows are padded in scratch, columns gathered there. */
struct asc_window_conv {
    int32_t batches;
    asc_window window;
    int32_t out_h, out_w, out_c;
    int16_t kernel_h, kernel_w;
    int16_t dilation_h, dilation_w;
    int32_t stride_h, stride_w;
    int32_t pad_top;
    asc_gather *gather; /* NULL: rows as they lie */
    asc_gemm shape;
    asc_gemm4_fn *gemm;
    const uint32_t *weights;
};

#define ASC_WINDOW_CONV_SCRATCH(k_pairs, c_pairs, rows, pitch)                                               \
    (16 * (k_pairs) + 8 * (c_pairs) + (rows) * (pitch))

void asc_window_conv_dsp(const asc_window_conv *p, const int8_t *x, int8_t *y, void *scratch);

/* Winograd's F(2, 3) along rows; asc_winograd.S tells the formula.  Four passes over K; columns are
 * [k_pairs_03][4 passes][4] words, a pair of pixels a word, passes 1 and 2 without the rest of the taps. */
typedef struct {
    uint32_t k_pairs_12, k_pairs_03; /* pairs of K in passes 1 and 2, in 0 and 3 */
    uint32_t c_pairs, stride;
} asc_winograd;

/* Columns of one pair of pixels: of each of `rows` rows, `pitch` bytes apart, `triples` times three taps from
 * four pixels, `channels` bytes from one to the next; or one tap, `pitch` bytes from pixel to pixel. */
void asc_winograd_main(const int8_t *x, uint32_t *columns, uint32_t channels, uint32_t rows, uint32_t triples,
                       uint32_t pitch);
void asc_winograd_rest(const int8_t *x, uint32_t *columns, uint32_t channels, uint32_t pitch);

/* 8 pixels times all channels.  The stream of weights holds, for each pair of channels: two biases; the words
 * {c0 k, c0 k'}, {c1 k, c1 k'} of passes 1, 2 and 0; multiplier, offset and, unless "fixed", right shift of
 * each channel; the words of pass 3, negated but for the rest of the taps.  All weights doubled, or "fixed".
 */
typedef void asc_winograd_kernel(const uint32_t *columns, const uint32_t *weights, int8_t *y,
                                 const asc_winograd *shape);
asc_winograd_kernel asc_winograd_fixed, asc_winograd_linear;

/* The same with a list (asc_gemm4_sparse) in place of the words of passes 1, 2, 0 and 3; these end with 8, 9,
 * 10 and 11. */
asc_winograd_kernel asc_winograd_sparse_fixed, asc_winograd_sparse_linear;

/* CONV_2D, stride 1, channels a multiple of 4, kernel three columns wide and more, dilated along columns or
 * not at all. */
typedef struct {
    int32_t batches;
    asc_window window;
    int32_t out_h, out_w, out_c;
    int16_t kernel_h, dilation_h;
    int32_t kernel_w;
    int32_t pad_top;
    asc_winograd shape;
    asc_winograd_kernel *kernel;
    const uint32_t *weights;
} asc_winograd_conv;

#define ASC_WINOGRAD_CONV_SCRATCH(k_pairs_03, c_pairs, rows, pitch)                                          \
    (64 * (k_pairs_03) + 16 * (c_pairs) + (rows) * (pitch))

void asc_winograd_conv_dsp(const asc_winograd_conv *p, const int8_t *x, int8_t *y, void *scratch);

/* ---- depthwise 3x3 --------------------------------------------------------------------------------- */

/* Strips of two output rows run along one side of the image.  Lines hold four channels,
 * [4][positions][words], padding included, pairs of rows as halfwords: of stride 1 two words a position, of a
 * strip's four rows; of stride 2 three, of its six.  `pitch` bytes from channel to channel. */

/* n positions of two rows, channels 0 .. 3 -> one word each of the positions of four lines, with one, two or
 * three words a position; steps are in bytes. */
typedef void asc_dw_pairs(const int8_t *row_0, const int8_t *row_1, uint32_t *line, int32_t step_0,
                          int32_t step_1, uint32_t n, uint32_t pitch);
asc_dw_pairs asc_dw_pairs_1, asc_dw_pairs_2, asc_dw_pairs_3;

/* Words of four channels, [n][2] -> two rows. */
void asc_dw_store(const uint32_t *tile, int8_t *y_0, int8_t *y_1, int32_t step, uint32_t n);

/* One channel, doubled or "fixed" (which has no right shift); weights by tap across the strip (w0, w1, w2)
 * and column 0, 1, 2 along it.  Stride 1: {w0, w1}, {w1, w2} of columns 0, 1, 2.  Stride 2: {w0, w1} of 0, 1,
 * 2; {w2 of 0, of 1}; {w2 of 2, 0}; 0. */
typedef struct {
    uint32_t weights_0, weights_1, weights_2, weights_3, weights_4, weights_5;
    int32_t bias;
    int32_t multiplier, offset, right;
} asc_dw3_channel;

typedef struct {
    uint32_t bytes;    /* of one channel's line */
    uint32_t channels; /* 4 */
    uint32_t pitch;    /* bytes */
    uint32_t n_mod_3;  /* of the outputs along the strip */
} asc_dw3_strip;

/* A strip of four channels -> words of the tile.  Stride 1: "odd" kernels take the second word for the upper
 * pair, so that the next strip needs one new word a position.  Stride 2: the third word becomes the first. */
typedef void asc_dw3_kernel(uint32_t *lines, const asc_dw3_channel *w, int8_t *tile,
                            const asc_dw3_strip *strip);
asc_dw3_kernel asc_dw3_s1_fixed, asc_dw3_s1_fixed_odd, asc_dw3_s1_linear, asc_dw3_s1_linear_odd;
asc_dw3_kernel asc_dw3_s2_fixed, asc_dw3_s2_linear;

/* DEPTHWISE_CONV_2D 3x3, stride 1 or 2 both ways, multiplier 1, one image, 4 channels and more. */
typedef struct {
    int32_t channels;
    int32_t words; /* of a position: 2 with stride 1, 3 with stride 2 */
    int32_t in_across, out_across, out_along;
    int32_t in_along_step, in_across_step, out_along_step, out_across_step; /* bytes */
    int32_t pad_along, pad_across;
    int32_t positions, taken; /* of a line; of them inside the image */
    int32_t in_zero;
    asc_dw3_strip strip;
    asc_dw_pairs *pairs;
    asc_dw3_kernel *kernel[2]; /* of even and odd strips */
    const asc_dw3_channel *weights;
} asc_dw3;

#define ASC_DW3_SCRATCH(n, pitch) (8 * (n) + 4 * (pitch))

void asc_dw3_dsp(const asc_dw3 *p, const int8_t *x, int8_t *y, void *scratch);

/* ---- depthwise, other kernels ------------------------------------------------------------------------- */

/* As above, but a line holds one pair of rows: [channels][slots][positions] words, a line a slot.  A strip
 * reads some lines that follow each other, the next strip those `step across` slots further on. */
typedef struct {
    uint32_t bytes;  /* of a line that tiles of two columns begin in: 8 * step along for each */
    uint32_t skip;   /* from there to where the line of the next strip begins */
    uint32_t slot;   /* bytes from line to line */
    uint32_t pitch;  /* and from channel to channel */
    uint32_t strips; /* one and more */
} asc_dwk_strips;

/* Strips of four channels -> [strips][columns][2] words of the tile, the columns an even number.  Weights are
 * a record for each channel, doubled or "fixed": words of two taps, for each line those of each column along
 * the strip; bias, multiplier, offset; right shift (in "fixed" none) with the upper three bytes all ones when
 * the next channel reads the next line, else 0.  Of a line k, with stride 1 across: {w(2k), w(2k+1)},
 * {w(2k-1), w(2k)} for each column, of the first line the first of these only, of the last the second.  With
 * stride 2: {w(2k), w(2k+1)}.
 * asc_dwk_<taps across>x<taps along>_<step across><step along>_<fixed or linear> */
typedef void asc_dwk_kernel(const uint32_t *line, const uint32_t *weights, int8_t *tile,
                            const asc_dwk_strips *strips);
/* Words to lower addresses. */
void asc_dw_move(uint32_t *to, const uint32_t *from, uint32_t words);

#define ASC_DWK(taps, steps)                                                                                 \
    extern asc_dwk_kernel asc_dwk_##taps##_##steps##_fixed, asc_dwk_##taps##_##steps##_linear
#define ASC_DWK_STEPS(taps)                                                                                  \
    ASC_DWK(taps, 11);                                                                                       \
    ASC_DWK(taps, 12);                                                                                       \
    ASC_DWK(taps, 21);                                                                                       \
    ASC_DWK(taps, 22)
ASC_DWK(3x1, 11);
ASC_DWK(3x1, 21);
ASC_DWK(5x1, 11);
ASC_DWK(5x1, 21);
ASC_DWK(7x1, 11);
ASC_DWK(7x1, 21);
ASC_DWK_STEPS(3x3);
ASC_DWK_STEPS(5x3);
ASC_DWK_STEPS(7x3);
ASC_DWK_STEPS(3x5);
ASC_DWK_STEPS(5x5);

/* DEPTHWISE_CONV_2D, strides 1 and 2, any multiplier, one image, 4 outputs a pixel and more. */
typedef struct {
    int32_t channels, group, multiplier; /* input channels; those at a time, 4 or fewer */
    int32_t lines, step_across;          /* of a strip; from strip to strip */
    int32_t in_across, out_across, out_along;
    int32_t in_along_step, in_across_step, out_along_step, out_across_step; /* bytes */
    int32_t pad_along, pad_across;
    int32_t positions, taken; /* of a line; of them inside the image */
    int32_t in_zero;
    int32_t record;        /* words */
    asc_dwk_strips strips; /* at most so many at a time */
    asc_dwk_kernel *kernel;
    const uint32_t *weights;
} asc_dwk;

/* n: outputs along the strip */
#define ASC_DWK_SCRATCH(n, strips, group, pitch) (16 * (((n) + 1) / 2) * (strips) + (group) * (pitch))

void asc_dwk_dsp(const asc_dwk *p, const int8_t *x, int8_t *y, void *scratch);

/* ---- depthwise, what is left: dilation, several images, large kernels --------------------------------- */

/* A row of n outputs of four channels, by taps in pairs. */
typedef struct {
    uint32_t n;
    uint32_t x_step, y_step; /* bytes from one output's pixel to the next */
    const int32_t *offsets;  /* [2 * pairs] bytes from a pixel to its taps */
    const uint32_t *weights; /* stream: 4 biases; [pairs][4 channels] doubled halfwords; 4 times multiplier,
                                offset, right shift */
    uint32_t pairs;
} asc_dw_taps_row;

void asc_dw_taps(const int8_t *x, int8_t *y, const asc_dw_taps_row *row);

/* The same of one input channel. */
void asc_dw_many_taps(const int8_t *x, int8_t *y, const asc_dw_taps_row *row);

/* DEPTHWISE_CONV_2D, multiplier 1, 4 channels and more. */
typedef struct {
    int32_t batches;
    asc_window window;
    int32_t out_h;
    int32_t stride_h;
    int32_t pad_top;
    int32_t group_words; /* of the stream, for four channels */
    asc_dw_taps_row row;
} asc_depthwise_taps;

void asc_depthwise_dsp(const asc_depthwise_taps *p, const int8_t *x, int8_t *y, void *scratch);

/* DEPTHWISE_CONV_2D, multiplier 2 and more: four outputs of one input channel a time; fewer, by way of a row
 * in scratch behind the window. */
typedef struct {
    int32_t batches;
    asc_window window;
    int32_t out_h;
    int32_t stride_h;
    int32_t pad_top;
    int32_t group_words; /* of the stream, for four outputs */
    int32_t multiplier;
    asc_dw_taps_row row;
} asc_depthwise_many;

#define ASC_DEPTHWISE_MANY_SCRATCH(rows, pitch, multiplier, n)                                               \
    ((rows) * (pitch) + ((multiplier) < 4 ? 4 * (n) : 0))

void asc_depthwise_many_dsp(const asc_depthwise_many *p, const int8_t *x, int8_t *y, void *scratch);

/* ---- the rest: four channels and more -------------------------------------------------------------- */

/* keep[2] and reduce[1] are 1. */
void asc_sum_dsp(const asc_sum *p, const int8_t *x, int8_t *y, void *sums);

/* Mean of two pixels, `step` bytes apart, of each of two rows: n channels, a multiple of four. */
void asc_quarter(const int8_t *row_0, const int8_t *row_1, int8_t *y, uint32_t step, uint32_t n);

/* No clamp. */
void asc_average_pool_dsp(const asc_pool *p, const int8_t *x, int8_t *y);
void asc_max_pool_dsp(const asc_pool *p, const int8_t *x, int8_t *y);

/* ADD and SUB of equal shapes: 2 * sum = table[(uint8_t)b] + (a << 20).  Works in place on either. */
typedef struct {
    int32_t n;
    const int32_t *table; /* [256] */
    int32_t multiplier, offset, right;
} asc_add_table;

void asc_add_relu_dsp(const asc_add_table *p, const int8_t *a, const int8_t *b, int8_t *y);
void asc_add_linear_dsp(const asc_add_table *p, const int8_t *a, const int8_t *b, int8_t *y);

/* The same where one input repeats: rows of n values over three outer loops, as in asc_add. */
typedef struct {
    int32_t size[3]; /* outermost first */
    int32_t a_step[3], b_step[3];
    asc_add_table row;
} asc_add_rows;

void asc_add_rows_relu_dsp(const asc_add_rows *p, const int8_t *a, const int8_t *b, int8_t *y);
void asc_add_rows_linear_dsp(const asc_add_rows *p, const int8_t *a, const int8_t *b, int8_t *y);

/* 2 * sum = table[(uint8_t)b] - (a << 20) */
void asc_subtract_dsp(const asc_add_table *p, const int8_t *a, const int8_t *b, int8_t *y);
void asc_subtract_rows_dsp(const asc_add_rows *p, const int8_t *a, const int8_t *b, int8_t *y);

/* n values at y, each at least act_min and at most act_max: after any function here, none of which clamps. */
typedef struct {
    int32_t n;
    int32_t act_min, act_max;
} asc_clamp_bytes;

void asc_clamp_dsp(const asc_clamp_bytes *p, int8_t *y);

/* MUL, likewise. */
typedef struct {
    int32_t size[3];
    int32_t a_step[3], b_step[3];
    int32_t n;
    int32_t a_zero, b_zero;
    int32_t multiplier, offset, right;
    int32_t left; /* plain: the product is shifted by 1 .. 15 in place of doubled */
} asc_mul_rows;

/* Plain: negative products clamp whatever their rounding, or there is no right shift whose rounding depends
 * on their sign. */
void asc_mul_rows_plain_dsp(const asc_mul_rows *p, const int8_t *a, const int8_t *b, int8_t *y);
void asc_mul_rows_linear_dsp(const asc_mul_rows *p, const int8_t *a, const int8_t *b, int8_t *y);

/* The innermost loop runs through both inputs. */
void asc_min_max_dsp(const asc_min_max *p, const int8_t *a, const int8_t *b, int8_t *y);
#endif
