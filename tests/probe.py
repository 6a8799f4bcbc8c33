"""Builds a small firmware out of tests/firmware_probe on the nRF52840 port."""

from __future__ import annotations

import subprocess
from pathlib import Path

import jinja2

from mcu_asc import paths, toolchain
from mcu_asc.nouns import Board

PROBES = Path(__file__).parent / "firmware_probe"
PORT_FOLDERS = tuple(paths.firmware_dir() / "ports" / name for name in ("cortex-m", "nrf52840"))
PORT_SOURCES = tuple(str(p) for folder in PORT_FOLDERS for p in sorted(folder.glob("*.[cS]")))
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-std=c99", "-pedantic")


def compile_probe(
    source: str, out: Path, board: Board, *defines: str, optimise: str = "-O2"
) -> subprocess.CompletedProcess[str]:
    """Compiles and links probe `source` to `out`/firmware.elf; the caller looks at the exit code."""
    firmware = paths.firmware_dir()
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(firmware / "templates"), undefined=jinja2.StrictUndefined
    )
    out.mkdir(exist_ok=True)
    for template, name in (("asc_board.h.j2", "asc_board.h"), ("link.ld.j2", "nrf52840.ld")):
        (out / name).write_text(templates.get_template(template).render(board=board))
    cpu = (f"-mcpu={board.cpu}", "-mthumb", f"-mfpu={board.fpu}", "-mfloat-abi=hard")
    includes = [f"-I{folder}" for folder in (out, firmware / "asc", *PORT_FOLDERS)]
    command = [toolchain.arm_gcc() + "gcc", *cpu, *WARNINGS, optimise, "-g", "-funsigned-char", *includes]
    command += [*(f"-D{d}" for d in defines), "-ffunction-sections", "-fdata-sections"]
    command += [
        str(PROBES / source),
        *PORT_SOURCES,
        "-nostartfiles",
        "-specs=nosys.specs",
        "-Wl,--gc-sections",
    ]
    command += [f"-Wl,-T,{out / 'nrf52840.ld'}", "-Wl,--fatal-warnings", "-o", str(out / "firmware.elf")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def build_probe(source: str, out: Path, board: Board, *defines: str, optimise: str = "-O2") -> Path:
    """As compile_probe; returns the ELF and fails the test when there is none."""
    done = compile_probe(source, out, board, *defines, optimise=optimise)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return out / "firmware.elf"
