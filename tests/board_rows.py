"""The front end alone on the emulated board: tests/firmware_probe/rows.c, built and talked to."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np
import serial
from numpy.typing import NDArray
from probe import PORT_FOLDERS, PORT_SOURCES

from mcu_asc import native, paths, toolchain
from mcu_asc.audio import frontend
from mcu_asc.audio.frontend import Features
from mcu_asc.config import load_board
from mcu_asc.device.emulator import launch
from mcu_asc.nouns import FrontEndConfig

BOARD = load_board("nano33")
PROBE = Path(__file__).parent / "firmware_probe" / "rows.c"
MOST_SAMPLES = 48_000
FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-O3", "-g", "-funsigned-char")


@dataclass(frozen=True)
class Built:
    elf: Path
    code_bytes: int  # of the front end, tables left out
    table_bytes: int
    state_bytes: int


def build(cfg: FrontEndConfig, out: Path, flavour: str = "dsp", log2: bool = True) -> Built:
    """Compiles and links the probe with the front end's `flavour` of kernels."""
    firmware = paths.firmware_dir()
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(firmware / "templates"), undefined=jinja2.StrictUndefined
    )
    out.mkdir(exist_ok=True, parents=True)
    for template, name in (("asc_board.h.j2", "asc_board.h"), ("link.ld.j2", "nrf52840.ld")):
        (out / name).write_text(templates.get_template(template).render(board=BOARD))
    (out / "front_end.c").write_text(frontend.c_source(cfg))
    state = native.FrontEnd(frontend.tables(cfg)).state_bytes
    sizes = {
        "STATE_BYTES": f"{state}u",
        "VALUES": f"{cfg.values}u",
        "MOST_SAMPLES": f"{MOST_SAMPLES}u",
        "MOST_ROWS": f"{min(MOST_SAMPLES // cfg.hop, 60_000 // cfg.values) + 1}u",
        **({"WITH_LOG2": "1"} if log2 else {}),
    }
    cpu = (f"-mcpu={BOARD.cpu}", "-mthumb", f"-mfpu={BOARD.fpu}", "-mfloat-abi=hard")
    sources = [PROBE, out / "front_end.c", *PORT_SOURCES]
    sources += [firmware / "asc" / name for name in ("asc_frontend.c", "asc_magnitude.c")]
    sources += frontend.kernel_sources(flavour)
    elf = out / "firmware.elf"
    command = [toolchain.arm_gcc() + "gcc", *cpu, *FLAGS, "-ffunction-sections", "-fdata-sections"]
    command += [*(f"-D{k}={v}" for k, v in sizes.items())]
    command += [f"-I{folder}" for folder in (out, firmware / "asc", *PORT_FOLDERS)]
    command += [*map(str, sources), "-nostartfiles", "-specs=nosys.specs", "-Wl,--gc-sections"]
    command += [f"-Wl,-T,{out / 'nrf52840.ld'}", "-o", str(elf)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Built(elf, *_flash(elf, cfg), state)


def _flash(elf: Path, cfg: FrontEndConfig) -> tuple[int, int]:
    """(code, tables) of the front end in the linked file."""
    listing = subprocess.run(
        [toolchain.arm_gcc() + "nm", "-S", str(elf)], capture_output=True, text=True, check=True
    ).stdout
    code = 0
    for line in listing.splitlines():
        fields = line.split()
        if (
            len(fields) == 4
            and fields[2] in "tTrR"
            and fields[3].startswith(("asc_f", "asc_b", "asc_l", "asc_s"))
        ):
            code += int(fields[1], 16)
    return code, frontend.table_bytes(cfg)


@dataclass(frozen=True)
class Board:
    line: serial.SerialBase
    cfg: FrontEndConfig

    def rows(self, pcm: NDArray[np.int16], chunk: int = 0) -> tuple[Features, int]:
        """The rows of `pcm` pushed in chunks (0: all at once), and the cycles that took."""
        self.line.write(np.array([pcm.size, chunk], "<u4").tobytes())
        self.line.write(pcm.astype("<i2").tobytes())
        rows, cycles, values = np.frombuffer(self._read(12), "<u4").tolist()
        assert values == self.cfg.values
        assert rows != 0xFFFFFFFF, "too many samples for the probe"
        log2 = np.frombuffer(self._read(2 * rows * values), "<i2").reshape(rows, values)
        q = np.frombuffer(self._read(rows * values), np.int8).reshape(rows, values)
        return Features(log2, q, np.frombuffer(self._read(2 * rows), "<i2")), cycles

    def _read(self, count: int) -> bytes:
        found = self.line.read(count)
        assert len(found) == count, f"{len(found)} bytes of {count}"
        return bytes(found)


@contextmanager
def running(built: Built, cfg: FrontEndConfig, cycles: bool = False) -> Iterator[Board]:
    """The built probe on the emulated board."""
    with launch(built.elf, BOARD, cycles=cycles) as emulator:
        with serial.serial_for_url(emulator.url, timeout=60) as line:
            yield Board(line, cfg)
        assert emulator.fault() is None
