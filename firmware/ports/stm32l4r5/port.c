/* asc_port.h on the STM32L4R5: LPUART1 with DMA1 channel 1, polled; DWT's cycle counter; one LED.
 *
 * Compiled and linked in tests, not run anywhere yet.  Source: ST's reference manual RM0432 and the data
 * sheet's table of alternate functions. */
#include "asc_board.h"
#include "asc_port.h"
#include "cortex_m.h"

#if ASC_BOARD_UART_TX != 103 || ASC_BOARD_UART_RX != 104
#error "the STM32L4R5 port knows LPUART1 on PG7 and PG8, which is where a Nucleo's ST-LINK listens"
#endif
#if ASC_BOARD_CLOCK_HZ != 120000000
#error "the STM32L4R5 port sets 120 MHz"
#endif

#define RCC_CR       ASC_REG(0x40021000u)
#define RCC_CFGR     ASC_REG(0x40021008u)
#define RCC_PLLCFGR  ASC_REG(0x4002100Cu)
#define RCC_AHB1ENR  ASC_REG(0x40021048u)
#define RCC_AHB2ENR  ASC_REG(0x4002104Cu)
#define RCC_APB1ENR1 ASC_REG(0x40021058u)
#define RCC_APB1ENR2 ASC_REG(0x4002105Cu)
#define PWR_CR2      ASC_REG(0x40007004u)
#define PWR_CR5      ASC_REG(0x40007080u)
#define FLASH_ACR    ASC_REG(0x40022000u)

#define LPUART_CR1    ASC_REG(0x40008000u)
#define LPUART_CR3    ASC_REG(0x40008008u)
#define LPUART_BRR    ASC_REG(0x4000800Cu)
#define LPUART_RQR    ASC_REG(0x40008018u)
#define LPUART_ISR    ASC_REG(0x4000801Cu)
#define LPUART_ICR    ASC_REG(0x40008020u)
#define LPUART_RDR    0x40008024u
#define LPUART_TDR    ASC_REG(0x40008028u)
#define DMA_CCR1      ASC_REG(0x40020008u)
#define DMA_CNDTR1    ASC_REG(0x4002000Cu)
#define DMA_CPAR1     ASC_REG(0x40020010u)
#define DMA_CMAR1     ASC_REG(0x40020014u)
#define DMAMUX_C0CR   ASC_REG(0x40020800u)
#define DMA_LPUART_RX 34u /* request number */

#define GPIO(pin, offset) ASC_REG(0x48000000u + 0x400u * ((pin) / 16u) + (offset))
#define GPIO_MODER(pin)   GPIO(pin, 0x00u)
#define GPIO_PUPDR(pin)   GPIO(pin, 0x0Cu)
#define GPIO_BSRR(pin)    GPIO(pin, 0x18u)
#define GPIO_AFR(pin)     GPIO(pin, 0x20u + 4u * ((pin) % 16u / 8u))
#define OUTPUT            1u
#define ALTERNATE         2u
#define LPUART_AF         8u

#define IDLE_CYCLES (ASC_BOARD_CLOCK_HZ / 1000u * ASC_PORT_IDLE_MS)
#define POLLS       1000000u /* more than any sane wait needs */

static struct {
    uint32_t wanted, left, last;
} line;

static void set_field(volatile uint32_t *reg, uint32_t shift, uint32_t mask, uint32_t value)
{
    *reg = (*reg & ~(mask << shift)) | value << shift;
}

static void pin_mode(uint32_t pin, uint32_t mode)
{
    RCC_AHB2ENR |= 1u << pin / 16u;
    (void)RCC_AHB2ENR; /* the clock is on two cycles after */
    set_field(&GPIO_MODER(pin), pin % 16u * 2u, 3u, mode);
}

/* MSI, 4 MHz after reset, times 60 / 2: 120 MHz, in the regulator's boost mode and with 5 wait states. */
void asc_soc_start(void)
{
    RCC_APB1ENR1 |= 1u << 28; /* PWR */
    (void)RCC_APB1ENR1;
    PWR_CR5 &= ~(1u << 8);    /* R1MODE: boost */
    FLASH_ACR = 7u << 8 | 5u; /* both caches, prefetch */
    (void)asc_poll(&FLASH_ACR, 15u, 5u, POLLS);
    RCC_PLLCFGR = 1u << 24 | 60u << 8 | 1u; /* R = 2, N = 60, M = 1, from MSI */
    RCC_CR |= 1u << 24;
    (void)asc_poll(&RCC_CR, 1u << 25, 1u << 25, POLLS);
    RCC_CFGR = 8u << 4; /* AHB at half for a microsecond, as beyond 80 MHz it must */
    RCC_CFGR = 8u << 4 | 3u;
    (void)asc_poll(&RCC_CFGR, 3u << 2, 3u << 2, POLLS);
    for (volatile uint32_t n = 100u; n != 0u; --n) {
    }
    RCC_CFGR = 3u;
}

void asc_port_init(void)
{
    DEMCR |= 1u << 24;
    DWT_CYCCNT = 0u;
    DWT_CTRL |= 1u;

    pin_mode(ASC_BOARD_LED, OUTPUT);
    asc_port_led(0);

    RCC_AHB1ENR |= 1u << 2 | 1u; /* DMAMUX, DMA1 */
    RCC_APB1ENR2 |= 1u;          /* LPUART1, clocked as the bus is */
    PWR_CR2 |= 1u << 9;          /* port G has a supply of its own */
    for (uint32_t pin = ASC_BOARD_UART_TX; pin <= ASC_BOARD_UART_RX; ++pin) {
        pin_mode(pin, ALTERNATE);
        set_field(&GPIO_AFR(pin), pin % 8u * 4u, 15u, LPUART_AF);
        set_field(&GPIO_PUPDR(pin), pin % 16u * 2u, 3u, 1u); /* up: an open line is an idle line */
    }
    LPUART_CR1 = 0u;
    LPUART_BRR = (uint32_t)(256ull * ASC_BOARD_CLOCK_HZ / ASC_BOARD_BAUD);
    LPUART_CR3 = 1u << 12 | 1u << 6; /* what overran is overwritten; DMA for receiving */
    LPUART_CR1 = 1u << 3 | 1u << 2 | 1u;
    DMAMUX_C0CR = DMA_LPUART_RX;
}

void asc_port_arm(void *buf, uint32_t n)
{
    DMA_CCR1 = 0u;
    LPUART_RQR = 1u << 3; /* forget what came while nothing was armed */
    LPUART_ICR = 0xFu;
    DMA_CPAR1 = LPUART_RDR;
    DMA_CMAR1 = (uint32_t)(uintptr_t)buf;
    DMA_CNDTR1 = n;
    line.wanted = line.left = n;
    asc_barrier();           /* the buffer is the DMA's from here on */
    DMA_CCR1 = 1u << 7 | 1u; /* bytes, upwards */
}

uint32_t asc_port_wait(void)
{
    for (;;) {
        const uint32_t left = DMA_CNDTR1;
        if (left == 0u) {
            line.left = 0u;
            break;
        }
        if (left != line.left) {
            line.left = left;
            line.last = DWT_CYCCNT;
        } else if (left != line.wanted && DWT_CYCCNT - line.last > IDLE_CYCLES) {
            break;
        }
    }
    DMA_CCR1 = 0u;
    asc_barrier(); /* the buffer is the caller's again */
    return line.wanted - DMA_CNDTR1;
}

void asc_port_write(const void *buf, uint32_t n)
{
    const uint8_t *from = buf;
    for (; n != 0u; --n) {
        (void)asc_poll(&LPUART_ISR, 1u << 7, 1u << 7, POLLS);
        LPUART_TDR = *from++;
    }
}

uint32_t asc_port_cycles(void) { return DWT_CYCCNT; }

void asc_port_led(uint32_t on)
{
    const uint32_t high = (on != 0u) == (ASC_BOARD_LED_ON != 0);
    GPIO_BSRR(ASC_BOARD_LED) = 1u << (ASC_BOARD_LED % 16u + (high ? 0u : 16u));
}
