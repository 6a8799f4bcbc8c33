/* Answers one-byte questions with 32-bit words: what the port's own instruments say. */
#include "asc_port.h"
#include "nrf52840.h"
#include <string.h>

static uint8_t question;
static uint32_t answer[64];
static uint32_t in_data[4] = {1u, 2u, 3u, 0xCAFEF00Du};
static uint32_t in_bss[4];

/* `n` rounds of a loop of 2 instructions: 1 + 1 + 2 cycles a round, 2 fewer when it is left. */
__attribute__((noinline)) static uint32_t spin(uint32_t n)
{
    const uint32_t before = asc_port_cycles();
    __asm volatile("1: subs %0, #1\n bne 1b" : "+r"(n)::"cc");
    return asc_port_cycles() - before;
}

__attribute__((noinline)) static uint32_t dig(uint32_t bytes)
{
    volatile uint8_t hole[1024];
    for (uint32_t i = 0u; i < bytes; ++i) {
        hole[sizeof hole - 1u - i] = (uint8_t)i;
    }
    return hole[sizeof hole - 1u];
}

/* Reads `n` times the word at `from`.  Inlined: as with the pointers of a kernel, each copy of the loop
 * always reads the same memory. */
__attribute__((always_inline)) static inline uint32_t fetch(const uint32_t *from, uint32_t n)
{
    uint32_t word;
    const uint32_t before = asc_port_cycles();
    __asm volatile("1: ldr %1, [%2]\n subs %0, #1\n bne 1b" : "+r"(n), "=&r"(word) : "r"(from) : "cc");
    return asc_port_cycles() - before;
}

static uint32_t fill(uint8_t what)
{
    uint32_t n = 0u;
    switch (what) {
    case 'c': /* the counter, read often */
        for (; n < 64u; ++n) {
            answer[n] = asc_port_cycles();
        }
        break;
    case 'l': /* two loops that differ by 1000 rounds */
        answer[n++] = spin(1000u);
        answer[n++] = spin(2000u);
        break;
    case 'f': { /* the same loop over a word in flash and a word in RAM */
        static const uint32_t in_flash = 7u;
        answer[n++] = fetch(&in_flash, 200000u);
        answer[n++] = fetch(in_data, 200000u);
        break;
    }
    case 's': /* the stack before and after digging 600 and 1000 bytes deep */
        answer[n++] = asc_port_stack_used();
        (void)dig(600u);
        answer[n++] = asc_port_stack_used();
        (void)dig(1000u);
        answer[n++] = asc_port_stack_used();
        break;
    case 'd': /* .data was copied, .bss cleared, the float unit is on */
        memcpy(answer, in_data, sizeof in_data);
        memcpy(answer + 4, in_bss, sizeof in_bss);
        n = 8u;
        {
            volatile float x = 1.5f;
            x = x * 3.0f;
            answer[n++] = (uint32_t)(int32_t)(x * 2.0f);
        }
        break;
    case 't': /* TIMER0 at 1 MHz and the cycle counter over the same time */
        ASC_REG(0x40008508u) = 3u;
        ASC_REG(0x40008510u) = 4u;
        ASC_REG(0x40008000u) = 1u;
        ASC_REG(0x40008040u) = 1u;
        {
            const uint32_t before = asc_port_cycles();
            (void)spin(1000000u);
            answer[n++] = asc_port_cycles() - before;
        }
        ASC_REG(0x40008044u) = 1u;
        answer[n++] = ASC_REG(0x40008544u) - ASC_REG(0x40008540u);
        break;
    case 'x': { /* the fault report, as the handler would make it */
        static const uint32_t frame[8] = {0u, 1u, 2u, 3u, 12u, 0x11111111u, 0x22222222u, 0u};
        asc_fault(frame, 1u);
        break;
    }
    default:
        break;
    }
    return n;
}

int main(void)
{
    asc_port_init();
    for (;;) {
        asc_port_arm(&question, 1u);
        (void)asc_port_wait();
        asc_port_write(answer, 4u * fill(question));
    }
}
