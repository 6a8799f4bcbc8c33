"""A simulated Nano 33 BLE on pseudo terminals: its application's port, its bootloader's, and their faults.

Written from the bootloader's behaviour (version 2.0 of the boards' core), not from our side of the protocol:
numbers by their place, a buffer of 8 KiB, Y that always says Y, flash bits that only an erase sets, answers
that run on into the next string, a start only when the first two words are not blank.
"""

from __future__ import annotations

import os
import select
import struct
import termios
import threading
import time
import tty
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mcu_asc.device.ports import UsbPort

PAGE = 4096
APP = 0x10000
FLASH = 0x100000
VERSION = b"Arduino Bootloader (SAM-BA extended) 2.0 [Arduino:IKXYZ]\n\r\0n"
Stage = Callable[[], Any]  # a part of the board's life; gives the next one, or None


@dataclass
class Faults:
    """What this board does wrong."""

    deaf_to_touch: bool = False
    touch_restarts_program: bool = False
    never_returns: bool = False
    silent: bool = False  # the bootloader reads and says nothing
    slow_s: float = 0.0  # before each answer
    chip: bytes = b"nRF52840-QIAA"
    version: bytes = VERSION
    garbage: bytes = b""  # before each answer
    wrong_crcs: int = 0  # that many Z answers are wrong
    dies_at_page: int | None = None  # the port is gone in the middle of the nth page's data
    loses_data_at: int | None = None  # some bytes of the nth page's data never arrive
    does_not_start: bool = False  # the reset leads back into the bootloader


@dataclass
class Board:
    """A board that is plugged in.  `ports()` is what the system lists; close it in the end."""

    faults: Faults = field(default_factory=Faults)
    application: Callable[[bytes], bytes] | None = (
        None  # of the new firmware: bytes in, bytes out; None: no USB
    )
    boots: bool = False  # plugged in while in boot mode
    serial_number: str = "C0FFEE"
    location: str = "1-4"

    def __post_init__(self) -> None:
        self.flash = bytearray(b"\xff" * FLASH)
        self.flash[APP : APP + 8] = struct.pack("<2I", 0x20040000, APP + 0x101)  # the old application
        self.old = bytes(self.flash)
        self.heard: list[str] = []  # commands, in order
        self.pages_taken = 0
        self._listed: tuple[UsbPort, ...] = ()
        self._taken: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()
        while not self._listed:
            time.sleep(0.001)

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)
        for descriptor in self._taken:
            os.close(descriptor)

    def ports(self) -> tuple[UsbPort, ...]:
        return self._listed

    def written(self, count: int) -> bytes:
        return bytes(self.flash[APP : APP + count])

    # ---- its life ---------------------------------------------------------------------------------

    def _live(self) -> None:
        stage: Stage | None = self._boot if self.boots else self._old_program
        while stage and not self._stop.is_set():
            stage = stage()
            self._listed = ()
            time.sleep(0.06)

    def _old_program(self) -> Stage | None:
        with _Wire(self, 0x805A) as wire:
            touched = False
            while not self._stop.is_set():
                touched = touched or wire.baud() == termios.B1200
                if wire.read(0.01) is None and touched:  # nobody has it open any more
                    break
            if self.faults.deaf_to_touch:
                self._stop.wait()
        if self.faults.touch_restarts_program:
            self.faults.deaf_to_touch = True
            return self._old_program
        if self.faults.never_returns:
            self._stop.wait()
        return self._boot

    def _reset(self) -> Stage | None:
        words = struct.unpack("<2I", self.flash[APP : APP + 8])
        if 0xFFFFFFFF in words or self.faults.does_not_start:
            return self._boot
        if self.application is None:
            self._stop.wait()
            return None
        return self._new_program

    def _new_program(self) -> Stage | None:
        assert self.application
        with _Wire(self, 0x805A) as wire:
            while not self._stop.is_set():
                if data := wire.read(0.01):
                    wire.write(self.application(data))
        return None

    # ---- the bootloader ---------------------------------------------------------------------------

    def _boot(self) -> Stage | None:
        command = b""
        self._buffer = bytearray(0x2000)
        self._source = 0
        answers = {
            "N": lambda first, second: b"\n\r",
            "V": lambda first, second: self.faults.version,
            "I": lambda first, second: self.faults.chip + b"\n\r\0X",
            "X": lambda first, second: b"X\n\r",
            "Y": self._copy,
            "Z": self._check,
        }
        with _Wire(self, 0x005A) as wire:
            while not self._stop.is_set():
                command += wire.byte()
                if not command.endswith(b"#"):
                    continue
                said = command.decode("latin-1")
                first, second = _hex(command[1:9]), _hex(command[10:-1])
                command = b""
                self.heard.append(said)
                if said[0] == "K":
                    return self._reset
                if said[0] == "S" and not self._take(wire, first, second):
                    return None
                if said[0] in answers and not self.faults.silent:
                    answer = answers[said[0]](first, second)
                    time.sleep(self.faults.slow_s)
                    wire.write(self.faults.garbage + answer)
        return None

    def _take(self, wire: _Wire, at: int, count: int) -> bool:
        """Data into the buffer, however long it takes; False: the board died."""
        self.pages_taken += 1
        if self.pages_taken == self.faults.dies_at_page:
            return False
        if self.pages_taken == self.faults.loses_data_at:
            for _ in range(60):
                wire.byte()
        for i in range(at, at + count):
            self._buffer[i : i + 1] = wire.byte()
        return True

    def _copy(self, first: int, second: int) -> bytes:
        if second:
            self._write(APP + first, bytes(self._buffer[self._source : self._source + second]))
        else:
            self._source = first
        return b"Y\n\r"

    def _check(self, first: int, second: int) -> bytes:
        crc = _crc16(self.flash[APP + first : APP + first + second])
        if self.faults.wrong_crcs:
            self.faults.wrong_crcs -= 1
            crc ^= 1
        return b"Z%08X#\n\r" % crc

    def _write(self, at: int, data: bytes) -> None:
        """As flash does it: only whole pages are erased, and writing clears bits only."""
        if at % PAGE == 0 and len(data) % PAGE == 0 and at + len(data) <= FLASH:
            self.flash[at : at + len(data)] = b"\xff" * len(data)
        for i, value in enumerate(data):
            if at + i < FLASH:
                self.flash[at + i] &= value


class _Wire:
    """One enumeration: a new pseudo terminal, listed under its name with these ids."""

    def __init__(self, board: Board, pid: int) -> None:
        self.board = board
        self.master, slave = os.openpty()
        tty.setraw(slave)
        name = os.ttyname(slave)
        os.close(slave)
        self._pending = b""
        self.port = UsbPort(name, 0x2341, pid, board.serial_number, board.location, "Nano 33 BLE")

    def __enter__(self) -> _Wire:
        self.board._listed = (self.port,)
        return self

    def __exit__(self, *_: object) -> None:
        self.board._listed = ()
        os.close(self.master)
        self.board._taken += os.openpty()  # so that the next port gets another name

    def baud(self) -> int:
        return int(termios.tcgetattr(self.master)[5])

    def read(self, timeout_s: float) -> bytes | None:
        """What came, b"" when nothing did, None while no one has the port open."""
        if not select.select([self.master], [], [], timeout_s)[0]:
            return b""
        try:
            return os.read(self.master, 4096)
        except OSError:
            time.sleep(0.005)
            return None

    def byte(self) -> bytes:
        """The next byte; b"" when the board is switched off."""
        while not self._pending and not self.board._stop.is_set():
            self._pending = self.read(0.02) or b""
        first, self._pending = self._pending[:1], self._pending[1:]
        return first

    def write(self, data: bytes) -> None:
        os.write(self.master, data)


def _hex(digits: bytes) -> int:
    """As strtoul does it: up to the first character that is no digit."""
    good = b""
    for d in digits:
        if chr(d) not in "0123456789abcdefABCDEF":
            break
        good += bytes([d])
    return int(good or b"0", 16)


def _crc16(data: bytes) -> int:
    """x^16 + x^12 + x^5 + 1, starting from 0, bit by bit."""
    crc = 0
    for value in data:
        crc ^= value << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc
