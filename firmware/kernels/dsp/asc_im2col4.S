@ Rows of int8 of four pixels -> a column buffer of int16 pairs, a word a pixel: see asc_nn_dsp.h for the order.
@ Reads nothing past a row's last value.  r0-r3 rows, r12 columns.
    .syntax unified
    .thumb

    .macro FOUR r, at   @ four values of a pixel, r8 is free
    sxtb16 r8, \r
    str r8, [r12, #\at]
    sxtb16 \r, \r, ror #8
    str \r, [r12, #16 + \at]
    .endm

    .macro GROUP
    ldr r4, [r0], #4
    ldr r5, [r1], #4
    ldr r6, [r2], #4
    ldr r7, [r3], #4
    FOUR r4, 0
    FOUR r5, 4
    FOUR r6, 8
    FOUR r7, 12
    add r12, r12, #32
    .endm

    .macro LAST1 x, at  @ the upper halfword meets a weight of zero
    ldrsb r4, [\x], #1
    str r4, [r12, #\at]
    .endm

    .macro LAST2 x, at
    ldrsh r4, [\x], #2
    sxtb r8, r4
    asr r4, r4, #8
    pkhbt r8, r8, r4, lsl #16
    str r8, [r12, #\at]
    .endm

    .macro LAST3 x, at
    ldrh r4, [\x], #2
    ldrb r8, [\x], #1
    orr r4, r4, r8, lsl #16
    FOUR r4, \at
    .endm

    .macro LAST which, step
    \which r0, 0
    \which r1, 4
    \which r2, 8
    \which r3, 12
    add r12, r12, #\step
    .endm

    .section .text.asc_im2col4, "ax", %progbits
    .align 2
    .global asc_im2col4
    .thumb_func
    .type asc_im2col4, %function
asc_im2col4:
    push {r4-r11, lr}
    ldr r11, [sp, #36]
    mov r12, r1
    mov r9, r2
    mov r10, r3
    sub r11, r11, r9            @ pitch - run
    ldm r0, {r0-r3}
8:  adds lr, r9, #4             @ groups of a run, by twos
    lsrs lr, lr, #3
    beq 3f
    bcc 2f                      @ their number is odd
1:  GROUP
2:  GROUP
    subs lr, lr, #1
    bne 1b
3:  ands lr, r9, #3             @ values that are left
    beq 9f
    cmp lr, #2
    blt 4f
    beq 5f
    LAST LAST3, 32
    b 9f
4:  LAST LAST1, 16
    b 9f
5:  LAST LAST2, 16
9:  subs r10, r10, #1
    add r0, r0, r11
    add r1, r1, r11
    add r2, r2, r11
    add r3, r3, r11
    bne 8b
    pop {r4-r11, pc}
    .size asc_im2col4, . - asc_im2col4
