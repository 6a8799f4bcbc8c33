#include "asc_bank.h"
#include <string.h>

struct asc_fe_state {
    const asc_fe *fe;
    uint64_t *totals;  /* [bands + 1] */
    int32_t *spectrum; /* [n]; between frames, what quantising writes where nobody wants it */
    int16_t *frame;    /* [n] the frame being filled; zero behind the window */
    uint16_t filled;   /* samples of it that are there */
    uint16_t rows;     /* with deltas: how many of the last rows are there, 2 * side + 1 at most */
    uint16_t next;     /* with deltas: slot of the next one */
    uint16_t unused;
};

/* The header's 40 bytes hold the struct on every machine. */
typedef char asc_fe_state_fits[sizeof(asc_fe_state) <= 40 ? 1 : -1];

const uint32_t asc_log2_segments[64] = {
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
    uint32_t segment = asc_log2_segments[(mantissa >> 25) & 63];
    uint32_t fraction = (segment & 0xffff) + (((segment >> 16) * ((mantissa >> 9) & 0xffff)) >> 16);
    return exponent * 65536 + (int32_t)fraction + 65;
}

/* log2 of an energy in Q16 above what one stands for; at least 0. */
static inline int32_t log2_above(uint64_t energy, int32_t one)
{
    int32_t l = asc_log2_q16(energy) - ASC_LOG2_BIAS - one;

    return l < 0 ? 0 : l;
}

/* The spectrum of fft.n readable samples, and the running totals of the bands. */
static void analyse(asc_fe_state *s, const int16_t *x)
{
    const asc_fe *fe = s->fe;

    fe->fft.power(&fe->fft, x, s->spectrum);
    if (fe->magnitude) {
        fe->magnitude(s->spectrum, fe->fft.n);
    }
    fe->bank(fe, s->spectrum, s->totals);
}

static int16_t level(const asc_fe *fe, const uint64_t *totals)
{
    int32_t l = log2_above(totals[fe->bands] - totals[0], fe->level_one);

    return (int16_t)(fe->magnitude ? l >> 6 : l >> 7); /* of a magnitude, twice: the level is of powers */
}

/* ---- rows with deltas: the last 2 * side + 1 rows of log2 in Q16, each followed by its level ---- */

static int8_t quantise(int32_t v, const asc_fe_band *band)
{
    int64_t scaled = band->add * 0x100000000LL + (int64_t)v * band->mul + 0x80000000LL;
    int32_t q = (int32_t)(scaled >> 32) >> band->bits;

    return (int8_t)(q < -128 ? -128 : q > 127 ? 127 : q);
}

/* Takes the newest row in; writes the row `side` ago once there are enough around it. */
static void row_with_deltas(asc_fe_state *s, asc_fe_row *row)
{
    const asc_fe *fe = s->fe;
    const uint32_t side = fe->side, slots = 2u * side + 1u;
    int32_t *const ring = (int32_t *)(s->frame + fe->fft.n);
    int32_t *const newest = ring + s->next * (fe->bands + 1u);
    const int32_t *at[2 * ASC_FE_MOST_SIDE + 1]; /* the rows from the oldest to the newest */

    for (uint32_t b = 0; b < fe->bands; b++) {
        newest[b] = log2_above(s->totals[b + 1] - s->totals[b] + fe->band[b].floor, fe->band[b].one);
    }
    newest[fe->bands] = level(fe, s->totals);
    s->next = (uint16_t)(s->next + 1u == slots ? 0 : s->next + 1u);
    if (s->rows < slots - 1u) {
        s->rows++;
        return;
    }
    for (uint32_t i = 0; i < slots; i++) {
        at[i] = ring + (s->next + i < slots ? s->next + i : s->next + i - slots) * (fe->bands + 1u);
    }
    for (uint32_t b = 0; b < fe->bands; b++) {
        int32_t own = at[side][b], sum = 0;

        for (uint32_t d = 1; d <= side; d++) {
            sum += (int32_t)d * (at[side + d][b] - at[side - d][b]);
        }
        if (row->log2) {
            row->log2[2 * b] = (int16_t)(own >> 7);
            row->log2[2 * b + 1] = (int16_t)(((int64_t)sum * fe->delta_scale + 0x80000000LL) >> 32);
        }
        if (row->q) {
            row->q[2 * b] = quantise(own, &fe->band[b]);
            row->q[2 * b + 1] = quantise(sum, &fe->delta[b]);
        }
    }
    row->level = (int16_t)at[side][fe->bands];
    row->ready = 1;
}

/* ---- the stream ---- */

/* One frame from fft.n readable samples. */
static void make_row(asc_fe_state *s, const int16_t *x, asc_fe_row *row)
{
    analyse(s, x);
    if (s->fe->delta) {
        row_with_deltas(s, row);
    } else {
        asc_bank_rows(s->fe, s->totals, row->log2, row->q ? row->q : (int8_t *)s->spectrum);
        row->level = level(s->fe, s->totals);
        row->ready = 1;
    }
}

uint32_t asc_fe_state_bytes(const asc_fe *fe) { return ASC_FE_STATE_BYTES(fe->fft.n, fe->bands, fe->side); }

uint32_t asc_fe_values(const asc_fe *fe) { return fe->delta ? 2u * fe->bands : fe->bands; }

uint32_t asc_fe_first_samples(const asc_fe *fe) { return fe->window + 2u * fe->side * fe->hop; }

asc_fe_state *asc_fe_init(void *memory, const asc_fe *fe)
{
    asc_fe_state *s = memory;

    memset(s, 0, sizeof *s);
    s->fe = fe;
    s->totals = (uint64_t *)((uint8_t *)memory + 40);
    s->spectrum = (int32_t *)(s->totals + fe->bands + 1);
    s->frame = (int16_t *)(s->spectrum + fe->fft.n);
    memset(s->frame, 0, fe->fft.n * sizeof *s->frame);
    return s;
}

uint32_t asc_fe_push(asc_fe_state *s, const int16_t *x, uint32_t count, asc_fe_row *row)
{
    const asc_fe *fe = s->fe;
    uint32_t take = (uint32_t)fe->window - s->filled;

    row->ready = 0;
    if (s->filled == 0 && count >= fe->fft.n) { /* the frame lies in the caller's block: no copy */
        make_row(s, x, row);
        return fe->hop;
    }
    if (take > count) {
        take = count;
    }
    asc_samples_move(s->frame + s->filled, x, take);
    s->filled = (uint16_t)(s->filled + take);
    if (s->filled == fe->window) {
        make_row(s, s->frame, row);
        s->filled = (uint16_t)(fe->window - fe->hop);
        asc_samples_move(s->frame, s->frame + fe->hop, s->filled);
    }
    return take;
}
