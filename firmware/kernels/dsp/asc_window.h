/* Rows of an image with their padding, a few at a time, in scratch. */
#ifndef ASC_WINDOW_H
#define ASC_WINDOW_H
#include <stdint.h>
#include <string.h>

typedef struct {
    int32_t in_h, in_w, in_c; /* of the image */
    int32_t pad_left, width;  /* columns before the image; of a row in the window */
    int32_t rows, pitch;      /* of the window; bytes from row to row */
    int32_t in_zero;
} asc_window;

static inline void asc_window_row(const asc_window *p, int8_t *d, const int8_t *x, int32_t r)
{
    const int32_t c = p->in_c, room = p->width - p->pad_left, taken = p->in_w < room ? p->in_w : room;
    if (r < 0 || r >= p->in_h) {
        memset(d, p->in_zero, (size_t)(p->width * c));
        return;
    }
    memset(d, p->in_zero, (size_t)(p->pad_left * c));
    memcpy(d + p->pad_left * c, x + r * p->in_w * c, (size_t)(taken * c));
    memset(d + (p->pad_left + taken) * c, p->in_zero, (size_t)((room - taken) * c));
}

/* All rows, the first of which is the image's row `top`. */
static inline void asc_window_fill(const asc_window *p, int8_t *window, const int8_t *x, int32_t top)
{
    for (int32_t r = 0; r < p->rows; r++)
        asc_window_row(p, window + r * p->pitch, x, top + r);
}

/* From first row `top` on to `top + ahead`. */
static inline void asc_window_slide(const asc_window *p, int8_t *window, const int8_t *x, int32_t top,
                                    int32_t ahead)
{
    const int32_t keep = p->rows > ahead ? p->rows - ahead : 0;
    memmove(window, window + ahead * p->pitch, (size_t)(keep * p->pitch));
    for (int32_t r = keep; r < p->rows; r++)
        asc_window_row(p, window + r * p->pitch, x, top + ahead + r);
}
#endif
