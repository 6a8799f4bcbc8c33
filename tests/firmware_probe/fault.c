/* Waits for one byte, then does what it names.  Every case but 'e' and 'w' is a fault. */
#include "asc_port.h"

static uint8_t command;
static volatile uint32_t sink;

#define AT(address) (*(volatile uint32_t *)(uintptr_t)(address))

__attribute__((noinline)) static void read_unmapped(void) { sink = AT(0x60000000u); }
__attribute__((noinline)) static void write_unmapped(void) { AT(0x60000004u) = 1u; }
__attribute__((noinline)) static void write_flash(void) { AT(0x00020000u) = 1u; }
__attribute__((noinline)) static void undefined(void) { __asm volatile(".short 0xde00"); }
__attribute__((noinline)) static void breakpoint(void) { __asm volatile("bkpt 1"); }
__attribute__((noinline)) static void jump_nowhere(void)
{
    void (*const nowhere)(void) = (void (*)(void))(uintptr_t)0x70000001u;
    nowhere();
}
__attribute__((noinline)) static void jump_even(void)
{
    void (*const arm_state)(void) = (void (*)(void))(uintptr_t)0x00010100u;
    arm_state();
}
__attribute__((noinline)) static uint32_t recurse(uint32_t depth)
{
    volatile uint32_t frame[32];
    frame[depth & 31u] = depth;
    return (depth < 1000000u ? recurse(depth + 1u) : 0u) + frame[depth & 31u];
}
__attribute__((noinline)) static void last_of_ram(void) { AT(0x2003FFFCu) = 1u, sink = AT(0x2003FFFCu); }
__attribute__((noinline)) static void past_ram(void) { sink = AT(0x20040000u); }
__attribute__((noinline)) static void last_of_flash(void) { sink = AT(0x000FFFFCu); }
__attribute__((noinline)) static void past_flash(void) { sink = AT(0x00100000u); }
__attribute__((noinline)) static void peripheral_hole(void) { sink = AT(0x4FFFF000u); }
__attribute__((noinline)) static void dma_from_flash(void)
{
    AT(0x40002544u) = 0x00010000u;
    AT(0x40002548u) = 4u;
    AT(0x40002008u) = 1u;
}

int main(void)
{
    asc_port_init();
    for (;;) {
        asc_port_arm(&command, 1u);
        (void)asc_port_wait();
        switch (command) {
        case 'r':
            read_unmapped();
            break;
        case 'p':
            write_unmapped();
            break;
        case 'f':
            write_flash();
            break;
        case 'u':
            undefined();
            break;
        case 'b':
            breakpoint();
            break;
        case 'j':
            jump_nowhere();
            break;
        case 'J':
            jump_even();
            break;
        case 's':
            sink = recurse(0u);
            break;
        case 'e':
            last_of_ram(), last_of_flash();
            break;
        case 'o':
            past_ram();
            break;
        case 'O':
            past_flash();
            break;
        case 'h':
            peripheral_hole();
            break;
        case 'd':
            dma_from_flash();
            break;
        case 'w':
            __asm volatile("wfi\n wfe");
            break;
        case 'm':
            return 0;
        default:
            break;
        }
        asc_port_write(&command, 1u);
    }
}
