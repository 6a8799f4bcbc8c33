/* Every net on its vectors, every front end on its samples; bytes against bytes.
 *
 * Memory is aligned exactly as the headers promise and no better, so that an access that counts on more
 * faults. */
#include "lane.h"
#include "asc_wire.h"
#include "qemu.h"
#include <string.h>

#define MOST_ARENA (1u << 20)
#define MOST_FE    (1u << 17)
#define GUARD      64u
#define GUARD_BYTE 0xC3u
#define MOST_ROW   512u
#define CHUNK      997u

static uint64_t arena_memory[(MOST_ARENA + 2u * GUARD + 64u) / 8u] __attribute__((aligned(64)));
static uint64_t fe_memory[MOST_FE / 8u + 2u] __attribute__((aligned(64)));
static int16_t samples_memory[CHUNK + 3u] __attribute__((aligned(64)));
static int16_t log2_memory[MOST_ROW + 3u] __attribute__((aligned(64)));
static int8_t q_memory[MOST_ROW + 1u] __attribute__((aligned(64)));
static uint32_t checked, failed;

static void expect(uint32_t holds, const char *name, const char *what, uint32_t number)
{
    checked++;
    if (holds) {
        return;
    }
    failed++;
    qemu_print("failed: ");
    qemu_print(name);
    qemu_print(what);
    qemu_print_number(number);
    qemu_print("\n");
}

/* In order, each once, or once a piece where the layer runs in a band. */
static void count_layers(void *context, uint32_t layer)
{
    uint32_t *next = context;
    if (layer + 1u != *next) {
        *next = layer == *next ? layer + 1u : 0xFFFFFFFFu;
    }
}

static uint32_t is_filled(const uint8_t *p, uint32_t n)
{
    while (n > 0u && p[n - 1u] == GUARD_BYTE) {
        n--;
    }
    return n == 0u;
}

static const uint8_t *run_net(const lane_net *net, const uint8_t *vectors)
{
    const asc_model *m = net->model;
    uint8_t *arena = (uint8_t *)arena_memory + GUARD + 16u; /* 16-aligned, not 32 */
    if (m->arena_bytes > MOST_ARENA) {
        expect(0u, net->name, ": arena too large: ", m->arena_bytes);
        return vectors + lane_vectors_a_net * (m->input_bytes + m->output_bytes);
    }
    for (uint32_t i = 0; i < lane_vectors_a_net; i++) {
        uint32_t layers = 0;
        memset(arena - GUARD, (int)GUARD_BYTE, GUARD);
        memset(arena, (int)(41u * i & 255u), m->arena_bytes);
        memset(arena + m->arena_bytes, (int)GUARD_BYTE, GUARD);
        memcpy(arena + m->input_offset, vectors, m->input_bytes);
        vectors += m->input_bytes;
        m->invoke(arena, count_layers, &layers);
        expect(memcmp(arena + m->output_offset, vectors, m->output_bytes) == 0, net->name, ": vector ", i);
        expect(layers == m->layers, net->name, ": layers: ", layers);
        expect(is_filled(arena - GUARD, GUARD), net->name, ": wrote below the arena at vector ", i);
        expect(is_filled(arena + m->arena_bytes, GUARD), net->name, ": wrote above the arena at vector ", i);
        vectors += m->output_bytes;
    }
    return vectors;
}

static void run_front_end(const lane_front_end *f)
{
    uint8_t *memory = (uint8_t *)fe_memory + 8; /* 8-aligned, not 16 */
    int16_t *samples = samples_memory + 1;      /* 2-aligned, not 4 */
    uint32_t crc[3] = {0, 0, 0}, at = 0;
    const uint32_t values = asc_fe_values(f->fe);
    asc_fe_row row = {log2_memory + 1, q_memory + 1, 0, 0};
    asc_fe_state *s = asc_fe_init(memory, f->fe);
    expect(asc_fe_state_bytes(f->fe) <= MOST_FE && values <= MOST_ROW, f->name, ": too large, values ",
           values);
    while (at < lane_sample_count) {
        uint32_t n = lane_sample_count - at < CHUNK ? lane_sample_count - at : CHUNK, used = 0;
        memcpy(samples, lane_samples + at, 2u * n);
        while (used < n) {
            used += asc_fe_push(s, samples + used, n - used, &row);
            if (row.ready) {
                crc[0] = asc_crc32(crc[0], row.log2, 2u * values);
                crc[1] = asc_crc32(crc[1], row.q, values);
                crc[2] = asc_crc32(crc[2], &row.level, 2u);
            }
        }
        at += n;
    }
    for (uint32_t i = 0; i < 3u; i++) {
        expect(crc[i] == f->crc[i], f->name, ": CRC ", i);
    }
}

int main(void)
{
    const uint8_t *vectors = lane_vectors;
    for (uint32_t i = 0; i < lane_net_count; i++) {
        vectors = run_net(&lane_nets[i], vectors);
    }
    for (uint32_t i = 0; i < lane_front_end_count; i++) {
        run_front_end(&lane_front_ends[i]);
    }
    qemu_print("checked ");
    qemu_print_number(checked);
    qemu_print(" failed ");
    qemu_print_number(failed);
    qemu_print("\n");
    return failed != 0u;
}
