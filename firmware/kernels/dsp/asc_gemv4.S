@ void asc_gemv4(const int8_t *x, const uint32_t *weights, int32_t sums[4], uint32_t words, uint32_t last)
@ Four sums over `words` words of four values at x, and over those of `last`; weights [words + 1][4], a word a
@ channel.  26 cycles for 16 multiplications.
    .syntax unified
    .thumb
    .section .text.asc_gemv4, "ax", %progbits
    .align 2
    .global asc_gemv4
    .thumb_func
    .type asc_gemv4, %function
    .macro CHANNEL sum, w
    sxtb16 r2, \w
    sxtb16 \w, \w, ror #8
    smlad \sum, r8, r2, \sum
    smlad \sum, r9, \w, \sum
    .endm
    .macro WORD                 @ values in r8
    ldr r10, [r1], #4
    ldr r11, [r1], #4
    ldr r12, [r1], #4
    ldr lr, [r1], #4
    sxtb16 r9, r8, ror #8
    sxtb16 r8, r8
    CHANNEL r4, r10
    CHANNEL r5, r11
    CHANNEL r6, r12
    CHANNEL r7, lr
    .endm
asc_gemv4:
    push {r2, r4-r11, lr}
    add r3, r0, r3, lsl #2
    mov r4, #0
    mov r5, #0
    mov r6, #0
    mov r7, #0
    cmp r0, r3
    beq 2f
1:  ldr r8, [r0], #4
    WORD
    cmp r0, r3
    bne 1b
2:  ldr r8, [sp, #40]
    WORD
    pop {r2}
    stm r2, {r4-r7}
    pop {r4-r11, pc}
    .size asc_gemv4, . - asc_gemv4
