/* The transforms of asc_fft.h out of the stages in asc_fft_stages.S, for cores with the DSP extension. */
#include "asc_fft.h"

/* Window and first stage: samples -> groups of 4 or 8. */
typedef void first_fn(const int16_t *x, const int32_t *window, const int16_t *steps, int32_t *buf);
first_fn asc_fft_first_256, asc_fft_first_512, asc_fft_first_1024, asc_fft_first_2048, asc_fft_first_4096;

/* Groups of m -> groups of 4m, from buf to end. */
typedef void stage_fn(int32_t *buf, const int32_t *twiddles, int32_t *end);
stage_fn asc_fft_stage_4, asc_fft_stage_8, asc_fft_stage_16, asc_fft_stage_32, asc_fft_stage_64,
    asc_fft_stage_128, asc_fft_stage_256;

/* As a stage, but 4m is the length and squared magnitudes come out. */
typedef void last_fn(int32_t *buf, const int32_t *twiddles);
last_fn asc_fft_last_64, asc_fft_last_128, asc_fft_last_256, asc_fft_last_512, asc_fft_last_1024;

#define WORDS(m) (3 * (m) - 6) /* of the twiddles of stage m */

void asc_fft_power_256(const asc_fft_table *t, const int16_t *x, int32_t *buf)
{
    const int32_t *tw = t->twiddles;

    asc_fft_first_256(x, t->window, t->steps, buf);
    asc_fft_stage_4(buf, tw, buf + 256);
    asc_fft_stage_16(buf, tw += WORDS(4), buf + 256);
    asc_fft_last_64(buf, tw + WORDS(16));
}

void asc_fft_power_512(const asc_fft_table *t, const int16_t *x, int32_t *buf)
{
    const int32_t *tw = t->twiddles;

    asc_fft_first_512(x, t->window, t->steps, buf);
    asc_fft_stage_8(buf, tw, buf + 512);
    asc_fft_stage_32(buf, tw += WORDS(8), buf + 512);
    asc_fft_last_128(buf, tw + WORDS(32));
}

void asc_fft_power_1024(const asc_fft_table *t, const int16_t *x, int32_t *buf)
{
    const int32_t *tw = t->twiddles;

    asc_fft_first_1024(x, t->window, t->steps, buf);
    asc_fft_stage_4(buf, tw, buf + 1024);
    asc_fft_stage_16(buf, tw += WORDS(4), buf + 1024);
    asc_fft_stage_64(buf, tw += WORDS(16), buf + 1024);
    asc_fft_last_256(buf, tw + WORDS(64));
}

void asc_fft_power_2048(const asc_fft_table *t, const int16_t *x, int32_t *buf)
{
    const int32_t *tw = t->twiddles;

    asc_fft_first_2048(x, t->window, t->steps, buf);
    asc_fft_stage_8(buf, tw, buf + 2048);
    asc_fft_stage_32(buf, tw += WORDS(8), buf + 2048);
    asc_fft_stage_128(buf, tw += WORDS(32), buf + 2048);
    asc_fft_last_512(buf, tw + WORDS(128));
}

void asc_fft_power_4096(const asc_fft_table *t, const int16_t *x, int32_t *buf)
{
    const int32_t *tw = t->twiddles;

    asc_fft_first_4096(x, t->window, t->steps, buf);
    asc_fft_stage_4(buf, tw, buf + 4096);
    asc_fft_stage_16(buf, tw += WORDS(4), buf + 4096);
    asc_fft_stage_64(buf, tw += WORDS(16), buf + 4096);
    asc_fft_stage_256(buf, tw += WORDS(64), buf + 4096);
    asc_fft_last_1024(buf, tw + WORDS(256));
}
