/* What the start-up here and a port say to each other, and the core's registers that both need.
 *
 * Source: ARMv6-M and ARMv7-M architecture reference manuals. */
#ifndef ASC_CORTEX_M_H
#define ASC_CORTEX_M_H
#include <stdint.h>

#define ASC_REG(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define SCB_VTOR ASC_REG(0xE000ED08u)
#if __ARM_ARCH >= 7
#define DWT_CTRL   ASC_REG(0xE0001000u)
#define DWT_CYCCNT ASC_REG(0xE0001004u)
#define SCB_CFSR   ASC_REG(0xE000ED28u)
#define SCB_BFAR   ASC_REG(0xE000ED38u)
#define SCB_CPACR  ASC_REG(0xE000ED88u)
#define DEMCR      ASC_REG(0xE000EDFCu)
#endif

/* Orders memory accesses for DMA, and keeps the compiler from moving buffer accesses across it. */
static inline void asc_barrier(void) { __asm volatile("dmb" ::: "memory"); }

/* Polls until a bit of `mask` in `reg` is as `want` says, at most `limit` times: hardware that hangs must not
 * hang us.  Returns whether it came. */
static inline uint32_t asc_poll(const volatile uint32_t *reg, uint32_t mask, uint32_t want, uint32_t limit)
{
    for (; limit != 0u; --limit) {
        if ((*reg & mask) == want) {
            return 1u;
        }
    }
    return 0u;
}

/* The port's: brings up clocks, before .data and .bss are. */
void asc_soc_start(void);

/* Ours, called by entry.S; asc_fault reports on the serial line and stays.  `frame` = R0-R3 R12 LR PC xPSR.
 */
void asc_start(void) __attribute__((noreturn));
void asc_fault(const uint32_t *frame, uint32_t is_ram) __attribute__((noreturn));
#endif
