/* What every generated model and project provides to the hand-written application.
 *
 * compiler/ emits one C file that defines `asc_net` (tables and calls, no loop); firmware.py emits
 * one that defines `asc_this_project`.  The application reads both and knows nothing else of them. */
#ifndef ASC_MODEL_H
#define ASC_MODEL_H
#include <stddef.h>
#include <stdint.h>

/* Called with a layer's index, 0 .. layers-1, after the layer, or after each piece of one that runs a few
 * rows at a time, in turns with others; NULL where nobody measures. */
typedef void asc_probe_fn(void *context, uint32_t layer);

typedef struct {
    uint32_t
        arena_bytes; /* the caller owns arena_bytes, 16-aligned, and may read nothing in it but in and out */
    uint32_t layers;
    uint32_t input_offset; /* in the arena; valid until invoke */
    uint32_t input_bytes;
    uint32_t output_offset; /* in the arena; valid after invoke, until the next input is written */
    uint32_t output_bytes;
    void (*invoke)(uint8_t *arena, asc_probe_fn *probe, void *context);
    /* For engines that can fail, else NULL.  Called before the first input is written, then after each
     * invoke: what has gone wrong, or NULL. */
    const char *(*check)(uint8_t *arena);
} asc_model;

extern const asc_model asc_net;

struct asc_fe;    /* asc_frontend.h */
struct asc_sound; /* asc_app_parts.h */
struct asc_live;

#define ASC_ONE_LABEL INT32_MIN /* asc_project.even: one label holds, probabilities are a softmax */

typedef struct {
    const char *firmware; /* version of mcu-asc that wrote the project */
    const char *board;
    uint8_t fingerprint[8]; /* of the .tflite file: front end and weights */
    uint32_t clock_hz;
    const asc_model *model;
    const struct asc_fe *fe;       /* NULL: the model takes raw tensors only */
    const struct asc_sound *sound; /* asc_sound_rows; NULL as above */
    uint32_t sample_rate_hz;       /* 0 without a front end */
    uint16_t rows, bands;          /* one window of the front end = the model's input */
    int16_t alive_level; /* a row whose level exceeds it is alive; Q9 log2, as asc_fe_push gives levels */
    uint16_t hop_rows;   /* from one decision to the next where nobody says */
    const struct asc_live *live; /* asc_live_microphone; NULL: the board has none at sample_rate_hz */
    uint32_t mic_blocks;         /* of its ring */
    uint32_t log2_step;          /* one step of the output as log2 of odds, Q16: its scale / ln 2 */
    int32_t even;                /* ASC_ONE_LABEL, or the output at even odds of a label that may hold
                                    beside others */
    const char *name;            /* of the model, escaped for JSON, as labels are */
    const char *const *labels;   /* [output_bytes], or NULL */
} asc_project;

extern const asc_project asc_this_project;
#endif
