/* asc_port.h on the nRF52840: UARTE0 with EasyDMA, polled; DWT's cycle counter; LEDs.  Microphone: pdm.c. */
#include "asc_board.h"
#include "asc_port.h"
#include "nrf52840.h"
#include <string.h>

#if ASC_BOARD_BAUD == 1000000
#define BAUDRATE 0x10000000u
#elif ASC_BOARD_BAUD == 921600
#define BAUDRATE 0x0F000000u
#elif ASC_BOARD_BAUD == 460800
#define BAUDRATE 0x07400000u
#elif ASC_BOARD_BAUD == 115200
#define BAUDRATE 0x01D60000u
#else
#error "ASC_BOARD_BAUD: the nRF52840 port knows 115200, 460800, 921600 and 1000000"
#endif

#define IDLE_CYCLES (ASC_BOARD_CLOCK_HZ / 1000u * ASC_PORT_IDLE_MS)
/* More polls than any sane wait needs: one takes 6 cycles or more, so this is 0.1 s or more at 64 MHz.
 * 64 bytes take 0.64 ms at 1 Mbaud, 5.6 ms at 115,200. */
#define POLLS 1000000u

/* PDM blocks, slept through, that make ASC_PORT_IDLE_MS: the first and the last may have been short. */
#define IDLE_SLEEPS (ASC_PORT_IDLE_MS / 16u + 2u)

#define FLUSH_POLLS 64u /* moving a few bytes takes less than a microsecond; an empty FIFO never says so */

static uint8_t tx[ASC_PORT_WRITE]; /* EasyDMA reads RAM only */
static uint8_t late[8];            /* what came when nothing was armed, to be forgotten; the FIFO holds 6 */

/* Of the armed transfer: bytes have come, when the last one did, how often the CPU slept since. */
static struct {
    uint32_t any, last, sleeps;
} coming;

/* CTS NCTS RXDRDY ENDRX TXDRDY ENDTX ERROR RXTO RXSTARTED TXSTARTED TXSTOPPED, as words from the first. */
static const uint8_t uarte_events[] = {0, 1, 2, 4, 7, 8, 9, 17, 19, 20, 22};

/* Stops the receiver; ENDRX, and with it AMOUNT, comes before RXTO. */
static void stop_receiver(void)
{
    UARTE_RXTO = 0u;
    UARTE_STOPRX = 1u;
    (void)asc_poll(&UARTE_RXTO, 1u, 1u, POLLS);
}

/* Empties the receiver's FIFO.  Bytes left there would come first in the next buffer, without an RXDRDY
 * of their own: every cell from then on would be shifted. */
static void forget_late_bytes(void)
{
    UARTE_ENDRX = 0u;
    UARTE_RXD_PTR = (uint32_t)(uintptr_t)late;
    UARTE_RXD_MAXCNT = sizeof late;
    UARTE_FLUSHRX = 1u;
    (void)asc_poll(&UARTE_ENDRX, 1u, 1u, FLUSH_POLLS);
}

/* Stops both directions, disables, clears all events. */
static void uarte_stop(void)
{
    if (UARTE_ENABLE == UARTE_ENABLED) {
        stop_receiver();
        UARTE_TXSTOPPED = 0u;
        UARTE_STOPTX = 1u;
        (void)asc_poll(&UARTE_TXSTOPPED, 1u, 1u, POLLS);
    }
    UARTE_ENABLE = 0u;
    UARTE_INTENCLR = 0xFFFFFFFFu;
    UARTE_SHORTS = 0u;
    for (uint32_t i = 0u; i < sizeof uarte_events; ++i) {
        ASC_REG(UARTE_EVENTS + 4u * uarte_events[i]) = 0u;
    }
    UARTE_ERRORSRC = UARTE_ERRORSRC; /* bits are cleared by writing them */
}

static void uarte_start(void)
{
    GPIO_OUTSET(ASC_BOARD_UART_TX) = GPIO_BIT(ASC_BOARD_UART_TX); /* an idle line is high */
    GPIO_DIRSET(ASC_BOARD_UART_TX) = GPIO_BIT(ASC_BOARD_UART_TX);
    GPIO_CNF(ASC_BOARD_UART_RX) = GPIO_CNF_PULLUP; /* an open line is an idle line */
    UARTE_PSEL_RTS = UARTE_DISCONNECTED;
    UARTE_PSEL_CTS = UARTE_DISCONNECTED;
    UARTE_PSEL_TXD = ASC_BOARD_UART_TX;
    UARTE_PSEL_RXD = ASC_BOARD_UART_RX;
    UARTE_CONFIG = 0u; /* 8 bits, no parity, one stop bit, no flow control */
    UARTE_BAUDRATE = BAUDRATE;
    UARTE_ENABLE = UARTE_ENABLED;
}

/* Arduino's bootloader leaves UARTE0 enabled and receiving, RTC1's compare armed and the FPU off. */
void asc_soc_start(void)
{
    uarte_stop(); /* first: its DMA may still write to RAM */
    RTC1_STOP = 1u;
    RTC1_INTENCLR = 0xFFFFFFFFu;
    RTC1_EVTENCLR = 0xFFFFFFFFu;
    NVIC_ICER0 = 0xFFFFFFFFu;
    NVIC_ICER1 = 0xFFFFFFFFu;
    NVMC_ICACHECNF = 1u; /* off after reset; nobody else turns it on */
}

void asc_port_init(void)
{
    CLOCK_HFCLKSTARTED = 0u;
    CLOCK_HFCLKSTART = 1u; /* crystal: the RC oscillator is too far off for 1 Mbaud */
    (void)asc_poll(&CLOCK_HFCLKSTARTED, 1u, 1u, POLLS);

    DEMCR |= 1u << 24;
    DWT_CYCCNT = 0u;
    DWT_CTRL |= 1u;

    asc_port_led(0);
    GPIO_DIRSET(ASC_BOARD_LED) = GPIO_BIT(ASC_BOARD_LED);
    uarte_stop(); /* a fault may have come in the middle of a transfer */
    uarte_start();
}

void asc_port_arm(void *buf, uint32_t n)
{
    UARTE_RXD_PTR = (uint32_t)(uintptr_t)buf;
    UARTE_RXD_MAXCNT = n;
    UARTE_RXDRDY = 0u;
    UARTE_ENDRX = 0u;
    UARTE_RXTO = 0u;
    UARTE_ERROR = 0u;
    UARTE_ERRORSRC = UARTE_ERRORSRC;
    coming.any = 0u;
    asc_barrier(); /* the buffer is the DMA's from here on */
    UARTE_STARTRX = 1u;
}

void asc_uarte_slept(void) { coming.sleeps++; }

uint32_t asc_port_came(void)
{
    if (UARTE_ENDRX != 0u) {
        return 1u;
    }
    if (UARTE_RXDRDY != 0u) {
        UARTE_RXDRDY = 0u;
        (void)UARTE_RXDRDY; /* so that the clearing has arrived before the next look */
        coming.last = DWT_CYCCNT;
        coming.sleeps = 0u;
        coming.any = 1u;
        return 0u;
    }
    return coming.any != 0u && (DWT_CYCCNT - coming.last > IDLE_CYCLES || coming.sleeps > IDLE_SLEEPS);
}

uint32_t asc_port_wait(void)
{
    while (asc_port_came() == 0u) {
    }
    stop_receiver();
    asc_barrier(); /* the buffer is the caller's again */
    const uint32_t got = UARTE_RXD_AMOUNT;
    forget_late_bytes();
    return got;
}

/* One transfer from RAM, with a bounded wait for its end. */
static void uarte_send(const void *ram, uint32_t n)
{
    UARTE_TXD_PTR = (uint32_t)(uintptr_t)ram;
    UARTE_TXD_MAXCNT = n;
    UARTE_ENDTX = 0u;
    asc_barrier();
    UARTE_STARTTX = 1u;
    (void)asc_poll(&UARTE_ENDTX, 1u, 1u, POLLS);
    asc_barrier();
}

void asc_port_write(const void *buf, uint32_t n)
{
    const uint8_t *from = buf;
    while (n != 0u) {
        const uint32_t part = n < ASC_PORT_WRITE ? n : ASC_PORT_WRITE;
        memcpy(tx, from, part);
        uarte_send(tx, part);
        from += part;
        n -= part;
    }
}

uint32_t asc_port_cycles(void) { return DWT_CYCCNT; }

void asc_port_led(uint32_t on)
{
    if ((on != 0u) == (ASC_BOARD_LED_ON != 0)) {
        GPIO_OUTSET(ASC_BOARD_LED) = GPIO_BIT(ASC_BOARD_LED);
    } else {
        GPIO_OUTCLR(ASC_BOARD_LED) = GPIO_BIT(ASC_BOARD_LED);
    }
}

#if defined(ASC_BOARD_LED_RED)
void asc_port_colour(uint32_t rgb)
{
    static const uint32_t pins[3] = {ASC_BOARD_LED_RED, ASC_BOARD_LED_GREEN, ASC_BOARD_LED_BLUE};
    for (uint32_t i = 0u; i < 3u; ++i) {
        if ((rgb >> i & 1u) != 0u) { /* lit when low */
            GPIO_OUTCLR(pins[i]) = GPIO_BIT(pins[i]);
        } else {
            GPIO_OUTSET(pins[i]) = GPIO_BIT(pins[i]);
        }
        GPIO_DIRSET(pins[i]) = GPIO_BIT(pins[i]);
    }
}
#else
void asc_port_colour(uint32_t rgb) { (void)rgb; }
#endif
