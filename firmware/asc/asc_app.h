/* The application: answers framed commands on the serial line, one cell at a time.
 *
 * The device is silent until spoken to.  It always has exactly one receive armed: ASC_COMMAND_LINE bytes when
 * idle; in a transfer, after it has armed a cell, it sends CREDIT with the cell's length and the host sends
 * exactly that many bytes (a DATA frame, filled up with 0x00).  A cell that stays partial for
 * ASC_PORT_IDLE_MS is taken as it is.  A transfer's cell without the expected DATA frame gets the same CREDIT
 * again with `repeats` one higher; after ASC_APP_REPEATS in a row the transfer ends with ERROR.  Any command
 * ends a transfer; STATUS asks for the reply that got lost.  In idle, a cell without a valid frame is not
 * answered: the host asks again.
 *
 * While a DATA cell is computed on, the next one is already on its way.
 *
 * LIVE listens to the microphone instead (asc_live.c) until its time is over or a command comes.  A person at
 * a serial monitor types L and Enter for it, or "L 0.5" for a decision every half second, and any key ends
 * it. */
#ifndef ASC_APP_H
#define ASC_APP_H
#include "asc_model.h"
#include "asc_port.h"
#include "asc_wire.h"

#define ASC_COMMAND_LINE 64u   /* bytes of a command's cell */
#define ASC_APP_DATA     1000u /* most bytes of samples or tensor in one cell */
/* Bytes of a DATA cell with `bytes` of them: a 0x00, the frame, and room, so that a frame is whole in its
 * cell also behind a few bytes that an UART's FIFO had left over from the cell before. */
#define ASC_APP_LINE(bytes) (ASC_WIRE_LINE((bytes) + 4u) + 9u)
#define ASC_APP_REPEATS     10u   /* bad cells in a row that end a transfer */
#define ASC_APP_CHUNK       512u  /* most output bytes in one RESULT, layers * 4 in one LAYERS */
#define ASC_APP_REPLY       36u   /* most bytes before them */
#define ASC_APP_SETTLE_MS   4000u /* of a microphone, where a person asks */
#define ASC_APP_TYPED       12u   /* longest line that a person types, its end included */

#define ASC_APP_GUARD 4u /* words of a guard */

/* The memory that depends on the project, asc_this_project; the caller's, static. */
typedef struct {
    uint8_t *arena;         /* project->model->arena_bytes, 16-aligned; may hold anything */
    int8_t *rows;           /* project->rows * project->bands: the last rows, a ring */
    uint8_t *alive;         /* project->rows: which of them are alive */
    uint32_t *layer_cycles; /* project->model->layers */
    void *fe;               /* front end's state, 8-aligned */
    uint32_t fe_bytes;
    uint32_t *guards[2]; /* ASC_APP_GUARD words before and behind the arena, or NULL; set at init, looked at
                            after each inference */
    asc_mic_block *mic;  /* project->mic_blocks */
} asc_app_memory;

/* A LIVE that runs, or the last one. */
typedef struct {
    uint8_t on;      /* it runs */
    uint8_t text;    /* and speaks JSON */
    uint32_t reason; /* why the last one ended; 0: there was none */
    uint32_t hop_rows;
    uint32_t due;           /* app->row at which to decide next */
    uint64_t at;            /* samples since the microphone's start, lost ones included */
    uint32_t seconds, part; /* the same: whole seconds, and samples */
    uint64_t from, until;   /* settled, over; in the same count */
    uint32_t decisions, dropped, skipped;
    const asc_mic_block *block; /* being read, NULL: none */
    uint32_t used;              /* samples of it */
    uint32_t stamp;             /* cycle count at sample `at` */
    uint32_t apart;             /* cycles of the front end within an inference */
} asc_app_live;

typedef struct {
    asc_app_memory m;
    struct asc_fe_state *fe;

    /* the transfer; kind is 0 in idle, the other fields then describe the last one */
    uint8_t kind;    /* ASC_CLIP or ASC_TENSOR */
    uint8_t outcome; /* 0 nothing yet, 1 done, 2 aborted */
    uint16_t seq, flags;
    uint32_t hop_rows;
    uint32_t total, taken; /* bytes */
    uint32_t index, repeats, bad_cells;
    uint32_t crc; /* of the bytes taken */
    uint32_t row, window, frontend_cycles;

    const char *damage; /* what has gone wrong for good; NULL while nothing has */
    uint32_t damage_code;
    asc_app_live live;
    uint8_t typed[ASC_APP_TYPED]; /* a line so far */
    uint8_t typed_bytes;          /* ASC_APP_TYPED: it is no line for us */

    uint32_t layers, layer_start; /* measured by bench: how many, and the counter at the last one's end */

    /* what the port works in */
    uint8_t line[ASC_APP_LINE(ASC_APP_DATA)];
    uint8_t tx[ASC_WIRE_LINE(ASC_APP_CHUNK + ASC_APP_REPLY)];
    int16_t
        cell[(ASC_APP_DATA + 4u + ASC_WIRE_OVERHEAD + 1u) / 2u]; /* decoded; samples lie on even offsets */
} asc_app;

/* Sets the state and arms the first cell.  Call asc_port_init first. */
void asc_app_init(asc_app *app, const asc_app_memory *memory);

/* Waits for one cell and answers it; for ever in a loop. */
void asc_app_step(asc_app *app);

#endif
