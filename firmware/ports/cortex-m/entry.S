@ Where a reset and a fault begin, on any Cortex-M.
    .syntax unified
    .thumb

    .section .text.asc_reset, "ax", %progbits
    .align 2
    .global asc_reset
    .thumb_func
    .type asc_reset, %function
asc_reset:                      @ our own stack, whatever a bootloader left in CONTROL and MSP
    cpsid i
    movs r0, #0
    msr control, r0
    isb
    ldr r0, =asc_stack_top
    mov sp, r0
    ldr r0, =asc_start
    bx r0
    .ltorg
    .size asc_reset, . - asc_reset

@ The stacked frame is where SP points; a stack overflow left none that can be read.  Either way the report runs
@ on a fresh stack: nobody returns from here.
    .section .text.asc_fault_entry, "ax", %progbits
    .align 2
    .global asc_fault_entry
    .thumb_func
    .type asc_fault_entry, %function
asc_fault_entry:
    mov r0, sp
    ldr r2, =asc_stack_bottom
    movs r1, #1
    cmp r0, r2
    bhs 1f
    movs r1, #0
1:  ldr r2, =asc_stack_top
    mov sp, r2
    ldr r2, =asc_fault
    bx r2
    .ltorg
    .size asc_fault_entry, . - asc_fault_entry
