/* Echoes what comes: in messages of CELL bytes, or less after 50 ms of silence; the LED shows that one came.
 */
#include "asc_port.h"

#ifndef CELL
#define CELL 64
#endif

static uint8_t cell[CELL];

int main(void)
{
    asc_port_init();
    for (uint32_t n = 0u;; ++n) {
        asc_port_arm(cell, sizeof cell);
        const uint32_t got = asc_port_wait();
        asc_port_led(n & 1u);
        asc_port_write(cell, got);
    }
}
