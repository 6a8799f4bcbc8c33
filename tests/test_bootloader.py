"""The boards' real bootloader, its own code on an emulated core: our side of the protocol, and our simulator.

Needs Arduino's bootloader.elf of the Nano 33 BLE: from an installed core, or by MCU_ASC_BOOTLOADER.
Its main() runs as it is; what it calls of its operating system (USB, flash driver, sleep) is stood in for.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bootloader import APP, PAGE, Board, Faults, _Wire

from mcu_asc.device import bossa
from mcu_asc.device.line import Line

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo terminals")
_CORE = ".arduino15/packages/arduino/hardware/mbed_nano/*/bootloaders/nano33ble/bootloader.elf"
_WAITS = bossa.Waits(answer_s=2.0)
_TOUCHED = 0xB0  # GPREGRET: what the 1200-baud touch leaves
_STUBS = 0x10000000
_OBJECTS = 0x20030000  # devices and their tables of functions


@pytest.fixture(scope="module")
def elf() -> Path:
    given = os.environ.get("MCU_ASC_BOOTLOADER")
    found = [Path(given)] if given else sorted(Path.home().glob(_CORE))
    if not found:
        pytest.skip("needs Arduino's mbed_nano core, or MCU_ASC_BOOTLOADER (its bootloader.elf)")
    return found[-1]


class Real:
    """The bootloader's main() behind a pseudo terminal."""

    def __init__(self, elf: Path) -> None:
        import unicorn.arm_const as arm
        from elftools.elf.elffile import ELFFile
        from unicorn import UC_ARCH_ARM, UC_MODE_MCLASS, UC_MODE_THUMB, Uc

        self.wire = _Wire(Board.__new__(Board), 0x005A)
        self.pending = b""
        self.ended = ""
        self.stop = False
        self._arm = arm
        self.uc: Any = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
        for start, size in (
            (0, 0x100000),
            (0x20000000, 0x40000),
            (_STUBS, 0x1000),
            (0x40000000, 0x1000),
            (0xE000E000, 0x1000),
        ):
            self.uc.mem_map(start, size)
        self.uc.mem_write(0, b"\xff" * 0x100000)
        with elf.open("rb") as f:
            file = ELFFile(f)
            for segment in file.iter_segments("PT_LOAD"):
                self.uc.mem_write(segment["p_paddr"], segment.data())
            symbols = {s.name: s["st_value"] & ~1 for s in file.get_section_by_name(".symtab").iter_symbols()}
        self.uc.mem_write(APP, struct.pack("<2I", 0x20040000, APP + 0x101))  # the old application
        self._main = symbols["main"]
        for name, stub in {
            "z_impl_device_get_binding": self._binding,
            "ring_buf_get": self._ring_buf_get,
            "uart_fifo_fill": self._uart_fifo_fill,
            "mbed_start_application": lambda: self._end("started"),
            **dict.fromkeys(("usb_enable", "usb_disable", "sys_clock_disable"), self._return),
            **dict.fromkeys(("z_impl_k_sleep", "z_impl_k_yield"), self._return),
            **dict.fromkeys(("k_timer_init", "z_impl_k_timer_start"), self._return),
        }.items():
            self._hook(symbols[name], stub)
        self._objects([self._flash_read, self._flash_write, self._flash_erase])

    def _objects(self, flash: list[Callable[[], None]]) -> None:
        """Two devices: the flash, and one for all others, whose functions do nothing."""
        for i in range(64):
            self._hook(_STUBS + 4 * i, flash[i] if i < len(flash) else self._return)
        quiet = struct.pack("<I", _STUBS + 4 * 32 + 1) * 32
        driver = b"".join(struct.pack("<I", _STUBS + 4 * i + 1) for i in range(32))
        self.uc.mem_write(_OBJECTS, quiet + driver)
        self.uc.mem_write(_OBJECTS + 0x400, struct.pack("<2I", _OBJECTS, _OBJECTS))
        self.uc.mem_write(_OBJECTS + 0x408, struct.pack("<2I", _OBJECTS, _OBJECTS + 128))

    def _hook(self, address: int, stub: Callable[[], None]) -> None:
        from unicorn import UC_HOOK_CODE

        self.uc.hook_add(UC_HOOK_CODE, lambda *_: stub(), None, address, address)

    def run(self, gpregret: int, limit_s: float = 30.0) -> str:
        """From reset to "started", "reset", or "stopped" from outside or after so long."""
        from unicorn import UC_HOOK_MEM_WRITE

        arm = self._arm
        hook = self.uc.hook_add(
            UC_HOOK_MEM_WRITE, lambda *_: self._end("reset"), None, 0xE000ED0C, 0xE000ED0C
        )
        self.uc.mem_write(0x4000051C, struct.pack("<I", gpregret))
        self.uc.mem_write(0x20000000, bytes(0x8000))
        self.uc.reg_write(arm.UC_ARM_REG_SP, 0x20008C00)
        self.ended, self._until = "stopped", time.monotonic() + limit_s
        self.uc.emu_start(self._main | 1, 0xFFFFFFFE)
        self.uc.hook_del(hook)
        return self.ended

    def _end(self, how: str) -> None:
        self.ended = how
        self.uc.emu_stop()

    def _arguments(self) -> tuple[int, int, int, int]:
        return tuple(self.uc.reg_read(self._arm.UC_ARM_REG_R0 + i) for i in range(4))  # type: ignore[return-value]

    def _return(self, value: int = 0) -> None:
        self.uc.reg_write(self._arm.UC_ARM_REG_R0, value)
        self.uc.reg_write(self._arm.UC_ARM_REG_PC, self.uc.reg_read(self._arm.UC_ARM_REG_LR))

    def _binding(self) -> None:
        name = bytes(self.uc.mem_read(self._arguments()[0], 32))
        self._return(_OBJECTS + (0x408 if b"FLASH" in name.split(b"\0")[0] else 0x400))

    def _ring_buf_get(self) -> None:
        _, to, size, _ = self._arguments()
        if not self.pending:
            self.pending = self.wire.read(0.005) or b""
        data, self.pending = self.pending[:size], self.pending[size:]
        self.uc.mem_write(to, data)
        self._return(len(data))
        if self.stop or time.monotonic() > self._until:
            self.uc.emu_stop()

    def _uart_fifo_fill(self) -> None:
        _, data, size, _ = self._arguments()
        self.wire.write(bytes(self.uc.mem_read(data, size)))
        self._return(size)

    def _flash_read(self) -> None:
        _, at, to, size = self._arguments()
        self.uc.mem_write(to, bytes(self.uc.mem_read(at, size)))
        self._return()

    def _flash_write(self) -> None:
        _, at, data, size = self._arguments()
        old, new = self.uc.mem_read(at, size), self.uc.mem_read(data, size)
        self.uc.mem_write(at, bytes(a & b for a, b in zip(old, new, strict=True)))
        self._return()

    def _flash_erase(self) -> None:
        _, at, size, _ = self._arguments()
        assert at % PAGE == 0 and size % PAGE == 0
        self.uc.mem_write(at, b"\xff" * size)
        self._return()


@pytest.fixture
def real(elf: Path) -> Iterator[Real]:
    bootloader = Real(elf)
    yield bootloader
    os.close(bootloader.wire.master)


def answers(line: Line) -> list[bytes]:
    """What is said to a sequence of commands, sound and unsound ones."""
    page = bytes(range(256)) * 16
    said = []
    for command in (
        *(b"N#", b"V#", b"I#", b"#", b"AT\r#", b"X00000000#"),
        b"S00000034,00001000#" + page,
        *(b"Y00000034,0#", b"Y00001000,00001000#", b"Z00001000,00001000#", b"Z00001001,00000003#"),
        *(b"Z00000000,00000008#", b"T#", b"z00000000,00000008#"),
    ):
        line.write(command)
        heard, until = b"", time.monotonic() + 0.15
        while (left := until - time.monotonic()) > 0:
            heard += line.read(left)
        said.append(heard)
    return said


def test_the_simulator_says_what_the_bootloader_says(real: Real) -> None:
    thread = threading.Thread(target=real.run, args=(_TOUCHED,), daemon=True)
    thread.start()
    with Line(real.wire.port.device, 115_200) as line:
        true = answers(line)
    real.stop = True
    thread.join(5)
    with Board(Faults(), boots=True) as board, Line(board.ports()[0].device, 115_200) as line:
        simulated = answers(line)
    assert true[0] == b"\n\r" and true[3] == b"" and true[7] == b"Y\n\r"
    assert simulated == true


def test_our_side_writes_it_and_it_starts(real: Real) -> None:
    image = struct.pack("<2I", 0x20040000, APP + 0x101) + os.urandom(3 * PAGE)
    ends = []
    thread = threading.Thread(target=lambda: ends.append(real.run(_TOUCHED)), daemon=True)
    thread.start()
    with Line(real.wire.port.device, 115_200) as line:
        line.write(b"S00000000,00001000#" + bytes(100))  # an earlier program broke off
        time.sleep(0.1)
        identity = bossa.program(line, image, "nRF52840-QIAA", _WAITS)
    thread.join(5)
    assert ends == ["reset"]
    assert identity.version.endswith("[Arduino:IKXYZ]")
    assert bytes(real.uc.mem_read(APP, len(image))) == image
    assert real.run(0) == "started"


def test_a_blank_first_page_does_not_start(real: Real) -> None:
    real.uc.mem_write(APP, b"\xff" * PAGE)
    assert real.run(0, limit_s=0.3) == "stopped"
