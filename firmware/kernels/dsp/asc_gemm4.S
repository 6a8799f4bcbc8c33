@ 4 pixels x 2 channels a turn: 17 cycles for a pair of K, 16 multiplications (wide: 16 cycles).
@
@ r4-r7 sums of channel 0, r8-r11 of channel 1; r0 columns, r1 the stream of weights; r2 r3 r12 lr operands.
@ The rest lives in the FPU, a move away: s0 columns, s1 entry into the unrolled loop, s2 end of the columns,
@ s4 y, s5 stride, s6 end of y.
    .syntax unified
    .thumb
    .equ FIXED_SHIFT, 12        @ ASC_FIXED_SHIFT

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

    .macro K_PAIR wide
    OPERANDS \wide
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

    .macro SCALE fixed          @ of a channel
    .if \fixed
    ldm r1!, {r3, r12}
    .else
    ldm r1!, {r3, r12, lr}
    .endif
    .endm

@ unroll: pairs of K in a turn of the loop.
    .macro GEMM name, double, wide, fixed, unroll
    .section .text.\name, "ax", %progbits
    .align 2
    .global \name
    .thumb_func
    .type \name, %function
\name:
    push {r4-r11, lr}
    ldm r3, {r5, r6, r7}        @ k_pairs, c_pairs, stride
    vmov s0, r0
    add r0, r0, r5, lsl #4
    vmov s2, r0
    vmov s4, r2
    vmov s5, r7
    add r2, r2, r6, lsl #1
    vmov s6, r2
    subs r5, r5, #1             @ the first pair of K is peeled
    and r6, r5, #\unroll - 1
    rsb r6, r6, #\unroll
    and r6, r6, #\unroll - 1
    mov r7, #(21f - 20f)        @ bytes of code for a pair of K
    adr.w r3, 20f
    mla r3, r6, r7, r3
    it eq
    adreq.w r3, 22f
    orr r3, r3, #1              @ Thumb
    vmov s1, r3
1:  vmov r0, s0                 @ a pair of channels
    ldr r7, [r1], #4
    ldr r11, [r1], #4
    OPERANDS \wide              @ the first products spread the bias over the four pixels
    smlad r4, r12, r3, r7
    smlad r8, r12, r2, r11
    smlad r5, lr, r3, r7
    smlad r9, lr, r2, r11
    ldr r12, [r0], #4
    ldr lr, [r0], #4
    smlad r6, r12, r3, r7
    smlad r10, r12, r2, r11
    smlad r7, lr, r3, r7
    smlad r11, lr, r2, r11
    vmov r2, s1
    bx r2
    .align 2
20: K_PAIR \wide
21: .rept \unroll - 1
    K_PAIR \wide
    .endr
    vmov r2, s2
    cmp r0, r2
    bne 20b
    .align 2
22: SCALE \fixed
    OUTPUT r4, \double, \fixed
    OUTPUT r5, \double, \fixed
    OUTPUT r6, \double, \fixed
    OUTPUT r7, \double, \fixed
    SCALE \fixed
    OUTPUT r8, \double, \fixed
    OUTPUT r9, \double, \fixed
    OUTPUT r10, \double, \fixed
    OUTPUT r11, \double, \fixed
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
    bne 1b
    pop {r4-r11, pc}
    .size \name, . - \name
    .endm

    GEMM asc_gemm4_packed, 1, 0, 0, 16
    GEMM asc_gemm4_wide, 0, 1, 0, 16
    GEMM asc_gemm4_fixed, 0, 1, 1, 32
