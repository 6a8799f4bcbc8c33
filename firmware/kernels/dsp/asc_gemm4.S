@ 4 pixels x 2 channels a turn: 17 cycles for a pair of K, 16 multiplications (wide: 16 cycles).
@
@ r4-r7 sums of channel 0, r8-r11 of channel 1; r0 columns, r1 the stream of weights; r2 r3 r12 lr operands.
@ The rest lives in the FPU, a move away: s0 columns, s1 entry into the unrolled loop, s2 end of the columns,
@ s4 y, s5 stride, s6 end of y.
    .syntax unified
    .thumb
#include "asc_gemm4_parts.h"

@ unroll: pairs of K in a turn of the loop.
    .macro GEMM name, double, wide, fixed, unroll
    .section .text.\name, "ax", %progbits
    .align 2
    .global \name
    .thumb_func
    .type \name, %function
\name:
    push {r4-r11, lr}
    ldm r3, {r5, r6, r7}        @ k_pairs, c_pairs, stride
    vmov s0, r0
    add r0, r0, r5, lsl #4
    vmov s2, r0
    vmov s4, r2
    vmov s5, r7
    add r2, r2, r6, lsl #1
    vmov s6, r2
    subs r5, r5, #1             @ the first pair of K is peeled
    and r6, r5, #\unroll - 1
    rsb r6, r6, #\unroll
    and r6, r6, #\unroll - 1
    mov r7, #(21f - 20f)        @ bytes of code for a pair of K
    adr.w r3, 20f
    mla r3, r6, r7, r3
    it eq
    adreq.w r3, 22f
    orr r3, r3, #1              @ Thumb
    vmov s1, r3
1:  vmov r0, s0                 @ a pair of channels
    ldr r7, [r1], #4
    ldr r11, [r1], #4
    OPERANDS \wide              @ the first products spread the bias over the four pixels
    smlad r4, r12, r3, r7
    smlad r8, r12, r2, r11
    smlad r5, lr, r3, r7
    smlad r9, lr, r2, r11
    ldr r12, [r0], #4
    ldr lr, [r0], #4
    smlad r6, r12, r3, r7
    smlad r10, r12, r2, r11
    smlad r7, lr, r3, r7
    smlad r11, lr, r2, r11
    vmov r2, s1
    bx r2
    .align 2
20: K_PAIR \wide
21: .rept \unroll - 1
    K_PAIR \wide
    .endr
    vmov r2, s2
    cmp r0, r2
    bne 20b
    .align 2
22: FINISH \double, \fixed
    bne 1b
    pop {r4-r11, pc}
    .size \name, . - \name
    .endm

    GEMM asc_gemm4_packed, 1, 0, 0, 16
    GEMM asc_gemm4_wide, 0, 1, 0, 16
    GEMM asc_gemm4_fixed, 0, 1, 1, 32
