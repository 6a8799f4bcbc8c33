"""Emitted models on this machine: compiled into a shared library, or into a program under sanitizers."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcu_asc import compiler, paths
from mcu_asc.nouns import Schedule

_FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Werror"]
_PROBE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32)


class _AscModel(ctypes.Structure):
    _fields_ = (
        ("arena_bytes", ctypes.c_uint32),
        ("layers", ctypes.c_uint32),
        ("input_offset", ctypes.c_uint32),
        ("input_bytes", ctypes.c_uint32),
        ("output_offset", ctypes.c_uint32),
        ("output_bytes", ctypes.c_uint32),
        ("invoke", ctypes.CFUNCTYPE(None, ctypes.c_void_p, _PROBE, ctypes.c_void_p)),
    )


class Network:
    """One compiled model: `run(int8 input bytes) -> int8 output bytes`."""

    def __init__(self, model: _AscModel) -> None:
        self.model = model
        self._memory = np.zeros(model.arena_bytes + 16, np.int8)
        start = -self._memory.ctypes.data % 16
        self.arena = self._memory[start : start + model.arena_bytes]
        self.probed: list[int] = []
        self._probe = _PROBE(lambda _, layer: self.probed.append(layer))

    def run(self, x: NDArray[np.int8], fill: int = 0x5A) -> NDArray[np.int8]:
        """The output for `x`, from an arena full of `fill`."""
        m = self.model
        self.arena[:] = fill
        self.arena[m.input_offset : m.input_offset + m.input_bytes] = x.reshape(-1)
        self.probed.clear()
        m.invoke(self.arena.ctypes.data, self._probe, None)
        return self.arena[m.output_offset : m.output_offset + m.output_bytes].copy()


def write_sources(
    models: Mapping[str, bytes], folder: Path, schedules: Mapping[str, Schedule | None] | None = None
) -> list[Path]:
    """model.c of each .tflite, with asc_net named asc_net_NAME; then the kernels.

    schedules  how each runs, None for what the planner chooses; those not named run every op whole
    """
    kernels: set[str] = set()
    found = []
    for name, content in models.items():
        model = compiler.read(content)
        plan = compiler.plan(model.graph, schedule=(schedules or {}).get(name, Schedule()))
        text = compiler.emit(model, plan)["model.c"]
        if b"asc_bands" in text:
            bands = folder / "asc_bands.c"
            bands.write_bytes((paths.firmware_dir() / "asc" / bands.name).read_bytes())
            found = [*(f for f in found if f != bands), bands]
        kernels.update(compiler.kernel_sources(model.graph))
        path = folder / f"{name}.c"
        path.write_bytes(b"#define asc_net asc_net_" + name.encode() + b"\n" + text)
        found.append(path)
    reference = paths.firmware_dir() / "kernels" / "ref"
    return found + [reference / k for k in sorted(kernels)]


def build(
    models: Mapping[str, bytes], folder: Path, schedules: Mapping[str, Schedule | None] | None = None
) -> dict[str, Network]:
    """Compile the models into one shared library; `schedules` as for write_sources."""
    library = folder / "models.so"
    gcc(["-O2", "-shared", "-fPIC", "-o", library, *write_sources(models, folder, schedules)])
    loaded = ctypes.CDLL(str(library))
    return {name: Network(_AscModel.in_dll(loaded, f"asc_net_{name}")) for name in models}


def gcc(arguments: list[str | Path], program: str = "gcc") -> None:
    include = paths.firmware_dir() / "asc"
    command = [program, *_FLAGS, f"-I{include}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


_DRIVER = """
#include "asc_model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
{externs}
static const asc_model *const nets[] = {{{nets}}};
int main(void)
{{
    uint32_t index, fill;
    while (fread(&index, 4, 1, stdin) == 1 && fread(&fill, 4, 1, stdin) == 1) {{
        const asc_model *m = nets[index];
        /* Each its own block, so that the sanitizer sees a step outside the arena. */
        uint8_t *arena = malloc(m->arena_bytes);
        memset(arena, (int)fill, m->arena_bytes);
        if (fread(arena + m->input_offset, 1, m->input_bytes, stdin) != m->input_bytes)
            return 1;
        m->invoke(arena, NULL, NULL);
        fwrite(arena + m->output_offset, 1, m->output_bytes, stdout);
        free(arena);
    }}
    return 0;
}}
"""


def run_sanitized(
    models: Mapping[str, bytes],
    cases: list[tuple[str, int, NDArray[np.int8]]],
    folder: Path,
    schedules: Mapping[str, Schedule | None] | None = None,
) -> bytes:
    """All outputs, one after the other, of (model, fill, input) cases under address and UB sanitizers."""
    names = list(models)
    driver = folder / "driver.c"
    driver.write_text(
        _DRIVER.format(
            externs="\n".join(f"extern const asc_model asc_net_{n};" for n in names),
            nets=", ".join(f"&asc_net_{n}" for n in names),
        )
    )
    program = folder / "sanitized"
    sanitize = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    gcc([*sanitize, "-o", program, driver, *write_sources(models, folder, schedules)])
    data = b"".join(
        np.array([names.index(name), fill], "<u4").tobytes() + x.astype(np.int8).tobytes()
        for name, fill, x in cases
    )
    done = subprocess.run([program], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    return done.stdout
