// clang-format off
@ Parts of assembly: from the sums of 4 pixels x 2 channels, r4-r7 and r8-r11, to outputs.
    .equ FIXED_SHIFT, 12        @ ASC_FIXED_SHIFT

    .macro OUTPUT sum, double, fixed @ multiplier r3, offset r12, right lr; r0 is free
    .if \fixed
    smmla \sum, \sum, r3, r12
    ssat \sum, #8, \sum, asr #FIXED_SHIFT
    .else
    add r0, r12, \sum, asr #31
    .if \double
    lsl \sum, \sum, #1
    .endif
    smmlar \sum, \sum, r3, r0
    asr \sum, \sum, lr
    ssat \sum, #8, \sum
    .endif
    .endm

    .macro SCALE stream, fixed  @ of a channel
    .if \fixed
    ldm \stream!, {r3, r12}
    .else
    ldm \stream!, {r3, r12, lr}
    .endif
    .endm

    .macro OUTPUTS stream, double, fixed
    SCALE \stream, \fixed
    OUTPUT r4, \double, \fixed
    OUTPUT r5, \double, \fixed
    OUTPUT r6, \double, \fixed
    OUTPUT r7, \double, \fixed
    SCALE \stream, \fixed
    OUTPUT r8, \double, \fixed
    OUTPUT r9, \double, \fixed
    OUTPUT r10, \double, \fixed
    OUTPUT r11, \double, \fixed
    .endm
