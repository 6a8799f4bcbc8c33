/* What a port gives the application: one serial line, one counter, one LED.  No interrupts are asked for.
 *
 * One implementation lies in each firmware/ports directory; the application calls nothing else of the
 * machine. */
#ifndef ASC_PORT_H
#define ASC_PORT_H
#include <stdint.h>

#define ASC_PORT_IDLE_MS 50u /* a partial cell older than this is given back as it is */
#define ASC_PORT_WRITE   64u /* most bytes of one transfer on the line */

/* Brings up clocks, the line, the counter and the LED.  Called once, before anything else. */
void asc_port_init(void);

/* Starts receiving exactly `n` bytes (1 .. 65535) into `buf` (RAM, the port's until asc_port_wait returns);
 * returns at once.  The caller may compute while bytes come.  Never called twice without a wait between. */
void asc_port_arm(void *buf, uint32_t n);

/* Waits for the armed transfer: until all its bytes came, or bytes came and then none for ASC_PORT_IDLE_MS:
 * then it stops the transfer.  Waits for the first byte without limit.  Returns how many bytes lie in `buf`.
 */
uint32_t asc_port_wait(void);

/* Sends `n` bytes, in transfers of at most ASC_PORT_WRITE, and returns when `buf` may be reused.  `buf` may
 * lie in flash: a port that needs RAM copies.  May be called while a receive is armed. */
void asc_port_write(const void *buf, uint32_t n);

/* A free-running counter of CPU cycles, modulo 2^32 (host port: nanoseconds of a monotonic clock). */
uint32_t asc_port_cycles(void);

/* Deepest use of the stack since start, in bytes, found by painting; 0 where unknown; ASC_PORT_STACK_BROKEN
 * when the words at its end were written to: it has overflowed, or nearly. */
uint32_t asc_port_stack_used(void);
#define ASC_PORT_STACK_BROKEN 0xFFFFFFFFu

/* Turns the board's status LED on (non-zero) or off. */
void asc_port_led(uint32_t on);

#endif
