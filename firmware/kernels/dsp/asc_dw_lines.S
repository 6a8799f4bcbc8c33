@ Depthwise on pairs of rows, what all kernels share: rows to lines, tiles to rows.  See asc_nn_dsp.h for the layout.
    .syntax unified
    .thumb

@ void asc_dw_pairs_...(const int8_t *row_0, const int8_t *row_1, uint32_t *line, int32_t step_0, int32_t step_1,
@                       uint32_t n, uint32_t pitch)
    .macro COLUMN at
    ldr r6, [r0]
    ldr r7, [r1]
    add r0, r0, r3
    add r1, r1, r4
    pkhbt r8, r6, r7, lsl #16   @ channels 0 and 1 of both rows: then one SXTB16 a channel
    pkhtb r9, r7, r6, asr #16
    sxtb16 r6, r8
    sxtb16 r8, r8, ror #8
    sxtb16 r7, r9
    sxtb16 r9, r9, ror #8
    str r6, [r2, #\at]
    str r8, [r10, #\at]
    str r7, [r11, #\at]
    str r9, [r12, #\at]
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
1:  COLUMN 0
    COLUMN \bytes
    add r2, r2, #2 * \bytes
    add r10, r10, #2 * \bytes
    add r11, r11, #2 * \bytes
    add r12, r12, #2 * \bytes
    subs r5, r5, #2
    bge 1b
2:  cmp r5, #-1
    bne 3f
    COLUMN 0
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
