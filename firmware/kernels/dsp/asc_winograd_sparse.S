@ asc_winograd on the blocks of weights that are not zero: 8 pixels x 2 channels x 4 values of K of one pass a block,
@ 35 cycles where the dense kernel takes 32.
@
@ r4-r7 sums of channel 0, r8-r11 of channel 1; r0 columns, r1 the stream of weights; r2 r3 r12 lr operands;
@ s0 columns, s3 scales, s4 y, s5 two strides, s6 end of y, s11 stride.
    .syntax unified
    .thumb
#include "asc_winograd_parts.h"
    .equ GROUP, 8               @ blocks in a turn of the loop; asc_nn_dsp.h tells their format

    .macro BLOCK at             @ what is skipped before it stands `at` bytes ahead
    ldrb r2, [r1, #\at]
    ldr r3, [r1], #4
    add r0, r0, r2, lsl #7
    ldr r2, [r1], #4
    ldr r12, [r0, #4]
    ldr lr, [r0, #8]
    PRODUCTS
    K_PAIR
    .endm

    .macro GO                   @ to block r2 of a group, or to what follows a pass; r3 is the table
    ldr pc, [r3, r2, lsl #2]
    .endm

    .macro SPARSE name, fixed
    .section .text.\name, "ax", %progbits
    .align 2
    .global \name
    .thumb_func
    .type \name, %function
\name:
    push {r4-r11, lr}
    sub sp, sp, #32             @ eight sums
    ldm r3, {r4, r5, r8, r9}    @ pairs of K, pairs of channels, stride
    vmov s0, r0
    vmov s4, r2
    vmov s11, r9
    lsl r9, r9, #1
    vmov s5, r9
    add r2, r2, r8, lsl #1
    vmov s6, r2
1:  vmov r0, s0                 @ pass 1: m1 and the bias
    adr.w r3, 40f
    ldm r1!, {r2, r4, r8}
    add r0, r0, #16
    mov r5, r4
    mov r6, r4
    mov r7, r4
    mov r9, r8
    mov r10, r8
    mov r11, r8
    GO
20: BLOCK 8 * 16 + 4
21: BLOCK 7 * 16 + 4 + 1
22: BLOCK 6 * 16 + 4 + 2
23: BLOCK 5 * 16 + 4 + 3
24: BLOCK 4 * 16 + 4 + 4
25: BLOCK 3 * 16 + 4 + 5
26: BLOCK 2 * 16 + 4 + 6
27: BLOCK 1 * 16 + 4 + 7
    ldr r2, [r1], #GROUP + 4
    adr.w r3, 40f
    cmp r2, #0                  @ only the first group of a pass may be short
    beq 20b
    GO
31: stm sp, {r4-r11}
    vmov r0, s0                 @ pass 2: m2, on top of m1
    adr.w r3, 40f
    ldr r2, [r1], #4
    add r0, r0, #16 * 2
    GO
32: ldm sp, {r0, r2, r3, r12}   @ m1 + m2 stays, m1 - m2 = 2 m1 - (m1 + m2) is kept
    rsb r0, r4, r0, lsl #1
    rsb r2, r5, r2, lsl #1
    rsb r3, r6, r3, lsl #1
    rsb r12, r7, r12, lsl #1
    stm sp, {r0, r2, r3, r12}
    add lr, sp, #16
    ldm lr, {r0, r2, r3, r12}
    rsb r0, r8, r0, lsl #1
    rsb r2, r9, r2, lsl #1
    rsb r3, r10, r3, lsl #1
    rsb r12, r11, r12, lsl #1
    stm lr, {r0, r2, r3, r12}
    vmov r0, s0                 @ pass 0: the even pixels
    adr.w r3, 40f
    ldr r2, [r1], #4
    GO
30: mov r2, r1                  @ the stream goes on with the scales, then pass 3
    vmov s3, r1
    FOUR_PIXELS \fixed
    mov r1, r2
    vmov r0, s4
    vmov r3, s5
    STORE
    vmov r0, s0                 @ pass 3: the odd pixels
    adr.w r3, 40f
    ldr r2, [r1], #4
    add r0, r0, #16 * 3
    ldm sp, {r4-r11}
    GO
33: vmov r2, s3
    FOUR_PIXELS \fixed
    vmov r0, s4
    vmov r12, s11
    add r2, r0, #2
    vmov r3, s5
    vmov s4, r2
    add r0, r0, r12
    STORE
    vmov r3, s6
    cmp r2, r3
    bne 1b
    add sp, sp, #32
    pop {r4-r11, pc}
    .align 2
40: .word 20b + 1, 21b + 1, 22b + 1, 23b + 1, 24b + 1, 25b + 1, 26b + 1, 27b + 1 @ Thumb
    .word 31b + 1, 32b + 1, 30b + 1, 33b + 1
    .size \name, . - \name
    .endm

    SPARSE asc_winograd_sparse_fixed, 1
    SPARSE asc_winograd_sparse_linear, 0
