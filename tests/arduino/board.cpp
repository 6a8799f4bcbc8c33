// A core that links and does nothing: sizes and symbols of a sketch for the board are looked at, not run.
#include "Arduino.h"
FakeSerial Serial;
size_t FakeSerial::write(uint8_t) { return 1; }
size_t FakeSerial::write(const uint8_t *, size_t size) { return size; }
void FakeSerial::flush() {}
int FakeSerial::available() { return 0; }
int FakeSerial::read() { return -1; }
int FakeSerial::peek() { return -1; }
void FakeSerial::begin(unsigned long) {}
void FakeSerial::begin(unsigned long, uint16_t) {}
FakeSerial::operator bool() { return true; }
void yield() {}
void delay(unsigned long) {}
unsigned long millis() { return 0; }
unsigned long micros() { return 0; }
void pinMode(pin_size_t, PinMode) {}
void digitalWrite(pin_size_t, PinStatus) {}
int main()
{
    setup();
    for (;;) {
        loop();
    }
}
