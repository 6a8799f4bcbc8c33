#include "asc_app_parts.h"
#include "asc_frontend.h"
#include "asc_port.h"
#include <string.h>

/* ---- replies ---- */

void asc_app_begin(asc_app *app, asc_tx *tx, uint8_t type, uint32_t length)
{
    asc_tx_begin(tx, app->tx, (uint32_t)sizeof app->tx, type, app->seq, (uint16_t)length);
}

void asc_app_send(asc_app *app, asc_tx *tx) { asc_port_write(app->tx, asc_tx_end(tx)); }

void asc_app_send_words(asc_app *app, uint8_t type, const uint32_t *words, uint32_t count)
{
    asc_tx tx;
    asc_app_begin(app, &tx, type, 4 * count);
    for (uint32_t i = 0; i < count; i++) {
        asc_tx_u32(&tx, words[i]);
    }
    asc_app_send(app, &tx);
}

/* Libraries' strlen is large and made for long texts. */
static uint32_t text_length(const char *text, uint32_t most)
{
    uint32_t n = 0;
    while (n < most && text[n] != '\0') {
        n++;
    }
    return n;
}

void asc_app_send_error(asc_app *app, uint32_t code, const char *text)
{
    asc_tx tx;
    uint32_t length = text_length(text, ASC_APP_CHUNK);
    asc_app_begin(app, &tx, ASC_ERROR, 4 + length);
    asc_tx_u32(&tx, code);
    asc_tx_put(&tx, text, length);
    asc_app_send(app, &tx);
}

static void put_text(asc_tx *tx, const char *text, uint32_t length)
{
    uint8_t count = (uint8_t)length;
    asc_tx_put(tx, &count, 1);
    asc_tx_put(tx, text, length);
}

static void send_hello(asc_app *app)
{
    const asc_project *p = &asc_this_project;
    uint32_t firmware = text_length(p->firmware, 63), board = text_length(p->board, 63);
    asc_tx tx;
    asc_app_begin(app, &tx, ASC_HELLO_IS, 46 + firmware + board);
    asc_tx_put(&tx, p->fingerprint, 8);
    asc_tx_u32(&tx, p->clock_hz);
    asc_tx_u32(&tx, p->sample_rate_hz);
    asc_tx_u32(&tx, p->model->input_bytes);
    asc_tx_u32(&tx, p->model->output_bytes);
    asc_tx_u32(&tx, p->model->layers);
    asc_tx_u32(&tx, p->sound ? p->sound->first_samples(p) : 0);
    asc_tx_u32(&tx, p->sound ? p->fe->hop : 0);
    asc_tx_u16(&tx, p->rows);
    asc_tx_u16(&tx, p->bands);
    asc_tx_u32(&tx, ASC_APP_DATA);
    put_text(&tx, p->firmware, firmware);
    put_text(&tx, p->board, board);
    asc_app_send(app, &tx);
}

static void send_done(asc_app *app)
{
    const uint32_t words[5] = {app->taken, app->crc, app->window, app->row, app->bad_cells};
    asc_app_send_words(app, ASC_DONE, words, 5);
}

/* Bytes that the transfer needs next. */
static uint32_t cell_bytes(const asc_app *app)
{
    uint32_t left = app->total - app->taken;
    return left < ASC_APP_DATA ? left : ASC_APP_DATA;
}

void asc_app_arm(asc_app *app)
{
    uint32_t bytes = app->kind ? cell_bytes(app) : 0;
    asc_port_arm(app->line, bytes ? ASC_APP_LINE(bytes) : ASC_COMMAND_LINE);
}

static void credit(asc_app *app)
{
    uint32_t bytes = cell_bytes(app);
    const uint32_t words[3] = {app->index, ASC_APP_LINE(bytes) | bytes << 16, app->repeats};
    asc_app_send_words(app, ASC_CREDIT, words, 3);
}

/* ---- guards ---- */

#define GUARD 0x5AFE6A4Du

static void set_guards(asc_app *app)
{
    for (uint32_t side = 0; side < 2; side++) {
        for (uint32_t i = 0; app->m.guards[side] != NULL && i < ASC_APP_GUARD; i++) {
            app->m.guards[side][i] = GUARD;
        }
    }
}

/* Before the first inference and after each: does the engine work, has all stayed in its place? */
void asc_app_look_for_damage(asc_app *app)
{
    const asc_model *model = asc_this_project.model;
    const char *said = model->check != NULL ? model->check(app->m.arena) : NULL;
    if (said != NULL) {
        app->damage = said;
        app->damage_code = ASC_ERROR_ENGINE;
        return;
    }
    app->damage_code = ASC_ERROR_MEMORY;
    if (asc_port_stack_used() == ASC_PORT_STACK_BROKEN) {
        app->damage = "the stack is too small";
    }
    for (uint32_t side = 0; side < 2; side++) {
        for (uint32_t i = 0; app->m.guards[side] != NULL && i < ASC_APP_GUARD; i++) {
            if (app->m.guards[side][i] != GUARD) {
                app->damage = "the network wrote outside its arena";
            }
        }
    }
}

void asc_app_report_damage(asc_app *app)
{
    app->kind = 0;
    app->outcome = 2;
    asc_app_send_error(app, app->damage_code, app->damage);
}

/* ---- the model ---- */

static void send_result(asc_app *app, uint32_t crc, uint32_t cycles, uint32_t alive)
{
    const asc_model *model = asc_this_project.model;
    const uint8_t *output = app->m.arena + model->output_offset;
    const uint32_t total = model->output_bytes;
    uint32_t offset = 0;
    do {
        uint32_t n = total - offset < ASC_APP_CHUNK ? total - offset : ASC_APP_CHUNK;
        const uint32_t head[7] = {app->window, offset, total, crc, app->frontend_cycles, cycles, alive};
        asc_tx tx;
        asc_app_begin(app, &tx, ASC_RESULT, (uint32_t)sizeof head + n);
        for (uint32_t i = 0; i < 7; i++) {
            asc_tx_u32(&tx, head[i]);
        }
        asc_tx_put(&tx, output + offset, n);
        asc_app_send(app, &tx);
        offset += n;
    } while (offset < total);
}

void asc_app_infer(asc_app *app, uint32_t alive)
{
    const asc_model *model = asc_this_project.model;
    uint32_t crc = asc_crc32(0, app->m.arena + model->input_offset, model->input_bytes);
    uint32_t start;
    asc_app_send_words(app, ASC_BUSY, &app->window, 1);
    asc_port_led(1);
    start = asc_port_cycles();
    model->invoke(app->m.arena, NULL, NULL);
    start = asc_port_cycles() - start;
    asc_port_led(0);
    asc_app_look_for_damage(app);
    if (app->damage != NULL) {
        return;
    }
    send_result(app, crc, start, alive);
    app->window++;
    app->frontend_cycles = 0;
}

/* ---- transfers ---- */

static void start_transfer(asc_app *app, uint8_t kind, uint32_t total)
{
    app->kind = kind;
    app->outcome = 0;
    app->total = total;
    app->taken = 0;
    app->index = 0;
    app->repeats = 0;
    app->bad_cells = 0;
    app->crc = 0;
    app->row = 0;
    app->window = 0;
    app->frontend_cycles = 0;
    asc_app_arm(app);
    credit(app);
}

/* The expected cell came: the next one is armed and asked for before this one is computed on. */
static void take_cell(asc_app *app, uint32_t bytes)
{
    /* after the frame's header and the cell's index; `cell` is declared int16_t, so samples may be read there
     */
    const int16_t *samples = app->cell + (ASC_WIRE_HEADER + 4u) / 2u;
    const uint8_t kind = app->kind;
    const uint32_t offset = app->taken;
    app->crc = asc_crc32(app->crc, samples, bytes);
    app->taken += bytes;
    app->index++;
    app->repeats = 0;
    if (app->taken == app->total) {
        app->kind = 0;
    }
    asc_app_arm(app);
    if (app->kind) {
        credit(app);
    }
    if (kind == ASC_CLIP) {
        asc_this_project.sound->take(app, samples, bytes / 2);
    } else {
        memcpy(app->m.arena + asc_this_project.model->input_offset + offset, samples, bytes);
        if (!app->kind) {
            asc_app_infer(app, 0);
        }
    }
    if (app->damage != NULL) {
        asc_app_report_damage(app);
    } else if (!app->kind) {
        app->outcome = 1;
        send_done(app);
    }
}

/* No expected cell came.  A repeat of one that was taken already is no damage: the host missed a credit. */
static void ask_again(asc_app *app, uint32_t damaged)
{
    app->repeats += damaged;
    app->bad_cells += damaged;
    if (app->repeats > ASC_APP_REPEATS) {
        app->kind = 0;
        app->outcome = 2;
    }
    asc_app_arm(app);
    if (app->kind) {
        credit(app);
    } else {
        asc_app_send_error(app, ASC_ERROR_ABORTED, "too many bad cells in a row");
    }
}

static void data(asc_app *app, const asc_frame *frame)
{
    uint32_t index = frame->length >= 4 ? asc_get_u32(frame->payload) : 0;
    if (!app->kind) {
        asc_app_arm(app); /* left over from a transfer that has ended */
    } else if (frame->length == cell_bytes(app) + 4 && frame->seq == app->seq && index == app->index) {
        take_cell(app, frame->length - 4u);
    } else {
        ask_again(app, !(frame->seq == app->seq && index < app->index));
    }
}

/* ---- commands: each arms the next cell before it answers ---- */

static void hello(asc_app *app, const asc_frame *frame)
{
    (void)frame;
    asc_app_arm(app);
    send_hello(app);
}

static void clip(asc_app *app, const asc_frame *frame)
{
    uint32_t samples = frame->length == 8 ? asc_get_u32(frame->payload) : 0;
    uint32_t hop_rows = frame->length == 8 ? asc_get_u16(frame->payload + 4) : 0;
    if (asc_this_project.sound == NULL) {
        asc_app_arm(app);
        asc_app_send_error(app, ASC_ERROR_NO_FE, "the model has no front end: send tensors");
    } else if (samples == 0 || samples > 0x40000000u || hop_rows == 0) {
        asc_app_arm(app);
        asc_app_send_error(app, ASC_ERROR_PAYLOAD, "CLIP needs samples, hop_rows, flags");
    } else {
        app->hop_rows = hop_rows;
        app->flags = (uint16_t)asc_get_u16(frame->payload + 6);
        asc_this_project.sound->start(app);
        start_transfer(app, ASC_CLIP, 2 * samples);
    }
}

static void tensor(asc_app *app, const asc_frame *frame)
{
    if (frame->length != 4 || asc_get_u32(frame->payload) != asc_this_project.model->input_bytes) {
        asc_app_arm(app);
        asc_app_send_error(app, ASC_ERROR_PAYLOAD, "TENSOR needs the input tensor's bytes");
    } else {
        start_transfer(app, ASC_TENSOR, asc_this_project.model->input_bytes);
    }
}

static void live(asc_app *app, const asc_frame *frame)
{
    asc_app_arm(app);
    if (asc_this_project.sound == NULL) {
        asc_app_send_error(app, ASC_ERROR_NO_FE, "the model has no front end: send tensors");
    } else if (asc_this_project.live == NULL) {
        asc_app_send_error(app, ASC_ERROR_NO_MIC,
                           "this board has no microphone at the front end's rate: send clips");
    } else {
        asc_this_project.live->start(app, frame);
    }
}

static void stop(asc_app *app, const asc_frame *frame)
{
    (void)frame;
    asc_app_arm(app);
    if (asc_this_project.live != NULL) {
        asc_this_project.live->done(app);
    } else {
        asc_app_send_error(app, ASC_ERROR_NOTHING, "no LIVE to stop");
    }
}

static void status(asc_app *app, const asc_frame *frame)
{
    uint16_t asked = frame->seq;
    asc_app_arm(app);
    if (app->kind) {
        credit(app);
    } else if (app->outcome == 1) {
        send_done(app);
    } else {
        app->seq = asked;
        asc_app_send_error(app, ASC_ERROR_NOTHING, "no transfer to ask about");
    }
}

/* A layer that runs in pieces comes by after each of them. */
static void probe(void *context, uint32_t layer)
{
    asc_app *app = context;
    app->m.layer_cycles[layer] += asc_port_cycles() - app->layer_start;
    app->layer_start = asc_port_cycles();
}

/* The same noise on every machine: a linear congruential generator's top bits. */
static uint32_t noise(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

/* A window's worth of noise, heard by the front end as ever; without one, noise is the input. */
static void make_input(asc_app *app)
{
    const asc_project *p = &asc_this_project;
    uint32_t state = 1;
    if (p->sound == NULL) {
        for (uint32_t i = 0; i < p->model->input_bytes; i++) {
            app->m.arena[p->model->input_offset + i] = (uint8_t)noise(&state);
        }
        return;
    }
    p->sound->start(app);
    while (app->row < p->rows) {
        const uint32_t count = (uint32_t)(sizeof app->cell / sizeof app->cell[0]);
        for (uint32_t i = 0; i < count; i++) {
            app->cell[i] = (int16_t)((int32_t)noise(&state) - 32768);
        }
        p->sound->fill(app, app->cell, count);
    }
}

static void bench(asc_app *app, const asc_frame *frame)
{
    const asc_model *model = asc_this_project.model;
    const uint32_t at_most = ASC_APP_CHUNK / 4;
    uint32_t cycles;
    (void)frame;
    app->row = 0;
    app->window = 0;
    app->frontend_cycles = 0;
    app->layers = 0;
    asc_app_arm(app);
    asc_app_send_words(app, ASC_BUSY, &app->window, 1);
    make_input(app);
    memset(app->m.layer_cycles, 0, model->layers * sizeof *app->m.layer_cycles);
    cycles = asc_port_cycles();
    app->layer_start = cycles;
    model->invoke(app->m.arena, probe, app);
    cycles = asc_port_cycles() - cycles;
    asc_app_look_for_damage(app);
    if (app->damage != NULL) {
        asc_app_report_damage(app);
        return;
    }
    app->layers = model->layers;
    for (uint32_t first = 0; first < app->layers; first += at_most) {
        uint32_t n = app->layers - first < at_most ? app->layers - first : at_most;
        asc_tx tx;
        asc_app_begin(app, &tx, ASC_LAYERS, 4 + 4 * n);
        asc_tx_u32(&tx, first);
        for (uint32_t i = 0; i < n; i++) {
            asc_tx_u32(&tx, app->m.layer_cycles[first + i]);
        }
        asc_app_send(app, &tx);
    }
    {
        const uint32_t words[4] = {app->frontend_cycles, cycles, app->layers, asc_port_stack_used()};
        asc_app_send_words(app, ASC_BENCHED, words, 4);
    }
}

/* ---- dispatch ---- */

typedef struct {
    uint8_t type;
    uint8_t ends_transfer;
    void (*run)(asc_app *app, const asc_frame *frame);
} command;

static const command commands[] = {
    {ASC_HELLO, 1, hello}, {ASC_CLIP, 1, clip},     {ASC_TENSOR, 1, tensor}, {ASC_BENCH, 1, bench},
    {ASC_DATA, 0, data},   {ASC_STATUS, 0, status}, {ASC_LIVE, 1, live},     {ASC_STOP, 1, stop},
};

static const command *find(uint8_t type)
{
    for (uint32_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (commands[i].type == type) {
            return &commands[i];
        }
    }
    return NULL;
}

static void refuse(asc_app *app, uint32_t code, const char *text)
{
    asc_app_arm(app);
    asc_app_send_error(app, code, text);
}

static void answer(asc_app *app, const asc_frame *frame)
{
    const command *found = find(frame->type);
    if (app->live.on) {
        asc_this_project.live->stop(app, ASC_LIVE_STOPPED);
    }
    if (found == NULL || found->ends_transfer) {
        app->kind = 0;
        app->outcome = 0;
        app->seq = frame->seq;
    }
    if (frame->version != ASC_WIRE_VERSION) {
        refuse(app, ASC_ERROR_VERSION, "another protocol version");
    } else if (found == NULL) {
        refuse(app, ASC_ERROR_TYPE, "no such command");
    } else if (app->damage != NULL) {
        refuse(app, app->damage_code, app->damage);
    } else if (asc_this_project.sound != NULL && !asc_this_project.sound->fits(app)) {
        refuse(app, ASC_ERROR_PROJECT, "front end needs more memory than it was given");
    } else {
        found->run(app, frame);
    }
}

void asc_app_init(asc_app *app, const asc_app_memory *memory)
{
    memset(app, 0, sizeof *app);
    app->m = *memory;
    set_guards(app);
    asc_app_look_for_damage(app);
    asc_app_arm(app);
}

/* Each cell is decoded by itself, so that a frame that was cut short does not spoil the next one.  The first
 * valid frame counts; what follows it in the same cell is filler. */
void asc_app_step(asc_app *app)
{
    uint32_t n, at = 0;
    asc_rx rx;
    asc_frame frame;
    if (app->live.on && asc_this_project.live->step(app)) {
        return;
    }
    n = asc_port_wait();
    asc_rx_init(&rx, (uint8_t *)app->cell, (uint32_t)sizeof app->cell);
    while (at < n) {
        uint32_t taken;
        asc_rx_event event = asc_rx_push(&rx, app->line + at, n - at, &taken, &frame);
        at += taken;
        if (event == ASC_RX_FRAME) {
            answer(app, &frame);
            return;
        }
    }
    if (app->kind) {
        ask_again(app, 1);
    } else {
        memcpy(app->cell, app->line, n); /* what is armed may be overwritten */
        asc_app_arm(app);
        if (asc_this_project.live != NULL) {
            asc_this_project.live->typed(app, (const uint8_t *)app->cell, n);
        }
    }
}
