"""The frames on the serial line: the twin of firmware/asc/asc_wire.c, byte for byte.

A frame on the line is COBS(type u8, version u8, seq u16, length u16, payload, CRC-32 u32) and one 0x00,
all little endian.  Runs of 0x00 are idle filler.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

VERSION = 1
COMMAND_LINE = 64  # bytes of a command's cell on the line
_HEAD = struct.Struct("<BBHH")
_CRC = struct.Struct("<I")
_LONGEST = 4096  # no frame of the device is longer: what lasts longer is garbage


class Type(IntEnum):
    """Commands of the host, then replies of the device; payloads: see asc_wire.h."""

    HELLO = 0x01
    CLIP = 0x02
    TENSOR = 0x03
    BENCH = 0x04
    DATA = 0x05
    STATUS = 0x06
    LIVE = 0x07
    STOP = 0x08

    HELLO_IS = 0x81
    CREDIT = 0x82
    BUSY = 0x83
    RESULT = 0x84
    FEATURES = 0x85
    DONE = 0x86
    LAYERS = 0x87
    BENCHED = 0x88
    LIVE_ON = 0x89
    LIVE_IS = 0x8A
    LIVE_DONE = 0x8B
    ERROR = 0xFF


CLIP_FEATURES = 1  # flag of CLIP: send the int8 rows too


@dataclass(frozen=True)
class Frame:
    type: int
    seq: int
    payload: bytes = b""
    version: int = VERSION


def cobs(data: bytes) -> bytes:
    """Consistent overhead byte stuffing: the same data without 0x00; no delimiter added."""
    out = bytearray()
    parts = data.split(b"\0")
    for left, part in enumerate(parts, 1 - len(parts)):
        full = len(part) // 254 * 254
        for at in range(0, full, 254):
            out += b"\xff" + part[at : at + 254]
        if full < len(part) or not full or left:  # no empty block after a longest one that ends the data
            out.append(len(part) - full + 1)
            out += part[full:]
    return bytes(out)


def uncobs(stuffed: bytes) -> bytes | None:
    """The inverse of `cobs`; None where `stuffed` cannot have come from it."""
    out = bytearray()
    at = 0
    while at < len(stuffed):
        code = stuffed[at]
        block = stuffed[at + 1 : at + code]
        if code == 0 or len(block) != code - 1 or 0 in block:
            return None
        out += block
        at += code
        if code != 0xFF and at < len(stuffed):
            out.append(0)
    return bytes(out)


def encode(frame: Frame) -> bytes:
    """The frame on the line, its closing 0x00 included."""
    raw = _HEAD.pack(frame.type, frame.version, frame.seq, len(frame.payload)) + frame.payload
    return cobs(raw + _CRC.pack(zlib.crc32(raw))) + b"\0"


def decode(stuffed: bytes) -> Frame | None:
    """What stands between two 0x00 -> Frame; None for a damaged one."""
    raw = uncobs(stuffed)
    if raw is None or len(raw) < _HEAD.size + _CRC.size:
        return None
    body, (crc,) = raw[:-4], _CRC.unpack(raw[-4:])
    kind, version, seq, length = _HEAD.unpack_from(body)
    payload = body[_HEAD.size :]
    if crc != zlib.crc32(body) or length != len(payload):
        return None
    return Frame(kind, seq, payload, version)


def cell(frame: Frame, line_bytes: int = COMMAND_LINE) -> bytes:
    """The frame in a cell of exactly as many bytes as the device has armed, filled up with 0x00.

    The first byte is 0x00 too: it ends what the decoder may have taken noise for.
    """
    line = b"\0" + encode(frame)
    if len(line) > line_bytes:
        raise ValueError(f"frame of {len(line)} bytes in a cell of {line_bytes}")
    return line + bytes(line_bytes - len(line))


class Decoder:
    """Bytes as they come -> frames; in step again after any damage at the next 0x00."""

    def __init__(self) -> None:
        self._open = bytearray()
        self.bad = 0  # damaged frames seen, noise between 0x00 included
        self.report = ""  # what a firmware's fault handler sent between two 0x00, if nothing came after it

    def push(self, data: bytes) -> Iterator[Frame]:
        """Yield the valid frames that end in `data`; damaged ones are counted in `bad`."""
        *ended, rest = data.split(b"\0")
        for part in ended:
            stuffed = bytes(self._open) + part
            self._open.clear()
            if stuffed:
                frame = decode(stuffed)
                self.report = ""
                if frame is None:
                    self.bad += 1
                    if stuffed.startswith(b"fault "):
                        self.report = stuffed.decode("ascii", "replace")
                else:
                    yield frame
        self._open += rest
        if len(self._open) > _LONGEST:  # still bad when its 0x00 comes, and no memory is eaten till then
            del self._open[_LONGEST:]
