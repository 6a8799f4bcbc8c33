/* Text for people at a serial monitor: writing JSON, reading what they type. */
#ifndef ASC_TEXT_H
#define ASC_TEXT_H
#include <stdint.h>

typedef struct {
    uint8_t *out;
    uint32_t capacity, used; /* what does not fit is left out */
} asc_text;

/* Appends a string as it is. */
void asc_text_put(asc_text *t, const char *s);

/* Appends value / 10^decimals with all its decimals: (5020, 3) gives 5.020. */
void asc_text_number(asc_text *t, uint32_t value, uint32_t decimals);

/* A typed line without its end: "L", or "L 0.5".  Returns 1 when it is that; *milliseconds is the number,
 * 0 where none stands there. */
uint32_t asc_text_listen(const uint8_t *line, uint32_t n, uint32_t *milliseconds);

/* Index of the largest of n values. */
uint32_t asc_text_best(const int8_t *q, uint32_t n);

/* The share that q[best], the largest, has of the softmax, to one permille.  One step of q is log2_step /
 * 65536 octaves of odds. */
uint32_t asc_text_share(const int8_t *q, uint32_t n, uint32_t best, uint32_t log2_step);

/* The sigmoid of one value, 500 permille where it is `even`. */
uint32_t asc_text_alone(int32_t q, int32_t even, uint32_t log2_step);

#endif
