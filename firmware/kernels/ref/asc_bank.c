/* Portable C. */
#include "asc_bank.h"
#include <string.h>

void asc_bank_triangles(const asc_fe *fe, const int32_t *spectrum, uint64_t *totals)
{
    const int32_t *lo = spectrum + fe->first, *hi = spectrum + fe->fft.n - fe->first;
    const uint16_t *w = fe->weights;
    uint64_t total = 0;

    /* A bin between two centres gives w of its power to the band on the right and the rest to the one on the
     * left.  So one weight a bin is enough: with T the powers up to a centre and R the sum of w * power
     * between the last two centres, T - R is the sum of all bands left of it.  Exact but for the 16 bits
     * dropped from each R. */
    for (uint32_t i = 0; i <= fe->bands; i++) {
        uint64_t low = 0, high = 0;

        for (uint32_t bins = fe->segments[i]; bins != 0; bins--, w++) {
            uint32_t l = (uint32_t)*lo++, h = (uint32_t)*hi--;
            total += ((uint64_t)h << 32) + l;
            low += (uint64_t)l * *w;
            high += (uint64_t)h * *w;
        }
        totals[i] = total - ((high << 16) + (low >> 16));
    }
}

void asc_bank_sparse(const asc_fe *fe, const int32_t *spectrum, uint64_t *totals)
{
    const uint16_t *segment = fe->segments, *root = fe->weights;
    uint64_t total = 0;

    *totals++ = 0;
    for (uint32_t i = 0; i < fe->bands; i++, segment += 2) {
        const int32_t *lo = spectrum + segment[0], *hi = spectrum + fe->fft.n - segment[0];

        for (uint32_t bins = segment[1]; bins != 0; bins--, root++) {
            uint32_t w = (uint32_t)*root * *root;
            total += (uint64_t)(uint32_t)*hi-- * w + (((uint64_t)(uint32_t)*lo++ * w) >> 32);
        }
        *totals++ = total;
    }
}

void asc_bank_rows(const asc_fe *fe, const uint64_t *totals, int16_t *log2, int8_t *q)
{
    const asc_fe_band *band = fe->band;

    for (uint32_t i = 0; i < fe->bands; i++, band++) {
        int32_t l = asc_log2_q16(totals[i + 1] - totals[i] + band->floor) - ASC_LOG2_BIAS - band->one, v;

        l = l < 0 ? 0 : l;
        v = (int32_t)((band->add * 0x100000000LL + (int64_t)l * band->mul + 0x80000000LL) >> 32) >>
            band->bits;
        q[i] = (int8_t)(v < -128 ? -128 : v > 127 ? 127 : v);
        if (log2) {
            log2[i] = (int16_t)(l >> 7);
        }
    }
}

void asc_samples_move(int16_t *to, const int16_t *from, uint32_t count)
{
    memmove(to, from, count * sizeof *to);
}
