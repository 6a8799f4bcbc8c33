/* int16 samples -> rows of log2 band energies -> the network's int8 input.  Integers throughout.
 *
 *     samples -> window -> FFT -> |X|^2 -> bands -> + floor -> log2 -> standardise, quantise
 *                                          \-> mean -> log2 = the row's level
 *
 * asc_fe is the configuration: const tables, made on the host (mcu_asc/audio/frontend.py), in flash.
 * asc_fe_state is the state: in memory that the caller owns.  Energies are |X|^2 of the windowed samples in
 * units of LSB^2 (full scale = 32768), kept with 2 * 16 - 2 * log2(n) fractional bits. */
#ifndef ASC_FRONTEND_H
#define ASC_FRONTEND_H
#include "asc_fft.h"

typedef struct asc_fe {
    asc_fft_table fft;
    uint16_t window;          /* samples of a frame, <= fft.n */
    uint16_t hop;             /* samples from one frame to the next, 1 .. window */
    uint16_t bands;           /* values of a row */
    uint16_t first_bin;       /* of segments[0] */
    uint8_t energy_bits;      /* fractional bits of energies */
    uint8_t int8_bits;        /* fractional bits of add, and of mul above its 16 */
    uint64_t floor;           /* added to each band's energy, in the units of energies */
    int32_t log2_bands;       /* log2(bands), Q16 */
    const uint16_t *segments; /* [bands + 1] FFT bins between neighbouring band centres */
    const uint16_t
        *weights; /* [sum of segments] of each bin in the band to its right, Q16; the left one has 1 - w */
    const int32_t *mul; /* [bands] int8 = (log2 in Q16 * mul / 2^32 + add) / 2^int8_bits */
    const int32_t *add; /* [bands] with zero point, mean and rounding in it; |add| <= 2^30 */
} asc_fe;

typedef struct asc_fe_state asc_fe_state;

/* Where a row goes; the arrays are the caller's, NULL where a value is not wanted. */
typedef struct {
    int16_t *log2; /* [bands] log2(energy + floor) in Q9, 0 .. 64; energies below 1 LSB^2 count as 1 */
    int8_t *q;     /* [bands] the network's input */
    int16_t level; /* log2 of the mean band energy without the floor, Q9, at least 0 */
    uint8_t ready; /* 1: a row was written */
} asc_fe_row;

/* Bytes of an asc_fe_state; for static memory, as uint64_t memory[ASC_FE_STATE_BYTES(n, bands) / 8]. */
#define ASC_FE_STATE_BYTES(n, bands) (40u + 8u * ((bands) + 1u) + 6u * (n))

/* ASC_FE_STATE_BYTES for these tables. */
uint32_t asc_fe_state_bytes(const asc_fe *fe);

/* Starts a stream in memory (8-aligned, asc_fe_state_bytes long); call again to forget all samples.
 * fe must outlive the state.  Returns memory. */
asc_fe_state *asc_fe_init(void *memory, const asc_fe *fe);

/* Takes samples from x until a row completes (row->ready = 1) or count are taken (row->ready = 0).  Returns
 * how many were taken: the next call's x starts behind them.  However a stream is cut into calls, the rows
 * are the same; row r covers samples r * hop .. r * hop + window - 1. */
uint32_t asc_fe_push(asc_fe_state *s, const int16_t *x, uint32_t count, asc_fe_row *row);

/* log2(v) in Q16 plus 65, 0.0005 dB exact; v = 0 counts as 1.  64 of the 65 round a later >> 7, one centres
 * the error of the interpolation. */
int32_t asc_log2_q16(uint64_t v);

#endif
