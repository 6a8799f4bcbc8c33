@ 4 pixels x 2 channels a turn: 17 cycles for a pair of K, 16 multiplications (wide, fixed: 16 cycles).
@
@ r4-r7 sums of channel 0, r8-r11 of channel 1; r0 columns, r1 the stream of weights; r2 r3 r12 lr operands.
@ The rest lives in the FPU, a move away: s0 columns, s1 entry into the unrolled loop, s2 end of the columns,
@ s4 y, s5 stride, s6 end of y.
    .syntax unified
    .thumb
#include "asc_gemm4_parts.h"

    .macro FUNCTION name
    .global \name
    .thumb_func
    .type \name, %function
\name:
    .endm

    .macro SET_UP unroll, early @ pairs of K in a turn of the loop; bytes that s2 is before the end of the columns
    push {r4-r11, lr}
    ldm r3, {r5, r6, r7}        @ k_pairs, c_pairs, stride
    vmov s0, r0
    add r0, r0, r5, lsl #4
    .ifnb \early
    sub r0, r0, \early
    .endif
    vmov s2, r0
    vmov s4, r2
    vmov s5, r7
    add r2, r2, r6, lsl #1
    vmov s6, r2
    subs r5, r5, #2             @ the first pair of K is peeled
    mov r7, #\unroll
    udiv r6, r5, r7
    mls r6, r6, r7, r5
    rsb r6, r6, #\unroll - 1    @ pairs that the first turn leaves out
    it lo
    movlo r6, #\unroll          @ there was but one: to the loop's end
    mov r7, #(21f - 20f)        @ bytes of code for a pair of K
    adr.w r3, 20f
    mla r3, r6, r7, r3
    orr r3, r3, #1              @ Thumb
    vmov s1, r3
    b 1f
    .endm

    .macro LOOP wide, unroll    @ at its end the flags say how r0 is to s2
    .align 2
20: K_PAIR \wide
21: .rept \unroll - 1
    K_PAIR \wide
    .endr
    vmov r2, s2
    cmp r0, r2
    blo 20b
    .endm

    .macro FIRST_PAIR wide      @ the first products spread the bias over the four pixels
1:  vmov r0, s0                 @ a pair of channels
    ldr r7, [r1], #4
    ldr r11, [r1], #4
    OPERANDS \wide
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
    .endm

    .equ UNROLL, 3
    .section .text.asc_gemm4_packed, "ax", %progbits
    .align 2
FUNCTION asc_gemm4_packed
    SET_UP UNROLL
    LOOP 0, UNROLL
    FINISH 1, 0
    beq 9f
    FIRST_PAIR 0
9:  pop {r4-r11, pc}
    .size asc_gemm4_packed, . - asc_gemm4_packed

@ One loop for both: "wide" ends it a byte early, so that equal means "fixed".
    .equ UNROLL, 32
    .section .text.asc_gemm4_wide, "ax", %progbits
    .align 2
FUNCTION asc_gemm4_wide
    mov r12, #1
    b 0f
FUNCTION asc_gemm4_fixed
    mov r12, #0
0:  SET_UP UNROLL, r12
    LOOP 1, UNROLL
    bne 3f
    OUTPUTS r1, 0, 1
2:  STORE_PAIR
    beq 9f
    FIRST_PAIR 1
3:  OUTPUTS r1, 0, 0
    b 2b
9:  pop {r4-r11, pc}
    .size asc_gemm4_wide, . - asc_gemm4_wide
