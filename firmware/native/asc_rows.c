#include "asc_rows.h"

uint32_t asc_fe_rows(asc_fe_state *s, const asc_fe *fe, const int16_t *x, uint32_t count, int16_t *log2,
                     int8_t *q, int16_t *level)
{
    const uint32_t values = asc_fe_values(fe);
    uint32_t rows = 0;

    while (count != 0) {
        asc_fe_row row = {log2 + rows * values, q + rows * values, 0, 0};
        uint32_t taken = asc_fe_push(s, x, count, &row);

        x += taken;
        count -= taken;
        if (row.ready) {
            level[rows++] = row.level;
        }
    }
    return rows;
}
