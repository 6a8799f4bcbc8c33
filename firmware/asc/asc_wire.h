/* The frames on the serial line: encoder, stream decoder, CRC.  Python's twin is mcu_asc/device/frames.py.
 *
 * A frame on the line is COBS(type u8, version u8, seq u16, length u16, payload, crc32 u32) and one 0x00; all
 * little endian; the CRC (zlib's CRC-32) covers everything before it.  Runs of 0x00 are idle filler, so after
 * any damage the decoder is in step again at the next 0x00.
 *
 * Who may send what, and when, is told in asc_app.h. */
#ifndef ASC_WIRE_H
#define ASC_WIRE_H
#include <stdint.h>

#define ASC_WIRE_VERSION  1u
#define ASC_WIRE_HEADER   6u  /* bytes before the payload */
#define ASC_WIRE_OVERHEAD 10u /* header and CRC */
/* Most bytes on the line of a frame with `payload` bytes, its closing 0x00 included. */
#define ASC_WIRE_LINE(payload) ((payload) + ASC_WIRE_OVERHEAD + ((payload) + ASC_WIRE_OVERHEAD) / 254u + 2u)

/* Host to device, each in a cell of exactly ASC_COMMAND_LINE bytes, except DATA. */
enum {
    ASC_HELLO = 0x01,  /* () -> HELLO_IS */
    ASC_CLIP = 0x02,   /* samples u32, hop_rows u16, flags u16 -> CREDIT; RESULT ...; DONE */
    ASC_TENSOR = 0x03, /* bytes u32 -> CREDIT; RESULT; DONE */
    ASC_BENCH = 0x04,  /* () -> BUSY, LAYERS ..., BENCHED */
    ASC_DATA = 0x05,   /* index u32, bytes; seq is the transfer's */
    ASC_STATUS = 0x06, /* () -> the CREDIT that is due, or the last DONE again */
    ASC_LIVE = 0x07,   /* hop_rows u16, flags u16, settle_ms u32, duration_ms u32 (0: until stopped)
                          -> LIVE_ON; LIVE_IS ...; LIVE_DONE */
    ASC_STOP = 0x08,   /* () -> LIVE_DONE, of the LIVE that runs or of the last one */
};

/* Device to host; seq is that of the command they answer. */
enum {
    ASC_HELLO_IS = 0x81, /* asc_app.c: send_hello */
    ASC_CREDIT = 0x82,   /* index u32, line_bytes u16, data_bytes u16, repeats u32 */
    ASC_BUSY = 0x83,     /* window u32: an inference begins */
    ASC_RESULT = 0x84,   /* window u32, offset u32, total u32, input_crc u32, frontend_cycles u32,
                            model_cycles u32, alive_rows u32, output bytes from offset */
    ASC_FEATURES = 0x85, /* row u32, int8[bands] */
    ASC_DONE = 0x86,     /* bytes u32, crc u32 of them, windows u32, rows u32, bad_cells u32 */
    ASC_LAYERS = 0x87,   /* first u32, cycles u32 ... */
    ASC_BENCHED = 0x88,  /* frontend_cycles u32, model_cycles u32, layers u32, stack_bytes u32 */
    ASC_LIVE_ON = 0x89,  /* rate_hz u32, ring_samples u32 */
    ASC_LIVE_IS = 0x8a,  /* decision u32, time_ms u32 of its window's end, dropped u32 samples and skipped u32
                            decisions so far, alive_rows u32, lag_cycles u32, input_crc u32,
                            frontend_cycles u32, model_cycles u32, output bytes */
    ASC_LIVE_DONE = 0x8b, /* reason u32, decisions u32, dropped u32, skipped u32, time_ms u32 */
    ASC_ERROR = 0xff,     /* code u32, ASCII text */
};

/* CLIP's flags. */
enum { ASC_CLIP_FEATURES = 1 };

/* LIVE's flags: the device answers with lines of JSON for people instead of frames. */
enum { ASC_LIVE_TEXT = 1 };

/* LIVE_DONE's reasons. */
enum {
    ASC_LIVE_STOPPED = 1, /* by a command, or in text mode by any byte */
    ASC_LIVE_TIME = 2,    /* its duration is over */
    ASC_LIVE_ENDED = 3,   /* the microphone gives no more: a file that played it */
};

/* ERROR's codes. */
enum {
    ASC_ERROR_TYPE = 1,    /* no such command */
    ASC_ERROR_PAYLOAD = 2, /* its payload has the wrong length or values */
    ASC_ERROR_VERSION = 3, /* another protocol version */
    ASC_ERROR_NO_FE = 4,   /* a clip for a model without front end */
    ASC_ERROR_ABORTED = 5, /* too many bad cells in a row */
    ASC_ERROR_NOTHING = 6, /* STATUS, but nothing was asked before */
    ASC_ERROR_PROJECT = 7, /* the firmware was built with wrong sizes */
    ASC_ERROR_MEMORY = 8,  /* the stack or the arena left its place; nothing after it counts until a reset */
    ASC_ERROR_ENGINE = 9,  /* the engine could not start, or failed; as ASC_ERROR_MEMORY */
    ASC_ERROR_NO_MIC = 10, /* no microphone, or not at the front end's rate */
};

/* CRC-32 of `n` bytes going on from `crc`, as zlib's crc32(): start with 0. */
uint32_t asc_crc32(uint32_t crc, const void *data, uint32_t n);

uint32_t asc_get_u16(const uint8_t *p);
uint32_t asc_get_u32(const uint8_t *p);

/* ---- sending: begin, put ..., end ---- */

typedef struct {
    uint8_t *out;
    uint32_t capacity, used; /* bytes of `out` */
    uint32_t code_at;        /* where the open COBS block's length goes */
    uint32_t crc;
    uint8_t code; /* that length so far */
    uint8_t full; /* the last block closed by its length: an empty one after it need not be sent */
} asc_tx;

/* Opens a frame in `out`, which needs ASC_WIRE_LINE(length) bytes; `length` payload bytes must follow. */
void asc_tx_begin(asc_tx *tx, uint8_t *out, uint32_t capacity, uint8_t type, uint16_t seq, uint16_t length);
void asc_tx_put(asc_tx *tx, const void *data, uint32_t n);
void asc_tx_u16(asc_tx *tx, uint32_t value);
void asc_tx_u32(asc_tx *tx, uint32_t value);
/* Closes the frame.  Returns its bytes on the line, 0 when `out` was too small. */
uint32_t asc_tx_end(asc_tx *tx);

/* ---- receiving ---- */

typedef struct {
    uint8_t type, version;
    uint16_t seq, length;
    const uint8_t *payload; /* length bytes in the decoder's buffer, at offset ASC_WIRE_HEADER */
} asc_frame;

typedef struct {
    uint8_t *buffer;
    uint32_t capacity, used;
    uint8_t open; /* inside a frame */
    uint8_t bad;  /* inside one that cannot be right any more */
    uint8_t code; /* the current block's length byte */
    uint8_t left; /* bytes still to come in it */
} asc_rx;

typedef enum {
    ASC_RX_MORE,  /* all bytes taken, no frame complete */
    ASC_RX_FRAME, /* *frame is valid until the next push */
    ASC_RX_BAD,   /* a frame ended that was too long, broken, or had a wrong length or CRC */
} asc_rx_event;

/* `buffer` holds payloads up to capacity - ASC_WIRE_OVERHEAD. */
void asc_rx_init(asc_rx *rx, uint8_t *buffer, uint32_t capacity);

/* Takes bytes up to the end of one frame.  *taken says how many; call again with the rest. */
asc_rx_event asc_rx_push(asc_rx *rx, const uint8_t *bytes, uint32_t n, uint32_t *taken, asc_frame *frame);

#endif
