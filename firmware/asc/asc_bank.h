/* From a power spectrum to rows: the parts of the front end that have a portable home (kernels/ref) and one
 * for Cortex-M with the DSP extension (kernels/dsp).  One of them is linked; both give the same integers. */
#ifndef ASC_BANK_H
#define ASC_BANK_H
#include "asc_frontend.h"

/* asc_log2_q16 of 1: what asc_fe_band.one leaves out, because the exponent is counted from 2^31. */
#define ASC_LOG2_BIAS (31 * 65536 + 65)

/* log2(1 + i/64) in Q16 in the low half, the step to the next in the high half. */
extern const uint32_t asc_log2_segments[64];

/* log2(totals[b + 1] - totals[b] + floor) less one in Q16, at least 0, for all bands: to log2 as Q9 (NULL:
 * not wanted) and to q as int8. */
void asc_bank_rows(const asc_fe *fe, const uint64_t *totals, int16_t *log2, int8_t *q);

/* memmove for samples; to may lie below from in the same array. */
void asc_samples_move(int16_t *to, const int16_t *from, uint32_t count);

#endif
