/* asc_port.h on the RP2040: a UART with DMA channel 0, polled; the microsecond timer; one LED.
 *
 * Compiled and linked in tests, not run anywhere yet.  One core of the two.  Source: RP2040 data sheet. */
#include "asc_board.h"
#include "asc_port.h"
#include "cortex_m.h"

#if ASC_BOARD_UART_TX % 4 != 0 || ASC_BOARD_UART_RX != ASC_BOARD_UART_TX + 1
#error "the RP2040 has its UARTs on GP0 and GP1, GP4 and GP5, GP8 and GP9, ..."
#endif
#if ASC_BOARD_CLOCK_HZ != 125000000
#error "the RP2040 port sets 125 MHz"
#endif

#define UART_NUMBER  ((ASC_BOARD_UART_TX + 4u) / 8u % 2u)
#define UART(reg)    ASC_REG(0x40034000u + 0x4000u * UART_NUMBER + (reg))
#define UARTDR       UART(0x00u)
#define UARTFR       UART(0x18u)
#define UARTIBRD     UART(0x24u)
#define UARTFBRD     UART(0x28u)
#define UARTLCR_H    UART(0x2Cu)
#define UARTCR       UART(0x30u)
#define UARTDMACR    UART(0x48u)
#define UARTFR_RXFE  (1u << 4)
#define UARTFR_TXFF  (1u << 5)
#define DREQ_UART_RX (21u + 2u * UART_NUMBER)

#define RESETS_CLEAR  ASC_REG(0x4000F000u) /* RESET's alias that clears bits */
#define RESETS_DONE   ASC_REG(0x4000C008u)
#define XOSC_CTRL     ASC_REG(0x40024000u)
#define XOSC_STATUS   ASC_REG(0x40024004u)
#define XOSC_STARTUP  ASC_REG(0x4002400Cu)
#define PLL_CS        ASC_REG(0x40028000u)
#define PLL_PWR       ASC_REG(0x40028004u)
#define PLL_FBDIV     ASC_REG(0x40028008u)
#define PLL_PRIM      ASC_REG(0x4002800Cu)
#define CLK_REF_CTRL  ASC_REG(0x40008030u)
#define CLK_REF_SEL   ASC_REG(0x40008038u)
#define CLK_SYS_CTRL  ASC_REG(0x4000803Cu)
#define CLK_SYS_SEL   ASC_REG(0x40008044u)
#define CLK_PERI_CTRL ASC_REG(0x40008048u)
#define WATCHDOG_TICK ASC_REG(0x4005802Cu)
#define TIMER_LOW     ASC_REG(0x40054028u)
#define PAD(pin)      ASC_REG(0x4001C004u + 4u * (pin))
#define PIN_CTRL(pin) ASC_REG(0x40014004u + 8u * (pin))
#define SIO_OUT_SET   ASC_REG(0xD0000014u)
#define SIO_OUT_CLR   ASC_REG(0xD0000018u)
#define SIO_OE_SET    ASC_REG(0xD0000024u)
#define DMA_READ      ASC_REG(0x50000000u)
#define DMA_WRITE     ASC_REG(0x50000004u)
#define DMA_COUNT     ASC_REG(0x50000008u)
#define DMA_CTRL      ASC_REG(0x5000000Cu)
#define DMA_ABORT     ASC_REG(0x50000444u)

/* Bits of RESETS. */
#define RESET_DMA   (1u << 2)
#define RESET_IO    (1u << 5)
#define RESET_PADS  (1u << 8)
#define RESET_PLL   (1u << 12)
#define RESET_TIMER (1u << 21)
#define RESET_UART  (1u << (22u + UART_NUMBER))

#define PIN_UART   2u
#define PIN_SIO    5u
#define PAD_PULLUP 0x5Au /* input on, pull-up, 4 mA, Schmitt trigger */

#define XOSC_MHZ  12u
#define CLOCK_MHZ (ASC_BOARD_CLOCK_HZ / 1000000u)
#define IDLE_US   (1000u * ASC_PORT_IDLE_MS)
#define POLLS     1000000u /* more than any sane wait needs */

static struct {
    uint32_t wanted, left, last;
} line;

static void release(uint32_t resets)
{
    RESETS_CLEAR = resets;
    (void)asc_poll(&RESETS_DONE, resets, resets, POLLS);
}

/* Crystal, 12 MHz, times 125 / 6 / 2: 125 MHz.  The core runs on while its clock is changed under it. */
void asc_soc_start(void)
{
    XOSC_STARTUP = 47u; /* 1 ms, in 256 cycles */
    XOSC_CTRL = 0xFABAA0u;
    (void)asc_poll(&XOSC_STATUS, 1u << 31, 1u << 31, POLLS);
    CLK_REF_CTRL = 2u;
    (void)asc_poll(&CLK_REF_SEL, 4u, 4u, POLLS);
    CLK_SYS_CTRL = 0u; /* from the reference, while the PLL starts */
    (void)asc_poll(&CLK_SYS_SEL, 1u, 1u, POLLS);
    release(RESET_PLL);
    PLL_CS = 1u;
    PLL_FBDIV = 125u;
    PLL_PWR = 1u << 3 | 1u << 2; /* all on but the output dividers and the fraction */
    (void)asc_poll(&PLL_CS, 1u << 31, 1u << 31, POLLS);
    PLL_PRIM = 6u << 16 | 2u << 12;
    PLL_PWR = 1u << 2;
    CLK_SYS_CTRL = 1u;
    (void)asc_poll(&CLK_SYS_SEL, 2u, 2u, POLLS);
    CLK_PERI_CTRL = 1u << 11;           /* the UART's, from the core's */
    WATCHDOG_TICK = 1u << 9 | XOSC_MHZ; /* microseconds for the timer */
    release(RESET_TIMER);
}

void asc_port_init(void)
{
    release(RESET_IO | RESET_PADS | RESET_DMA | RESET_UART);
    PIN_CTRL(ASC_BOARD_LED) = PIN_SIO;
    SIO_OE_SET = 1u << ASC_BOARD_LED;
    asc_port_led(0);

    const uint32_t divisor = 4u * ASC_BOARD_CLOCK_HZ / ASC_BOARD_BAUD; /* 26.6 bits, of 16 samples a bit */
    UARTCR = 0u;
    UARTIBRD = divisor >> 6;
    UARTFBRD = divisor & 63u;
    UARTLCR_H = 3u << 5 | 1u << 4; /* 8 bits, FIFOs */
    UARTDMACR = 1u;                /* receiving */
    UARTCR = 1u << 9 | 1u << 8 | 1u;
    PAD(ASC_BOARD_UART_RX) = PAD_PULLUP; /* an open line is an idle line */
    PIN_CTRL(ASC_BOARD_UART_TX) = PIN_UART;
    PIN_CTRL(ASC_BOARD_UART_RX) = PIN_UART;
}

static void stop_dma(void)
{
    DMA_ABORT = 1u;
    (void)asc_poll(&DMA_ABORT, 1u, 0u, POLLS);
}

void asc_port_arm(void *buf, uint32_t n)
{
    stop_dma();
    while ((UARTFR & UARTFR_RXFE) == 0u) {
        (void)UARTDR; /* what came while nothing was armed */
    }
    DMA_READ = (uint32_t)(uintptr_t)&UARTDR;
    DMA_WRITE = (uint32_t)(uintptr_t)buf;
    DMA_COUNT = n;
    line.wanted = line.left = n;
    asc_barrier();                                           /* the buffer is the DMA's from here on */
    DMA_CTRL = 1u << 21 | DREQ_UART_RX << 15 | 1u << 5 | 1u; /* bytes, upwards, chained to itself: to none */
}

uint32_t asc_port_wait(void)
{
    for (;;) {
        const uint32_t left = DMA_COUNT;
        if (left == 0u) {
            break;
        }
        if (left != line.left) {
            line.left = left;
            line.last = TIMER_LOW;
        } else if (left != line.wanted && TIMER_LOW - line.last > IDLE_US) {
            break;
        }
    }
    const uint32_t left = DMA_COUNT;
    stop_dma();
    asc_barrier(); /* the buffer is the caller's again */
    return line.wanted - left;
}

void asc_port_write(const void *buf, uint32_t n)
{
    const uint8_t *from = buf;
    for (; n != 0u; --n) {
        (void)asc_poll(&UARTFR, UARTFR_TXFF, 0u, POLLS);
        UARTDR = *from++;
    }
}

/* To the microsecond: a Cortex-M0+ counts no cycles.  Wraps as asc_port.h asks, for the timer's low word
 * does. */
uint32_t asc_port_cycles(void) { return TIMER_LOW * CLOCK_MHZ; }

void asc_port_led(uint32_t on)
{
    if ((on != 0u) == (ASC_BOARD_LED_ON != 0)) {
        SIO_OUT_SET = 1u << ASC_BOARD_LED;
    } else {
        SIO_OUT_CLR = 1u << ASC_BOARD_LED;
    }
}
