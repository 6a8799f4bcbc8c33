// An Arduino core for QEMU's mps2-an386: Serial is its first UART, which holds one byte and lets the sender wait.
#include "Arduino.h"

#define REG(address) (*reinterpret_cast<volatile uint32_t *>(address))
#define UART_DATA    REG(0x40004000u)
#define UART_STATE   REG(0x40004004u) // bit 0: transmitter full, bit 1: a byte has come
#define UART_CTRL    REG(0x40004008u)
#define UART_BAUDDIV REG(0x40004010u)
#define COUNTER      REG(0x40028018u) // some 20 MHz

FakeSerial Serial;

void FakeSerial::begin(unsigned long) { begin(0, 0); }

void FakeSerial::begin(unsigned long, uint16_t)
{
    UART_BAUDDIV = 16;
    UART_CTRL = 3;
}

size_t FakeSerial::write(uint8_t byte) { return write(&byte, 1); }

size_t FakeSerial::write(const uint8_t *buffer, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        while (UART_STATE & 1u) {
        }
        UART_DATA = buffer[i];
    }
    return size;
}

void FakeSerial::flush()
{
    for (;;) { // as boards have done
    }
}

int FakeSerial::available() { return (UART_STATE & 2u) != 0; }
int FakeSerial::read() { return available() ? static_cast<int>(UART_DATA & 255u) : -1; }
int FakeSerial::peek() { return -1; }
FakeSerial::operator bool() { return true; }
void yield() {}
void delay(unsigned long) {}
unsigned long millis() { return COUNTER / 100000u; } // slower than true: the line has pauses
unsigned long micros() { return COUNTER / 20u; }
void pinMode(pin_size_t, PinMode) {}
void digitalWrite(pin_size_t, PinStatus) {}

extern "C" int main(void)
{
    setup();
    for (;;) {
        loop();
    }
}
