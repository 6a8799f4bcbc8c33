/* Host only: a whole block of samples in one call, so that Python enters C once a clip. */
#ifndef ASC_ROWS_H
#define ASC_ROWS_H
#include "asc_frontend.h"

/* Pushes count samples; row r of those that complete goes to log2[r * values], q[r * values] and level[r].
 * There must be room for count / hop + 1 rows.  Returns their number. */
uint32_t asc_fe_rows(asc_fe_state *s, const asc_fe *fe, const int16_t *x, uint32_t count, int16_t *log2,
                     int8_t *q, int16_t *level);

#endif
