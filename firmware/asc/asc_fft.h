/* Power spectrum of real int16 samples by fixed-point FFT, N = 256, 512, 1024, 2048 or 4096.
 *
 * Half-complex radix-4 decimation in time on int32 words.  The first stage (radix-8 where log2 N is odd,
 * else radix-4) takes window and digit reversal in; the last stage puts out squared magnitudes; everything
 * happens in one buffer of N words.  There is no block exponent: int16 samples times a 32-bit window leave
 * 12 and more bits below one input LSB, a real input bounds |X| by the sum of |x w|, so every stage can
 * scale by a fixed 1/4 and quiet frames keep their detail.
 *
 * The functions have two homes, kernels/ref (portable C) and kernels/dsp (Cortex-M with the DSP extension);
 * one of them is linked, and both give the same integers. */
#ifndef ASC_FFT_H
#define ASC_FFT_H
#include <stdint.h>

typedef struct asc_fft_table asc_fft_table;

/* x: t->n samples, all readable; those under zero window weights do not matter.  buf: t->n words.
 * Afterwards, for 1 <= k < n/2:  |X[k]|^2 * 2^2s = (uint32_t)buf[k] + ((uint64_t)(uint32_t)buf[n - k] << 32)
 * with 2^s = 65536 / n: 8, 7, 6, 5, 4 bits for the lengths above.
 * The words 0 and n/2 (DC and Nyquist) mean nothing. */
typedef void asc_fft_fn(const asc_fft_table *t, const int16_t *x, int32_t *buf);

struct asc_fft_table {
    uint16_t n; /* FFT length */
    const int32_t
        *window; /* n values in the order of the first stage, Q29 (radix-8) or Q30; peak just below 1 */
    const int16_t *steps;    /* bytes from one group of the first stage to the next; 0 ends */
    const int32_t *twiddles; /* Q30, stage after stage, 6 words per k = 1 .. m/2-1 of stage m */
    asc_fft_fn *power;       /* asc_fft_power_<n>: the others are then not linked */
};

asc_fft_fn asc_fft_power_256, asc_fft_power_512, asc_fft_power_1024, asc_fft_power_2048, asc_fft_power_4096;

#endif
