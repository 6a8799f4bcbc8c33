@ asc_gemm4 on the blocks of weights that are not zero: 4 pixels x 2 channels x 4 values of K a block, 35 cycles
@ (packed: 37) for 32 multiplications; the dense kernel takes 32 (34).
@
@ r4-r7 sums of channel 0, r8-r11 of channel 1; r0 columns, r1 the stream of weights; r2 r3 r12 lr operands.
@ s0 columns, s4 y, s5 stride, s6 end of y.
    .syntax unified
    .thumb
#include "asc_gemm4_parts.h"
    .equ GROUP, 8               @ blocks in a turn of the loop; asc_nn_dsp.h tells their format

    .macro BLOCK wide, at       @ what is skipped before it stands `at` bytes ahead
    ldrb r2, [r1, #\at]
    .if \wide
    ldr r3, [r1], #4
    add r0, r0, r2, lsl #5
    ldr r2, [r1], #4
    .else
    ldr lr, [r1], #4
    add r0, r0, r2, lsl #5
    sxtb16 r3, lr
    sxtb16 r2, lr, ror #8
    .endif
    ldr r12, [r0], #4
    ldr lr, [r0], #4
    PRODUCTS
    K_PAIR \wide
    .endm

    .macro GO                   @ to block r2 of a group, or on
    tbh [pc, r2, lsl #1]
9:  .hword (20f - 9b) / 2, (21f - 9b) / 2, (22f - 9b) / 2, (23f - 9b) / 2
    .hword (24f - 9b) / 2, (25f - 9b) / 2, (26f - 9b) / 2, (27f - 9b) / 2, (30f - 9b) / 2
    .endm

    .macro SPARSE name, double, wide, fixed
    .section .text.\name, "ax", %progbits
    .align 2
    .global \name
    .thumb_func
    .type \name, %function
\name:
    push {r4-r11, lr}
    ldm r3, {r5, r6, r7}        @ k_pairs, c_pairs, stride
    vmov s0, r0
    vmov s4, r2
    vmov s5, r7
    add r2, r2, r6, lsl #1
    vmov s6, r2
1:  vmov r0, s0                 @ a pair of channels
    ldm r1!, {r2, r4, r8}
    mov r5, r4
    mov r6, r4
    mov r7, r4
    mov r9, r8
    mov r10, r8
    mov r11, r8
    GO
20: BLOCK \wide, 8 * (8 + 8 * \wide) + 4
21: BLOCK \wide, 7 * (8 + 8 * \wide) + 4 + 1
22: BLOCK \wide, 6 * (8 + 8 * \wide) + 4 + 2
23: BLOCK \wide, 5 * (8 + 8 * \wide) + 4 + 3
24: BLOCK \wide, 4 * (8 + 8 * \wide) + 4 + 4
25: BLOCK \wide, 3 * (8 + 8 * \wide) + 4 + 5
26: BLOCK \wide, 2 * (8 + 8 * \wide) + 4 + 6
27: BLOCK \wide, 1 * (8 + 8 * \wide) + 4 + 7
    ldr r2, [r1], #GROUP + 4
    cmp r2, #GROUP
    bne 20b                     @ only the first group of a pair may be short
30: FINISH \double, \fixed
    bne 1b
    pop {r4-r11, pc}
    .size \name, . - \name
    .endm

    SPARSE asc_gemm4_sparse_packed, 1, 0, 0
    SPARSE asc_gemm4_sparse_wide, 0, 1, 0
    SPARSE asc_gemm4_sparse_fixed, 0, 1, 1
