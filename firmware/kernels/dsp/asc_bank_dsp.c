/* The parts of asc_bank.h for cores with the DSP extension; the loops are in asc_bank_loops.S. */
#include "asc_bank.h"

/* end: where totals end. */
void asc_bank_triangles_loop(const int32_t *lo, const int32_t *hi, const uint16_t *weights, uint64_t *totals,
                             const uint64_t *end, const uint16_t *segments);

void asc_bank_sparse_loop(const int32_t *spectrum, const int32_t *spectrum_end, const uint16_t *weights,
                          uint64_t *totals, const uint64_t *end, const uint16_t *segments);

void asc_bank_rows_loop(const uint64_t *totals, int16_t *log2, int8_t *q, const asc_fe_band *band,
                        const asc_fe_band *end, const uint32_t *segments);

void asc_bank_triangles(const asc_fe *fe, const int32_t *spectrum, uint64_t *totals)
{
    asc_bank_triangles_loop(spectrum + fe->first, spectrum + fe->fft.n - fe->first, fe->weights, totals,
                            totals + fe->bands + 1, fe->segments);
}

void asc_bank_sparse(const asc_fe *fe, const int32_t *spectrum, uint64_t *totals)
{
    asc_bank_sparse_loop(spectrum, spectrum + fe->fft.n, fe->weights, totals, totals + fe->bands + 1,
                         fe->segments);
}

void asc_bank_rows(const asc_fe *fe, const uint64_t *totals, int16_t *log2, int8_t *q)
{
    asc_bank_rows_loop(totals, log2, q, fe->band, fe->band + fe->bands, asc_log2_segments);
}
