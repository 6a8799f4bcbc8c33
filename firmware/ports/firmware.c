/* The whole firmware's memory, static, and the application on it. */
#include "asc_app.h"
#include "asc_firmware.h"
#include "asc_port.h"
#include "asc_project.h"

static struct {
    uint32_t before[ASC_APP_GUARD];
    uint64_t arena[(ASC_PROJECT_ARENA_BYTES + 15u) / 16u * 2u];
    uint32_t behind[ASC_APP_GUARD];
} guarded __attribute__((aligned(16)));
static uint64_t frontend[(ASC_PROJECT_FE_BYTES + 7u) / 8u + 1u];
static int8_t rows[ASC_PROJECT_ROWS * ASC_PROJECT_BANDS + 1u];
static uint8_t alive[ASC_PROJECT_ROWS + 1u];
static uint32_t layer_cycles[ASC_PROJECT_LAYERS + 1u];
#if ASC_PROJECT_MIC_BLOCKS > 0
static asc_mic_block ring[ASC_PROJECT_MIC_BLOCKS];
#else
#define ring NULL
#endif
static asc_app app;

void asc_firmware_start(void)
{
    const asc_app_memory memory = {
        .arena = (uint8_t *)guarded.arena,
        .rows = rows,
        .alive = alive,
        .layer_cycles = layer_cycles,
        .fe = frontend,
        .fe_bytes = ASC_PROJECT_FE_BYTES,
        .guards = {guarded.before, guarded.behind},
        .mic = ring,
    };
    asc_port_init();
    asc_app_init(&app, &memory);
}

void asc_firmware_step(void) { asc_app_step(&app); }

int asc_firmware_listens(void) { return app.live.on; }
