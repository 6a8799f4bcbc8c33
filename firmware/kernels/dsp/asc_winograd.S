@ Winograd's F(2, 3) along rows: two neighbouring outputs of three taps by four products in place of six.
@
@   y0 = m1 + m2 + m0    m0 = (d0 - d2) g0              m1 = (d1 + d2) (g0 + g1 + g2) / 2
@   y1 = m1 - m2 - m3    m2 = (d2 - d1) (g0 - g1 + g2) / 2      m3 = (d1 - d3) g2
@
@ Weights are doubled, so that all of it stays in whole numbers, exact modulo 2^32; the sums come out doubled,
@ which is what SMMLAR wants (asc_winograd_fixed: scaled further, see ASC_FIXED_SHIFT).
    .syntax unified
    .thumb

@ void asc_winograd_main(const int8_t *x, uint32_t *columns, uint32_t channels, uint32_t rows, uint32_t triples,
@                        uint32_t pitch)
@ Of each row and three taps four pixels, one `channels` bytes after the other -> word 0 of 4 of the passes' columns.
    .section .text.asc_winograd_main, "ax", %progbits
    .align 2
    .global asc_winograd_main
    .thumb_func
    .type asc_winograd_main, %function
    .macro TWO_PAIRS at         @ r8-r11 pixels
    ssub16 lr, r8, r10
    str lr, [r12, #\at]
    sadd16 lr, r9, r10
    str lr, [r12, #\at + 16]
    ssub16 lr, r10, r9
    str lr, [r12, #\at + 32]
    ssub16 lr, r9, r11
    str lr, [r12, #\at + 48]
    .endm
    .macro MOVE_ON by           @ all four pixels
    add r0, r0, \by
    add r1, r1, \by
    add r2, r2, \by
    add r3, r3, \by
    .endm
asc_winograd_main:              @ s0 end of the channels, s1 channels, s2 rows left, s3 triples, s4 what is left of the pitch
    push {r4-r11, lr}
    ldr r6, [sp, #36]
    ldr r7, [sp, #40]
    mov r12, r1
    add r1, r0, r2
    vmov s1, r2
    vmov s3, r6
    mul r6, r6, r2
    add r2, r1, r2
    vmov s2, r3
    sub r3, r2, r1
    add r3, r3, r2
    add r6, r6, r6, lsl #1
    sub r7, r7, r6
    vmov s4, r7
1:  vmov r5, s3                 @ a row
2:  vmov r4, s1                 @ three taps
    vmov s5, r5
    add r4, r4, r0
    vmov s0, r4
3:  ldr r4, [r0], #4
    ldr r5, [r1], #4
    ldr r6, [r2], #4
    ldr r7, [r3], #4
    sxtb16 r8, r4
    sxtb16 r9, r5
    sxtb16 r10, r6
    sxtb16 r11, r7
    TWO_PAIRS 0
    sxtb16 r8, r4, ror #8
    sxtb16 r9, r5, ror #8
    sxtb16 r10, r6, ror #8
    sxtb16 r11, r7, ror #8
    TWO_PAIRS 64
    vmov r4, s0
    add r12, r12, #128
    cmp r0, r4
    bne 3b
    vmov r4, s1
    vmov r5, s5
    MOVE_ON "r4, lsl #1"
    subs r5, r5, #1
    bne 2b
    vmov r4, s4
    vmov r5, s2
    MOVE_ON r4
    subs r5, r5, #1
    vmov s2, r5
    bne 1b
    pop {r4-r11, pc}
    .size asc_winograd_main, . - asc_winograd_main

@ void asc_winograd_rest(const int8_t *x, uint32_t *columns, uint32_t channels, uint32_t pitch)
@ A tap without partners: two pixels -> word 0 of passes 0 and 3.
    .section .text.asc_winograd_rest, "ax", %progbits
    .align 2
    .global asc_winograd_rest
    .thumb_func
    .type asc_winograd_rest, %function
asc_winograd_rest:
    push {r4-r6, lr}
    add r3, r0, r3
    add r2, r0, r2
1:  ldr r4, [r0], #4
    ldr r5, [r3], #4
    cmp r0, r2
    sxtb16 r6, r4
    sxtb16 r4, r4, ror #8
    str r6, [r1]
    str r4, [r1, #64]
    sxtb16 r6, r5
    sxtb16 r5, r5, ror #8
    str r6, [r1, #48]
    str r5, [r1, #112]
    add r1, r1, #128
    bne 1b
    pop {r4-r6, pc}
    .size asc_winograd_rest, . - asc_winograd_rest

@ void asc_winograd_...(const uint32_t *columns, const uint32_t *weights, int8_t *y, const asc_winograd *shape)
@ 8 pixels, that is 4 pairs of pixels, x 2 channels a turn.  r4-r7 sums of channel 0, r8-r11 of channel 1;
@ r0 columns, r1 the stream of weights; s0 columns, s1 entry for passes 1 and 2, s2 for 0 and 3, s3 scales, s4 y,
@ s5 two strides, s6 end of y, s7 end of the pass, s8 where the pass returns to, s9 and s10 bytes of the columns of the
@ passes, s11 stride, s12-s15 where passes 1, 2, 0 and 3 return to.
#include "asc_winograd_parts.h"
    .equ UNROLL, 16

    .macro FIRST_PAIR bias      @ the bias is in r4, r8; none: zero
    ldr r3, [r1], #4
    ldr r2, [r1], #4
    ldr r12, [r0, #4]
    ldr lr, [r0, #8]
    .if \bias
    smlad r5, r12, r3, r4
    smlad r9, r12, r2, r8
    smlad r6, lr, r3, r4
    smlad r10, lr, r2, r8
    .else
    smuad r5, r12, r3
    smuad r9, r12, r2
    smuad r6, lr, r3
    smuad r10, lr, r2
    .endif
    ldr r12, [r0, #12]
    ldr lr, [r0], #64
    .if \bias
    smlad r7, r12, r3, r4
    smlad r11, r12, r2, r8
    smlad r4, lr, r3, r4
    smlad r8, lr, r2, r8
    .else
    smuad r7, r12, r3
    smuad r11, r12, r2
    smuad r4, lr, r3
    smuad r8, lr, r2
    .endif
    .endm

    .macro PASS i, bytes, back  @ r0, the end and where it returns to
    vmov r0, s0
    vmov r2, \bytes
    .if \i
    add r0, r0, #16 * \i
    .endif
    vmov.f32 s8, \back
    add r2, r2, r0
    vmov s7, r2
    .endm

    .macro ENTRY to, n          @ where n pairs of K begin in the unrolled loop; r6, r7 are free
    and r6, \n, #UNROLL - 1
    rsb r6, r6, #UNROLL
    and r6, r6, #UNROLL - 1
    mov r7, #(21f - 20f)
    adr.w r3, 20f
    mla r3, r6, r7, r3
    cmp \n, #0
    it eq
    adreq.w r3, 22f
    orr r3, r3, #1
    vmov \to, r3
    .endm

    .macro RETURN to, at
    adr.w r12, \at + 1          @ Thumb
    vmov \to, r12
    .endm

    .section .text.asc_winograd_linear, "ax", %progbits
    .align 2
    .global asc_winograd_linear, asc_winograd_fixed
    .thumb_func
    .type asc_winograd_linear, %function
    .thumb_func
    .type asc_winograd_fixed, %function
asc_winograd_linear:
    RETURN s14, 6f
    RETURN s15, 7f
    b 0f
    .align 2
asc_winograd_fixed:
    RETURN s14, 4f
    RETURN s15, 5f
0:  push {r4-r11, lr}
    sub sp, sp, #32             @ eight sums
    ldm r3, {r4, r5, r8, r9}    @ pairs of K in passes 1 and 2, in 0 and 3, pairs of channels, stride
    vmov s0, r0
    lsl r0, r4, #6
    vmov s9, r0
    lsl r0, r5, #6
    vmov s10, r0
    vmov s4, r2
    vmov s11, r9
    lsl r9, r9, #1
    vmov s5, r9
    add r2, r2, r8, lsl #1
    vmov s6, r2
    sub r4, r4, #1              @ the first pair of K is peeled
    ENTRY s1, r4
    ENTRY s2, r5
    RETURN s12, 2f
    RETURN s13, 3f
1:  PASS 1, s9, s12             @ pass 1: m1 and the bias
    ldr r4, [r1], #4
    ldr r8, [r1], #4
    FIRST_PAIR 1
    vmov r2, s1
    bx r2
    .align 2
2:  stm sp, {r4-r11}
    PASS 2, s9, s13             @ pass 2: m2
    FIRST_PAIR 0
    vmov r2, s1
    bx r2
    .align 2
3:  ldm sp, {r0, r2, r3, r12}   @ m1 + m2 stays, m1 - m2 = 2 m1 - (m1 + m2) is kept
    add r4, r4, r0
    add r5, r5, r2
    add r6, r6, r3
    add r7, r7, r12
    rsb r0, r4, r0, lsl #1
    rsb r2, r5, r2, lsl #1
    rsb r3, r6, r3, lsl #1
    rsb r12, r7, r12, lsl #1
    stm sp, {r0, r2, r3, r12}
    add lr, sp, #16
    ldm lr, {r0, r2, r3, r12}
    add r8, r8, r0
    add r9, r9, r2
    add r10, r10, r3
    add r11, r11, r12
    rsb r0, r8, r0, lsl #1
    rsb r2, r9, r2, lsl #1
    rsb r3, r10, r3, lsl #1
    rsb r12, r11, r12, lsl #1
    stm lr, {r0, r2, r3, r12}
    PASS 0, s10, s14            @ pass 0: the even pixels
    vmov r2, s2
    bx r2
    .align 2
4:  vmov s3, r1                 @ the stream goes on with the scales, then pass 3
    mov r2, r1
    FOUR_PIXELS 1
8:  mov r1, r2
    vmov r0, s4
    vmov r3, s5
    STORE
    ldm sp, {r4-r11}
    PASS 3, s10, s15            @ pass 3: the odd pixels
    vmov r2, s2
    bx r2
    .align 2
5:  vmov r2, s3
    FOUR_PIXELS 1
9:  vmov r0, s4
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
6:  vmov s3, r1                 @ pass 0 of "linear"
    mov r2, r1
    FOUR_PIXELS 0
    b 8b
    .align 2
7:  vmov r2, s3                 @ pass 3
    FOUR_PIXELS 0
    b 9b
    .align 2
20: K_PAIR
21: .rept UNROLL - 1
    K_PAIR
    .endr
    vmov r2, s7
    cmp r0, r2
    bne 20b
    .align 2
22: vmov r2, s8
    bx r2
    .size asc_winograd_linear, . - asc_winograd_linear
