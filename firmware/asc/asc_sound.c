/* Samples become rows, rows windows: what an application on a model with a front end does more. */
#include "asc_app_parts.h"
#include "asc_frontend.h"
#include "asc_port.h"
#include <string.h>

static uint32_t first_samples(const asc_project *p) { return asc_fe_first_samples(p->fe); }

static uint32_t fits(const asc_app *app)
{
    return asc_fe_state_bytes(asc_this_project.fe) <= app->m.fe_bytes;
}

static void start(asc_app *app) { app->fe = asc_fe_init(app->m.fe, asc_this_project.fe); }

uint32_t asc_app_load_window(asc_app *app)
{
    const asc_project *p = &asc_this_project;
    uint8_t *input = app->m.arena + p->model->input_offset;
    uint32_t oldest = app->row % p->rows, older = p->rows - oldest, alive = 0;
    memcpy(input, app->m.rows + oldest * p->bands, (size_t)older * p->bands);
    memcpy(input + older * p->bands, app->m.rows, (size_t)oldest * p->bands);
    for (uint32_t i = 0; i < p->rows; i++) {
        alive += app->m.alive[i];
    }
    return alive;
}

uint32_t asc_app_push(asc_app *app, const int16_t *x, uint32_t count, uint32_t *ready)
{
    const asc_project *p = &asc_this_project;
    uint32_t slot = app->row % p->rows, start, taken;
    asc_fe_row row;
    memset(&row, 0, sizeof row);
    row.q = app->m.rows + slot * p->bands;
    start = asc_port_cycles();
    taken = asc_fe_push(app->fe, x, count, &row);
    app->frontend_cycles += asc_port_cycles() - start;
    *ready = row.ready ? 1u : 0u;
    if (row.ready) {
        app->m.alive[slot] = row.level > p->alive_level;
        app->row++;
    }
    return taken;
}

static void send_features(asc_app *app)
{
    const uint32_t bands = asc_this_project.bands, row = app->row - 1;
    asc_tx tx;
    asc_app_begin(app, &tx, ASC_FEATURES, 4 + bands);
    asc_tx_u32(&tx, row);
    asc_tx_put(&tx, app->m.rows + (row % asc_this_project.rows) * bands, bands);
    asc_app_send(app, &tx);
}

static void take_samples(asc_app *app, const int16_t *x, uint32_t count)
{
    const uint32_t rows = asc_this_project.rows;
    while (count > 0 && app->damage == NULL) {
        uint32_t ready, taken = asc_app_push(app, x, count, &ready);
        x += taken;
        count -= taken;
        if (!ready) {
            continue;
        }
        if (app->flags & ASC_CLIP_FEATURES) {
            send_features(app);
        }
        if (app->row >= rows && (app->row - rows) % app->hop_rows == 0) {
            asc_app_infer(app, asc_app_load_window(app));
        }
    }
}

static void fill(asc_app *app, const int16_t *x, uint32_t count)
{
    uint32_t used = 0, ready;
    while (used < count && app->row < asc_this_project.rows) {
        used += asc_app_push(app, x + used, count - used, &ready);
    }
    if (app->row == asc_this_project.rows) {
        (void)asc_app_load_window(app);
    }
}

const struct asc_sound asc_sound_rows = {first_samples, fits, start, take_samples, fill};
