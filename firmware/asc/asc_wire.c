#include "asc_wire.h"

/* One entry for each value of four bits: 64 bytes of flash, and far faster than the line. */
static const uint32_t crc_nibble[16] = {
    0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u, 0x4db26158u, 0x5005713cu,
    0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu, 0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu,
};

uint32_t asc_crc32(uint32_t crc, const void *data, uint32_t n)
{
    const uint8_t *p = data;
    crc = ~crc;
    while (n-- > 0) {
        crc ^= *p++;
        crc = (crc >> 4) ^ crc_nibble[crc & 15u];
        crc = (crc >> 4) ^ crc_nibble[crc & 15u];
    }
    return ~crc;
}

uint32_t asc_get_u16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }

uint32_t asc_get_u32(const uint8_t *p) { return asc_get_u16(p) | asc_get_u16(p + 2) << 16; }

/* ---- sending ---- */

static void emit(asc_tx *tx, uint8_t byte)
{
    if (tx->used < tx->capacity) {
        tx->out[tx->used] = byte;
    }
    tx->used++;
}

static void close_block(asc_tx *tx)
{
    if (tx->code_at < tx->capacity) {
        tx->out[tx->code_at] = tx->code;
    }
    tx->full = tx->code == 0xffu;
    tx->code_at = tx->used;
    tx->code = 1;
    emit(tx, 0);
}

void asc_tx_begin(asc_tx *tx, uint8_t *out, uint32_t capacity, uint8_t type, uint16_t seq, uint16_t length)
{
    const uint8_t head[2] = {type, ASC_WIRE_VERSION};
    tx->out = out;
    tx->capacity = capacity;
    tx->used = 0;
    tx->code_at = 0;
    tx->crc = 0;
    tx->code = 1;
    tx->full = 0;
    emit(tx, 0);
    asc_tx_put(tx, head, 2);
    asc_tx_u16(tx, seq);
    asc_tx_u16(tx, length);
}

void asc_tx_put(asc_tx *tx, const void *data, uint32_t n)
{
    const uint8_t *p = data;
    tx->crc = asc_crc32(tx->crc, data, n);
    for (uint32_t i = 0; i < n; i++) {
        if (p[i] == 0) {
            close_block(tx);
            tx->full = 0;
        } else {
            emit(tx, p[i]);
            tx->full = 0;
            if (++tx->code == 0xffu) {
                close_block(tx);
            }
        }
    }
}

void asc_tx_u16(asc_tx *tx, uint32_t value)
{
    const uint8_t bytes[2] = {(uint8_t)value, (uint8_t)(value >> 8)};
    asc_tx_put(tx, bytes, 2);
}

void asc_tx_u32(asc_tx *tx, uint32_t value)
{
    asc_tx_u16(tx, value & 0xffffu);
    asc_tx_u16(tx, value >> 16);
}

uint32_t asc_tx_end(asc_tx *tx)
{
    asc_tx_u32(tx, tx->crc);
    if (tx->full) {
        tx->used = tx->code_at;
    } else if (tx->code_at < tx->capacity) {
        tx->out[tx->code_at] = tx->code;
    }
    emit(tx, 0);
    return tx->used <= tx->capacity ? tx->used : 0;
}

/* ---- receiving ---- */

static void restart(asc_rx *rx)
{
    rx->used = 0;
    rx->open = 0;
    rx->bad = 0;
    rx->code = 0;
    rx->left = 0;
}

void asc_rx_init(asc_rx *rx, uint8_t *buffer, uint32_t capacity)
{
    rx->buffer = buffer;
    rx->capacity = capacity;
    restart(rx);
}

static void append(asc_rx *rx, uint8_t byte)
{
    if (rx->used < rx->capacity) {
        rx->buffer[rx->used++] = byte;
    } else {
        rx->bad = 1;
    }
}

static asc_rx_event finish(asc_rx *rx, asc_frame *frame)
{
    const uint8_t *b = rx->buffer;
    uint32_t used = rx->used;
    int broken = rx->bad || rx->left != 0 || used < ASC_WIRE_OVERHEAD;
    restart(rx);
    if (broken || asc_get_u16(b + 4) != used - ASC_WIRE_OVERHEAD ||
        asc_get_u32(b + used - 4) != asc_crc32(0, b, used - 4)) {
        return ASC_RX_BAD;
    }
    frame->type = b[0];
    frame->version = b[1];
    frame->seq = (uint16_t)asc_get_u16(b + 2);
    frame->length = (uint16_t)asc_get_u16(b + 4);
    frame->payload = b + ASC_WIRE_HEADER;
    return ASC_RX_FRAME;
}

asc_rx_event asc_rx_push(asc_rx *rx, const uint8_t *bytes, uint32_t n, uint32_t *taken, asc_frame *frame)
{
    for (uint32_t i = 0; i < n; i++) {
        uint8_t byte = bytes[i];
        if (byte == 0) {
            if (rx->open) {
                *taken = i + 1;
                return finish(rx, frame);
            }
        } else if (rx->left > 0) {
            rx->left--;
            append(rx, byte);
        } else { /* a block's length; the zero between two blocks belongs to all but the longest */
            if (rx->open && rx->code != 0xffu) {
                append(rx, 0);
            }
            rx->open = 1;
            rx->code = byte;
            rx->left = (uint8_t)(byte - 1u);
        }
    }
    *taken = n;
    return ASC_RX_MORE;
}
