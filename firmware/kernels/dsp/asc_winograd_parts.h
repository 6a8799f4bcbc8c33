// clang-format off
@ Parts of asc_winograd and asc_winograd_sparse: r0 columns, r1 the stream of weights; r2 r3 r12 lr operands.
#include "asc_outputs.h"

    .macro OPERANDS             @ weights -> r3 (channel 0), r2 (channel 1); pairs of pixels 1, 2 -> r12, lr
    ldr r3, [r1], #4
    ldr r2, [r1], #4
    ldr r12, [r0, #4]
    ldr lr, [r0, #8]
    .endm

    .macro PRODUCTS             @ operands are there but for two
    smlad r5, r12, r3, r5
    smlad r9, r12, r2, r9
    smlad r6, lr, r3, r6
    smlad r10, lr, r2, r10
    ldr r12, [r0, #12]
    ldr lr, [r0], #64
    smlad r7, r12, r3, r7
    smlad r11, r12, r2, r11
    smlad r4, lr, r3, r4
    smlad r8, lr, r2, r8
    .endm

    .macro K_PAIR
    OPERANDS
    PRODUCTS
    .endm

    .macro FOUR_PIXELS fixed    @ r2 scales -> r4-r7, of two channels
    OUTPUTS r2, 0, \fixed
    bfi r4, r8, #8, #24
    bfi r5, r9, #8, #24
    bfi r6, r10, #8, #24
    bfi r7, r11, #8, #24
    .endm

    .macro STORE                @ r0 first pixel, r3 bytes to the next
    add r12, r0, r3, lsl #1
    strh r4, [r0]
    strh r5, [r0, r3]
    strh r6, [r12]
    strh r7, [r12, r3]
    .endm
