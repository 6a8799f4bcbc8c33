/* int16 samples -> rows of log2 band energies -> the network's int8 input.  Integers throughout.
 *
 *     samples -> window -> FFT -> |X|^2 [-> |X|] -> bands -> + floor -> log2 [-> deltas] -> int8
 *                                                     \-> mean -> log2 = the row's level
 *
 * asc_fe is the configuration: const tables, made on the host (mcu_asc/audio/frontend.py), in flash.
 * asc_fe_state is the state: in memory that the caller owns.  Energies are |X|^2 (or |X|) of the windowed
 * samples in units of LSB^2 (or LSB; full scale = 32768), kept with fractional bits. */
#ifndef ASC_FRONTEND_H
#define ASC_FRONTEND_H
#include "asc_fft.h"

#define ASC_FE_MOST_SIDE 4

typedef struct asc_fe asc_fe;
typedef struct asc_fe_state asc_fe_state;

/* What makes a value of one band out of its energy. */
typedef struct {
    uint64_t floor; /* added to the energy, in its units */
    int32_t one;    /* log2 of what counts as 1 (or less), Q16, in its units, less ASC_LOG2_BIAS */
    int32_t mul;    /* int8 = (log2 in Q16 * mul / 2^32 + add) / 2^bits */
    int32_t add;    /* zero point, mean and rounding; |add| <= 2^30 */
    int32_t bits;   /* fractional bits of add, and of mul above its 16 */
} asc_fe_band;

/* A bank: totals[b + 1] - totals[b] = energy of band b.  totals: [bands + 1], modulo 2^64. */
typedef void asc_bank_fn(const asc_fe *fe, const int32_t *spectrum, uint64_t *totals);

/* Triangles that share their edges with the neighbours' centres.  segments: [bands + 1] FFT bins between
 * neighbouring centres, from bin first on.  weights: of each bin in the band to its right, Q16; the band to
 * its left has 1 - w. */
asc_bank_fn asc_bank_triangles;

/* Any bands.  segments: [2 * bands] first bin and number of bins.  weights: of each band's bins, square roots
 * in Q16, so that weights far below 1 keep their precision. */
asc_bank_fn asc_bank_sparse;

/* Changes what asc_fft_power left in spectrum into |X| * 2^(s + 16). */
void asc_fft_magnitude(int32_t *spectrum, uint32_t n);

struct asc_fe {
    asc_fft_table fft;
    uint16_t window;                                  /* samples of a frame, <= fft.n */
    uint16_t hop;                                     /* samples from one frame to the next, 1 .. window */
    uint16_t bands;                                   /* of a row */
    uint16_t first;                                   /* bin of segments[0] */
    void (*magnitude)(int32_t *spectrum, uint32_t n); /* asc_fft_magnitude; NULL: the bands take powers */
    asc_bank_fn *bank;
    const uint16_t *segments;
    const uint16_t *weights;
    const asc_fe_band *band;  /* [bands] */
    const asc_fe_band *delta; /* [bands] mul, add and bits of the deltas; NULL: a row has none */
    int32_t level_one;        /* as one, for the sum of all energies */
    int32_t delta_scale;      /* 2^32 / (128 * 2 * sum of squares 1 .. side) */
    uint8_t side;             /* rows that a delta sees on each side, ASC_FE_MOST_SIDE at most; 0 without */
};

/* Where a row goes; the arrays are the caller's, NULL where a value is not wanted.  With deltas each band has
 * two values, its own and its delta after it. */
typedef struct {
    int16_t *log2; /* [asc_fe_values] log2(energy + floor) in Q9, 0 .. 64; energies below 1 count as 1 */
    int8_t *q;     /* [asc_fe_values] the network's input */
    int16_t level; /* log2 of the mean band power without the floor, Q9, at least 0 */
    uint8_t ready; /* 1: a row was written */
} asc_fe_row;

/* Bytes of an asc_fe_state; for static memory, as uint64_t memory[ASC_FE_STATE_BYTES(n, bands, side) / 8]. */
#define ASC_FE_STATE_BYTES(n, bands, side)                                                                   \
    (40u + 8u * ((bands) + 1u) + 6u * (n) +                                                                  \
     ((side) != 0u ? (4u * (2u * (side) + 1u) * ((bands) + 1u) + 7u) / 8u * 8u : 0u))

/* ASC_FE_STATE_BYTES for these tables. */
uint32_t asc_fe_state_bytes(const asc_fe *fe);

/* Values of a row: bands, or twice as many with deltas. */
uint32_t asc_fe_values(const asc_fe *fe);

/* Samples of the first row: a window, and with deltas the hops to the rows that the first one looks at. */
uint32_t asc_fe_first_samples(const asc_fe *fe);

/* Starts a stream in memory (8-aligned, asc_fe_state_bytes long); call again to forget all samples.
 * fe must outlive the state.  Returns memory. */
asc_fe_state *asc_fe_init(void *memory, const asc_fe *fe);

/* Takes samples from x until a row completes (row->ready = 1) or count are taken (row->ready = 0).  Returns
 * how many were taken: the next call's x starts behind them.  However a stream is cut into calls, the rows
 * are the same; row r is of the samples (r + side) * hop .. (r + side) * hop + window - 1. */
uint32_t asc_fe_push(asc_fe_state *s, const int16_t *x, uint32_t count, asc_fe_row *row);

/* log2(v) in Q16 plus 65, 0.0005 dB exact; v = 0 counts as 1.  64 of the 65 round a later >> 7, one centres
 * the error of the interpolation. */
int32_t asc_log2_q16(uint64_t v);

#endif
