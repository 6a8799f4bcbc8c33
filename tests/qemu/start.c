/* Start of a bare program on QEMU's mps2-an386 (Cortex-M4 with FPU), which talks through semihosting.
 *
 * QEMU faults where silicon does and Unicorn does not: unaligned LDRD, LDM and VLDR, and FPU instructions
 * while the FPU is off (-DFPU_OFF leaves it so). */
#include "qemu.h"

#define SYS_WRITE0        4u
#define SYS_EXIT_EXTENDED 0x20u
#define APPLICATION_EXIT  0x20026u
#define REG(address)      (*(volatile uint32_t *)(address))
#define CFSR              REG(0xE000ED28u)
#define CPACR             REG(0xE000ED88u)
#define CCR               REG(0xE000ED14u)

extern uint32_t qemu_stack_top[];
int main(void);
void qemu_reset(void);
void qemu_fault_entry(void);
void qemu_fault(const uint32_t *frame) __attribute__((used));

typedef void vector(void);
__attribute__((section(".vectors"), used)) static vector *const vectors[16] = {
    (vector *)(uintptr_t)qemu_stack_top,
    qemu_reset,
    qemu_fault_entry,
    qemu_fault_entry,
    qemu_fault_entry,
    qemu_fault_entry,
    qemu_fault_entry,
};

static uint32_t semihost(uint32_t operation, const void *parameter)
{
    register uint32_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = parameter;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void qemu_print(const char *text) { (void)semihost(SYS_WRITE0, text); }

void qemu_print_number(uint32_t value)
{
    char text[12], *at = text + sizeof text - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + value % 10u);
        value /= 10u;
    } while (value != 0u);
    qemu_print(at);
}

void qemu_exit(uint32_t code)
{
    const uint32_t block[2] = {APPLICATION_EXIT, code};
    (void)semihost(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

void qemu_reset(void)
{
#ifndef FPU_OFF
    CPACR |= 0xFu << 20;
    __asm volatile("dsb\n isb" ::: "memory");
#endif
    qemu_exit((uint32_t)main());
}

__attribute__((naked)) void qemu_fault_entry(void) { __asm volatile("mov r0, sp\n b qemu_fault"); }

void qemu_fault(const uint32_t *frame)
{
    qemu_print("fault: pc ");
    qemu_print_number(frame[6]);
    qemu_print(", cfsr ");
    qemu_print_number(CFSR);
    qemu_print("\n");
    qemu_exit(3);
}
