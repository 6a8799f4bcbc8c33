"""Emitted models in an emulated Cortex-M4, called directly: one ELF for many, no serial line.

Every tensor and scratch area lies alone at the end of its own memory, with nothing mapped behind it (or
before it, by choice): one byte read outside is a fault.
"""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import unicorn as uc
from elftools.elf.elffile import ELFFile
from numpy.typing import NDArray
from unicorn import arm_const as reg

from mcu_asc import compiler, paths, toolchain
from mcu_asc.nouns import MemoryPlan, Model, Schedule

_CPU = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
_FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-funsigned-char", "-ffunction-sections")
_PAGE = 4096
_CODE, _ARENA, _STACK, _RETURN = 0x00100000, 0x20000000, 0x1F000000, 0x00010000
_STACK_BYTES = 8 * _PAGE


def apart(model: Model, at_end: bool) -> MemoryPlan:
    """A plan in which buffers lie pages apart, at the ends of their pages or at the starts."""
    plan = compiler.plan(model.graph, "dsp", schedule=Schedule())
    where: dict[tuple[int, int], int] = {}
    top = _PAGE
    # Tensors that share offset and size may be one (aliases, in place) or live at different times: either way
    # they may share.
    keys = {t: (offset, model.graph.tensors[t].bytes) for t, offset in plan.offsets.items()}
    for key in dict.fromkeys(keys.values()):
        pages = -(-key[1] // _PAGE) * _PAGE
        where[key] = top + (pages - key[1] if at_end else 0)
        top += pages + _PAGE
    assert not plan.sums  # every op runs whole
    scratch = {}
    for op, (_, size) in plan.scratch.items():
        pages = -(-size // _PAGE) * _PAGE
        scratch[op] = (top + ((pages - size) // 16 * 16 if at_end else 0), size)
        top += pages + _PAGE
    offsets = {t: where[key] for t, key in keys.items()}
    return dataclasses.replace(plan, offsets=offsets, scratch=scratch, arena_bytes=top, moves=())


def _planned(model: Model, schedule: Schedule | None) -> MemoryPlan:
    return compiler.plan(model.graph, "dsp", schedule=schedule)


class Cortex:
    """Models by name in one program: `run(name, int8 input bytes) -> int8 output bytes`."""

    def __init__(self, elf: Path, plans: Mapping[str, tuple[Model, MemoryPlan]], whole: bool) -> None:
        self._plans, self._whole = plans, whole
        with elf.open("rb") as file:
            parsed = ELFFile(file)
            self._segments = [
                (s["p_vaddr"], s.data()) for s in parsed.iter_segments("PT_LOAD") if s["p_memsz"]
            ]
            symbols = parsed.get_section_by_name(".symtab")
            self._symbols = {s.name: s["st_value"] for s in symbols.iter_symbols()}  # type: ignore[union-attr]
        self._machine = self._boot()
        self._mapped: list[tuple[int, int]] = []
        self._name = ""

    def _boot(self) -> uc.Uc:
        m = uc.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB | uc.UC_MODE_MCLASS)
        m.ctl_set_cpu_model(reg.UC_CPU_ARM_CORTEX_M4)
        for address, data in self._segments:
            start = address // _PAGE * _PAGE
            m.mem_map(
                start, -(-(address + len(data) - start) // _PAGE) * _PAGE, uc.UC_PROT_READ | uc.UC_PROT_EXEC
            )
            m.mem_write(address, data)
        m.mem_map(_STACK, _STACK_BYTES)
        m.mem_map(_RETURN, _PAGE)
        return m

    def _areas(self, name: str) -> dict[int, int]:
        """offset -> bytes of all that the network may touch."""
        model, plan = self._plans[name]
        if self._whole:
            return {0: plan.arena_bytes}
        found: dict[int, int] = {}
        for t, offset in plan.offsets.items():
            found[offset] = max(found.get(offset, 0), model.graph.tensors[t].bytes)
        return found | dict(plan.scratch.values()) | dict(plan.sums.values())

    def _select(self, name: str) -> None:
        if name == self._name:
            return
        for start, size in self._mapped:
            self._machine.mem_unmap(start, size)
        pages = {
            page
            for offset, size in self._areas(name).items()
            for page in range(offset // _PAGE, (offset + size - 1) // _PAGE + 1)
        }
        self._mapped = [(_ARENA + p * _PAGE, _PAGE) for p in sorted(pages)]
        for start, size in self._mapped:
            self._machine.mem_map(start, size, uc.UC_PROT_READ | uc.UC_PROT_WRITE)
        self._name = name

    def run(self, name: str, x: NDArray[np.int8], fill: int = 0x5A) -> NDArray[np.int8]:
        """The output for `x`, from memory full of `fill`."""
        self._select(name)
        model, plan = self._plans[name]
        m = self._machine
        for start, size in self._mapped:
            m.mem_write(start, bytes([fill & 255]) * size)
        (source,), (result,) = model.graph.inputs, model.graph.outputs
        m.mem_write(_ARENA + plan.offsets[source], x.astype(np.int8).tobytes())
        net = self._symbols[f"asc_net_{name}"]
        invoke = int.from_bytes(m.mem_read(net + 24, 4), "little")
        for register, value in (
            (reg.UC_ARM_REG_R0, _ARENA),
            (reg.UC_ARM_REG_R1, 0),
            (reg.UC_ARM_REG_R2, 0),
            (reg.UC_ARM_REG_SP, _STACK + _STACK_BYTES),
            (reg.UC_ARM_REG_LR, _RETURN | 1),
        ):
            m.reg_write(register, value)
        try:
            m.emu_start(invoke | 1, _RETURN)
        except uc.UcError as e:
            pc = m.reg_read(reg.UC_ARM_REG_PC)
            where = max((a, n) for n, a in self._symbols.items() if a <= pc | 1 and not n.startswith("$"))[1]
            raise AssertionError(f"{name}: {e} in {where}") from e
        size = model.graph.tensors[result].bytes
        return np.frombuffer(bytes(m.mem_read(_ARENA + plan.offsets[result], size)), np.int8)


def _gcc(*arguments: str | Path) -> None:
    include = [f"-I{paths.firmware_dir() / d}" for d in ("asc", "kernels/ref", "kernels/dsp")]
    command = [f"{toolchain.arm_gcc()}gcc", *_CPU, *_FLAGS, *include, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


def build(
    models: Mapping[str, bytes],
    folder: Path,
    at_end: bool = True,
    schedules: Mapping[str, Schedule | None] | None = None,
) -> Cortex:
    """Compile the models with their dsp kernels into one ELF.

    schedules  how each runs, None for what the planner chooses, laid out by the planner instead of apart
    """
    sources: set[str] = set()
    plans = {}
    jobs: list[tuple[str | Path, ...]] = []
    for name, content in models.items():
        model = compiler.read(content)
        plans[name] = (model, _planned(model, schedules[name]) if schedules else apart(model, at_end))
        text = compiler.emit(model, plans[name][1], "dsp")["model_dsp.c"]
        sources.update(compiler.kernel_sources(model.graph, "dsp"))
        path = folder / f"{name}.c"
        path.write_bytes(text)
        jobs.append((f"-Dasc_net=asc_net_{name}", "-O1", "-c", path, "-o", path.with_suffix(".o")))
    kernels = paths.firmware_dir() / "kernels"
    jobs.append(("-O3", "-c", paths.firmware_dir() / "asc/asc_bands.c", "-o", folder / "asc_bands.o"))
    for source in sorted(sources):
        (path,) = kernels.glob(f"*/{source}")
        jobs.append(("-O3", "-c", path, "-o", folder / f"kernel_{path.name}.o"))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda job: _gcc(*job), jobs))
    objects = [job[-1] for job in jobs]
    elf = folder / "models.elf"
    _gcc("-nostartfiles", "-Wl,-e,0", f"-Wl,-Ttext={_CODE:#x}", "-Wl,-z,separate-code", "-o", elf, *objects)
    return Cortex(elf, plans, bool(schedules))
