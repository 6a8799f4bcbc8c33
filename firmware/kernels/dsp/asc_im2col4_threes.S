@ void asc_im2col4_threes(const int8_t *const x[4], uint32_t *columns, uint32_t rows, uint32_t pitch)
@ Three values of each of `rows` rows of four pixels, read as words: 51 cycles for two rows, 26 for the last of
@ an odd number.
    .syntax unified
    .thumb

    .macro TWO x, y, at         @ two pixels of two rows
    ldr r4, [\x]
    ldr r5, [\x, r11]
    ldr r8, [\y]
    ldr r9, [\y, r11]
    THREE r4, r5, \at
    THREE r8, r9, \at + 4
    add \x, \x, r11, lsl #1
    add \y, \y, r11, lsl #1
    .endm

    .macro THREE a, b, at       @ (0, 2), (0', 2'), (1, 1')
    sxtb16 r6, \a
    sxtb16 r7, \b
    sxtb16 \a, \a, ror #8
    sxtb16 \b, \b, ror #8
    pkhbt \a, \a, \b, lsl #16
    str r6, [r12, #\at]
    str r7, [r12, #16 + \at]
    str \a, [r12, #32 + \at]
    .endm

    .macro ROW a, at            @ (0, 2), (1, -): the upper halfword meets a weight of zero
    sxtb16 r6, \a
    sxtb16 \a, \a, ror #8
    str r6, [r12, #\at]
    str \a, [r12, #16 + \at]
    .endm

    .section .text.asc_im2col4_threes, "ax", %progbits
    .align 2
    .global asc_im2col4_threes
    .thumb_func
    .type asc_im2col4_threes, %function
asc_im2col4_threes:
    push {r4-r9, r11, lr}
    mov r12, r1
    mov lr, r2
    mov r11, r3
    ldm r0, {r0-r3}
1:  subs lr, lr, #2
    blt 2f
    TWO r0, r1, 0
    TWO r2, r3, 8
    add r12, r12, #48
    bne 1b
    pop {r4-r9, r11, pc}
2:  ldr r4, [r0]
    ldr r5, [r1]
    ldr r8, [r2]
    ldr r9, [r3]
    ROW r4, 0
    ROW r5, 4
    ROW r8, 8
    ROW r9, 12
    pop {r4-r9, r11, pc}
    .size asc_im2col4_threes, . - asc_im2col4_threes
