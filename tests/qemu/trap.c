/* What the other emulator lets pass: each must fault here, or this lane proves nothing.  TRAP chooses. */
#include "qemu.h"

static uint32_t words[8] = {1, 2, 3, 4, 5, 6, 7, 8};

int main(void)
{
    const uint8_t *odd = (const uint8_t *)words + TRAP_OFFSET;
    uint32_t sum;
#if TRAP == 0
    __asm volatile("ldr %0, [%1]" : "=r"(sum) : "r"(odd) : "memory"); /* may be unaligned */
#elif TRAP == 1
    __asm volatile("ldrd %0, r3, [%1]" : "=r"(sum) : "r"(odd) : "r3", "memory");
#elif TRAP == 2
    __asm volatile("ldm %1, {r2, r3}\n mov %0, r2" : "=r"(sum) : "r"(odd) : "r2", "r3", "memory");
#elif TRAP == 3
    __asm volatile("vldr s0, [%1]\n vmov %0, s0" : "=r"(sum) : "r"(odd) : "s0", "memory");
#elif TRAP == 4
    __asm volatile("strd %0, r3, [%1]" : "=r"(sum) : "r"(odd) : "memory");
#elif TRAP == 5
    __asm volatile("stm %1, {r2, r3}\n mov %0, r2" : "=r"(sum) : "r"(odd) : "memory");
#endif
    qemu_print("passed\n");
    return (int)(sum & 0u);
}
