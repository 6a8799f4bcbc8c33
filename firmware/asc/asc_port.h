/* What a port gives the application: one serial line, one counter, LEDs, and where there is one a microphone.
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

/* For the microphone's sake, without waiting: 1 when asc_port_wait would return at once, 0 while it would
 * not. */
uint32_t asc_port_came(void);

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

/* The colour LED: bit 0 red, bit 1 green, bit 2 blue; 0 off.  Nothing on a board without one. */
void asc_port_colour(uint32_t rgb);

/* ---- the microphone ----
 *
 * A port for boards that have none need not define any of this, asc_port_came and asc_port_colour included:
 * asc_live.c alone calls them, and only projects for a microphone have it.
 *
 * It records into a ring of blocks that the caller owns, in the background: an inference takes longer than
 * any pair of DMA buffers that one would want to spend.  When the ring is full the oldest blocks stay, the
 * newest samples are lost, and the next block that comes says how many. */

#define ASC_MIC_BLOCK  256u /* samples; 16 ms at 16 kHz */
#define ASC_MIC_BLOCKS 3u   /* fewest in a ring: one being filled, one next, one being read */

typedef struct {
    uint32_t lost;  /* samples lost just before this block */
    uint32_t stamp; /* asc_port_cycles() when its last sample had come */
    int16_t pcm[ASC_MIC_BLOCK];
} asc_mic_block;

typedef enum {
    ASC_MIC_EMPTY, /* no full block yet */
    ASC_MIC_READY,
    ASC_MIC_ENDED, /* and none will come: where a file plays the microphone */
} asc_mic_state;

/* Starts recording int16 mono at `rate_hz` into `ring` (the port's until asc_port_mic_stop) of `blocks`
 * (ASC_MIC_BLOCKS or more).  Returns NULL, or why it cannot: a sentence for people. */
const char *asc_port_mic_start(uint32_t rate_hz, asc_mic_block *ring, uint32_t blocks);

/* The oldest full block, the caller's until asc_port_mic_give; the same one until then. */
asc_mic_state asc_port_mic_take(const asc_mic_block **block);
void asc_port_mic_give(void);

/* Waits, if it can, until a block is full or a byte has come; may return at any time. */
void asc_port_mic_sleep(void);

/* Ends recording; harmless when none runs. */
void asc_port_mic_stop(void);

#endif
