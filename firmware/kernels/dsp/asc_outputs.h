// clang-format off
@ Parts of assembly: from the sums of 4 pixels x 2 channels, r4-r7 and r8-r11, to outputs.
    .equ FIXED_SHIFT, 12        @ ASC_FIXED_SHIFT

    .macro FIXED sum, multiplier, offset
    smmla \sum, \sum, \multiplier, \offset
    ssat \sum, #8, \sum, asr #FIXED_SHIFT
    .endm

    .macro OUTPUT sum, double   @ multiplier r3, offset r12, right lr; r0 is free
    add r0, r12, \sum, asr #31
    .if \double
    lsl \sum, \sum, #1
    .endif
    smmlar \sum, \sum, r3, r0
    asr \sum, \sum, lr
    ssat \sum, #8, \sum
    .endm

    .macro OUTPUTS stream, double, fixed
    .if \fixed
    ldm \stream!, {r0, r3, r12, lr}
    FIXED r4, r0, r3
    FIXED r5, r0, r3
    FIXED r6, r0, r3
    FIXED r7, r0, r3
    FIXED r8, r12, lr
    FIXED r9, r12, lr
    FIXED r10, r12, lr
    FIXED r11, r12, lr
    .else
    ldm \stream!, {r3, r12, lr}
    OUTPUT r4, \double
    OUTPUT r5, \double
    OUTPUT r6, \double
    OUTPUT r7, \double
    ldm \stream!, {r3, r12, lr}
    OUTPUT r8, \double
    OUTPUT r9, \double
    OUTPUT r10, \double
    OUTPUT r11, \double
    .endif
    .endm
