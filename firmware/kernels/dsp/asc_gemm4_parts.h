// clang-format off
@ Parts of asc_gemm4 and asc_gemm4_sparse: r0 columns, r1 the stream of weights; r2 r3 r12 lr operands; s4 y, s5 stride,
@ s6 end of y.
#include "asc_outputs.h"

    .macro OPERANDS wide        @ weights -> r3 (channel 0), r2 (channel 1); pixels 0, 1 -> r12, lr
    .if \wide
    ldr r3, [r1], #4
    ldr r2, [r1], #4
    ldr r12, [r0], #4
    ldr lr, [r0], #4
    .else
    ldr r2, [r1], #4
    ldr r12, [r0], #4
    ldr lr, [r0], #4
    sxtb16 r3, r2
    sxtb16 r2, r2, ror #8
    .endif
    .endm

    .macro PRODUCTS             @ operands are there but for pixels 2 and 3
    smlad r4, r12, r3, r4
    smlad r8, r12, r2, r8
    smlad r5, lr, r3, r5
    smlad r9, lr, r2, r9
    ldr r12, [r0], #4
    ldr lr, [r0], #4
    smlad r6, r12, r3, r6
    smlad r10, r12, r2, r10
    smlad r7, lr, r3, r7
    smlad r11, lr, r2, r11
    .endm

    .macro K_PAIR wide
    OPERANDS \wide
    PRODUCTS
    .endm

    .macro STORE_PAIR           @ of channels; the flags say whether it was the last one
    vmov r0, s4
    vmov r3, s5
    vmov r2, s6
    bfi r4, r8, #8, #24
    bfi r5, r9, #8, #24
    bfi r6, r10, #8, #24
    add r12, r0, r3, lsl #1
    bfi r7, r11, #8, #24
    strh r5, [r0, r3]
    strh r4, [r0], #2
    strh r6, [r12]
    strh r7, [r12, r3]
    vmov s4, r0
    cmp r0, r2
    .endm

    .macro FINISH double, fixed
    OUTPUTS r1, \double, \fixed
    STORE_PAIR
    .endm
