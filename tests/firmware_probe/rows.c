/* The front end alone: takes a block of samples, pushes it in chunks, sends back rows and cycles.
 *
 * In:  two words (samples, chunk; 0 chunk: all at once), then the samples.
 * Out: three words (rows, cycles inside asc_fe_push, values), then log2 (int16), q (int8) and level (int16)
 * of all rows. More samples or rows than there is room for: rows = 0xffffffff and nothing else. */
#include "asc_frontend.h"
#include "asc_port.h"
#include <stddef.h>

extern const asc_fe asc_front_end;

static uint64_t state[STATE_BYTES / 8];
static int16_t samples[MOST_SAMPLES];
static int16_t log2_rows[MOST_ROWS * VALUES], level[MOST_ROWS];
static int8_t q_rows[MOST_ROWS * VALUES];

static void receive(void *to, uint32_t bytes)
{
    uint8_t *at = to;
    while (bytes != 0u) {
        const uint32_t part = bytes < 4096u ? bytes : 4096u;
        asc_port_arm(at, part);
        const uint32_t got = asc_port_wait();
        at += got;
        bytes -= got;
    }
}

int main(void)
{
    asc_port_init();
    for (;;) {
        uint32_t head[2], answer[3] = {0u, 0u, VALUES};
        const int16_t *x = samples;
        asc_fe_state *s = asc_fe_init(state, &asc_front_end);
        receive(head, sizeof head);
        if (head[0] > MOST_SAMPLES || head[0] / asc_front_end.hop > MOST_ROWS) {
            answer[0] = 0xFFFFFFFFu;
            asc_port_write(answer, sizeof answer);
            continue;
        }
        receive(samples, 2u * head[0]);
        for (uint32_t left = head[0]; left != 0u;) {
            uint32_t chunk = head[1] != 0u && head[1] < left ? head[1] : left;
            left -= chunk;
            while (chunk != 0u) {
                asc_fe_row row = {NULL, q_rows + answer[0] * VALUES, 0, 0};
#ifdef WITH_LOG2
                row.log2 = log2_rows + answer[0] * VALUES;
#endif
                const uint32_t start = asc_port_cycles();
                const uint32_t taken = asc_fe_push(s, x, chunk, &row);
                answer[1] += asc_port_cycles() - start;
                x += taken;
                chunk -= taken;
                if (row.ready) {
                    level[answer[0]++] = row.level;
                }
            }
        }
        asc_port_write(answer, sizeof answer);
        asc_port_write(log2_rows, 2u * answer[0] * VALUES);
        asc_port_write(q_rows, answer[0] * VALUES);
        asc_port_write(level, 2u * answer[0]);
    }
}
