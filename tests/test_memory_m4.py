"""firmware/ports/cortex-m/memory.S in an emulated Cortex-M4: bytes at every alignment, overlap and length."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import unicorn as uc
from elftools.elf.elffile import ELFFile
from unicorn import arm_const as reg

from mcu_asc import paths, toolchain

CODE, RAM, STACK, RETURN = 0x10000, 0x20000, 0x31000, 0x40000
LENGTHS = (*range(0, 21), 31, 32, 33, 47, 64, 79, 201)


class Memory:
    """4 KiB of bytes and the three functions."""

    def __init__(self, elf: Path) -> None:
        with elf.open("rb") as file:
            parsed = ELFFile(file)
            text = parsed.get_section_by_name(".text")
            self.at = {s.name: s["st_value"] for s in parsed.get_section_by_name(".symtab").iter_symbols()}
            code = text.data()
        self.machine = uc.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB | uc.UC_MODE_MCLASS)
        self.machine.ctl_set_cpu_model(reg.UC_CPU_ARM_CORTEX_M4)
        for start in (CODE, RAM, STACK - 0x1000, RETURN):
            self.machine.mem_map(start, 0x1000)
        self.machine.mem_write(CODE, code)

    def call(self, name: str, content: bytes, to: int, second: int, n: int) -> bytes:
        """Memory after name(RAM + to, second, n); the result must be its first argument, r4 as it was."""
        m = self.machine
        m.mem_write(RAM, content)
        values = (RAM + to, second, n, 0x1234)
        for register, value in zip(
            (reg.UC_ARM_REG_R0, reg.UC_ARM_REG_R1, reg.UC_ARM_REG_R2, reg.UC_ARM_REG_R4), values, strict=True
        ):
            m.reg_write(register, value)
        m.reg_write(reg.UC_ARM_REG_SP, STACK)
        m.reg_write(reg.UC_ARM_REG_LR, RETURN | 1)
        m.emu_start(self.at[name] | 1, RETURN)
        assert m.reg_read(reg.UC_ARM_REG_R0) == RAM + to
        assert m.reg_read(reg.UC_ARM_REG_R4) == 0x1234
        assert m.reg_read(reg.UC_ARM_REG_SP) == STACK
        return bytes(m.mem_read(RAM, len(content)))


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Memory:
    folder = tmp_path_factory.mktemp("memory")
    source = paths.firmware_dir() / "ports" / "cortex-m" / "memory.S"
    flags = ("-mcpu=cortex-m4", "-mthumb", "-nostdlib", f"-Wl,-Ttext={CODE:#x}", "-Wl,-e,memmove")
    toolchain.run([toolchain.arm_gcc() + "gcc", *flags, source, "-o", "memory.elf"], folder, "memory.S")
    return Memory(folder / "memory.elf")


CONTENT = np.random.default_rng(1).integers(0, 256, 640).astype(np.uint8).tobytes()


def test_moves_whatever_overlaps(memory: Memory) -> None:
    shifts = (-201, -64, -17, -16, -15, -4, -3, -1, 0, 1, 2, 5, 15, 16, 17, 47, 200)
    for n, shift, start in itertools.product(LENGTHS, shifts, (204, 205)):
        want = bytearray(CONTENT)
        want[start + shift : start + shift + n] = CONTENT[start : start + n]
        assert memory.call("memmove", CONTENT, start + shift, RAM + start, n) == want, (n, shift, start)


def test_copies_are_moves(memory: Memory) -> None:
    assert memory.at["memcpy"] == memory.at["memmove"]


@pytest.mark.parametrize("value", [0, 0x7F, 0xA5, 0xFFFFFF80])  # an int: its low byte counts
def test_sets(memory: Memory, value: int) -> None:
    for n, start in itertools.product(LENGTHS, range(100, 105)):
        want = bytearray(CONTENT)
        want[start : start + n] = bytes([value & 255]) * n
        assert memory.call("memset", CONTENT, start, value, n) == want, (n, start)
