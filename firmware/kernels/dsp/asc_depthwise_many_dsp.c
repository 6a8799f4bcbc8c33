/* Depthwise with a multiplier, any kernel, stride and dilation: a window of padded input rows slides through
 * scratch, four outputs of one input channel are made at a time for an output row. */
#include "asc_nn_dsp.h"

#define GROUP 4

/* The outputs of one input channel, fewer than four. */
static void few(const asc_depthwise_many *p, const int8_t *x, int8_t *y, asc_dw_taps_row row, int8_t *tile)
{
    const int32_t m = p->multiplier, n = (int32_t)row.n, step = (int32_t)row.y_step;
    row.y_step = GROUP;
    asc_dw_many_taps(x, tile, &row);
    for (int32_t i = 0; i < n; i++, y += step)
        for (int32_t k = 0; k < m; k++)
            y[k] = tile[GROUP * i + k];
}

void asc_depthwise_many_dsp(const asc_depthwise_many *p, const int8_t *x, int8_t *y, void *scratch)
{
    const int32_t in_c = p->window.in_c, m = p->multiplier;
    int8_t *const window = scratch, *const tile = window + p->window.rows * p->window.pitch;
    for (int32_t b = 0; b < p->batches; b++, x += p->window.in_h * p->window.in_w * in_c) {
        int32_t top = -p->pad_top;
        asc_window_fill(&p->window, window, x, top);
        for (int32_t oy = 0; oy < p->out_h; oy++, y += (int32_t)p->row.n * in_c * m) {
            if (oy > 0) {
                asc_window_slide(&p->window, window, x, top, p->stride_h);
                top += p->stride_h;
            }
            asc_dw_taps_row row = p->row;
            for (int32_t c = 0; c < in_c; c++) {
                if (m < GROUP) {
                    few(p, window + c, y + c * m, row, tile);
                    row.weights += p->group_words;
                } else
                    for (int32_t k = 0; k < m; k += GROUP, row.weights += p->group_words) {
                        if (k > m - GROUP)
                            k = m - GROUP; /* the last group overlaps the one before */
                        asc_dw_many_taps(window + c, y + c * m + k, &row);
                    }
            }
        }
    }
}
