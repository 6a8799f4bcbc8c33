@ The stages of asc_fft_dsp.c: the same integers as kernels/ref/asc_fft.c.  Any core with the DSP extension; no
@ FPU, no division.
@
@ Loads follow each other where they can (the second and later ones take one cycle on a Cortex-M4), stores have
@ immediate offsets, shifts ride on ADD and RSB.  Offsets are in bytes, 4 times the index in the C.
    .syntax unified
    .thumb

.macro FUNCTION name
    .section .text.\name,"ax",%progbits
    .align 2
    .global \name
    .type \name,%function
    .thumb_func
\name:
.endm
.macro END name
    .size \name, . - \name
.endm

@ ---- first stage, window merged: r0 x, r1 window (32 bits: x * w >> 16), r2 steps, r3 out ----
.macro FIRST8 n
FUNCTION asc_fft_first_\n
    push {r4-r11,lr}
    movw lr,#(1518500250 & 0xffff)
    movt lr,#(1518500250 >> 16)
1:  ldrsh r4,[r0]
    ldrsh r6,[r0,#(\n)]
    ldrsh r8,[r0,#(\n/2)]
    ldrsh r10,[r0,#(\n*3/2)]
    ldr r5,[r1],#32
    ldr r7,[r1,#-28]
    ldr r9,[r1,#-24]
    ldr r11,[r1,#-20]
    smulwb r6,r7,r6
    smlawb r4,r5,r4,r6          @ e0
    smulwb r10,r11,r10
    smlawb r8,r9,r8,r10         @ e2
    sub r5,r4,r6,lsl #1         @ e1
    sub r9,r8,r10,lsl #1        @ e3
    sub r10,r4,r8
    add r4,r4,r8                @ f
    str r10,[r3,#8]             @ R2
    ldrsh r6,[r0,#(\n/4)]
    ldrsh r8,[r0,#(\n*5/4)]
    ldr r7,[r1,#-16]
    ldr r10,[r1,#-12]
    ldrsh r11,[r0,#(\n*7/4)]
    ldr r12,[r1,#-4]
    smulwb r8,r10,r8
    smlawb r6,r7,r6,r8          @ o0
    smulwb r11,r12,r11
    sub r7,r6,r8,lsl #1         @ o1
    ldrsh r10,[r0,#(\n*3/4)]
    ldr r12,[r1,#-8]
    smlawb r10,r12,r10,r11      @ o2
    rsb r11,r10,r11,lsl #1      @ -o3
    add r8,r6,r10               @ g
    sub r6,r10,r6               @ I2
    add r12,r7,r11
    sub r11,r11,r7
    smmulr r12,r12,lr
    smmulr r11,r11,lr
    add r7,r4,r8
    sub r4,r4,r8
    add r8,r5,r12,lsl #1
    sub r5,r5,r12,lsl #1
    rsb r10,r9,r11,lsl #1
    add r9,r9,r11,lsl #1
    str r8,[r3,#4]
    str r5,[r3,#12]
    str r4,[r3,#16]
    str r9,[r3,#20]
    str r6,[r3,#24]
    str r10,[r3,#28]
    str r7,[r3],#32
    ldrsh r4,[r2],#2
    add r0,r0,r4
    cmp r4,#0
    bne 1b
    pop {r4-r11,pc}
END asc_fft_first_\n
.endm

.macro FIRST4 n
FUNCTION asc_fft_first_\n
    push {r4-r7,lr}
1:  ldrsh r4,[r0]
    ldrsh r7,[r0,#(\n/2)]
.if \n < 4096
    ldrsh r6,[r0,#(\n)]
    ldrsh r12,[r0,#(\n*3/2)]
.else
    add lr,r0,#4096
    ldrsh r6,[lr]
    ldrsh r12,[lr,#2048]
.endif
    ldr r5,[r1],#16
    ldr lr,[r1,#-12]
    smulwb r6,lr,r6
    smlawb r4,r5,r4,r6          @ e0
    ldr r5,[r1,#-8]
    ldr lr,[r1,#-4]
    smulwb r12,lr,r12
    smlawb r7,r5,r7,r12         @ o0
    sub r5,r4,r6,lsl #1         @ e1
    rsb r12,r7,r12,lsl #1       @ -o1
    add r6,r4,r7
    sub r4,r4,r7
    str r5,[r3,#4]
    str r4,[r3,#8]
    str r12,[r3,#12]
    str r6,[r3],#16
    ldrsh r4,[r2],#2
    add r0,r0,r4
    cmp r4,#0
    bne 1b
    pop {r4-r7,pc}
END asc_fft_first_\n
.endm

@ ---- radix-4 halfcomplex butterfly: r0 ascending, r1 descending, r2 twiddles ----
@ loads and arithmetic, leaving t0 r4:r5, t1 r8:r9, t2 r7:r3, t3i r6, -t3r r10
.macro BFCORE o1,o2,o3
    ldr r4,[r0,#\o2]
    ldr r5,[r1,#\o2]
    ldr r6,[r2,#4]
    ldr r7,[r2,#8]
    ldr r8,[r0]
    ldr r9,[r1]
    ldr r11,[r0,#\o1]
    ldr r12,[r1,#\o1]
    ldr r3,[r2,#12]
    ldr lr,[r2,#16]
    BFMID
    ldr r11,[r0,#\o3]
    ldr r12,[r1,#\o3]
    BFEND
.endm
.macro BFMID
    smmulr r10,r4,r6
    smmulr r6,r5,r6
    smmlar r10,r5,r7,r10        @ c'
    smmlsr r6,r4,r7,r6
    add r4,r10,r8,asr #2
    rsb r8,r10,r8,asr #2
    add r5,r6,r9,asr #2
    rsb r9,r6,r9,asr #2
    smmulr r10,r11,r3
    smmulr r6,r12,r3
    smmlar r10,r12,lr,r10       @ b'
    smmlsr r6,r11,lr,r6
.endm
.macro BFEND
    ldr r3,[r2,#20]
    ldr lr,[r2],#24
    smmlar r7,r11,r3,r10
    smmlar r3,r12,r3,r6
    smmlar r7,r12,lr,r7         @ t2 = b' + d'
    smmlsr r3,r11,lr,r3
    rsb r6,r3,r6,lsl #1         @ t3i
    sub r10,r7,r10,lsl #1       @ -t3r
.endm
.macro BF m
    BFCORE (\m*4),(\m*8),(\m*12)
    add r11,r5,r3
    sub r5,r3,r5
    sub r12,r4,r7
    add r4,r4,r7
    str r11,[r1,#(\m*12)]
    str r5,[r0,#(\m*8)]
    str r12,[r1,#(\m*4)]
    add r11,r8,r6
    sub r8,r8,r6
    add r12,r9,r10
    sub r10,r10,r9
    str r11,[r0,#(\m*4)]
    str r12,[r1,#(\m*8)]
    str r10,[r0,#(\m*12)]
    str r8,[r1],#-4
    str r4,[r0],#4
.endm
.macro SQ lo,hi,re,im
    smull \lo,\hi,\re,\re
    smlal \lo,\hi,\im,\im
.endm
.macro BFP m                    @ last stage: powers instead of complex values
    BFCORE (\m*4),(\m*8),(\m*12)
    add r11,r4,r7
    add r12,r5,r3
    sub r4,r4,r7
    sub r5,r3,r5
    SQ r3,r7,r11,r12
    SQ r11,r12,r4,r5
    add r4,r8,r6
    add r5,r9,r10
    sub r8,r8,r6
    sub r9,r10,r9
    SQ r6,r10,r4,r5
    SQ r4,r5,r8,r9
    str r7,[r1,#(\m*12)]
    str r11,[r1,#(\m*4)]
    str r12,[r0,#(\m*8)]
    str r6,[r0,#(\m*4)]
    str r10,[r1,#(\m*8)]
    str r5,[r0,#(\m*12)]
    str r4,[r1],#-4
    str r3,[r0],#4
.endm
@ legs too far apart for a 12-bit offset (M = 512, 1024): pointers hop between the halves.
@ r0, r1 carry +4 so that legs at +0 and +4096 are both in reach
.macro BFPBIG m
    ldr r8,[r0,#-4]
    ldr r9,[r1,#-4]
    ldr r11,[r0,#(\m*4-4)]
    ldr r12,[r1,#(\m*4-4)]
    add r0,r0,#(\m*8)
    add r1,r1,#(\m*8)
    ldr r3,[r2,#12]
    ldr lr,[r2,#16]
    ldr r6,[r2,#4]
    ldr r7,[r2,#8]
    ldr r4,[r0,#-4]
    ldr r5,[r1,#-4]
    BFMID
    ldr r11,[r0,#(\m*4-4)]
    ldr r12,[r1,#(\m*4-4)]
    BFEND
    add r11,r4,r7
    add r12,r5,r3
    sub r4,r4,r7
    sub r5,r3,r5
    SQ r3,r7,r11,r12
    SQ r11,r12,r4,r5
    add r4,r8,r6
    add r5,r9,r10
    sub r8,r8,r6
    sub r9,r10,r9
    SQ r6,r10,r4,r5
    SQ r4,r5,r8,r9
    str r7,[r1,#(\m*4-4)]
    str r12,[r0,#-4]
    str r10,[r1,#-4]
    str r5,[r0,#(\m*4-4)]
    sub r0,r0,#(\m*8)
    sub r1,r1,#(\m*8)
    str r11,[r1,#(\m*4-4)]
    str r6,[r0,#(\m*4-4)]
    str r4,[r1,#-4]
    str r3,[r0,#-4]
    sub r1,r1,#4
    add r0,r0,#4
.endm

@ k = 0 and k = M/2 of a group at r0 (legs reachable)
.macro EDGES m
    ldr r4,[r0]
    ldr r5,[r0,#(\m*4)]
    ldr r6,[r0,#(\m*8)]
    ldr r7,[r0,#(\m*12)]
    ldr r8,[r0,#(\m*2)]
    ldr r9,[r0,#(\m*6)]
    ldr r10,[r0,#(\m*10)]
    ldr r11,[r0,#(\m*14)]
    movw r12,#(759250125 & 0xffff)
    movt r12,#(759250125 >> 16)
    EDGEMATH
    str r4,[r0]
    str r6,[r0,#(\m*8)]
.endm
.macro EDGEMATH
    asr r4,r4,#2
    asr r5,r5,#2
    sub r3,r4,r6,asr #2         @ t1
    add r4,r4,r6,asr #2         @ t0
    add r6,r5,r7,asr #2         @ t2
    rsb r5,r5,r7,asr #2         @ t3
    add r7,r4,r6
    sub r6,r4,r6                @ X[2M]
    mov r4,r7                   @ X[0]
    smmulr r9,r9,r12
    smmlsr r7,r11,r12,r9        @ v1
    smmlar r9,r11,r12,r9        @ v2
    rsb r11,r9,#0
    sub r11,r11,r10,asr #2      @ i1
    rsb r10,r9,r10,asr #2       @ i3
    add r9,r7,r8,asr #2         @ r1
    rsb r8,r7,r8,asr #2         @ r3
.endm

@ r0 buf, r1 twiddles, r2 end
.macro STAGE m, peel, unroll
FUNCTION asc_fft_stage_\m
    push {r1,r2,r4-r11,lr}
1:  EDGES \m
    str r3,[r0,#(\m*4)]
    str r5,[r0,#(\m*12)]
    str r9,[r0,#(\m*2)]
    str r8,[r0,#(\m*6)]
    str r10,[r0,#(\m*10)]
    str r11,[r0,#(\m*14)]
    add r1,r0,#(\m*4-4)
    add r0,r0,#4
    ldr r2,[sp]
.rept \peel
    BF \m
.endr
.if \m > 8
2:
.rept \unroll
    BF \m
.endr
    cmp r0,r1
    blo 2b
.endif
    ldr r2,[sp,#4]
    add r0,r0,#(\m*14)
    cmp r0,r2
    blo 1b
    pop {r1,r2,r4-r11,pc}
END asc_fft_stage_\m
.endm
.macro LAST m, peel, unroll
FUNCTION asc_fft_last_\m
    push {r1,r4-r11,lr}
    EDGES \m
    SQ r4,r6,r3,r5              @ X[M]
    SQ r3,r5,r9,r11             @ X[M/2]
    SQ r7,r9,r8,r10             @ X[3M/2]
    str r4,[r0,#(\m*4)]
    str r6,[r0,#(\m*12)]
    str r3,[r0,#(\m*2)]
    str r5,[r0,#(\m*14)]
    str r7,[r0,#(\m*6)]
    str r9,[r0,#(\m*10)]
    add r1,r0,#(\m*4-4)
    add r0,r0,#4
    ldr r2,[sp]
.rept \peel
    BFP \m
.endr
2:
.rept \unroll
    BFP \m
.endr
    cmp r0,r1
    blo 2b
    pop {r1,r4-r11,pc}
END asc_fft_last_\m
.endm
.macro LASTBIG m
FUNCTION asc_fft_last_\m
    push {r1,r4-r11,lr}
    add r1,r0,#(\m*8)
    ldr r4,[r0]
    ldr r8,[r0,#(\m*2)]
    ldr r6,[r1]
    ldr r10,[r1,#(\m*2)]
    add r2,r0,#(\m*4)
    add r3,r1,#(\m*4)
    ldr r5,[r2]
    ldr r9,[r2,#(\m*2)]
    ldr r7,[r3]
    ldr r11,[r3,#(\m*2)]
    movw r12,#(759250125 & 0xffff)
    movt r12,#(759250125 >> 16)
    push {r3}
    EDGEMATH
    str r4,[r0]
    str r6,[r1]
    SQ r4,r6,r3,r5
    pop {r12}
    SQ r3,r5,r9,r11
    SQ r7,r9,r8,r10
    str r4,[r2]
    str r6,[r12]
    str r3,[r0,#(\m*2)]
    str r5,[r12,#(\m*2)]
    str r7,[r2,#(\m*2)]
    str r9,[r1,#(\m*2)]
    add r1,r0,#(\m*4)
    add r0,r0,#8
    ldr r2,[sp]
2:  BFPBIG \m
    cmp r0,r1
    blo 2b
    pop {r1,r4-r11,pc}
END asc_fft_last_\m
.endm

    FIRST4 256
    FIRST8 512
    FIRST4 1024
    FIRST8 2048
    FIRST4 4096
    STAGE 4,1,0
    STAGE 8,3,0
    STAGE 16,1,3
    STAGE 32,0,3
    STAGE 64,1,3
    STAGE 128,0,3
    STAGE 256,1,3
    LAST 64,1,3
    LAST 128,0,3
    LAST 256,1,3
    LASTBIG 512
    LASTBIG 1024

