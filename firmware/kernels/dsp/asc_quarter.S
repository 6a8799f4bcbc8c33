@ void asc_quarter(const int8_t *row_0, const int8_t *row_1, int8_t *y, uint32_t step, uint32_t n)
@ The mean of two pixels, `step` bytes apart, of each of two rows: n channels, a multiple of four.
@ (s + 2 - (s < 0)) >> 2 by halfwords: the sign through the GE flags, the shift by halving twice.
    .syntax unified
    .thumb
    .section .text.asc_quarter, "ax", %progbits
    .align 2
    .global asc_quarter
    .thumb_func
    .type asc_quarter, %function
    .macro HALVES sum, odd
    .if \odd
    sxtb16 \sum, r9, ror #8
    sxtab16 \sum, \sum, r10, ror #8
    sxtab16 \sum, \sum, r11, ror #8
    sxtab16 \sum, \sum, r12, ror #8
    .else
    sxtb16 \sum, r9
    sxtab16 \sum, \sum, r10
    sxtab16 \sum, \sum, r11
    sxtab16 \sum, \sum, r12
    .endif
    sadd16 \sum, \sum, r8
    sel lr, r6, r7
    shadd16 \sum, \sum, lr
    shadd16 \sum, \sum, r8
    .endm
asc_quarter:
    push {r4-r11, lr}
    ldr r12, [sp, #36]
    add r4, r0, r3              @ second pixels
    add r5, r1, r3
    add r3, r2, r12
    vmov s0, r3
    mov r6, #0x00020002
    mov r7, #0x00010001
    mov r8, #0
1:  ldr r9, [r0], #4
    ldr r10, [r4], #4
    ldr r11, [r1], #4
    ldr r12, [r5], #4
    HALVES r3, 0
    HALVES r9, 1
    uxtb16 r3, r3
    uxtb16 r9, r9
    vmov lr, s0
    orr r9, r3, r9, lsl #8
    str r9, [r2], #4
    cmp r2, lr
    bne 1b
    pop {r4-r11, pc}
    .size asc_quarter, . - asc_quarter
