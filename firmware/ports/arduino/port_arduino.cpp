/* asc_port.h by the Arduino API alone: Serial, micros, millis, digitalWrite.
 *
 * Serial is the board's USB where it has one.  Its cores hold a few hundred received bytes and let the host
 * wait for room, so nothing is lost while a window is computed. */
#include <Arduino.h>
extern "C" {
#include "asc_board.h"
#include "asc_port.h"
}

static struct {
    uint8_t *buffer; /* the armed receive */
    uint32_t wanted, got;
} line;

void asc_port_init(void)
{
    pinMode(LED_BUILTIN, OUTPUT);
    asc_port_led(0);
    Serial.begin(ASC_BOARD_BAUD); /* means nothing on USB */
}

void asc_port_arm(void *buf, uint32_t n)
{
    line.buffer = static_cast<uint8_t *>(buf);
    line.wanted = n;
    line.got = 0;
}

uint32_t asc_port_wait(void)
{
    uint32_t last = millis();
    while (line.got < line.wanted) {
        int there = Serial.available();
        if (there > 0) {
            for (; there > 0 && line.got < line.wanted; --there) {
                line.buffer[line.got++] = static_cast<uint8_t>(Serial.read());
            }
            last = millis();
        } else if (line.got > 0 && static_cast<uint32_t>(millis()) - last > ASC_PORT_IDLE_MS) {
            break;
        } else {
            yield();
        }
    }
    return line.got;
}

/* No more than a USB packet at once: cores have crashed on more.  Nothing is written when nobody listens (DTR
 * is low): the rest goes nowhere then.  Never flush(): it has been seen to block for ever. */
void asc_port_write(const void *buf, uint32_t n)
{
    const uint8_t *from = static_cast<const uint8_t *>(buf);
    while (n > 0) {
        const uint32_t part = n < ASC_PORT_WRITE ? n : ASC_PORT_WRITE;
        const uint32_t sent = static_cast<uint32_t>(Serial.write(from, part));
        if (sent == 0 || sent > part) {
            return;
        }
        from += sent;
        n -= sent;
    }
}

/* To the microsecond: the API knows no finer clock.  Wraps as asc_port.h asks, for micros() wraps at 2^32. */
uint32_t asc_port_cycles(void) { return static_cast<uint32_t>(micros()) * (ASC_BOARD_CLOCK_HZ / 1000000u); }

uint32_t asc_port_stack_used(void) { return 0; } /* the core's thread's */

void asc_port_led(uint32_t on)
{
    digitalWrite(LED_BUILTIN, (on != 0 ? ASC_BOARD_LED_ON : 1 - ASC_BOARD_LED_ON) != 0 ? HIGH : LOW);
}
