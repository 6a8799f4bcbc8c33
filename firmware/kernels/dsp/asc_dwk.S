@ Depthwise by pairs of rows, kernels of 3, 5 or 7 taps across the strip and 1, 3 or 5 along it: asc_nn_dsp.h
@ has the layout of lines and weights, mcu_asc/compiler/dsp/strips.py the cycles.
@
@ void asc_dwk_...(const uint32_t *line, const uint32_t *weights, int8_t *tile, const asc_dwk_strips *strips)
@
@ A tile is two columns of both output rows, made line by line, so that few registers hold data: ptr0 .. are
@ the lines, sum0 sum1 the sums of both rows in the first column, sum2 sum3 in the second, dat0 .. positions of
@ one line, wgt a word of weights.  From s0: a channel's weights, then bias, multiplier, offset, right shift.
@ Of stride 1, pair k of rows is taps 2k, 2k + 1 of row 0 and 2k - 1, 2k of row 1; of stride 2, taps 2k,
@ 2k + 1 of row 0 and 2k - 2, 2k - 1 of row 1.
    .syntax unified
    .thumb
    .altmacro
    .equ FIXED_SHIFT, 12        @ ASC_FIXED_SHIFT

ptr0 .req r0
ptr1 .req r1
ptr2 .req r2
ptr3 .req r3
ptr4 .req r12
sum0 .req r4
sum1 .req r5
sum2 .req r6
sum3 .req r7
dat0 .req r8
dat1 .req r9
dat2 .req r10
dat3 .req r11
dat4 .req r12
wgt .req lr

    .macro TAKE line, slot, at
    ldr dat\slot, [ptr\line, #\at]
    .endm

    .macro TAKE_LAST line, step @ position 0; on to the next tile
    ldr dat0, [ptr\line], #\step
    .endm

    .macro WEIGHT index
    vmov wgt, s\index
    .endm

    .macro ROW row, insn, a, b, first @ of columns in dat\a and dat\b
    .if \row
    .if \first
    \insn sum1, dat\a, wgt, sum3
    .else
    \insn sum1, dat\a, wgt, sum1
    .endif
    \insn sum3, dat\b, wgt, sum3
    .else
    .if \first
    \insn sum0, dat\a, wgt, sum3
    \insn sum2, dat\b, wgt, sum3
    .else
    \insn sum0, dat\a, wgt, sum0
    \insn sum2, dat\b, wgt, sum2
    .endif
    .endif
    .endm

    .macro TAP line, tap, a, b
    .if STEP_ACROSS == 1
    .if \line == 0
    WEIGHT %\tap
    ROW 0, smlad, \a, \b, (\tap == 0)
    ROW 1, smlatb, \a, \b, (\tap == 0)
    .elseif \line < LINES - 1
    WEIGHT %(ALONG + (\line - 1) * 2 * ALONG + 2 * \tap)
    ROW 0, smlad, \a, \b, 0
    WEIGHT %(ALONG + (\line - 1) * 2 * ALONG + 2 * \tap + 1)
    ROW 1, smlad, \a, \b, 0
    .else
    WEIGHT %(ALONG + (\line - 1) * 2 * ALONG + \tap)
    ROW 0, smlabt, \a, \b, 0
    ROW 1, smlad, \a, \b, 0
    .endif
    .else
    .if \line < LINES - 1
    WEIGHT %(\line * ALONG + \tap)
    ROW 0, smlad, \a, \b, (\line + \tap == 0)
    .endif
    .if \line > 0
    WEIGHT %((\line - 1) * ALONG + \tap)
    ROW 1, smlad, \a, \b, ((\line == 1) && (\tap == 0))
    .endif
    .endif
    .endm

    .macro OUTPUT sum, at
    .if FIXED
    smmla \sum, \sum, r9, r10
    ssat \sum, #8, \sum, asr #FIXED_SHIFT
    .else
    add lr, r10, \sum, asr #31
    smmlar \sum, \sum, r9, lr
    asr \sum, \sum, r11
    ssat \sum, #8, \sum
    .endif
    .endm

    .macro LINE line
    .set at, 1
    .rept POSITIONS - 1
    .if (at < HELD) && ((at < ALONG) || (at >= STEP_ALONG))
    TAKE \line, %at, %(4 * at)
    .endif
    .set at, at + 1
    .endr
    TAKE_LAST \line, %(8 * STEP_ALONG)
    .set tap, 0
    .rept ALONG
    .if tap + STEP_ALONG == HELD
    .set at, HELD
    .rept POSITIONS - HELD
    TAKE \line, %(at - HELD), %(4 * at - 8 * STEP_ALONG)
    .set at, at + 1
    .endr
    .endif
    TAP \line, %tap, %(tap - tap / HELD * HELD), %(tap + STEP_ALONG - (tap + STEP_ALONG) / HELD * HELD)
    .set tap, tap + 1
    .endr
    .endm

    .macro ADD_TO line, from
    add ptr\line, ptr\line, \from
    .endm

    .macro FROM_S register, index
    vmov \register, s\index
    .endm

    .macro TO_S index, register
    vmov s\index, \register
    .endm

    .macro SAVED insn, last
    \insn {s16-s\last}
    .endm

    .macro RECORD last
    vldm r8!, {s0-s\last}
    .endm

    .macro LINE_AFTER before, line, slot
    add ptr\line, ptr\before, \slot
    .endm

    @ On the stack: line, weights and tile of the channel; bytes, skip, slot, pitch, strips; channels left,
    @ strips left.  Behind a record in s: line 0's end and the place in the tile, where no register is left.
    .macro KERNEL name, across, along, step_across, step_along, fixed
    .section .text.\name, "ax", %progbits
    .align 2
    .global \name
    .thumb_func
    .type \name, %function
    .set ALONG, \along
    .set STEP_ACROSS, \step_across
    .set STEP_ALONG, \step_along
    .set FIXED, \fixed
    .set LINES, (\across - 1) / 2 + \step_across
    .set POSITIONS, \along + \step_along
    .set WORDS, (\across - 1) * \along
    .if \step_across == 2
    .set WORDS, (\across + 1) / 2 * \along
    .endif
    .set HELD, 5
    .if (POSITIONS <= 4) || (LINES == 5)
    .set HELD, 4
    .endif
    .set LAST, WORDS + 5
\name:
    push {r4-r11, lr}
    .if LAST > 15
    SAVED vpush, %(LAST | 1)
    .endif
    ldm r3, {r3-r7}             @ asc_dwk_strip
    mov r8, #4
    push {r0-r9}
1:  ldm sp, {r0, r8, r9, r10}
    ldr r4, [sp, #20]           @ slot
    ldr r5, [sp, #28]           @ strips
    RECORD %(WORDS + 3)
    str r5, [sp, #36]
    str r8, [sp, #4]
    .set line, 1
    .rept LINES - 1
    LINE_AFTER %(line - 1), %line, r4
    .set line, line + 1
    .endr
    .if LINES <= 3
    mov r3, r9
    .else
    TO_S %LAST, r9
    .endif
    add r9, r9, #1
    str r9, [sp, #8]
3:  .if (HELD == 4) && (LINES < 5)
    add r12, r0, r10
    .else
    add r10, r0, r10
    TO_S %(LAST - 1), r10
    .endif
2:  FROM_S sum3, %WORDS
    .set line, 0
    .rept LINES
    LINE %line
    .set line, line + 1
    .endr
    FROM_S r9, %(WORDS + 1)
    FROM_S r10, %(WORDS + 2)
    .if !FIXED
    FROM_S r11, %(WORDS + 3)
    .endif
    .if LINES > 3
    FROM_S r8, %LAST
    .endif
    OUTPUT sum0
    OUTPUT sum1
    OUTPUT sum2
    OUTPUT sum3
    .if LINES > 3
    strb sum1, [r8, #4]
    strb sum2, [r8, #8]
    strb sum3, [r8, #12]
    strb sum0, [r8], #16
    TO_S %LAST, r8
    .else
    strb sum1, [r3, #4]
    strb sum2, [r3, #8]
    strb sum3, [r3, #12]
    strb sum0, [r3], #16
    .endif
    .if (HELD == 4) && (LINES < 5)
    cmp r0, r12
    .else
    FROM_S r8, %(LAST - 1)
    cmp r0, r8
    .endif
    bne 2b
    ldr r8, [sp, #36]           @ strips left
    ldr r9, [sp, #16]           @ skip
    ldr r10, [sp, #12]          @ bytes
    subs r8, r8, #1
    str r8, [sp, #36]
    .set line, 0
    .rept LINES
    ADD_TO %line, r9
    .set line, line + 1
    .endr
    bne 3b
    ldr r8, [sp, #32]           @ channels left
    ldr r9, [sp]
    ldr r10, [sp, #24]          @ pitch
    FROM_S r11, %(WORDS + 3)    @ its upper bytes
    subs r8, r8, #1
    str r8, [sp, #32]
    and r10, r10, r11, asr #8
    add r9, r9, r10
    str r9, [sp]
    bne 1b
    add sp, sp, #40
    .if LAST > 15
    SAVED vpop, %(LAST | 1)
    .endif
    pop {r4-r11, pc}
    .size \name, . - \name
    .endm

    .macro BOTH taps, across, along, steps, step_across, step_along
    KERNEL asc_dwk_\taps\()_\steps\()_fixed, \across, \along, \step_across, \step_along, 1
    KERNEL asc_dwk_\taps\()_\steps\()_linear, \across, \along, \step_across, \step_along, 0
    .endm

    .macro STRIDES across, along
    BOTH \across\()x\along, \across, \along, 11, 1, 1
    BOTH \across\()x\along, \across, \along, 12, 1, 2
    BOTH \across\()x\along, \across, \along, 21, 2, 1
    BOTH \across\()x\along, \across, \along, 22, 2, 2
    .endm

    .irp across, 3, 5, 7
    BOTH \across\()x1, \across, 1, 11, 1, 1
    BOTH \across\()x1, \across, 1, 21, 2, 1
    STRIDES \across, 3
    .endr
    STRIDES 3, 5
    STRIDES 5, 5
