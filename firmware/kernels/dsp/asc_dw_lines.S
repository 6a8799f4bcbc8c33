@ Depthwise on pairs of rows: from rows to lines, from tiles to rows.  See asc_nn_dsp.h for the layout.
    .syntax unified
    .thumb

@ void asc_dw_pairs_...(const int8_t *row_0, const int8_t *row_1, uint32_t *line, int32_t step_0, int32_t step_1,
@                       uint32_t n, uint32_t pitch)
    .macro SPREAD a, b, bytes   @ of both rows -> a word for each channel
    pkhbt lr, \a, \b, lsl #16   @ channels 0 and 1 of both rows: then one SXTB16 a channel
    pkhtb \a, \b, \a, asr #16
    sxtb16 \b, lr
    sxtb16 lr, lr, ror #8
    str \b, [r2], #\bytes
    str lr, [r10], #\bytes
    sxtb16 \b, \a
    sxtb16 \a, \a, ror #8
    str \b, [r11], #\bytes
    str \a, [r12], #\bytes
    .endm

    .macro PAIRS name, bytes    @ from one position to the next
    .section .text.\name, "ax", %progbits
    .align 2
    .global \name
    .thumb_func
    .type \name, %function
\name:
    push {r4-r11, lr}
    ldr r4, [sp, #36]
    ldr r5, [sp, #40]
    ldr r6, [sp, #44]
    add r10, r2, r6             @ lines of channels 1, 2, 3
    add r11, r10, r6
    add r12, r11, r6
    subs r5, r5, #2
    blt 2f
1:  ldr r6, [r0]
    ldr r7, [r1]
    ldr r8, [r0, r3]
    ldr r9, [r1, r4]
    add r0, r0, r3, lsl #1
    add r1, r1, r4, lsl #1
    SPREAD r6, r7, \bytes
    SPREAD r8, r9, \bytes
    subs r5, r5, #2
    bge 1b
2:  cmp r5, #-1
    bne 3f
    ldr r6, [r0]
    ldr r7, [r1]
    SPREAD r6, r7, \bytes
3:  pop {r4-r11, pc}
    .size \name, . - \name
    .endm
    PAIRS asc_dw_pairs_1, 4
    PAIRS asc_dw_pairs_2, 8
    PAIRS asc_dw_pairs_3, 12

@ void asc_dw_store(const uint32_t *tile, int8_t *y_0, int8_t *y_1, int32_t step, uint32_t n)
    .section .text.asc_dw_store, "ax", %progbits
    .align 2
    .global asc_dw_store
    .thumb_func
    .type asc_dw_store, %function
asc_dw_store:
    push {r4-r8, lr}
    ldr r12, [sp, #24]
    subs r12, r12, #2
    blt 2f
1:  ldr r4, [r0], #4
    ldr r5, [r0], #4
    ldr r6, [r0], #4
    ldr r7, [r0], #4
    str r5, [r2]                @ the second row first: it is the first one again where it does not exist
    str r4, [r1]
    add r2, r2, r3
    add r1, r1, r3
    subs r12, r12, #2
    str r7, [r2]
    str r6, [r1]
    add r2, r2, r3
    add r1, r1, r3
    bge 1b
2:  cmp r12, #-1
    bne 3f
    ldr r4, [r0], #4
    ldr r5, [r0], #4
    str r5, [r2]
    str r4, [r1]
3:  pop {r4-r8, pc}
    .size asc_dw_store, . - asc_dw_store

@ void asc_dw_move(uint32_t *to, const uint32_t *from, uint32_t words)
    .section .text.asc_dw_move, "ax", %progbits
    .align 2
    .global asc_dw_move
    .thumb_func
    .type asc_dw_move, %function
asc_dw_move:
    push {r4-r9, lr}
    subs r2, r2, #8
    blt 2f
1:  ldm r1!, {r3-r9, r12}
    subs r2, r2, #8
    stm r0!, {r3-r9, r12}
    bge 1b
2:  adds r2, r2, #8
    beq 4f
3:  ldr r3, [r1], #4
    subs r2, r2, #1
    str r3, [r0], #4
    bne 3b
4:  pop {r4-r9, pc}
    .size asc_dw_move, . - asc_dw_move
