@ The loops of asc_bank_dsp.c: the same integers as kernels/ref/asc_bank.c.
@ Loads follow each other where they can (the second and later ones take one cycle on a Cortex-M4).
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

@ ---- triangles ------------------------------------------------------------------------------------
@ r0 lo, r1 hi, r2 weights, r3 totals, [sp] end of totals, [sp+4] segments
@ r7:r8 sum of powers, r9:r10 sum of weight * high words, r11:r12 of low words, lr segments
@ One bin is 28 bytes of code: a segment of up to 16 bins jumps to where its rest of the 16 begins.

.macro BIN
    ldr.w r4,[r0],#4
    ldr.w r5,[r1],#-4
    ldrh.w r6,[r2],#2
    adds.w r7,r7,r4
    adc.w r8,r8,r5
    umlal r11,r12,r4,r6
    umlal r9,r10,r5,r6
.endm

FUNCTION asc_bank_triangles_loop
    push {r4-r11,lr}
    ldr lr,[sp,#40]
    sub sp,sp,#12               @ [sp] end, [sp+4] segments, [sp+8] bins left
    ldr r4,[sp,#48]
    str r4,[sp]
    movs r7,#0
    mov r8,r7
1:  ldrh r4,[lr],#2
    movs r6,#0
    mov r9,r6
    mov r10,r6
    mov r11,r6
    mov r12,r6
    cmp r4,#16
    bhi 3f
2:  rsb r4,r4,r4,lsl #3         @ 7 * bins
    adr r5,4f
    sub r5,r5,r4,lsl #2
    mov pc,r5
    .align 2
    .rept 16
    BIN
    .endr
4:  lsr r11,r11,#16             @ R = high << 16 + low >> 16
    orr r11,r11,r12,lsl #16
    lsr r12,r12,#16
    adds r11,r11,r9,lsl #16
    lsr r9,r9,#16
    orr r9,r9,r10,lsl #16
    adc r12,r12,r9
    subs r11,r7,r11
    sbc r12,r8,r12
    ldr r4,[sp]
    str r11,[r3],#4
    str r12,[r3],#4
    cmp r3,r4
    bne 1b
    add sp,sp,#12
    pop {r4-r11,pc}
3:  str lr,[sp,#4]              @ more than 16: by fours until 13 to 16 are left
    sub lr,r4,#13
    bic lr,lr,#3
    sub r4,r4,lr
    str r4,[sp,#8]
5:  .rept 4
    BIN
    .endr
    subs lr,lr,#4
    bne 5b
    ldr lr,[sp,#4]
    ldr r4,[sp,#8]
    b 2b
END asc_bank_triangles_loop

@ ---- any bands ------------------------------------------------------------------------------------
@ r0 spectrum, r1 end of spectrum, r2 roots of weights, r3 totals, [sp] end of totals, [sp+4] segments
@ r7:r8 total, r9 lo, r10 hi, r11 end of lo, lr segments

@ One bin is 28 bytes of code; the first round of eight begins where the last ends with the band.

.macro SPARSE_BIN
    ldrh.w r6,[r2],#2
    ldr.w r4,[r9],#4
    ldr.w r5,[r10],#-4
    mul.w r6,r6,r6
    umull r4,r12,r4,r6
    umaal r7,r12,r5,r6          @ high word * w + low half of the total + carry word: 64 bits hold it
    add.w r8,r8,r12
.endm

FUNCTION asc_bank_sparse_loop
    push {r4-r11,lr}
    ldr lr,[sp,#40]
    movs r7,#0
    mov r8,r7
    str r7,[r3],#4
    str r7,[r3],#4
1:  ldrh r9,[lr],#2             @ first bin
    ldrh r11,[lr],#2            @ bins
    sub r10,r1,r9,lsl #2
    add r9,r0,r9,lsl #2
    rsb r4,r11,#0
    and r4,r4,#7                @ bins to leave out of the first round
    rsb r4,r4,r4,lsl #3         @ times 7
    adr r5,2f
    add r5,r5,r4,lsl #2
    add r11,r9,r11,lsl #2
    mov pc,r5
    .align 2
2:  .rept 8
    SPARSE_BIN
    .endr
    cmp r9,r11
    bne 2b
    ldr r4,[sp,#36]
    str r7,[r3],#4
    str r8,[r3],#4
    cmp r3,r4
    bne 1b
    pop {r4-r11,pc}
END asc_bank_sparse_loop

@ ---- energies to log2 and int8 --------------------------------------------------------------------
@ r0 totals, r1 log2 or 0, r2 q, r3 band, [sp] end of bands, [sp+4] segments of log2
@ r8 segments, lr end of bands, r4:r5 and r6:r7 take turns as the last total and this one

.macro VALUE n,last_lo,last_hi,lo,hi
    ldr \lo,[r0],#4
    ldr \hi,[r0],#4
    ldr r9,[r3],#24
    ldr r10,[r3,#-20]
    ldr r11,[r3,#-16]           @ one
    subs \last_lo,\lo,\last_lo
    sbc \last_hi,\hi,\last_hi   @ energy
    adds \last_lo,\last_lo,r9
    adcs \last_hi,\last_hi,r10  @ with the floor
    beq .Lsmall\n
    clz r9,\last_hi
    rsb r10,r9,#32              @ exponent above 2^31
    lsl \last_hi,\last_hi,r9
    lsr \last_lo,\last_lo,r10
    orr \last_hi,\last_hi,\last_lo
.Lmantissa\n:
    ubfx r9,\last_hi,#25,#6
    ubfx \last_hi,\last_hi,#9,#16
    rsb r11,r11,r10,lsl #16
    ldr r9,[r8,r9,lsl #2]
    lsr \last_lo,r9,#16
    mul \last_lo,\last_lo,\last_hi
    uxtah r11,r11,r9
    add r11,r11,\last_lo,lsr #16
    bic r11,r11,r11,asr #31     @ at least 0
    cbz r1,3f
    asr \last_lo,r11,#7
    strh \last_lo,[r1],#2
3:  ldr r9,[r3,#-12]            @ mul
    ldr r10,[r3,#-8]            @ add
    ldr r12,[r3,#-4]            @ bits
    smmlar r9,r11,r9,r10
    asr r9,r9,r12
    ssat r9,#8,r9
    strb r9,[r2],#1
.endm

.macro SMALL n,last_lo,last_hi  @ below 2^32; 0 counts as 1
.Lsmall\n:
    cmp \last_lo,#1
    it lo
    movlo \last_lo,#1
    clz r9,\last_lo
    lsl \last_hi,\last_lo,r9
    rsb r10,r9,#0
    b .Lmantissa\n
.endm

FUNCTION asc_bank_rows_loop
    push {r4-r11,lr}
    ldr lr,[sp,#36]
    ldr r8,[sp,#40]
    ldr r4,[r0],#4
    ldr r5,[r0],#4
1:  VALUE 1,r4,r5,r6,r7
    cmp r3,lr
    beq 2f
    VALUE 2,r6,r7,r4,r5
    cmp r3,lr
    bne 1b
2:  pop {r4-r11,pc}
    SMALL 1,r4,r5
    SMALL 2,r6,r7
END asc_bank_rows_loop

@ ---- samples --------------------------------------------------------------------------------------
@ r0 to, r1 from, r2 count; upwards, so that to may lie below from in the same array

FUNCTION asc_samples_move
    push {r4-r10,lr}
    orr r3,r0,r1
    tst r3,#2
    bne 3f                      @ not whole words both: LDM cannot
    subs r2,r2,#32
    blo 2f
1:  ldmia r1!,{r3-r10}
    stmia r0!,{r3-r10}
    ldmia r1!,{r3-r10}
    stmia r0!,{r3-r10}
    subs r2,r2,#32
    bhs 1b
2:  adds r2,r2,#32
3:  subs r2,r2,#8
    blo 5f
4:  ldr r3,[r1],#4
    ldr r4,[r1],#4
    ldr r5,[r1],#4
    ldr r6,[r1],#4
    str r3,[r0],#4
    str r4,[r0],#4
    str r5,[r0],#4
    str r6,[r0],#4
    subs r2,r2,#8
    bhs 4b
5:  adds r2,r2,#8
    beq 7f
6:  ldrh r3,[r1],#2
    subs r2,r2,#1
    strh r3,[r0],#2
    bne 6b
7:  pop {r4-r10,pc}
END asc_samples_move
