// What our sketches use of the Arduino API, with the signatures of ArduinoCore-API; for tests, not for
// boards.
#ifndef ARDUINO_H
#define ARDUINO_H
#include <stddef.h>
#include <stdint.h>

#define LED_BUILTIN 13

typedef uint8_t pin_size_t;
typedef enum { LOW = 0, HIGH = 1, CHANGE = 2, FALLING = 3, RISING = 4 } PinStatus;
typedef enum { INPUT = 0, OUTPUT = 1, INPUT_PULLUP = 2, INPUT_PULLDOWN = 3, OUTPUT_OPENDRAIN = 4 } PinMode;

extern "C" {
void setup(void);
void loop(void);
void yield(void);
void delay(unsigned long milliseconds);
unsigned long millis(void);
unsigned long micros(void);
void pinMode(pin_size_t pin, PinMode mode);
void digitalWrite(pin_size_t pin, PinStatus status);
}

class Print
{
  public:
    virtual size_t write(uint8_t) = 0;
    virtual size_t write(const uint8_t *buffer, size_t size) = 0;
    virtual int availableForWrite() { return 0; }
    virtual void flush() {}
};

class Stream : public Print
{
  public:
    virtual int available() = 0;
    virtual int read() = 0;
    virtual int peek() = 0;
};

class HardwareSerial : public Stream
{
  public:
    virtual void begin(unsigned long) = 0;
    virtual void begin(unsigned long, uint16_t) = 0;
    virtual void end() = 0;
    virtual operator bool() = 0;
};

class FakeSerial : public HardwareSerial
{
  public:
    size_t write(uint8_t) override;
    size_t write(const uint8_t *buffer, size_t size) override;
    void flush() override;
    int available() override;
    int read() override;
    int peek() override;
    void begin(unsigned long) override;
    void begin(unsigned long, uint16_t) override;
    void end() override {}
    operator bool() override;
};
extern FakeSerial Serial;
#endif
