"""Programs on QEMU's Cortex-M4 board, with semihosting: built by arm-none-eabi-gcc, run, output returned.

`lane` puts networks with their vectors and front ends with their CRCs into one of them (tests/qemu/lane.c).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mcu_asc import compiler, paths, toolchain
from mcu_asc.audio import frontend
from mcu_asc.nouns import FrontEndConfig

HERE = Path(__file__).parent / "qemu"
LIMIT_S = 120
needs_qemu = pytest.mark.skipif(
    shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None,
    reason="needs qemu-system-arm and arm-none-eabi-gcc",
)

Vector = tuple[NDArray[np.int8], NDArray[np.int8]]  # input, expected output
FrontEnd = tuple[FrontEndConfig, tuple[int, int, int]]  # CRC-32 of all rows: log2, q, level

_CPU = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
_FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-funsigned-char", "-ffunction-sections")
_A_UNIT = 12  # models in one file: a run of the compiler each would take most of the time
_OWN = re.compile(r"^(?:static (?:const )?\w+|typedef char) (\w+)", re.MULTILINE)
_INCLUDES = ("asc", "kernels/ref", "kernels/dsp")


def gcc(*arguments: str | Path) -> None:
    include = [f"-I{HERE}", *(f"-I{paths.firmware_dir() / d}" for d in _INCLUDES)]
    command = [f"{toolchain.arm_gcc()}gcc", *_CPU, *_FLAGS, *include, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


def link(elf: Path, *arguments: str | Path) -> Path:
    gcc(
        "-nostartfiles", f"-T{HERE / 'qemu.ld'}", "-Wl,--gc-sections", HERE / "start.c", *arguments, "-o", elf
    )
    return elf


def run(elf: Path) -> tuple[int, str]:
    """Exit code and output; fails the test when it does not end in time."""
    command = ["qemu-system-arm", "-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none"]
    command += ["-semihosting-config", "enable=on,target=native", "-kernel", str(elf)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    return done.returncode, done.stdout + done.stderr  # semihosting writes to stderr


def lane(
    folder: Path,
    flavour: str,
    models: Mapping[str, bytes],
    vectors: Callable[[str], Sequence[Vector]],
    front_ends: Mapping[str, FrontEnd],
    samples: NDArray[np.int16],
) -> Path:
    """One ELF with every model's and every front end's check; each model has the same number of vectors."""
    jobs: list[tuple[str | Path, ...]] = []

    def compile_later(text: bytes, name: str, *flags: str) -> None:
        path = folder / f"{name}.c"
        path.write_bytes(text)
        jobs.append((*flags, "-c", path, "-o", path.with_suffix(".o")))

    kernels: set[str] = set()
    blob, texts, count = [], [], 0
    for name, content in models.items():
        model = compiler.read(content)
        (text,) = compiler.emit(model, compiler.plan(model.graph, flavour), flavour).values()
        kernels.update(compiler.kernel_sources(model.graph, flavour))
        texts.append(_own_names(text.decode(), name))
        data = vectors(name)
        count = len(data)
        blob += [a.astype(np.int8).tobytes() for pair in data for a in pair]
    for at in range(0, len(texts), _A_UNIT):
        compile_later("\n".join(texts[at : at + _A_UNIT]).encode(), f"nets_{at}", "-O1")
    for name, (cfg, _) in front_ends.items():
        compile_later(frontend.c_source(cfg).encode(), name, f"-Dasc_front_end=asc_{name}")
    compile_later(_cases(models, front_ends, count, len(samples)).encode(), "cases")
    (folder / "vectors.bin").write_bytes(b"".join(blob))
    (folder / "samples.bin").write_bytes(samples.astype("<i2").tobytes())
    found_kernels = [next((paths.firmware_dir() / "kernels").glob(f"*/{k}")) for k in sorted(kernels)]
    for found in (*found_kernels, *frontend.kernel_sources(flavour)):
        jobs.append(("-O3", "-c", found, "-o", folder / f"kernel_{found.name}.o"))
    asc = paths.firmware_dir() / "asc"
    for source in (*sorted({*asc.glob("*.c")} - {asc / "asc_app.c"}), HERE / "lane.c"):
        jobs.append(("-O3", "-c", source, "-o", folder / f"{source.stem}.o"))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda job: gcc(*job), jobs))
    data_s = folder / "data.S"
    data_s.write_text(_DATA.format(folder=folder))
    return link(folder / "lane.elf", data_s, *(job[-1] for job in jobs))


def _own_names(text: str, name: str) -> str:
    """A model's C with its name at the end of every name of its own, so that many can stand in one file."""
    own = {"asc_net", *_OWN.findall(text)}
    return re.sub(r"(?<!\.)\b[A-Za-z_]\w*\b", lambda m: f"{m[0]}_{name}" if m[0] in own else m[0], text)


_DATA = """
    .section .vectors_data, "a"
    .balign 4
    .global lane_vectors, lane_samples
lane_samples: .incbin "{folder}/samples.bin"
lane_vectors: .incbin "{folder}/vectors.bin"
"""


def _cases(
    models: Mapping[str, bytes], front_ends: Mapping[str, FrontEnd], vectors: int, samples: int
) -> str:
    lines = ['#include "lane.h"']
    lines += [f"extern const asc_model asc_net_{n};" for n in models]
    lines += [f"extern const asc_fe asc_{n};" for n in front_ends]
    lines += ["const lane_net lane_nets[] = {", *(f'    {{"{n}", &asc_net_{n}}},' for n in models), "};"]
    lines += ["const lane_front_end lane_front_ends[] = {"]
    for n, (_, crc) in front_ends.items():
        lines.append(f'    {{"{n}", &asc_{n}, {{{", ".join(f"{c}u" for c in crc)}}}}},')
    lines += ["};"]
    numbers = {
        "lane_net_count": len(models),
        "lane_front_end_count": len(front_ends),
        "lane_vectors_a_net": vectors,
        "lane_sample_count": samples,
    }
    return "\n".join([*lines, *(f"const uint32_t {k} = {v};" for k, v in numbers.items()), ""])
