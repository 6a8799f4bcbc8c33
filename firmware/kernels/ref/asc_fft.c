/* Portable C.  The 32-bit products are those of the Cortex-M4's SMULWB, SMMULR, SMMLAR and SMMLSR, so that
 * the assembly in kernels/dsp computes the same integers. */
#include "asc_fft.h"

#define SQRT_HALF_Q31 1518500250 /* sqrt(1/2) */
#define SQRT_HALF_Q30 759250125  /* sqrt(1/2) / 4 under mulr, which is where a stage scales */

/* SMULWB: 32 x 16 bits, the low 16 bits of the product dropped. */
static inline int32_t mulw(int32_t w, int16_t x) { return (int32_t)(((int64_t)w * x) >> 16); }

/* SMMULR: the high word of a * b, rounded. */
static inline int32_t mulr(int32_t a, int32_t b) { return (int32_t)(((int64_t)a * b + 0x80000000LL) >> 32); }

/* SMMLAR: the high word of c * 2^32 + a * b, rounded once. */
static inline int32_t mlar(int32_t a, int32_t b, int32_t c)
{
    return (int32_t)((c * 0x100000000LL + (int64_t)a * b + 0x80000000LL) >> 32);
}

/* SMMLSR: the high word of c * 2^32 - a * b, rounded once. */
static inline int32_t mlsr(int32_t a, int32_t b, int32_t c)
{
    return (int32_t)((c * 0x100000000LL - (int64_t)a * b + 0x80000000LL) >> 32);
}

/* Window and radix-8: groups of 8 samples n/8 apart -> half-complex transforms of 8. */
static void first_radix8(const asc_fft_table *t, const int16_t *x, int32_t *b)
{
    const int32_t *w = t->window;
    const int16_t *step = t->steps;
    const int32_t s = t->n / 8;

    for (;; w += 8, b += 8) {
        int32_t p4 = mulw(w[1], x[4 * s]), p6 = mulw(w[3], x[6 * s]);
        int32_t p5 = mulw(w[5], x[5 * s]), p7 = mulw(w[7], x[7 * s]);
        int32_t e0 = mulw(w[0], x[0]) + p4, e1 = e0 - 2 * p4;
        int32_t e2 = mulw(w[2], x[2 * s]) + p6, e3 = e2 - 2 * p6;
        int32_t o0 = mulw(w[4], x[s]) + p5, o1 = o0 - 2 * p5;
        int32_t o2 = mulw(w[6], x[3 * s]) + p7, o3 = 2 * p7 - o2;
        int32_t d = mulr(o1 + o3, SQRT_HALF_Q31), m = mulr(o3 - o1, SQRT_HALF_Q31);
        int32_t f = e0 + e2, g = o0 + o2;

        b[0] = f + g;
        b[1] = e1 + 2 * d;
        b[2] = e0 - e2;
        b[3] = e1 - 2 * d;
        b[4] = f - g;
        b[5] = e3 + 2 * m;
        b[6] = o2 - o0;
        b[7] = 2 * m - e3;
        if (*step == 0) {
            return;
        }
        x += *step++ / 2;
    }
}

/* Window and radix-4: groups of 4 samples n/4 apart -> half-complex transforms of 4. */
static void first_radix4(const asc_fft_table *t, const int16_t *x, int32_t *b)
{
    const int32_t *w = t->window;
    const int16_t *step = t->steps;
    const int32_t s = t->n / 4;

    for (;; w += 4, b += 4) {
        int32_t p2 = mulw(w[1], x[2 * s]), p3 = mulw(w[3], x[3 * s]);
        int32_t e0 = mulw(w[0], x[0]) + p2, e1 = e0 - 2 * p2, o0 = mulw(w[2], x[s]) + p3;

        b[0] = e0 + o0;
        b[1] = e1;
        b[2] = e0 - o0;
        b[3] = 2 * p3 - o0;
        if (*step == 0) {
            return;
        }
        x += *step++ / 2;
    }
}

static inline void put_power(int32_t *lo, int32_t *hi, int32_t re, int32_t im)
{
    uint64_t p = (uint64_t)((int64_t)re * re) + (uint64_t)((int64_t)im * im);

    *lo = (int32_t)(uint32_t)p;
    *hi = (int32_t)(uint32_t)(p >> 32);
}

/* One radix-4 stage: every four half-complex transforms of m -> one of 4m, in place, gain 1/4.  The last
 * stage of a spectrum stores squared magnitudes instead.  Returns the next stage's twiddles. */
static inline const int32_t *stage(int32_t *b, int32_t n, int32_t m, const int32_t *twiddles, int32_t last)
{
    const int32_t *tw = twiddles;

    for (int32_t *end = b + n; b < end; b += 4 * m) {
        { /* k = 0: four reals */
            int32_t r0 = b[0] >> 2, r1 = b[m] >> 2, r2 = b[2 * m] >> 2, r3 = b[3 * m] >> 2;
            int32_t t0 = r0 + r2, t1 = r0 - r2, t2 = r1 + r3, t3 = r3 - r1;

            b[0] = t0 + t2;
            b[2 * m] = t0 - t2;
            if (last) {
                put_power(b + m, b + 3 * m, t1, t3);
            } else {
                b[m] = t1;
                b[3 * m] = t3;
            }
        }
        { /* k = m/2: four reals, eighth roots of one */
            int32_t *h = b + m / 2;
            int32_t a = h[0] >> 2, c = h[2 * m] >> 2, d = h[3 * m], u = mulr(h[m], SQRT_HALF_Q30);
            int32_t v1 = mlsr(d, SQRT_HALF_Q30, u), v2 = mlar(d, SQRT_HALF_Q30, u);
            int32_t re1 = v1 + a, re3 = a - v1, im3 = c - v2, im1 = -v2 - c;

            if (last) {
                put_power(h, h + 3 * m, re1, im1);
                put_power(h + m, h + 2 * m, re3, im3);
            } else {
                h[0] = re1;
                h[m] = re3;
                h[2 * m] = im3;
                h[3 * m] = im1;
            }
        }
        tw = twiddles;
        for (int32_t k = 1; k < m / 2; k++, tw += 6) {
            int32_t *p = b + k, *q = b + m - k; /* the words read are the words written */
            int32_t ar = p[0], br = p[m], cr = p[2 * m], dr = p[3 * m];
            int32_t ai = q[0], bi = q[m], ci = q[2 * m], di = q[3 * m];
            int32_t xr = mlar(ci, tw[2], mulr(cr, tw[1])), xi = mlsr(cr, tw[2], mulr(ci, tw[1]));
            int32_t t0r = xr + (ar >> 2), t1r = (ar >> 2) - xr, t0i = xi + (ai >> 2), t1i = (ai >> 2) - xi;
            int32_t yr = mlar(bi, tw[4], mulr(br, tw[3])), yi = mlsr(br, tw[4], mulr(bi, tw[3]));
            int32_t t2r = mlar(di, tw[0], mlar(dr, tw[5], yr)), t2i = mlsr(dr, tw[0], mlar(di, tw[5], yi));
            int32_t t3i = 2 * yi - t2i, n3r = t2r - 2 * yr;

            if (last) {
                put_power(p, q + 3 * m, t0r + t2r, t0i + t2i);
                put_power(q + m, p + 2 * m, t0r - t2r, t2i - t0i);
                put_power(p + m, q + 2 * m, t1r + t3i, t1i + n3r);
                put_power(q, p + 3 * m, t1r - t3i, n3r - t1i);
            } else {
                p[0] = t0r + t2r;
                q[3 * m] = t0i + t2i;
                q[m] = t0r - t2r;
                p[2 * m] = t2i - t0i;
                p[m] = t1r + t3i;
                q[2 * m] = t1i + n3r;
                q[0] = t1r - t3i;
                p[3 * m] = n3r - t1i;
            }
        }
    }
    return tw;
}

/* n is a constant in each caller, so the compiler drops the branch that is not taken. */
static inline void transform(const asc_fft_table *t, const int16_t *x, int32_t *buf, int32_t n)
{
    const int32_t *tw = t->twiddles;
    int32_t m = 4;

    if (n & 0xAAAA) { /* an odd power of two */
        m = 8;
        first_radix8(t, x, buf);
    } else {
        first_radix4(t, x, buf);
    }
    for (; m < n / 4; m *= 4) {
        tw = stage(buf, n, m, tw, 0);
    }
    stage(buf, n, m, tw, 1);
}

void asc_fft_power_256(const asc_fft_table *t, const int16_t *x, int32_t *buf) { transform(t, x, buf, 256); }
void asc_fft_power_512(const asc_fft_table *t, const int16_t *x, int32_t *buf) { transform(t, x, buf, 512); }
void asc_fft_power_1024(const asc_fft_table *t, const int16_t *x, int32_t *buf)
{
    transform(t, x, buf, 1024);
}
void asc_fft_power_2048(const asc_fft_table *t, const int16_t *x, int32_t *buf)
{
    transform(t, x, buf, 2048);
}
void asc_fft_power_4096(const asc_fft_table *t, const int16_t *x, int32_t *buf)
{
    transform(t, x, buf, 4096);
}
