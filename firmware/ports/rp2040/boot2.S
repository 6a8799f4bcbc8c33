@ The first 256 bytes of flash, which the boot ROM copies to RAM and runs: flash becomes memory, by the plain read
@ command (03h) that every flash knows, and the firmware begins.  Source: RP2040 data sheet, 2.8.1 and 4.10.
    .syntax unified
    .thumb
    .section .boot2, "ax", %progbits
    .global asc_boot2
    .thumb_func
    .type asc_boot2, %function
asc_boot2:
    ldr r3, ssi
    movs r1, #0
    str r1, [r3, #0x08]         @ SSIENR: off while it is set up
    movs r0, #4
    str r0, [r3, #0x14]         @ BAUDR: a quarter of the core's clock
    ldr r0, ctrlr0
    str r0, [r3, #0x00]
    str r1, [r3, #0x04]         @ CTRLR1: one word a read
    ldr r0, spi_ctrlr0
    ldr r2, spi_ctrlr0_at
    str r0, [r2]
    movs r1, #1
    str r1, [r3, #0x08]
    ldr r0, vectors
    ldr r1, vtor
    str r0, [r1]
    ldm r0!, {r1, r2}
    msr msp, r1
    bx r2
    .align 2
ssi:
    .word 0x18000000
ctrlr0:
    .word 0x001F0300            @ one wire, words of 32 bits, read after command and address
spi_ctrlr0_at:
    .word 0x180000F4
spi_ctrlr0:
    .word 0x03000218            @ command 03h of 8 bits, 24 bits of address
vectors:
    .word 0x10000100
vtor:
    .word 0xE000ED08
    .org 252
    .word 0x8c480427            @ CRC-32 of what is before, as the boot ROM reckons it; a test holds it
    .size asc_boot2, . - asc_boot2
