"""The wire in C and in Python are one: same bytes out, same frames in, whatever comes over the line."""

from __future__ import annotations

import ctypes
import re
import subprocess
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcu_asc.device import frames
from mcu_asc.device.frames import Decoder, Frame, Type
from mcu_asc.paths import firmware_dir

SHIM = """
#include "asc_wire.h"
#include <string.h>
uint32_t encode(uint8_t *out, uint32_t room, uint32_t type, uint32_t seq, const uint8_t *payload, uint32_t n,
                uint32_t split)
{
    asc_tx tx;
    asc_tx_begin(&tx, out, room, (uint8_t)type, (uint16_t)seq, (uint16_t)n);
    asc_tx_put(&tx, payload, split);
    asc_tx_put(&tx, payload + split, n - split);
    return asc_tx_end(&tx);
}
/* Events as bytes: 0 for a bad frame; 1 type version seq16 length16 payload for a good one. */
uint32_t decode(const uint8_t *line, uint32_t n, uint32_t chunk, uint32_t room, uint8_t *events)
{
    static uint8_t buffer[70000];
    asc_rx rx;
    uint32_t at = 0, out = 0;
    asc_rx_init(&rx, buffer, room);
    while (at < n) {
        uint32_t end = at + chunk < n ? at + chunk : n;
        while (at < end) {
            asc_frame f;
            uint32_t taken;
            asc_rx_event e = asc_rx_push(&rx, line + at, end - at, &taken, &f);
            at += taken;
            if (e == ASC_RX_BAD) {
                events[out++] = 0;
            } else if (e == ASC_RX_FRAME) {
                const uint8_t head[7] = {1, f.type, f.version, (uint8_t)f.seq, (uint8_t)(f.seq >> 8),
                                         (uint8_t)f.length, (uint8_t)(f.length >> 8)};
                memcpy(events + out, head, 7);
                memcpy(events + out + 7, f.payload, f.length);
                out += 7u + f.length;
            }
        }
    }
    return out;
}
uint32_t line_bytes(uint32_t payload) { return ASC_WIRE_LINE(payload); }
"""


@pytest.fixture(scope="module")
def c(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("wire")
    (folder / "shim.c").write_text(SHIM)
    asc = firmware_dir() / "asc"
    command = ["gcc", "-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", f"-I{asc}"]
    subprocess.run([*command, folder / "shim.c", asc / "asc_wire.c", "-o", folder / "wire.so"], check=True)
    return ctypes.CDLL(str(folder / "wire.so"))


def c_encode(c: ctypes.CDLL, frame: Frame, split: int, room: int = 70_000) -> bytes:
    out = ctypes.create_string_buffer(room + 1)
    n = c.encode(out, room, frame.type, frame.seq, frame.payload, len(frame.payload), split)
    return out.raw[:n]


def c_decode(c: ctypes.CDLL, line: bytes, chunk: int, room: int = 5_000) -> tuple[list[Frame], int]:
    out = ctypes.create_string_buffer(2 * len(line) + 16)
    size = c.decode(line, len(line), chunk, room, out)
    events = out.raw[:size]
    found, bad, at = [], 0, 0
    while at < len(events):
        if events[at] == 0:
            bad, at = bad + 1, at + 1
            continue
        n = int.from_bytes(events[at + 5 : at + 7], "little")
        seq = int.from_bytes(events[at + 3 : at + 5], "little")
        found.append(Frame(events[at + 1], seq, events[at + 7 : at + 7 + n], events[at + 2]))
        at += 7 + n
    return found, bad


def py_decode(line: bytes, chunk: int) -> tuple[list[Frame], int]:
    decoder = Decoder()
    found = [f for i in range(0, len(line), chunk) for f in decoder.push(line[i : i + chunk])]
    return found, decoder.bad


# Zeros, and runs without one near the longest block of COBS, are where stuffing goes wrong.
runs = st.tuples(
    st.sampled_from([1, 2, 100, 252, 253, 254, 255, 508, 509]), st.sampled_from(b"\0\1\xff")
).map(lambda t: bytes([t[1]]) * t[0])
payloads = st.lists(st.one_of(st.binary(max_size=40), runs), max_size=5).map(b"".join)
some_frames = st.builds(Frame, st.integers(0, 255), st.integers(0, 65_535), payloads)
noise = st.binary(max_size=80)


@given(payloads)
def test_cobs_is_undone(data: bytes) -> None:
    stuffed = frames.cobs(data)
    assert 0 not in stuffed
    assert frames.uncobs(stuffed) == data


@given(some_frames, st.data())
def test_c_and_python_send_the_same(c: ctypes.CDLL, frame: Frame, data: st.DataObject) -> None:
    line = frames.encode(frame)
    assert c_encode(c, frame, data.draw(st.integers(0, len(frame.payload)))) == line
    assert len(line) <= c.line_bytes(len(frame.payload))
    assert line[-1] == 0
    assert 0 not in line[:-1]
    assert c_encode(c, frame, 0, len(line)) == line
    assert c_encode(c, frame, 0, len(line) - 1) == b""  # too small: nothing, and nothing behind the buffer


@given(st.lists(some_frames, max_size=4), st.integers(1, 300))
def test_both_receive_what_was_sent(c: ctypes.CDLL, sent: list[Frame], chunk: int) -> None:
    line = b"".join(b"\0" * i + frames.encode(f) for i, f in enumerate(sent))
    assert py_decode(line, chunk) == (sent, 0)
    assert c_decode(c, line, chunk) == (sent, 0)


@settings(max_examples=300)
@given(st.lists(st.tuples(noise, some_frames, st.integers(-3, 400)), max_size=4), noise, st.integers(1, 300))
def test_both_see_the_same_in_a_damaged_stream(
    c: ctypes.CDLL, parts: list[tuple[bytes, Frame, int]], tail: bytes, chunk: int
) -> None:
    """Noise between frames; frames cut short, or with one byte changed."""
    line = b""
    for before, frame, damage in parts:
        stuffed = bytearray(frames.encode(frame))
        if 0 <= damage < len(stuffed):
            stuffed[damage] ^= 0x41
        line += before + bytes(stuffed if damage >= -2 else stuffed[: len(stuffed) // 2])
    line += tail
    assert py_decode(line, chunk) == c_decode(c, line, chunk)


@given(noise, some_frames)
def test_in_step_at_the_next_zero(c: ctypes.CDLL, garbage: bytes, frame: Frame) -> None:
    line = garbage + b"\0" + frames.encode(frame)
    for found, _ in (py_decode(line, len(line)), c_decode(c, line, len(line))):
        assert found[-1] == frame


def test_a_frame_longer_than_the_buffer_is_bad_and_no_more(c: ctypes.CDLL) -> None:
    long, short = Frame(Type.DATA, 1, bytes(range(200))), Frame(Type.HELLO, 2)
    line = frames.encode(long) + frames.encode(short)
    assert c_decode(c, line, 64, room=209) == ([short], 1)
    assert c_decode(c, line, 64, room=210) == ([long, short], 0)


def test_endless_garbage_takes_no_memory() -> None:
    decoder = Decoder()
    for _ in range(100):
        assert not list(decoder.push(b"\x55" * 1000))
    assert len(decoder._open) <= 4096
    assert list(decoder.push(b"\0" + frames.encode(Frame(Type.HELLO, 1)))) == [Frame(Type.HELLO, 1)]
    assert decoder.bad == 1


@given(st.binary(max_size=300), st.integers(0, 300))
def test_crc_is_zlibs(c: ctypes.CDLL, data: bytes, split: int) -> None:
    c.asc_crc32.restype = ctypes.c_uint32
    first = c.asc_crc32(0, data[:split], len(data[:split]))
    assert c.asc_crc32(first, data[split:], len(data[split:])) == zlib.crc32(data)


def test_python_knows_the_headers_numbers() -> None:
    header = (firmware_dir() / "asc" / "asc_wire.h").read_text()
    numbers = {n: int(v, 16) for n, v in re.findall(r"ASC_(\w+) = (0x[0-9a-f]+)", header)}
    assert numbers == {t.name: t.value for t in Type}
    assert f"ASC_WIRE_VERSION {frames.VERSION}u" in re.sub(" +", " ", header)
    app = Path(firmware_dir() / "asc" / "asc_app.h").read_text()
    assert re.search(rf"ASC_COMMAND_LINE\s+{frames.COMMAND_LINE}u", app)
