/* The DSP instructions that C has no name for, and words at any address. */
#ifndef ASC_INSN_H
#define ASC_INSN_H
#include <stdint.h>
#include <string.h>

static inline uint32_t asc_word(const int8_t *x)
{
    uint32_t w;
    memcpy(&w, x, 4); /* one LDR: the cores meant here read words anywhere */
    return w;
}

static inline void asc_put_word(int8_t *y, uint32_t w) { memcpy(y, &w, 4); }

/* (a * m + 2^31 + t * 2^32) >> 32 */
static inline int32_t asc_smmlar(int32_t a, int32_t m, int32_t t)
{
    int32_t r;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(m), "r"(t));
    return r;
}

static inline int32_t asc_ssat8(int32_t a)
{
    int32_t r;
    __asm__("ssat %0, #8, %1" : "=r"(r) : "r"(a));
    return r;
}

/* Halfwords of bytes 0 and 2 (even), 1 and 3 (odd), added to those of `sum`. */
static inline uint32_t asc_add_even(uint32_t sum, uint32_t bytes)
{
    uint32_t r;
    __asm__("sxtab16 %0, %1, %2" : "=r"(r) : "r"(sum), "r"(bytes));
    return r;
}

static inline uint32_t asc_add_odd(uint32_t sum, uint32_t bytes)
{
    uint32_t r;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(r) : "r"(sum), "r"(bytes));
    return r;
}

/* The larger of each pair of bytes. */
static inline uint32_t asc_max4(uint32_t a, uint32_t b)
{
    uint32_t r;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(r) : "r"(a), "r"(b) : "cc");
    return r;
}

/* The smaller of each pair of bytes. */
static inline uint32_t asc_min4(uint32_t a, uint32_t b)
{
    uint32_t r;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(r) : "r"(a), "r"(b) : "cc");
    return r;
}

/* Four values of -128 .. 127 as bytes. */
static inline uint32_t asc_bytes(int32_t a, int32_t b, int32_t c, int32_t d)
{
    uint32_t r = (uint32_t)a;
    __asm__("bfi %0, %1, #8, #8\n\tbfi %0, %2, #16, #8\n\tbfi %0, %3, #24, #8"
            : "+&r"(r)
            : "r"(b), "r"(c), "r"(d));
    return r;
}
#endif
