/* Depthwise, any kernel, stride and dilation: a window of padded input rows slides through scratch, four
 * channels of an output row are made at a time. */
#include "asc_nn_dsp.h"

void asc_depthwise_dsp(const asc_depthwise_taps *p, const int8_t *x, int8_t *y, void *scratch)
{
    const int32_t channels = p->window.in_c;
    int8_t *const window = scratch;
    for (int32_t b = 0; b < p->batches; b++, x += p->window.in_h * p->window.in_w * channels) {
        int32_t top = -p->pad_top;
        asc_window_fill(&p->window, window, x, top);
        for (int32_t oy = 0; oy < p->out_h; oy++, y += (int32_t)p->row.n * channels) {
            if (oy > 0) {
                asc_window_slide(&p->window, window, x, top, p->stride_h);
                top += p->stride_h;
            }
            asc_dw_taps_row row = p->row;
            for (int32_t c = 0; c < channels; c += 4, row.weights += p->group_words) {
                if (c > channels - 4)
                    c = channels - 4; /* the last group overlaps the one before */
                asc_dw_taps(window + c, y + c, &row);
            }
        }
    }
}
