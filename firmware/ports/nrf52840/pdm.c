/* asc_port_mic_* on the nRF52840: PDM with EasyDMA, straight into the ring.
 *
 * This is the port's only interrupt, and it is open only while the microphone records.  An inference takes
 * longer than a DMA buffer lasts, and nobody polls meanwhile: with polling, two buffers would each have to be
 * as long as the longest inference, twice the RAM of a ring that long.  The interrupt costs some 40 cycles in
 * 16 ms.
 *
 * SAMPLE.PTR is double-buffered: the peripheral takes it when it begins a block and says STARTED; what is
 * written then counts for the block after.  So at each STARTED the block before has just been filled, one
 * is being filled, and the next one is chosen: the following of the ring, or, while the reader still holds
 * that, the same one again, whose samples are then lost and counted. */
#include "asc_board.h"
#include "asc_port.h"
#include "nrf52840.h"
#include <stddef.h>

#define PDM_IRQ_BIT (1u << 29)
#define POLLS       1000000u /* far longer than STOP takes, which is a few PDM clocks */

#if defined(ASC_BOARD_PDM_CLK)

#define RATE_HZ 16000u /* 1.280 MHz / 80: the one rate of speech and scenes that is exact */

static struct {
    asc_mic_block *ring;
    uint32_t blocks;
    uint32_t begun;           /* the first STARTED has come */
    uint32_t ahead;           /* PTR shows the block after the one being filled; 0: that one again */
    volatile uint32_t filled; /* blocks given to the reader so far; the one being filled is this one */
    volatile uint32_t taken;  /* blocks that the reader has given back */
} mic;

static asc_mic_block *block(uint32_t n) { return &mic.ring[n % mic.blocks]; }

static void interrupt(void)
{
    PDM_STARTED = 0u;
    (void)PDM_STARTED; /* so that the clearing has arrived before the return */
    if (mic.begun != 0u) {
        if (mic.ahead != 0u) {
            block(mic.filled)->stamp = DWT_CYCCNT;
            asc_barrier();
            mic.filled++;
        } else {
            block(mic.filled)->lost += ASC_MIC_BLOCK;
        }
    }
    mic.begun = 1u;
    mic.ahead = mic.filled - mic.taken + 1u < mic.blocks;
    if (mic.ahead != 0u) {
        block(mic.filled + 1u)->lost = 0u;
    }
    PDM_SAMPLE_PTR = (uint32_t)(uintptr_t)block(mic.filled + mic.ahead)->pcm;
}

/* Follows the core's vectors; PDM is the last that is ever enabled. */
__attribute__((section(".vectors.soc"), used)) static void (*const vectors[30])(void) = {[29] = interrupt};

#if defined(ASC_BOARD_PDM_POWER)
static void high(uint32_t pin)
{
    GPIO_OUTSET(pin) = GPIO_BIT(pin);
    GPIO_DIRSET(pin) = GPIO_BIT(pin);
}
#endif

const char *asc_port_mic_start(uint32_t rate_hz, asc_mic_block *ring, uint32_t blocks)
{
    if (rate_hz != RATE_HZ) {
        return "this microphone gives 16000 Hz, the front end wants another rate";
    }
    asc_port_mic_stop();
    mic.ring = ring;
    mic.blocks = blocks;
    mic.begun = mic.ahead = mic.filled = mic.taken = 0u;
    ring[0].lost = 0u;

#if defined(ASC_BOARD_PDM_POWER)
    high(ASC_BOARD_PDM_POWER);
#endif
    GPIO_OUTCLR(ASC_BOARD_PDM_CLK) = GPIO_BIT(ASC_BOARD_PDM_CLK);
    GPIO_DIRSET(ASC_BOARD_PDM_CLK) = GPIO_BIT(ASC_BOARD_PDM_CLK);
    GPIO_CNF(ASC_BOARD_PDM_DIN) = GPIO_CNF_INPUT;
    PDM_PSEL_CLK = ASC_BOARD_PDM_CLK;
    PDM_PSEL_DIN = ASC_BOARD_PDM_DIN;
    PDM_CLKCTRL = 0x0A000000u; /* 1.280 MHz */
    PDM_RATIO = 1u;            /* 80 */
    PDM_MODE = 1u;             /* mono, left: at the falling edge */
    PDM_GAINL = PDM_GAIN_0DB;
    PDM_GAINR = PDM_GAIN_0DB;
    PDM_SAMPLE_PTR = (uint32_t)(uintptr_t)ring[0].pcm;
    PDM_SAMPLE_MAXCNT = ASC_MIC_BLOCK;
    PDM_ENABLE = 1u;
    PDM_STARTED = 0u;
    PDM_END = 0u;
    PDM_STOPPED = 0u;
    PDM_INTENSET = PDM_STARTED_BIT;
    NVIC_ICPR0 = PDM_IRQ_BIT;
    NVIC_ISER0 = PDM_IRQ_BIT;
    __asm volatile("cpsie i\n isb" ::: "memory");
    PDM_START = 1u;
    return NULL;
}

asc_mic_state asc_port_mic_take(const asc_mic_block **out)
{
    if (mic.filled == mic.taken) {
        return ASC_MIC_EMPTY;
    }
    asc_barrier(); /* the block is the reader's from here on */
    *out = block(mic.taken);
    return ASC_MIC_READY;
}

void asc_port_mic_give(void)
{
    asc_barrier();
    mic.taken++;
}

void asc_port_mic_sleep(void)
{
    /* Masked, so that no block comes between the look and the sleep; a pending interrupt ends it all the
     * same. */
    __asm volatile("cpsid i" ::: "memory");
    if (mic.filled == mic.taken && UARTE_ENDRX == 0u) {
        __asm volatile("dsb\n wfi" ::: "memory");
        asc_uarte_slept();
    }
    __asm volatile("cpsie i\n isb" ::: "memory");
}

void asc_port_mic_stop(void)
{
    NVIC_ICER0 = PDM_IRQ_BIT;
    __asm volatile("cpsid i\n dsb\n isb" ::: "memory");
    PDM_INTENCLR = 0xFFFFFFFFu;
    if (PDM_ENABLE != 0u) {
        PDM_STOPPED = 0u;
        PDM_STOP = 1u;
        (void)asc_poll(&PDM_STOPPED, 1u, 1u, POLLS);
        PDM_ENABLE = 0u;
#if defined(ASC_BOARD_PDM_POWER)
        GPIO_OUTCLR(ASC_BOARD_PDM_POWER) = GPIO_BIT(ASC_BOARD_PDM_POWER);
#endif
    }
    NVIC_ICPR0 = PDM_IRQ_BIT;
    asc_barrier(); /* the ring is the caller's again */
}

#else

void asc_pdm_interrupt(void) {}

const char *asc_port_mic_start(uint32_t rate_hz, asc_mic_block *ring, uint32_t blocks)
{
    (void)rate_hz;
    (void)ring;
    (void)blocks;
    return "this board has no microphone: send clips";
}

asc_mic_state asc_port_mic_take(const asc_mic_block **out)
{
    (void)out;
    return ASC_MIC_ENDED;
}

void asc_port_mic_give(void) {}
void asc_port_mic_sleep(void) {}
void asc_port_mic_stop(void) {}

#endif
