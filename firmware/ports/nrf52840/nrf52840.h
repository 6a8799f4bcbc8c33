/* The few registers of the nRF52840 that the port uses, and none else.
 *
 * Source: nRF52840 product specification 1.7 (peripherals) and ARMv7-M reference manual (NVIC). */
#ifndef ASC_NRF52840_H
#define ASC_NRF52840_H
#include "cortex_m.h"

/* CLOCK */
#define CLOCK_HFCLKSTART   ASC_REG(0x40000000u)
#define CLOCK_HFCLKSTARTED ASC_REG(0x40000100u)

/* UARTE0 */
#define UARTE_STARTRX      ASC_REG(0x40002000u)
#define UARTE_STOPRX       ASC_REG(0x40002004u)
#define UARTE_STARTTX      ASC_REG(0x40002008u)
#define UARTE_STOPTX       ASC_REG(0x4000200Cu)
#define UARTE_FLUSHRX      ASC_REG(0x4000202Cu)
#define UARTE_EVENTS       0x40002100u /* first of the event registers */
#define UARTE_RXDRDY       ASC_REG(0x40002108u)
#define UARTE_ENDRX        ASC_REG(0x40002110u)
#define UARTE_ENDTX        ASC_REG(0x40002120u)
#define UARTE_ERROR        ASC_REG(0x40002124u)
#define UARTE_RXTO         ASC_REG(0x40002144u)
#define UARTE_TXSTOPPED    ASC_REG(0x40002158u)
#define UARTE_SHORTS       ASC_REG(0x40002200u)
#define UARTE_INTENCLR     ASC_REG(0x40002308u)
#define UARTE_ERRORSRC     ASC_REG(0x40002480u)
#define UARTE_ENABLE       ASC_REG(0x40002500u)
#define UARTE_PSEL_RTS     ASC_REG(0x40002508u)
#define UARTE_PSEL_TXD     ASC_REG(0x4000250Cu)
#define UARTE_PSEL_CTS     ASC_REG(0x40002510u)
#define UARTE_PSEL_RXD     ASC_REG(0x40002514u)
#define UARTE_BAUDRATE     ASC_REG(0x40002524u)
#define UARTE_RXD_PTR      ASC_REG(0x40002534u)
#define UARTE_RXD_MAXCNT   ASC_REG(0x40002538u)
#define UARTE_RXD_AMOUNT   ASC_REG(0x4000253Cu)
#define UARTE_TXD_PTR      ASC_REG(0x40002544u)
#define UARTE_TXD_MAXCNT   ASC_REG(0x40002548u)
#define UARTE_CONFIG       ASC_REG(0x4000256Cu)
#define UARTE_ENABLED      8u
#define UARTE_DISCONNECTED 0xFFFFFFFFu

/* PDM */
#define PDM_START         ASC_REG(0x4001D000u)
#define PDM_STOP          ASC_REG(0x4001D004u)
#define PDM_STARTED       ASC_REG(0x4001D100u)
#define PDM_STOPPED       ASC_REG(0x4001D104u)
#define PDM_END           ASC_REG(0x4001D108u)
#define PDM_INTENSET      ASC_REG(0x4001D304u)
#define PDM_INTENCLR      ASC_REG(0x4001D308u)
#define PDM_STARTED_BIT   1u
#define PDM_ENABLE        ASC_REG(0x4001D500u)
#define PDM_CLKCTRL       ASC_REG(0x4001D504u)
#define PDM_MODE          ASC_REG(0x4001D508u)
#define PDM_GAINL         ASC_REG(0x4001D518u)
#define PDM_GAINR         ASC_REG(0x4001D51Cu)
#define PDM_RATIO         ASC_REG(0x4001D520u)
#define PDM_PSEL_CLK      ASC_REG(0x4001D540u)
#define PDM_PSEL_DIN      ASC_REG(0x4001D544u)
#define PDM_SAMPLE_PTR    ASC_REG(0x4001D560u)
#define PDM_SAMPLE_MAXCNT ASC_REG(0x4001D564u) /* samples */
#define PDM_GAIN_0DB      0x28u

/* RTC1 */
#define RTC1_STOP     ASC_REG(0x40011004u)
#define RTC1_INTENCLR ASC_REG(0x40011308u)
#define RTC1_EVTENCLR ASC_REG(0x40011348u)

/* NVMC */
#define NVMC_ICACHECNF ASC_REG(0x4001E540u) /* bit 0: instruction cache on */

/* GPIO: a pin is port * 32 + number; port 1 lies 0x300 after port 0 */
#define GPIO_PORT(pin)   (0x50000000u + 0x300u * ((pin) >> 5))
#define GPIO_BIT(pin)    (1u << ((pin) & 31u))
#define GPIO_OUTSET(pin) ASC_REG(GPIO_PORT(pin) + 0x508u)
#define GPIO_OUTCLR(pin) ASC_REG(GPIO_PORT(pin) + 0x50Cu)
#define GPIO_DIRSET(pin) ASC_REG(GPIO_PORT(pin) + 0x518u)
#define GPIO_CNF(pin)    ASC_REG(GPIO_PORT(pin) + 0x700u + 4u * ((pin) & 31u))
#define GPIO_CNF_INPUT   0x0u /* input, buffer connected, no pull */
#define GPIO_CNF_PULLUP  0xCu /* input, buffer connected, pull-up */

/* NVIC */
#define NVIC_ISER0 ASC_REG(0xE000E100u)
#define NVIC_ICER0 ASC_REG(0xE000E180u)
#define NVIC_ICER1 ASC_REG(0xE000E184u)
#define NVIC_ICPR0 ASC_REG(0xE000E280u)

/* Shared by port.c and pdm.c. */
void asc_uarte_slept(void); /* the cycle counter stood still for up to a PDM block */
#endif
