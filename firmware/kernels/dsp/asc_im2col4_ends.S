@ void asc_im2col4_ends(const int8_t *const x[4], uint32_t *columns, uint32_t rows, uint32_t pitch, uint32_t skip)
@ One value of each of `rows` rows of four pixels, two rows a word: 29 cycles for four words.
    .syntax unified
    .thumb
    .section .text.asc_im2col4_ends, "ax", %progbits
    .align 2
    .global asc_im2col4_ends
    .thumb_func
    .type asc_im2col4_ends, %function
asc_im2col4_ends:
    push {r4-r10, lr}
    ldr r9, [sp, #32]
    mov r12, r1
    mov lr, r2
    mov r8, r3
    ldm r0, {r0-r3}
    add r0, r0, r9
    add r1, r1, r9
    add r2, r2, r9
    add r3, r3, r9
1:  subs lr, lr, #2
    blt 2f
    ldrsb r4, [r0]
    ldrsb r9, [r0, r8]
    ldrsb r5, [r1]
    ldrsb r10, [r1, r8]
    pkhbt r4, r4, r9, lsl #16
    pkhbt r5, r5, r10, lsl #16
    ldrsb r6, [r2]
    ldrsb r9, [r2, r8]
    ldrsb r7, [r3]
    ldrsb r10, [r3, r8]
    pkhbt r6, r6, r9, lsl #16
    pkhbt r7, r7, r10, lsl #16
    stm r12!, {r4-r7}
    add r0, r0, r8, lsl #1
    add r1, r1, r8, lsl #1
    add r2, r2, r8, lsl #1
    add r3, r3, r8, lsl #1
    bne 1b
    pop {r4-r10, pc}
2:  ldrsb r4, [r0]              @ the upper halfwords meet weights of zero
    ldrsb r5, [r1]
    ldrsb r6, [r2]
    ldrsb r7, [r3]
    stm r12!, {r4-r7}
    pop {r4-r10, pc}
    .size asc_im2col4_ends, . - asc_im2col4_ends
