/* What asc_app.c, asc_sound.c and asc_live.c share, and nobody else calls. */
#ifndef ASC_APP_PARTS_H
#define ASC_APP_PARTS_H
#include "asc_app.h"

/* Opens a reply of `length` payload bytes in app->tx. */
void asc_app_begin(asc_app *app, asc_tx *tx, uint8_t type, uint32_t length);
void asc_app_send(asc_app *app, asc_tx *tx);
void asc_app_send_words(asc_app *app, uint8_t type, const uint32_t *words, uint32_t count);
void asc_app_send_error(asc_app *app, uint32_t code, const char *text);

/* Arms the cell that comes next. */
void asc_app_arm(asc_app *app);

/* One inference on what lies in the arena's input, and its result to the host. */
void asc_app_infer(asc_app *app, uint32_t alive);

/* After each inference: does the engine work, has all stayed in its place?  app->damage says what not. */
void asc_app_look_for_damage(asc_app *app);
void asc_app_report_damage(asc_app *app);

/* Hearing, behind a pointer, so that a model without a front end does not carry one. */
struct asc_sound {
    uint32_t (*first_samples)(const asc_project *project);        /* that make the first row */
    uint32_t (*fits)(const asc_app *app);                         /* the front end's state into its memory */
    void (*start)(asc_app *app);                                  /* forgets all samples */
    void (*take)(asc_app *app, const int16_t *x, uint32_t count); /* of a clip; answers what they complete */
    void (*fill)(asc_app *app, const int16_t *x, uint32_t count); /* the window, and when full the input */
};
extern const struct asc_sound asc_sound_rows; /* asc_sound.c, as are: */

/* Takes samples until a row completes or they run out; returns how many.  *ready: app->row went up by one. */
uint32_t asc_app_push(asc_app *app, const int16_t *x, uint32_t count, uint32_t *ready);

/* The last rows, oldest first, become the network's input; returns how many of them are alive. */
uint32_t asc_app_load_window(asc_app *app);

/* Listening, behind a pointer, so that a board without a microphone does not carry it. */
struct asc_live {
    void (*start)(asc_app *app, const asc_frame *frame); /* the command LIVE */
    uint32_t (*step)(asc_app *app); /* while app->live.on; 0: a cell has come, nothing was done */
    void (*stop)(asc_app *app, uint32_t reason); /* harmless when it is not on */
    void (*done)(asc_app *app);                  /* the last one's LIVE_DONE */
    /* Bytes of a cell without a frame, the next cell armed: perhaps a person types. */
    void (*typed)(asc_app *app, const uint8_t *bytes, uint32_t n);
};
extern const struct asc_live asc_live_microphone; /* asc_live.c */

#endif
