/* asc_port.h by the Arduino API alone: Serial, micros, millis, digitalWrite, and PDM where there is one.
 *
 * Serial is the board's USB where it has one.  Its cores hold a few hundred received bytes and let the host
 * wait for room, so nothing is lost while a window is computed. */
#include <Arduino.h>
extern "C" {
#include "asc_board.h"
#include "asc_port.h"
#include "asc_project.h"
}
#if ASC_PROJECT_MIC_BLOCKS > 0
#include <PDM.h>
#endif

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

#if ASC_PROJECT_MIC_BLOCKS > 0

uint32_t asc_port_came(void) { return Serial.available() > 0 || line.got == line.wanted; }

void asc_port_colour(uint32_t rgb)
{
#if defined(LEDR) && defined(LEDG) && defined(LEDB)
    const int pins[3] = {static_cast<int>(LEDR), static_cast<int>(LEDG), static_cast<int>(LEDB)};
    for (uint32_t i = 0; i < 3; ++i) {
        pinMode(pins[i], OUTPUT);
        digitalWrite(pins[i], (rgb >> i & 1u) != 0 ? LOW : HIGH); /* lit when low */
    }
#else
    (void)rgb;
#endif
}

/* The core's PDM library calls us from its interrupt with a full buffer; it stops for good, and says nothing,
 * when one is not fetched in time.  So each is fetched, also when the ring is full, and a microphone that has
 * said nothing for STILL_MS is started again; both are counted as lost. */
#define STILL_MS 250u

static struct {
    asc_mic_block *ring;
    uint32_t blocks, rate_hz, used; /* used: samples of the block being filled */
    volatile uint32_t filled, taken, last_ms;
} mic;

static void on_samples(void)
{
    int bytes = PDM.available();
    while (bytes > 1) {
        asc_mic_block *const block = &mic.ring[mic.filled % mic.blocks];
        const uint32_t room = ASC_MIC_BLOCK - mic.used, there = static_cast<uint32_t>(bytes) / 2u;
        const int got = PDM.read(block->pcm + mic.used, 2u * (there < room ? there : room));
        if (got <= 0) {
            break;
        }
        bytes -= got;
        mic.used += static_cast<uint32_t>(got) / 2u;
        if (mic.used < ASC_MIC_BLOCK) {
            continue;
        }
        mic.used = 0;
        if (mic.filled - mic.taken + 1u < mic.blocks) {
            block->stamp = asc_port_cycles();
            mic.ring[(mic.filled + 1u) % mic.blocks].lost = 0;
            mic.filled = mic.filled + 1u;
        } else {
            block->lost += ASC_MIC_BLOCK; /* and is filled again */
        }
    }
    mic.last_ms = static_cast<uint32_t>(millis());
}

static bool begin_microphone(void)
{
    mic.used = 0;
    mic.last_ms = static_cast<uint32_t>(millis());
    PDM.onReceive(on_samples);
    PDM.setBufferSize(static_cast<int>(2u * ASC_MIC_BLOCK));
    return PDM.begin(1, static_cast<int>(mic.rate_hz)) != 0;
}

const char *asc_port_mic_start(uint32_t rate_hz, asc_mic_block *ring, uint32_t blocks)
{
    mic.ring = ring;
    mic.blocks = blocks;
    mic.rate_hz = rate_hz;
    mic.filled = 0;
    mic.taken = 0;
    ring[0].lost = 0;
    return begin_microphone() ? nullptr : "the core's PDM library does not start at the front end's rate";
}

asc_mic_state asc_port_mic_take(const asc_mic_block **block)
{
    *block = &mic.ring[mic.taken % mic.blocks];
    return mic.filled == mic.taken ? ASC_MIC_EMPTY : ASC_MIC_READY;
}

void asc_port_mic_give(void) { mic.taken = mic.taken + 1u; }

void asc_port_mic_sleep(void)
{
    const uint32_t still = static_cast<uint32_t>(millis()) - mic.last_ms;
    if (still > STILL_MS && still < 0x80000000u) { /* else a buffer came just now */
        PDM.end();
        mic.ring[mic.filled % mic.blocks].lost += mic.used + still * (mic.rate_hz / 1000u);
        (void)begin_microphone();
    }
    yield();
}

void asc_port_mic_stop(void) { PDM.end(); }

#endif
