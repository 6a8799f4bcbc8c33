/* Reset, vector table and fault report of the nRF52840, started by Arduino's bootloader or directly.
 *
 * The bootloader leaves UARTE0 enabled and receiving (DMA into RAM!), RTC1's compare armed and the FPU
 * off.  Interrupts are masked but for the microphone's, while it records: all else is polled. */
#include "asc_board.h"
#include "asc_port.h"
#include "nrf52840.h"
#include <string.h>

#define PAINT       0xA5A5A5A5u
#define GUARD_WORDS 4 /* at the stack's end: nobody has any business there */

extern uint32_t asc_stack_bottom[], asc_stack_top[];
extern uint32_t asc_data_load[], asc_data_start[], asc_data_end[];
extern uint32_t asc_bss_start[], asc_bss_end[];

int main(void);
void asc_reset(void);
void asc_start(void) __attribute__((noreturn, used));
void asc_fault_entry(void);

/* The boot ROM reads the first two words; the rest are the system exceptions, and of the peripherals the one
 * interrupt that is ever enabled. */
typedef void asc_vector(void);
extern asc_vector *const asc_init_start[], *const asc_init_end[]; /* none in C */
__attribute__((section(".vectors"), used)) static asc_vector *const vectors[16 + 30] = {
    [0] = (asc_vector *)(uintptr_t)asc_stack_top, /* initial stack pointer */
    [1] = asc_reset,
    [2] = asc_fault_entry, /* NMI */
    [3] = asc_fault_entry, /* HardFault */
    [4] = asc_fault_entry, /* MemManage */
    [5] = asc_fault_entry, /* BusFault */
    [6] = asc_fault_entry, /* UsageFault */
    [11] = asc_fault_entry,
    [12] = asc_fault_entry,
    [14] = asc_fault_entry,
    [15] = asc_fault_entry,
    [16 + 29] = asc_pdm_interrupt,
};

/* Masks interrupts, then takes our own stack whatever the bootloader left in CONTROL and MSP. */
__attribute__((naked)) void asc_reset(void)
{
    __asm volatile("cpsid i              \n"
                   "movs  r0, #0         \n"
                   "msr   control, r0    \n"
                   "isb                  \n"
                   "ldr   r0, =asc_stack_top \n"
                   "mov   sp, r0         \n"
                   "b     asc_start      \n");
}

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
    asc_uarte_stop(); /* first: its DMA may still write to RAM */
    RTC1_STOP = 1u;
    RTC1_INTENCLR = 0xFFFFFFFFu;
    RTC1_EVTENCLR = 0xFFFFFFFFu;
    NVIC_ICER0 = 0xFFFFFFFFu;
    NVIC_ICER1 = 0xFFFFFFFFu;
    SCB_CPACR |= 0xFu << 20; /* FPU */
    __asm volatile("dsb\n isb" ::: "memory");
    SCB_VTOR = (uint32_t)(uintptr_t)vectors;
    NVMC_ICACHECNF = 1u; /* off after reset; nobody else turns it on */

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

/* The stacked frame is where SP points; a stack overflow left none that can be read.  Either way the
 * report runs on a fresh stack: nobody returns from here. */
__attribute__((naked)) void asc_fault_entry(void)
{
    __asm volatile("mov   r0, sp               \n"
                   "ldr   r2, =asc_stack_bottom \n"
                   "cmp   r0, r2               \n"
                   "ite   hs                   \n"
                   "movhs r1, #1               \n"
                   "movlo r1, #0               \n"
                   "ldr   r2, =asc_stack_top   \n"
                   "mov   sp, r2               \n"
                   "b     asc_fault            \n");
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

/* One line between two zero bytes: readable on a terminal, and to the framed protocol just garbage that
 * ends where a frame does.  Then the LED blinks for ever. */
void asc_fault(const uint32_t *frame, uint32_t is_ram)
{
    char line[64]; /* UARTE sends from RAM; the stack is */
    const uint32_t lr = is_ram ? frame[5] : 0u, pc = is_ram ? frame[6] : 0u;
    char *at = line;
    *at++ = '\0';
    at = put_hex(at, "fault pc=", pc);
    at = put_hex(at, " lr=", lr);
    at = put_hex(at, " cfsr=", SCB_CFSR);
    at = put_hex(at, " at=", SCB_BFAR);
    *at++ = '\0';
    asc_uarte_stop();
    asc_uarte_start();
    asc_uarte_send(line, (uint32_t)(at - line));
    for (uint32_t on = 1u;; on ^= 1u) {
        asc_port_led(on);
        for (volatile uint32_t n = ASC_BOARD_CLOCK_HZ / 64u; n != 0u; --n) {
        }
    }
}
