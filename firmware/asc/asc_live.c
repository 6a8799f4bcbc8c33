/* The microphone instead of a clip: rows as samples come, a decision every hop_rows of them.
 *
 * While the network computes, the front end goes on between its layers, so the ring of samples need only
 * last for the longest layer.  A decision that comes due meanwhile is skipped and counted: the next one
 * looks at a window that lies on the same grid.  Where samples were lost all the same, the front end and the
 * window start anew behind the gap: no decision is ever made on a window with a hole. */
#include "asc_app_parts.h"
#include "asc_frontend.h"
#include "asc_text.h"
#include <string.h>

static const char line_end[] = "}\r\n";

static void restart(asc_app *app)
{
    asc_this_project.sound->start(app);
    app->row = 0;
    app->live.due = asc_this_project.rows;
}

/* n samples have gone by. */
static void pass(asc_app *app, uint32_t n)
{
    asc_app_live *l = &app->live;
    const uint32_t rate = asc_this_project.sample_rate_hz;
    l->at += n;
    for (l->part += n; l->part >= rate; l->part -= rate) {
        l->seconds++;
    }
}

static uint64_t samples(const asc_project *p, uint32_t ms)
{
    return (uint64_t)(ms / 1000u) * p->sample_rate_hz + ms % 1000u * p->sample_rate_hz / 1000u;
}

/* 1 when there are samples to read in the block. */
static uint32_t has_samples(asc_app *app)
{
    asc_app_live *l = &app->live;
    asc_mic_state state = ASC_MIC_READY;
    if (l->block != NULL) {
        return 1;
    }
    state = asc_port_mic_take(&l->block);
    if (state == ASC_MIC_READY) {
        l->used = 0;
        if (l->block->lost > 0) {
            l->dropped += l->block->lost;
            pass(app, l->block->lost);
            restart(app);
        }
        return 1;
    }
    l->block = NULL;
    if (state == ASC_MIC_ENDED) {
        l->reason = ASC_LIVE_ENDED;
        l->until = l->at;
    }
    return 0;
}

/* Listens until a row completes: 1, or there are no samples for now: 0. */
static uint32_t hear(asc_app *app)
{
    asc_app_live *l = &app->live;
    const asc_project *p = &asc_this_project;
    uint32_t ready = 0;
    while (!ready && l->at < l->until && has_samples(app) && l->at < l->until) {
        const uint64_t wanted = (l->at < l->from ? l->from : l->until) - l->at;
        uint32_t n = ASC_MIC_BLOCK - l->used;
        n = wanted < n ? (uint32_t)wanted : n;
        if (l->at >= l->from) {
            n = asc_app_push(app, l->block->pcm + l->used, n, &ready);
        }
        l->used += n;
        pass(app, n);
        l->stamp = l->block->stamp - (ASC_MIC_BLOCK - l->used) * (p->clock_hz / p->sample_rate_hz);
        if (l->used == ASC_MIC_BLOCK) {
            l->block = NULL;
            asc_port_mic_give();
        }
    }
    return ready;
}

/* Between two layers. */
static void meanwhile(void *context, uint32_t layer)
{
    asc_app *app = context;
    const uint32_t start = asc_port_cycles();
    (void)layer;
    while (hear(app)) {
        if (app->row == app->live.due) {
            app->live.skipped++;
            app->live.due += app->live.hop_rows;
        }
    }
    app->live.apart += asc_port_cycles() - start;
}

/* ---- what it says ---- */

typedef struct {
    uint32_t time_ms, dropped, skipped, alive, lag, crc, frontend_cycles, model_cycles;
} decision;

static asc_text text_in(asc_app *app)
{
    const asc_text t = {app->tx, (uint32_t)sizeof app->tx, 0};
    return t;
}

static void put(asc_text *t, const char *key, uint32_t value, uint32_t decimals)
{
    asc_text_put(t, key);
    asc_text_number(t, value, decimals);
}

static void put_label(asc_text *t, const asc_project *p, uint32_t best)
{
    if (p->labels != NULL) {
        asc_text_put(t, "\"");
        asc_text_put(t, p->labels[best]);
        asc_text_put(t, "\"");
    } else {
        asc_text_number(t, best, 0);
    }
}

static void say(asc_app *app, const decision *d, const int8_t *output)
{
    const asc_project *p = &asc_this_project;
    asc_text t = text_in(app);
    const uint32_t n = p->model->output_bytes, best = asc_text_best(output, n);
    const uint32_t permille = p->even == ASC_ONE_LABEL ? asc_text_share(output, n, best, p->log2_step)
                                                       : asc_text_alone(output[best], p->even, p->log2_step);
    put(&t, "{\"time_s\":", d->time_ms, 3);
    asc_text_put(&t, ",\"label\":");
    put_label(&t, p, best);
    put(&t, ",\"probability\":", permille, 3);
    put(&t, ",\"alive_rows\":", d->alive, 0);
    put(&t, ",\"dropped\":", d->dropped, 0);
    put(&t, ",\"skipped\":", d->skipped, 0);
    put(&t, ",\"latency_ms\":", d->lag / (p->clock_hz / 1000u), 0);
    asc_text_put(&t, line_end);
    asc_port_write(app->tx, t.used);
}

static void send(asc_app *app, const decision *d, const int8_t *output)
{
    const uint32_t n = asc_this_project.model->output_bytes;
    const uint32_t head[9] = {
        app->live.decisions, d->time_ms,     d->dropped, d->skipped, d->alive, d->lag, d->crc,
        d->frontend_cycles,  d->model_cycles};
    asc_tx tx;
    asc_app_begin(app, &tx, ASC_LIVE_IS, (uint32_t)sizeof head + n);
    for (uint32_t i = 0; i < 9; i++) {
        asc_tx_u32(&tx, head[i]);
    }
    asc_tx_put(&tx, output, n);
    asc_app_send(app, &tx);
}

static uint32_t milliseconds(const asc_app *app)
{
    const asc_app_live *l = &app->live;
    return 1000u * l->seconds + 1000u * l->part / asc_this_project.sample_rate_hz;
}

static void done(asc_app *app)
{
    const asc_app_live *l = &app->live;
    const uint32_t words[5] = {l->reason, l->decisions, l->dropped, l->skipped, milliseconds(app)};
    if (l->reason == 0) {
        asc_app_send_error(app, ASC_ERROR_NOTHING, "no LIVE to stop");
    } else {
        asc_app_send_words(app, ASC_LIVE_DONE, words, 5);
    }
}

/* ---- the run ---- */

static void decide(asc_app *app)
{
    asc_app_live *l = &app->live;
    const asc_model *model = asc_this_project.model;
    const int8_t *output = (const int8_t *)(app->m.arena + model->output_offset);
    const uint32_t stamp = l->stamp;
    uint32_t start;
    decision d;
    l->due += l->hop_rows;
    l->apart = 0;
    d.time_ms = milliseconds(app);
    d.alive = asc_app_load_window(app);
    d.crc = asc_crc32(0, app->m.arena + model->input_offset, model->input_bytes);
    d.frontend_cycles = app->frontend_cycles;
    app->frontend_cycles = 0;
    asc_port_led(1);
    start = asc_port_cycles();
    model->invoke(app->m.arena, meanwhile, app);
    d.model_cycles = asc_port_cycles() - start - l->apart;
    d.lag = asc_port_cycles() - stamp;
    asc_port_led(0);
    asc_app_look_for_damage(app);
    if (app->damage != NULL) {
        return;
    }
    d.dropped = l->dropped;
    d.skipped = l->skipped;
    asc_port_colour(1u + asc_text_best(output, model->output_bytes) % 7u);
    (l->text ? say : send)(app, &d, output);
    l->decisions++;
}

static void stop(asc_app *app, uint32_t reason)
{
    asc_app_live *l = &app->live;
    if (!l->on) {
        return;
    }
    asc_port_mic_stop();
    asc_port_colour(0);
    l->on = 0;
    l->block = NULL;
    l->reason = reason;
    if (l->text) {
        asc_text t = text_in(app);
        put(&t, "{\"ended_s\":", milliseconds(app), 3);
        put(&t, ",\"decisions\":", l->decisions, 0);
        put(&t, ",\"dropped\":", l->dropped, 0);
        put(&t, ",\"skipped\":", l->skipped, 0);
        asc_text_put(&t, line_end);
        asc_port_write(app->tx, t.used);
    }
}

static uint32_t step(asc_app *app)
{
    asc_app_live *l = &app->live;
    if (asc_port_came()) {
        return 0;
    }
    if (hear(app)) {
        if (app->row == l->due) {
            decide(app);
        }
        if (app->damage != NULL) {
            stop(app, ASC_LIVE_STOPPED);
            asc_app_report_damage(app);
        }
    } else if (l->at >= l->until) {
        const uint32_t text = l->text;
        stop(app, l->reason ? l->reason : ASC_LIVE_TIME);
        if (!text) {
            done(app);
        }
    } else {
        asc_port_mic_sleep();
    }
    return 1;
}

/* Starts the microphone; *code and the text returned say why it cannot, NULL: it runs. */
static const char *begin(asc_app *app, uint32_t hop_rows, uint32_t settle_ms, uint32_t duration_ms,
                         uint32_t *code)
{
    const asc_project *p = &asc_this_project;
    asc_app_live *l = &app->live;
    const char *refused;
    memset(l, 0, sizeof *l);
    if (app->damage != NULL) {
        *code = app->damage_code;
        return app->damage;
    }
    *code = ASC_ERROR_PAYLOAD;
    if (hop_rows == 0) {
        return "LIVE needs hop_rows, flags, settle_ms, duration_ms";
    }
    if (p->model->output_bytes > ASC_APP_CHUNK) {
        return "the output is too long for LIVE";
    }
    *code = ASC_ERROR_NO_MIC;
    refused = asc_port_mic_start(p->sample_rate_hz, app->m.mic, p->mic_blocks);
    if (refused != NULL) {
        return refused;
    }
    l->on = 1;
    l->hop_rows = hop_rows;
    l->from = samples(p, settle_ms);
    l->until = duration_ms ? l->from + samples(p, duration_ms) : UINT64_MAX;
    app->frontend_cycles = 0;
    restart(app);
    return NULL;
}

static void start(asc_app *app, const asc_frame *frame)
{
    const asc_project *p = &asc_this_project;
    const uint8_t *at = frame->payload;
    const uint32_t whole = frame->length == 12u;
    uint32_t code;
    const char *refused;
    refused = begin(app, whole ? asc_get_u16(at) : 0, whole ? asc_get_u32(at + 4) : 0,
                    whole ? asc_get_u32(at + 8) : 0, &code);
    if (refused != NULL) {
        asc_app_send_error(app, code, refused);
    } else {
        const uint32_t words[2] = {p->sample_rate_hz, p->mic_blocks * ASC_MIC_BLOCK};
        app->live.text = (asc_get_u16(at + 2) & ASC_LIVE_TEXT) != 0;
        asc_app_send_words(app, ASC_LIVE_ON, words, 2);
    }
}

/* ---- a person types ---- */

static void start_for_a_person(asc_app *app, uint32_t hop_ms)
{
    const asc_project *p = &asc_this_project;
    const uint32_t rows =
        hop_ms == 0 ? p->hop_rows : hop_ms * (p->sample_rate_hz / 100u) / (10u * p->fe->hop);
    uint32_t code;
    const char *refused = begin(app, rows > 0 ? rows : 1u, ASC_APP_SETTLE_MS, 0, &code);
    asc_text t = text_in(app);
    if (refused != NULL) {
        asc_text_put(&t, "{\"error\":\"");
        asc_text_put(&t, refused);
        asc_text_put(&t, "\"");
    } else {
        app->live.text = 1;
        asc_text_put(&t, "{\"live\":\"");
        asc_text_put(&t, p->name);
        put(&t, "\",\"hop_s\":", app->live.hop_rows * p->fe->hop * 1000u / p->sample_rate_hz, 3);
        put(&t, ",\"settling_s\":", ASC_APP_SETTLE_MS, 3);
        asc_text_put(&t, ",\"stop\":\"any key\"");
    }
    asc_text_put(&t, line_end);
    asc_port_write(app->tx, t.used);
}

/* The line may come whole, or letter by letter as it is typed. */
static void typed(asc_app *app, const uint8_t *bytes, uint32_t n)
{
    if (app->live.on) {
        if (app->live.text) {
            stop(app, ASC_LIVE_STOPPED);
        }
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t byte = bytes[i];
        uint32_t hop_ms;
        if (byte == '\r' || byte == '\n') {
            if (app->typed_bytes < ASC_APP_TYPED && asc_text_listen(app->typed, app->typed_bytes, &hop_ms)) {
                app->typed_bytes = 0;
                start_for_a_person(app, hop_ms);
                return;
            }
            app->typed_bytes = 0;
        } else if (byte < ' ' || byte > '~') {
            app->typed_bytes = ASC_APP_TYPED;
        } else if (app->typed_bytes < ASC_APP_TYPED) {
            app->typed[app->typed_bytes++] = byte;
        }
    }
}

const struct asc_live asc_live_microphone = {start, step, stop, done, typed};
