/* Vector table, memory, stack paint and fault report of any Cortex-M, started by a bootloader or directly. */
#include "asc_board.h"
#include "asc_port.h"
#include "cortex_m.h"
#include <string.h>

#define PAINT       0xA5A5A5A5u
#define GUARD_WORDS 4 /* at the stack's end: nobody has any business there */

extern uint32_t asc_stack_bottom[], asc_stack_top[];
extern uint32_t asc_data_load[], asc_data_start[], asc_data_end[];
extern uint32_t asc_bss_start[], asc_bss_end[];

int main(void);
void asc_reset(void);
void asc_fault_entry(void);

/* The system's.  Interrupts are masked, all is polled, but for what a port opens: that has vectors of its own
 * in .vectors.soc, which follow these. */
typedef void asc_vector(void);
extern asc_vector *const asc_init_start[], *const asc_init_end[]; /* none in C */
__attribute__((section(".vectors"), used)) static asc_vector *const vectors[16] = {
    [0] = (asc_vector *)(uintptr_t)asc_stack_top, /* initial stack pointer */
    [1] = asc_reset,
    [2] = asc_fault_entry, /* NMI */
    [3] = asc_fault_entry, /* HardFault */
    [4] = asc_fault_entry, /* MemManage, from ARMv7-M on; BusFault, UsageFault */
    [5] = asc_fault_entry,
    [6] = asc_fault_entry,
    [11] = asc_fault_entry,
    [12] = asc_fault_entry,
    [14] = asc_fault_entry,
    [15] = asc_fault_entry,
};

/* From the stack's bottom up to what is in use now.  volatile: must not become a call, which would push. */
__attribute__((noinline)) static void paint_stack(void)
{
    uint32_t *sp;
    __asm volatile("mov %0, sp" : "=r"(sp));
    for (volatile uint32_t *p = asc_stack_bottom; p < sp; ++p) {
        *p = PAINT;
    }
}

uint32_t asc_port_stack_used(void)
{
    const volatile uint32_t *p = asc_stack_bottom;
    while (p < asc_stack_top && *p == PAINT) {
        ++p;
    }
    if (p < asc_stack_bottom + GUARD_WORDS) {
        return ASC_PORT_STACK_BROKEN;
    }
    return (uint32_t)((uintptr_t)asc_stack_top - (uintptr_t)p);
}

void asc_start(void)
{
#if defined(__ARM_FP)
    SCB_CPACR |= 0xFu << 20; /* FPU */
    __asm volatile("dsb\n isb" ::: "memory");
#endif
    SCB_VTOR = (uint32_t)(uintptr_t)vectors;
    asc_soc_start();
    memcpy(asc_data_start, asc_data_load, (uintptr_t)asc_data_end - (uintptr_t)asc_data_start);
    memset(asc_bss_start, 0, (uintptr_t)asc_bss_end - (uintptr_t)asc_bss_start);
    paint_stack();
    for (asc_vector *const *p = asc_init_start; p < asc_init_end; ++p) {
        (*p)();
    }
    (void)main();
    for (;;) {
        __asm volatile("wfi");
    }
}

static char *put_hex(char *at, const char *name, uint32_t value)
{
    while (*name != '\0') {
        *at++ = *name++;
    }
    for (int32_t shift = 28; shift >= 0; shift -= 4) {
        *at++ = "0123456789abcdef"[(value >> shift) & 15u];
    }
    return at;
}

/* One line between two zero bytes: readable on a terminal, and to the framed protocol just garbage that ends
 * where a frame does.  Then the LED blinks for ever. */
void asc_fault(const uint32_t *frame, uint32_t is_ram)
{
    char line[64];
    char *at = line;
    *at++ = '\0';
    at = put_hex(at, "fault pc=", is_ram ? frame[6] : 0u);
    at = put_hex(at, " lr=", is_ram ? frame[5] : 0u);
#if __ARM_ARCH >= 7
    at = put_hex(at, " cfsr=", SCB_CFSR);
    at = put_hex(at, " at=", SCB_BFAR);
#endif
    *at++ = '\0';
    asc_port_init();
    asc_port_write(line, (uint32_t)(at - line));
    for (uint32_t on = 1u;; on ^= 1u) {
        asc_port_led(on);
        for (volatile uint32_t n = ASC_BOARD_CLOCK_HZ / 64u; n != 0u; --n) {
        }
    }
}
