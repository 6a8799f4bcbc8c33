@ void asc_dw_taps(const int8_t *x, int8_t *y, const asc_dw_taps_row *row)
@ void asc_dw_many_taps(const int8_t *x, int8_t *y, const asc_dw_taps_row *row)
@ Depthwise, any kernel: a row of outputs of four channels, two taps at a time, 8 multiplications in 25 cycles,
@ or in 19 where one input channel feeds all four.
@
@ r0 pixel, r1 offsets, r2 stream of weights, r3 end of the offsets, r4-r7 sums, r8-r11 values, r12 lr operands.
@ s0 pixel, s1 y, s2 outputs left, s3 offsets, s4 weights, s5 step of the pixel, s6 of y.
    .syntax unified
    .thumb
    .macro OUTPUT sum
    ldm r2!, {r8, r9, r10}      @ multiplier, offset, right
    add r9, r9, \sum, asr #31
    smmlar \sum, \sum, r8, r9
    asr \sum, \sum, r10
    ssat \sum, #8, \sum
    .endm

    .macro FOUR                 @ four channels of two taps
    ldr r8, [r0, r8]
    ldr r9, [r0, r9]
    pkhbt r10, r8, r9, lsl #16  @ channels 0 and 1 of both taps: then one SXTB16 a channel
    pkhtb r11, r9, r8, asr #16
    sxtb16 r8, r10
    sxtb16 r10, r10, ror #8
    sxtb16 r9, r11
    sxtb16 r11, r11, ror #8
    ldm r2!, {r12, lr}
    smlad r4, r8, r12, r4
    smlad r5, r10, lr, r5
    ldm r2!, {r12, lr}
    smlad r6, r9, r12, r6
    smlad r7, r11, lr, r7
    .endm

    .macro ONE                  @ one channel of two taps
    ldrsb r8, [r0, r8]
    ldrsb r9, [r0, r9]
    ldm r2!, {r10, r11, r12, lr}
    pkhbt r8, r8, r9, lsl #16
    smlad r4, r8, r10, r4
    smlad r5, r8, r11, r5
    smlad r6, r8, r12, r6
    smlad r7, r8, lr, r7
    .endm

    .macro ROW name, pair
    .section .text.\name, "ax", %progbits
    .align 2
    .global \name
    .thumb_func
    .type \name, %function
\name:
    push {r4-r11, lr}
    ldm r2, {r4-r9}             @ asc_dw_taps_row
    vmov s0, r0
    vmov s1, r1
    vmov s2, r4
    vmov s3, r7
    vmov s4, r8
    vmov s5, r5
    vmov s6, r6
    add r3, r7, r9, lsl #3
1:  vmov r0, s0
    vmov r1, s3
    vmov r2, s4
    ldm r2!, {r4-r7}            @ biases
2:  ldr r8, [r1], #4
    ldr r9, [r1], #4
    \pair
    cmp r1, r3
    bne 2b
    OUTPUT r4
    OUTPUT r5
    OUTPUT r6
    OUTPUT r7
    vmov r0, s0
    vmov r8, s5
    vmov r1, s1
    vmov r9, s6
    bfi r4, r5, #8, #8
    bfi r4, r6, #16, #8
    bfi r4, r7, #24, #8
    add r0, r0, r8
    str r4, [r1]
    add r1, r1, r9
    vmov s0, r0
    vmov s1, r1
    vmov r8, s2
    subs r8, r8, #1
    vmov s2, r8
    bne 1b
    pop {r4-r11, pc}
    .size \name, . - \name
    .endm

    ROW asc_dw_taps, FOUR
    ROW asc_dw_many_taps, ONE
