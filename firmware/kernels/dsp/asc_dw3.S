@ Depthwise 3x3 on pairs of rows: see asc_nn_dsp.h for the layout of lines.
    .syntax unified
    .thumb
    .equ FIXED_SHIFT, 12        @ ASC_FIXED_SHIFT

@ void asc_dw3_...(uint32_t *lines, const asc_dw3_channel *w, int8_t *tile, const asc_dw3_strip *strip)
@
@ A channel at a time.  r0 line, lr tile, r8 r9 sums.  s0-s6 from the channel's table, s7 the next one's,
@ s9 end of the line, s10 line and s11 tile of the channel, s12 bytes of the line, s13 channels left, s14 pitch,
@ s15 entry.
    .macro SETUP
    push {r4-r11, lr}
    ldm r3, {r4-r7}             @ asc_dw3_strip
    vmov s10, r0
    vmov s11, r2
    vmov s12, r4
    vmov s13, r5
    vmov s14, r6
    vmov s15, r7
    .endm

    .macro NEXT_CHANNEL         @ line and tile; sets the flags by the channels left
    vmov r0, s10
    vmov r2, s14
    add r0, r0, r2
    vmov s10, r0
    vmov lr, s11
    add lr, lr, #1
    vmov s11, lr
    vmov r2, s13
    subs r2, r2, #1
    vmov s13, r2
    .endm

    .macro LINE_END
    vmov r2, s12
    add r2, r0, r2
    vmov s9, r2
    .endm

    .macro OUTPUT_TWO m, offset, temp, fixed
    vmov \m, s4
    vmov \offset, s5
    .if \fixed
    smmla r9, r9, \m, \offset
    smmla r8, r8, \m, \offset
    ssat r9, #8, r9, asr #FIXED_SHIFT
    ssat r8, #8, r8, asr #FIXED_SHIFT
    .else
    add \temp, \offset, r8, asr #31
    smmlar r8, r8, \m, \temp
    add \temp, \offset, r9, asr #31
    smmlar r9, r9, \m, \temp
    vmov \temp, s6
    asr r9, r9, \temp
    asr r8, r8, \temp
    ssat r9, #8, r9
    ssat r8, #8, r8
    .endif
    strb r9, [lr, #4]
    strb r8, [lr], #8
    .endm

@ Stride 1, two output rows of one column.  With the weights of a column A = {w0, w1}, B = {w1, w2} and pairs of
@ rows a, b: row 0 += a.A + b.low * w2, row 1 += a.high * w0 + b.B.
@ r10 A0, r11 B0, r12 A1, r1 B1 ("linear": temporary), s0 B1, s1 A2, s2 B2, s3 bias; r2-r7 a and b of three
@ columns, in turns.
    .macro LOAD a, b, odd       @ the next strip's upper pair is this one's lower: the words change roles
    .if \odd
    ldr \b, [r0], #4
    ldr \a, [r0], #4
    .else
    ldr \a, [r0], #4
    ldr \b, [r0], #4
    .endif
    .endm

    .macro TWO_ROWS a0, b0, a1, b1, a2, b2, fixed, odd
    LOAD \a2, \b2, \odd
    vmov r8, s3
    .if \fixed == 0
    vmov r1, s0
    .endif
    smlatb r9, \a0, r10, r8
    smlad r8, \a0, r10, r8
    smlabt r8, \b0, r11, r8
    smlad r9, \b0, r11, r9
    smlad r8, \a1, r12, r8
    smlatb r9, \a1, r12, r9
    smlabt r8, \b1, r1, r8
    smlad r9, \b1, r1, r9
    vmov \a0, s1
    vmov \b0, s2
    smlad r8, \a2, \a0, r8
    smlatb r9, \a2, \a0, r9
    smlabt r8, \b2, \b0, r8
    smlad r9, \b2, \b0, r9
    OUTPUT_TWO \a0, \b0, r1, \fixed
    .endm

    .macro STRIDE_1 name, fixed, odd
    .section .text.\name, "ax", %progbits
    .align 2
    .global \name
    .thumb_func
    .type \name, %function
\name:
    SETUP
    mov lr, r2
    mov r9, r1
1:  ldm r9!, {r10, r11, r12}
    vldm r9!, {s0-s6}
    vmov s7, r9
    LINE_END
    vmov r1, s0
    vmov r2, s15                @ n mod 3
    cmp r2, #1
    blt 2f
    beq 3f
    LOAD r4, r5, \odd
    LOAD r6, r7, \odd
    b 5f
3:  LOAD r6, r7, \odd
    LOAD r2, r3, \odd
    b 6f
2:  LOAD r2, r3, \odd
    LOAD r4, r5, \odd
4:  TWO_ROWS r2, r3, r4, r5, r6, r7, \fixed, \odd
5:  TWO_ROWS r4, r5, r6, r7, r2, r3, \fixed, \odd
6:  TWO_ROWS r6, r7, r2, r3, r4, r5, \fixed, \odd
    vmov r8, s9
    cmp r0, r8
    bne 4b
    NEXT_CHANNEL
    vmov r9, s7
    bne 1b
    pop {r4-r11, pc}
    .size \name, . - \name
    .endm
    STRIDE_1 asc_dw3_s1_fixed, 1, 0
    STRIDE_1 asc_dw3_s1_fixed_odd, 1, 1
    STRIDE_1 asc_dw3_s1_linear, 0, 0
    STRIDE_1 asc_dw3_s1_linear_odd, 0, 1

@ Stride 2, two output rows of one column: pairs of rows a, b, c; row 0 += a.A + b.low * w2,
@ row 1 += b.A + c.low * w2.  c becomes the first pair of the next strip.
@ r2-r4 a, b, c of column 0, then of 2; r5-r7 of column 1; r10 A0, r11 A1, r12 A2, r1 w2 of columns 0 and 1,
@ s1 w2 of column 2, s3 bias.
    .macro STRIDE_2 name, fixed
    .section .text.\name, "ax", %progbits
    .align 2
    .global \name
    .thumb_func
    .type \name, %function
\name:
    SETUP
    mov lr, r2
    mov r9, r1
1:  ldm r9!, {r10, r11, r12}
    ldr r1, [r9], #4
    vldm r9!, {s1-s6}           @ s2 is padding
    vmov s7, r9
    LINE_END
    ldr r2, [r0], #4
    ldr r3, [r0], #4
    ldr r4, [r0], #4
    str r4, [r0, #-12]
2:  vmov r8, s3
    ldr r5, [r0], #4
    ldr r6, [r0], #4
    ldr r7, [r0], #4
    smlad r9, r3, r10, r8
    str r7, [r0, #-12]
    smlad r8, r2, r10, r8
    smlabb r8, r3, r1, r8
    smlabb r9, r4, r1, r9
    ldr r2, [r0], #4
    ldr r3, [r0], #4
    ldr r4, [r0], #4
    smlad r8, r5, r11, r8
    str r4, [r0, #-12]
    smlad r9, r6, r11, r9
    smlabt r8, r6, r1, r8
    smlabt r9, r7, r1, r9
    vmov r5, s1
    smlad r8, r2, r12, r8
    smlad r9, r3, r12, r9
    smlabb r8, r3, r5, r8
    smlabb r9, r4, r5, r9
    OUTPUT_TWO r5, r6, r7, \fixed
    vmov r5, s9
    cmp r0, r5
    bne 2b
    NEXT_CHANNEL
    vmov r9, s7
    bne 1b
    pop {r4-r11, pc}
    .size \name, . - \name
    .endm
    STRIDE_2 asc_dw3_s2_fixed, 1
    STRIDE_2 asc_dw3_s2_linear, 0
