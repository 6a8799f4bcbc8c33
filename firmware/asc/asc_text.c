#include "asc_text.h"

void asc_text_put(asc_text *t, const char *s)
{
    for (; *s != '\0'; s++) {
        if (t->used < t->capacity) {
            t->out[t->used++] = (uint8_t)*s;
        }
    }
}

void asc_text_number(asc_text *t, uint32_t value, uint32_t decimals)
{
    char digits[12]; /* of 2^32 - 1, a point, the end */
    uint32_t at = sizeof digits - 1u;
    digits[at] = '\0';
    for (uint32_t n = 0; value != 0u || n <= decimals; n++) {
        if (n == decimals && n != 0u) {
            digits[--at] = '.';
        }
        digits[--at] = (char)('0' + value % 10u);
        value /= 10u;
    }
    asc_text_put(t, digits + at);
}

uint32_t asc_text_listen(const uint8_t *line, uint32_t n, uint32_t *milliseconds)
{
    uint32_t i = 1, whole = 0, parts = 0, unit = 1000;
    if (n == 0 || (line[0] != 'L' && line[0] != 'l')) {
        return 0;
    }
    while (i < n && line[i] == ' ') {
        i++;
    }
    for (; i < n && line[i] >= '0' && line[i] <= '9'; i++) {
        whole = whole < 100u ? 10u * whole + (line[i] - '0') : whole;
    }
    if (i < n && line[i] == '.') {
        for (i++; i < n && line[i] >= '0' && line[i] <= '9'; i++) {
            unit /= 10u;
            parts += unit * (line[i] - '0');
        }
    }
    while (i < n && line[i] == ' ') {
        i++;
    }
    *milliseconds = 1000u * whole + parts;
    return i == n;
}

/* 2^-x, x and the result Q16: a shift and a cubic, to 0.00012. */
static uint32_t exp2_down(uint32_t x)
{
    const uint32_t f = x & 0xffffu;
    const uint32_t c2 = 15212u - ((2647u * f) >> 16);
    const uint32_t c1 = 45340u - ((c2 * f) >> 16);
    return (65536u - ((c1 * f) >> 16)) >> (x >> 16);
}

/* 2^-(steps * log2_step), Q16. */
static uint32_t odds_down(uint32_t steps, uint32_t log2_step)
{
    const uint64_t down = (uint64_t)log2_step * steps;
    return down < (31u << 16) ? exp2_down((uint32_t)down) : 0u;
}

static uint32_t permille(uint32_t part, uint32_t whole)
{
    return (uint32_t)(((uint64_t)part * 1000u + whole / 2u) / whole);
}

uint32_t asc_text_best(const int8_t *q, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++) {
        best = q[i] > q[best] ? i : best;
    }
    return best;
}

uint32_t asc_text_share(const int8_t *q, uint32_t n, uint32_t best, uint32_t log2_step)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += odds_down((uint32_t)(q[best] - q[i]), log2_step);
    }
    return permille(65536u, sum);
}

uint32_t asc_text_alone(int32_t q, int32_t even, uint32_t log2_step)
{
    const uint32_t less = odds_down((uint32_t)(q > even ? q - even : even - q), log2_step);
    return permille(q > even ? 65536u : less, 65536u + less);
}
