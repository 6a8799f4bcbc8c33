"""An nRF52840 board on Unicorn: memory of exactly its size, its peripherals, one line when it faults.

What it cannot see: unaligned LDRD, LDM and VLDR, and FPU instructions while the FPU is off, which fault on
silicon; interrupts but the microphone's; the time that instruction fetches take.

The microphone's interrupt is taken between two blocks when cycles are counted, else only where the firmware
reads a register or sleeps: Unicorn cannot be stopped from outside without executing an instruction twice.
"""

from __future__ import annotations

import ctypes
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import unicorn as uc
from capstone import arm
from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from numpy.typing import NDArray
from unicorn import arm_const as reg

from mcu_asc.device.emulator import peripherals as hw
from mcu_asc.device.emulator.cycles import Counter
from mcu_asc.device.emulator.serial_line import Line
from mcu_asc.device.emulator.waits import flash_reads
from mcu_asc.errors import UsageError
from mcu_asc.nouns import Board

RAM = 0x20000000
QUIRKS = frozenset(("renode", "wire"))
# What the bus answers on: anything else is a bus fault, as on silicon.
_MMIO = ((hw.FICR, 0x2000), (0x40000000, 0x40000), (0x50000000, 0x1000), (hw.PPB, 0x100000))
_ACCESS = {
    uc.UC_MEM_READ_UNMAPPED: "read of unmapped address",
    uc.UC_MEM_WRITE_UNMAPPED: "write to unmapped address",
    uc.UC_MEM_FETCH_UNMAPPED: "jump to unmapped address",
    uc.UC_MEM_WRITE_PROT: "write to flash at",
    uc.UC_MEM_READ_PROT: "read of protected address",
    uc.UC_MEM_FETCH_PROT: "jump to protected address",
}
# QEMU's exception numbers for Arm, as UC_HOOK_INTR gives them.
_EXCEPTIONS = {
    1: "undefined instruction",
    2: "SVC with no handler",
    3: "jump to unmapped address",
    7: "breakpoint",
    8: "return from an exception that was never taken",
    17: "coprocessor instruction without a coprocessor",
    18: "jump to an even address (not Thumb)",
}
# capstone's number -> Unicorn's, of those that hold addresses.
_REGISTERS = {
    **{getattr(arm, f"ARM_REG_R{n}"): getattr(reg, f"UC_ARM_REG_R{n}") for n in range(13)},
    arm.ARM_REG_SP: reg.UC_ARM_REG_SP,
    arm.ARM_REG_LR: reg.UC_ARM_REG_LR,
}
_EXCEPTION_RETURN = 8
_FRAME_BYTES = {False: 32, True: 104}  # what an exception puts on the stack, without and with FPU registers
_EXC_RETURN = {False: 0xFFFFFFF9, True: 0xFFFFFFE9}
_IT_BITS = 0x0600FC00  # of xPSR
_WAIT_INSTRUCTIONS = (0xBF20, 0xBF30)  # wfe, wfi
_STACK_REACH = 64 << 10  # an access this far below the stack's end is an overflow


@dataclass(frozen=True)
class Firmware:
    """A linked ELF: what is loaded where, and its symbols."""

    segments: tuple[tuple[int, bytes], ...]  # (load address, content)
    functions: tuple[tuple[int, str], ...]  # (address, name), sorted
    symbols: dict[str, int]

    def place(self, address: int) -> str:
        """`address` as function+offset; "" outside all functions."""
        at = bisect_right(self.functions, (address & ~1, "\uffff")) - 1
        if at < 0 or address >= max(a + len(d) for a, d in self.segments):
            return ""
        start, name = self.functions[at]
        return f"{name}+0x{(address & ~1) - start:x}"


def load(path: Path) -> Firmware:
    """Reads an ELF; UsageError when it is not one for Arm."""
    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            if elf["e_machine"] != "EM_ARM":
                raise UsageError(
                    f"{path} is an ELF for {elf['e_machine']}, not Arm", "build it for the board"
                )
            segments = tuple((s["p_paddr"], s.data()) for s in elf.iter_segments("PT_LOAD") if s["p_filesz"])
            table: Any = elf.get_section_by_name(".symtab")
            entries = list(table.iter_symbols()) if table else []
    except OSError as e:
        raise UsageError(f"cannot read {path}: {e.strerror}", "check the path") from e
    except ELFError as e:
        raise UsageError(f"{path} is not an ELF file: {e}", "give the firmware.elf that build wrote") from e
    functions = {(s["st_value"] & ~1, s.name) for s in entries if s["st_info"]["type"] == "STT_FUNC"}
    return Firmware(segments, tuple(sorted(functions)), {s.name: s["st_value"] for s in entries})


class Machine:
    """The board with a firmware in flash, as the bootloader leaves it; `run` executes until a fault."""

    def __init__(
        self,
        firmware: Firmware,
        board: Board,
        line: Line,
        *,
        cycles: bool = False,
        quirks: Iterable[str] = (),
        pdm: NDArray[np.int16] | None = None,
    ) -> None:
        """What can be chosen.

        cycles  count estimated CPU cycles, which is slower
        quirks  names out of QUIRKS
        pdm     what the microphone hears from its start, at the rate that the firmware sets
        """
        self._firmware, self._board, self._line = firmware, board, line
        wanted = frozenset(quirks)
        if unknown := sorted(wanted - QUIRKS):
            raise UsageError(f"unknown quirk '{unknown[0]}'", "known here: " + ", ".join(sorted(QUIRKS)))
        self._uc = uc.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB | uc.UC_MODE_MCLASS)
        self._uc.ctl_set_cpu_model(reg.UC_CPU_ARM_CORTEX_M4)
        self._uc.mem_map(0, board.flash_bytes, uc.UC_PROT_READ | uc.UC_PROT_EXEC)
        self._uc.mem_map(RAM, board.ram_bytes)
        self._uc.mem_write(0, b"\xff" * board.flash_bytes)
        for address, data in firmware.segments:
            self._load_segment(address, data)

        waits = self._flash_waits if board.flash_wait_states else None
        self.counter = Counter(lambda a, n: bytes(self._uc.mem_read(a, n)), waits) if cycles else None
        self.clock = hw.Clock(board.clock_hz, self.counter.cycles if self.counter else None)
        self.bus = hw.Bus()
        self.uarte = hw.Uarte(self.bus, board, self.clock, self, line, wanted)
        hw.clock_control(self.bus)
        hw.rtc1(self.bus)
        hw.nvmc(self.bus)
        hw.information(self.bus, board)
        hw.core(self.bus, self.clock, board.app_offset_bytes, self._restart)
        self._nvic = hw.Nvic(self.bus)
        for n, base in enumerate(hw.TIMERS):
            hw.Timer(self.bus, base, self.clock, 4 if n < 3 else 6)
        self._gpio = [hw.GpioPort(self.bus, base) for base in hw.GPIO]
        heard = np.zeros(0, np.int16) if pdm is None else pdm
        self.pdm = hw.Pdm(self.bus, board, self.clock, self, self._mic_powered, heard)
        self.uarte.as_the_bootloader_left_it(RAM + board.ram_bytes // 2)

        self._why = ""  # the fault, once there is one
        self._address: int | None = None
        self._reset = self._ended = False
        self._interrupted: Any = None  # the context that a handler's return goes back to
        self._returned = False
        self._add_hooks()

    def _load_segment(self, address: int, data: bytes) -> None:
        end = address + len(data)
        if not self._board.app_offset_bytes <= address <= end <= self._board.flash_bytes:
            raise UsageError(
                f"the firmware loads 0x{address:08x} to 0x{end:08x}, outside the application's flash",
                "link it with the board's own linker script",
            )
        self._uc.mem_write(address, data)

    # -- hooks: never raise through one; note what is wrong and stop ----------------------------------

    def _add_hooks(self) -> None:
        for base, size in _MMIO:
            self._uc.mmio_map(base, size, self._on_read, base, self._on_write, base)
        self._uc.hook_add(uc.UC_HOOK_MEM_INVALID, self._on_invalid)
        self._uc.hook_add(uc.UC_HOOK_INTR, self._on_exception)
        if self.counter:
            self._hook_blocks(self.counter)
            self.counter.folded = self._look_up

    def _hook_blocks(self, counter: Counter) -> None:
        """Straight to the library: the binding's own wrapper would halve the speed."""
        from unicorn.unicorn_py3.unicorn import uclib

        def translated(_uc: Any, block: Any, before: Any, _data: Any) -> None:
            counter.translated(block.pc, block.size)
            if before:
                counter.translated(before.pc, before.size)

        self._uc.hook_add(uc.UC_HOOK_EDGE_GENERATED, translated)
        word = ctypes.c_size_t  # of the hook's four arguments the first two are all we take
        self._block_hook = ctypes.CFUNCTYPE(None, word, word)(counter.hook)
        handle = ctypes.c_size_t()
        status = uclib.uc_hook_add(
            self._uc._uch,
            ctypes.byref(handle),
            uc.UC_HOOK_BLOCK,
            ctypes.cast(self._block_hook, ctypes.c_void_p),
            ctypes.c_void_p(0),
            ctypes.c_uint64(1),
            ctypes.c_uint64(0),
        )
        if status != uc.UC_ERR_OK:
            raise uc.UcError(status)

    def _on_read(self, _uc: Any, offset: int, size: int, base: int) -> int:
        if self.pdm.running and self._has_news():
            self._uc.emu_stop()  # the load is executed again, which does no harm; a store would
        return self.bus.read(base + offset, size)

    def _on_write(self, _uc: Any, offset: int, size: int, value: int, base: int) -> None:
        self.bus.write(base + offset, size, value)

    def _on_invalid(self, _uc: Any, access: int, address: int, _size: int, _value: int, _data: Any) -> bool:
        self._stop(_ACCESS.get(access, "bad access to"), address)
        return False

    def _on_exception(self, _uc: Any, number: int, _data: Any) -> None:
        if number == _EXCEPTION_RETURN and self._interrupted is not None:
            self._returned = True
            self._uc.emu_stop()
            return
        self._stop(_EXCEPTIONS.get(number, f"exception {number}"))

    def _stop(self, why: str, address: int | None = None) -> None:
        if not self._why:
            self._why, self._address = why, address
        self._uc.emu_stop()

    def _restart(self) -> None:
        self._reset = True
        self._uc.emu_stop()

    def _flash_waits(self, block: Any, runs_now: bool) -> int:
        """Cycles for which the data reads of a disassembled block wait; see Counter."""
        registers: dict[int, int] = {}
        if runs_now:
            registers = {theirs: self._uc.reg_read(ours) for theirs, ours in _REGISTERS.items()}
        reads = flash_reads(block, registers, self._word, self._board.flash_bytes)
        return reads * self._board.flash_wait_states

    def _word(self, address: int) -> int | None:
        if not (0 <= address <= self._board.flash_bytes - 4 or self._in_ram(address, 4)):
            return None
        return int.from_bytes(self._uc.mem_read(address, 4), "little")

    # -- DMA ----------------------------------------------------------------------------------------

    def _in_ram(self, address: int, size: int) -> bool:
        return address >= RAM and address + size <= RAM + self._board.ram_bytes

    def dma_write(self, address: int, data: bytes) -> bool:
        if not self._in_ram(address, len(data)):
            self._stop("DMA write outside RAM at", address)
            return False
        self._uc.mem_write(address, data)
        return True

    def dma_read(self, address: int, size: int) -> bytes:
        if size and not self._in_ram(address, size):
            self._stop("DMA read outside RAM at", address)
            return b""
        return bytes(self._uc.mem_read(address, size)) if size else b""

    # -- running ------------------------------------------------------------------------------------

    def _boot(self) -> int:
        """Stack pointer and program counter from the vector table; returns the latter."""
        table = bytes(self._uc.mem_read(self._board.app_offset_bytes, 8))
        self._uc.reg_write(reg.UC_ARM_REG_SP, int.from_bytes(table[:4], "little"))
        return int.from_bytes(table[4:], "little")

    def stop(self) -> None:
        """Makes `run` return soon; may be called from a signal handler."""
        self._ended = True
        self._uc.emu_stop()

    def run(self) -> str:
        """Executes until a fault and returns it in one line; "" after `stop`."""
        pc = self._boot()
        while not self._ended:
            if self.pdm.running:
                pc = self._interrupts(pc)
            error = ""
            try:
                self._uc.emu_start(pc | 1, 0)
            except uc.UcError as e:
                error = str(e)
            pc = self._uc.reg_read(reg.UC_ARM_REG_PC)
            if self._reset:
                self._reset, self._why = False, ""
                self._interrupted, self._returned = None, False
                pc = self._boot()
            elif self._returned:
                self._uc.context_restore(self._interrupted)
                self._interrupted, self._returned = None, False
                pc = self._uc.reg_read(reg.UC_ARM_REG_PC)
            elif self._address is None and self._waits(pc):
                self._why = ""
                self._sleep()
            elif self._why or error:
                return self._fault(pc, self._why or self._undefined(pc) or error)
        return ""

    def _sleep(self) -> None:
        """Until the microphone's next block, which takes no time of ours; else no interrupt can come."""
        if self.pdm.running:
            self.clock.idle(max(0, self.pdm.due() - self.clock.cycles() + 1) / self.clock.hz)
        else:
            self._line.wait(0.01)
            self.clock.idle(0.01)

    # -- interrupts: one, by hand ---------------------------------------------------------------------

    def _mic_powered(self) -> bool:
        pin = self._board.pdm_power
        return pin is None or self._gpio[pin >> 5].level(pin & 31)

    def _takes_interrupts(self) -> bool:
        return self._interrupted is None and not self._uc.reg_read(reg.UC_ARM_REG_PRIMASK) & 1

    def _has_news(self) -> bool:
        """`_interrupts` would do something."""
        if self.counter is None and self.clock.cycles() >= self.pdm.due():  # else it is asked as blocks run
            return True
        return self.pdm.asserted and self._nvic.enabled(hw.PDM_IRQ) and self._takes_interrupts()

    def _look_up(self) -> None:
        """Called between blocks, now and then: leaves them, so that `_interrupts` sees the time."""
        if self.pdm.running:
            self._uc.emu_stop()

    def _interrupts(self, pc: int) -> int:
        """Lets the microphone go on, one block for each interrupt taken; returns where to execute."""
        wanted = self.pdm.asserted and self._nvic.enabled(hw.PDM_IRQ)
        if not (wanted and self._takes_interrupts()):
            self.pdm.pump()
            wanted = self.pdm.asserted and self._nvic.enabled(hw.PDM_IRQ)
            if not (wanted and self._takes_interrupts()):
                return pc
        floats = bool(self.bus.values[hw.PPB + 0xED88] >> 20 & 0xF)  # as if used since: the deeper frame
        self._interrupted = self._uc.context_save()
        sp = self._uc.reg_read(reg.UC_ARM_REG_SP) - _FRAME_BYTES[floats] & ~7
        xpsr = self._uc.reg_read(reg.UC_ARM_REG_XPSR)
        names = (*range(reg.UC_ARM_REG_R0, reg.UC_ARM_REG_R0 + 4), reg.UC_ARM_REG_R12, reg.UC_ARM_REG_LR)
        words = [*(self._uc.reg_read(n) for n in names), pc, xpsr]
        frame = b"".join(w.to_bytes(4, "little") for w in words)
        if not self.dma_write(sp, frame.ljust(_FRAME_BYTES[floats], b"\0")):
            return pc
        self._uc.reg_write(reg.UC_ARM_REG_SP, sp)
        self._uc.reg_write(reg.UC_ARM_REG_LR, _EXC_RETURN[floats])
        self._uc.reg_write(reg.UC_ARM_REG_XPSR, xpsr & ~_IT_BITS)
        table = self.bus.values[hw.PPB + 0xED08]
        return int.from_bytes(self._uc.mem_read(table + 4 * (16 + hw.PDM_IRQ), 4), "little")

    def _waits(self, pc: int) -> bool:
        """The instruction that stopped us is WFI or WFE."""
        before = (pc & ~1) - 2
        if not 0 <= before < self._board.flash_bytes - 2:
            return False
        return int.from_bytes(self._uc.mem_read(before, 2), "little") in _WAIT_INSTRUCTIONS

    def _undefined(self, pc: int) -> str:
        """Why Unicorn could not decode what lies at `pc`."""
        if not self._uc.reg_read(reg.UC_ARM_REG_CPSR) & 0x20:  # the T bit, where A-profile keeps it
            return "jump to an even address (not Thumb)"
        try:
            return f"undefined instruction {self._uc.mem_read(pc & ~1, 2)[::-1].hex()}"
        except uc.UcError:
            return ""

    def _fault(self, pc: int, why: str) -> str:
        sp, lr = self._uc.reg_read(reg.UC_ARM_REG_SP), self._uc.reg_read(reg.UC_ARM_REG_LR)
        address = self._address
        bottom = self._firmware.symbols.get("asc_stack_bottom", RAM)
        if address is not None and bottom - _STACK_REACH <= address < bottom and "jump" not in why:
            why = f"stack overflow, {why}"
        text = "fault: " + why + (f" 0x{address:08x}" if address is not None else "")
        place = self._firmware.place(pc)
        text += f", pc 0x{pc:08x} ({place or 'no code there'})"
        caller = self._firmware.place(lr)
        return text + (f", lr 0x{lr:08x} ({caller})" if caller else "") + f", sp 0x{sp:08x}"

    def led(self) -> bool:
        """Whether the board's LED is lit."""
        return self._gpio[self._board.led >> 5].level(self._board.led & 31)

    def profile(self) -> dict[str, int]:
        """Estimated cycles by function, most first; empty when cycles are not counted."""
        return self.counter.profile(self._firmware.functions) if self.counter else {}

    def unmodelled(self) -> list[str]:
        """Registers the firmware used that nobody models, one line each."""
        return [f"{what} 0x{address:08x} x{n}" for (what, address), n in sorted(self.bus.unknown.items())]
