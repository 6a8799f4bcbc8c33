"""The bootloader of Arduino's nRF52840 boards: a dialect of SAM-BA over USB serial.

Commands end with '#', numbers are hexadecimal; an offset counts from the application's start, which the
bootloader adds itself.

N#                    binary mode          -> "\\n\\r"
V#                    version              -> "Arduino Bootloader (SAM-BA extended) 2.0 [Arduino:IKXYZ]\\n\\r"
I#                    chip                 -> "nRF52840-QIAA\\n\\r"
X<offset>#            erase from there     -> "X\\n\\r"
S<address>,<count>#   data follow          -> nothing; the address lies in a buffer of 8 KiB
Y<address>,0#         source of the next Y -> "Y\\n\\r"
Y<offset>,<count>#    erase and write      -> "Y\\n\\r", whether it went well or not
Z<offset>,<count>#    CRC-16/XMODEM        -> "Z<8 digits>#\\n\\r"; at most 4 KiB at a time
K#                    reset                -> nothing

Version 2.0 as its binary has it: numbers are found by their place, so addresses have 8 digits; the answers to
V and I run on into the next string of its memory; X does nothing; S waits without end for bytes that were
lost; an application whose first words are blank is not started, and the bootloader stays.
"""

from __future__ import annotations

import re
import time
from binascii import crc_hqx
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from mcu_asc.device.line import Line
from mcu_asc.device.ports import DOUBLE_TAP
from mcu_asc.errors import DeviceError

PAGE = 4096  # of the flash; also the most that Z takes
CHIPS = {"nrf52840": "nRF52840-QIAA"}
_BLANK = b"\xff" * PAGE
_BUFFER = 0  # where in the bootloader's buffer a page goes
_NEEDED = "IKXYZ"
_CALLS = 3
_QUIET_S = 0.05  # what runs on after an answer comes at once
_WRITES = 2  # a page that reads back wrong is written once again
_HALF = "the old application is gone, the new one is not complete, the bootloader is still there"
_AGAIN = "flash again; if the board is not found then, double-tap its reset button first"
_OTHERS = "close other programs that use the port (serial monitor, ModemManager)"

_END = re.compile(rb"\n\r")
_TEXT = re.compile(rb"([ -~]+)\n\r")
_DONE = {letter: re.compile(letter.encode() + rb"\n\r") for letter in "XY"}
_CRC = re.compile(rb"Z([0-9A-Fa-f]{8})#\n\r")


@dataclass(frozen=True)
class Waits:
    """How long each step may take, in seconds."""

    boot_s: float = 10.0  # from the touch until the bootloader is there
    open_s: float = 5.0  # until the system lets us open its port
    answer_s: float = 1.0  # an answer without flash behind it
    page_s: float = 5.0  # erasing and writing one page: 0.13 s by the data sheet
    erase_s: float = 45.0  # the whole application at 0.085 s a page, where X does it
    start_s: float = 10.0  # from the reset until the application is there
    stay_s: float = 2.0  # until a bootloader that finds no application would be back


@dataclass(frozen=True)
class Identity:
    version: str
    chip: str


Progress = Callable[[int, str, int, str], None]
"""done, note, total, what is being done; counts are pages."""


def silent(done: int, note: str, total: int, text: str) -> None:
    """A Progress that says nothing."""


class Bootloader:
    """The other side of an open line.  Raises DeviceError: no answer, an answer that is none, a cut line."""

    def __init__(self, line: Line, waits: Waits) -> None:
        self._line = line
        self._waits = waits

    def identify(self) -> Identity:
        """Wake it, also from a transfer that an earlier program broke off, and ask what it is."""
        for call in range(_CALLS):
            try:
                self._ask("N#", _END, self._waits.answer_s)
                break
            except _SilenceError as e:
                if call == _CALLS - 1:
                    raise DeviceError(
                        f"the bootloader on {self._line.url} does not answer", f"{DOUBLE_TAP}; {_OTHERS}"
                    ) from e
                # Fills up the page that an S still waits for; by itself '#' is an empty command.
                self._line.write(b"#" * PAGE)
        return Identity(self._text("V#"), self._text("I#"))

    def erase(self) -> None:
        self._ask("X00000000#", _DONE["X"], self._waits.erase_s)

    def write(self, offset: int, page: bytes) -> None:
        """Erase and write one page; `crc` says whether it went well."""
        assert len(page) == PAGE and offset % PAGE == 0
        self._send(f"S{_BUFFER:08X},{PAGE:08X}#".encode())
        self._send(page)  # by itself: older bootloaders lose data that share a packet with their command
        self._ask(f"Y{_BUFFER:08X},0#", _DONE["Y"], self._waits.answer_s)
        self._ask(f"Y{offset:08X},{PAGE:08X}#", _DONE["Y"], self._waits.page_s)

    def crc(self, offset: int, count: int) -> int:
        """CRC-16/XMODEM of what the flash now holds."""
        match = self._ask(f"Z{offset:08X},{count:08X}#", _CRC, self._waits.answer_s)
        return int(match[1], 16)

    def reset(self) -> None:
        with suppress(DeviceError):  # it may be gone before the line is empty
            self._send(b"K#")

    def _text(self, command: str) -> str:
        text = self._ask(command, _TEXT, self._waits.answer_s)[1].decode("ascii")
        self._line.read(_QUIET_S)  # what runs on after it
        return text

    def _ask(self, command: str, answer: re.Pattern[bytes], timeout_s: float) -> re.Match[bytes]:
        """Send and wait for the answer; what stands before it is passed over."""
        self._line.read(0)  # what ran on after an earlier answer
        self._send(command.encode())
        heard = b""
        until = time.monotonic() + timeout_s
        while (left := until - time.monotonic()) > 0:
            heard += self._line.read(left)
            if match := answer.search(heard):
                return match
        said = f"says {heard[:20]!r}" if heard else "is silent"
        raise _SilenceError(f"the bootloader {said} for {timeout_s:g} s after {command}")

    def _send(self, data: bytes) -> None:
        self._line.write(data)
        self._line.drain(self._waits.answer_s)


class _SilenceError(DeviceError):
    pass


def program(line: Line, content: bytes, chip: str, waits: Waits, progress: Progress = silent) -> Identity:
    """Write an application, check all of it by CRC, and start it.

    content  the bytes from the application's start on
    chip     what I# must say
    Until the last page is checked the first one is blank: broken off anywhere, the bootloader stays.
    Raises DeviceError; its message says whether the old application is still there.
    """
    bootloader = Bootloader(line, waits)
    try:
        identity = _accepted(bootloader.identify(), chip)
    except DeviceError as e:
        raise DeviceError(
            f"{e.message}; nothing was written, the old application is as it was", e.hint
        ) from e
    pages = {at: content[at : at + PAGE].ljust(PAGE, b"\xff") for at in range(0, len(content), PAGE)}
    count = _Count(2 * len(pages), progress)
    try:
        bootloader.erase()
        bootloader.write(0, _BLANK)
        for part in (pages.keys() - {0}, {0}):
            _write_checked(bootloader, {at: pages[at] for at in sorted(part)}, count)
    except (DeviceError, KeyboardInterrupt) as e:
        why, more = (e.message, e.hint) if isinstance(e, DeviceError) else ("interrupted", "")
        raise DeviceError(f"{why}; {_HALF}", "; ".join(filter(None, (_AGAIN, more)))) from e
    bootloader.reset()
    return identity


def _accepted(identity: Identity, chip: str) -> Identity:
    """Refuse another chip and a bootloader that cannot check what it wrote."""
    if identity.chip != chip:
        raise DeviceError(
            f"the bootloader is on {identity.chip}, the firmware is for {chip}",
            "choose the board's port with --port, or build for the board that is plugged in",
        )
    features = re.search(r"\[Arduino:(\w*)\]", identity.version)
    missing = [f for f in _NEEDED if features is None or f not in features[1]]
    if missing:
        raise DeviceError(
            f"the bootloader '{identity.version}' lacks the commands {', '.join(missing)}",
            "update it from the Arduino IDE (Burn Bootloader), or flash with --via pyocd",
        )
    return identity


class _Count:
    def __init__(self, total: int, progress: Progress) -> None:
        self.done = 0
        self.total = total
        self.progress = progress

    def step(self, text: str) -> None:
        self.done = min(self.done + 1, self.total)
        self.progress(self.done, "", self.total, text)


def _write_checked(bootloader: Bootloader, pages: dict[int, bytes], count: _Count) -> None:
    left = pages
    for _ in range(_WRITES):
        for at, page in left.items():
            bootloader.write(at, page)
            count.step("writing")
        wrong = {}
        for at, page in left.items():
            if bootloader.crc(at, PAGE) != crc_hqx(page, 0):
                wrong[at] = page
            count.step("checking")
        left = wrong
        if not left:
            return
    raise DeviceError(
        f"{len(left)} of {len(pages)} pages read back wrong, the first at offset 0x{min(left):x}",
        "try another cable, and no hub",
    )
