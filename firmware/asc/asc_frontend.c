#include "asc_frontend.h"
#include <string.h>

struct asc_fe_state {
    const asc_fe *fe;
    uint64_t *energies; /* [bands + 1]; the first belongs to no band */
    int32_t *spectrum;  /* [n] */
    int16_t *frame;     /* [n] the frame being filled; zero behind the window */
    uint32_t filled;    /* samples of it that are there */
};

/* The header's 40 bytes hold the struct on every machine. */
typedef char asc_fe_state_fits[sizeof(asc_fe_state) <= 40 ? 1 : -1];

/* low half: log2(1 + i/64) in Q16; high half: the step to the next */
static const uint32_t log2_segments[64] = {
    0x05ba0000, 0x05a305ba, 0x058e0b5d, 0x057910eb, 0x05641664, 0x05511bc8, 0x053d2119, 0x052a2656,
    0x05182b80, 0x05073098, 0x04f5359f, 0x04e43a94, 0x04d43f78, 0x04c4444c, 0x04b54910, 0x04a54dc5,
    0x0496526a, 0x04895700, 0x047a5b89, 0x046c6003, 0x045f646f, 0x045268ce, 0x04456d20, 0x04387165,
    0x042d759d, 0x042079ca, 0x04157dea, 0x040981ff, 0x03fe8608, 0x03f48a06, 0x03e88dfa, 0x03de91e2,
    0x03d495c0, 0x03ca9994, 0x03c09d5e, 0x03b6a11e, 0x03ada4d4, 0x03a3a881, 0x039aac24, 0x0392afbe,
    0x0389b350, 0x0380b6d9, 0x0378ba59, 0x036fbdd1, 0x0368c140, 0x035fc4a8, 0x0358c807, 0x0350cb5f,
    0x0348ceaf, 0x0341d1f7, 0x033ad538, 0x0333d872, 0x032bdba5, 0x0325ded0, 0x031ee1f5, 0x0317e513,
    0x0311e82a, 0x030aeb3b, 0x0304ee45, 0x02fdf149, 0x02f8f446, 0x02f1f73e, 0x02ebfa2f, 0x02e6fd1a,
};

/* Leading zeros of v != 0.  GCC and Clang, the only compilers of this firmware, make one CLZ of it. */
static inline int32_t leading_zeros(uint32_t v) { return __builtin_clz(v); }

int32_t asc_log2_q16(uint64_t v)
{
    uint32_t hi = (uint32_t)(v >> 32), lo = (uint32_t)v, mantissa;
    int32_t exponent;

    if (hi != 0) {
        int32_t z = leading_zeros(hi);
        exponent = 63 - z;
        mantissa = (hi << z) | ((lo >> 1) >> (31 - z));
    } else {
        lo |= (lo == 0);
        exponent = 31 - leading_zeros(lo);
        mantissa = lo << (31 - exponent);
    }
    uint32_t segment = log2_segments[(mantissa >> 25) & 63];
    uint32_t fraction = (segment & 0xffff) + (((segment >> 16) * ((mantissa >> 9) & 0xffff)) >> 16);
    return exponent * 65536 + (int32_t)fraction + 65;
}

/* log2 of an energy in Q16, less offset; at least 0. */
static inline int32_t log2_above(uint64_t energy, int32_t offset)
{
    int32_t l = asc_log2_q16(energy) - offset;

    return l < 0 ? 0 : l;
}

/* A bin between two centres gives w of its power to the band on the right and the rest to the one on the
 * left.  So one weight a bin is enough: with T the sum of powers between two centres and R the sum of
 * w * power, energy[m] = R[m] + T[m + 1] - R[m + 1].  Exact but for the 16 bits dropped from each R. */
static void band_energies(const asc_fe *fe, const int32_t *spectrum, uint64_t *energies)
{
    const int32_t *lo = spectrum + fe->first_bin, *hi = spectrum + fe->fft.n - fe->first_bin;
    const uint16_t *w = fe->weights;
    uint64_t rising = 0;

    for (uint32_t i = 0; i <= fe->bands; i++) {
        uint64_t total = 0, low = 0, high = 0, next;

        for (uint32_t bins = fe->segments[i]; bins != 0; bins--, w++) {
            uint32_t l = (uint32_t)*lo++, h = (uint32_t)*hi--;
            total += ((uint64_t)h << 32) + l;
            low += (uint64_t)l * *w;
            high += (uint64_t)h * *w;
        }
        next = (high << 16) + (low >> 16);
        energies[i] = rising + (total - next);
        rising = next;
    }
}

static int8_t quantise(int32_t log2_q16, int32_t mul, int32_t add, uint32_t bits)
{
    int32_t v = (int32_t)((add * 0x100000000LL + (int64_t)log2_q16 * mul + 0x80000000LL) >> 32) >> bits;

    return (int8_t)(v < -128 ? -128 : v > 127 ? 127 : v);
}

/* One row from fft.n readable samples. */
static void make_row(asc_fe_state *s, const int16_t *x, asc_fe_row *row)
{
    const asc_fe *fe = s->fe;
    const int32_t one = (int32_t)fe->energy_bits * 65536; /* log2 of 1 LSB^2 */
    uint64_t sum = 0;

    asc_fft_power(&fe->fft, x, s->spectrum);
    band_energies(fe, s->spectrum, s->energies);
    for (uint32_t i = 0; i < fe->bands; i++) {
        uint64_t energy = s->energies[i + 1];
        int32_t l = log2_above(energy + fe->floor, one);

        sum += energy;
        if (row->log2) {
            row->log2[i] = (int16_t)(l >> 7);
        }
        if (row->q) {
            row->q[i] = quantise(l, fe->mul[i], fe->add[i], fe->int8_bits);
        }
    }
    row->level = (int16_t)(log2_above(sum, one + fe->log2_bands) >> 7);
    row->ready = 1;
}

uint32_t asc_fe_state_bytes(const asc_fe *fe) { return ASC_FE_STATE_BYTES(fe->fft.n, fe->bands); }

asc_fe_state *asc_fe_init(void *memory, const asc_fe *fe)
{
    asc_fe_state *s = memory;

    s->fe = fe;
    s->energies = (uint64_t *)((uint8_t *)memory + 40);
    s->spectrum = (int32_t *)(s->energies + fe->bands + 1);
    s->frame = (int16_t *)(s->spectrum + fe->fft.n);
    s->filled = 0;
    memset(s->frame, 0, fe->fft.n * sizeof *s->frame);
    return s;
}

uint32_t asc_fe_push(asc_fe_state *s, const int16_t *x, uint32_t count, asc_fe_row *row)
{
    const asc_fe *fe = s->fe;
    uint32_t take = fe->window - s->filled;

    row->ready = 0;
    if (s->filled == 0 && count >= fe->fft.n) { /* the frame lies in the caller's block: no copy */
        make_row(s, x, row);
        return fe->hop;
    }
    if (take > count) {
        take = count;
    }
    if (take != 0) {
        memcpy(s->frame + s->filled, x, take * sizeof *x);
        s->filled += take;
    }
    if (s->filled == fe->window) {
        make_row(s, s->frame, row);
        s->filled = (uint32_t)fe->window - fe->hop;
        memmove(s->frame, s->frame + fe->hop, s->filled * sizeof *s->frame);
    }
    return take;
}
