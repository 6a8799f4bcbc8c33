/* A chain of layers run a few rows at a time: a loop over a generated table.
 *
 * A piece is one kernel call on some rows of one layer, or a move that makes room in a line buffer.  The
 * table holds them in the order in which they run; where a sequence of pieces repeats, it stands once, with
 * how often it runs and how far each of its pieces moves on per pass. */
#ifndef ASC_BANDS_H
#define ASC_BANDS_H
#include "asc_model.h"

/* Which of a piece's three places is which. */
enum { ASC_BANDS_IN, ASC_BANDS_IN2, ASC_BANDS_OUT, ASC_BANDS_PLACES };

/* Calls one kernel; `at` holds bytes from the arena's start. */
typedef void asc_piece_fn(uint8_t *arena, const uint32_t *at);

typedef struct {
    asc_piece_fn *run;
    uint32_t at[ASC_BANDS_PLACES];   /* on the first pass */
    uint32_t step[ASC_BANDS_PLACES]; /* added on each further pass */
    uint32_t layer;
} asc_piece;

typedef struct {
    const asc_piece *pieces;
    uint32_t count, passes;
} asc_band;

/* Runs `count` bands one after the other; the probe, unless NULL, is called with the layer of each piece. */
void asc_bands_run(const asc_band *bands, uint32_t count, uint8_t *arena, asc_probe_fn *probe, void *context);

/* A piece that moves the rows which are still needed to the start of their buffer: at[ASC_BANDS_IN2] bytes
 * from at[ASC_BANDS_IN] to at[ASC_BANDS_OUT]; the two may overlap. */
asc_piece_fn asc_bands_move;
#endif
