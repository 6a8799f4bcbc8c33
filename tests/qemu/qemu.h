/* What start.c gives a program on QEMU. */
#ifndef QEMU_H
#define QEMU_H
#include <stdint.h>

void qemu_print(const char *text);
void qemu_print_number(uint32_t value);
void qemu_exit(uint32_t code) __attribute__((noreturn));

#endif
