"""Programs we call: finding them, running them, and reading the sizes of what they link."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mcu_asc.errors import AscError, ToolMissing
from mcu_asc.nouns import Image

_ARM = "arm-none-eabi-"
_APT = "sudo apt-get install "
_ARDUINO_CLI = "https://raw.githubusercontent.com/arduino/arduino-cli/master/install.sh"
ARDUINO_CORE = "arduino-cli core install arduino:mbed_nano"

INSTALL = {
    "arm-none-eabi-gcc": _APT + "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "gcc": _APT + "gcc",
    "make": _APT + "make",
    "qemu-system-arm": _APT + "qemu-system-arm",
    "renode": "get it from https://github.com/renode/renode/releases and put it on PATH",
    "pyocd": "pip install pyocd",
    "arduino-cli": f"curl -fsSL {_ARDUINO_CLI} | BINDIR=~/.local/bin sh && {ARDUINO_CORE}",
    "bossac": f"{ARDUINO_CORE} (upstream's bossac, Debian's bossa-cli, does not know the nRF52840)",
}
"""How to get each program; Debian's and Ubuntu's packages where there are some."""

_ARDUINO_FOLDERS = (".arduino15", "Library/Arduino15", "AppData/Local/Arduino15")  # under the user's home


def find(program: str, remedy: str) -> str:
    """Path of `program` on PATH; ToolMissing with the remedy otherwise."""
    path = shutil.which(program)
    if path is None:
        raise ToolMissing(f"{program} is not on PATH", remedy)
    return path


def arm_gcc() -> str:
    """Prefix of the cross tools, ".../arm-none-eabi-"."""
    return find(f"{_ARM}gcc", INSTALL[f"{_ARM}gcc"]).removesuffix("gcc")


def bossac() -> str | None:
    """Path of bossac: Arduino's own, which knows the nRF52840, before one on PATH, which often does not."""
    for folder in _ARDUINO_FOLDERS:
        if found := sorted((Path.home() / folder).glob("packages/arduino/tools/bossac/*/bossac*")):
            return str(found[-1])
    return shutil.which("bossac")


def run(command: Sequence[str | Path], cwd: Path, what: str) -> str:
    """Run a program to its end and return its stdout; AscError names `what` and the first error line."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr + done.stdout).strip().splitlines() or ["no output"]
        first = next((x for x in lines if "error" in x.lower() or "region" in x), lines[-1])
        raise AscError(f"{what} failed: {first.strip()}", f"run '{' '.join(map(str, command))}' in {cwd}")
    return done.stdout


def image(elf: Path) -> Image:
    """Section sizes as arm-none-eabi-size (Berkeley format) adds them up.

    text = allocated, read-only or executable; data = allocated, writable, with content; bss = without.
    The stack is the linker script's `.stack` section, part of bss.
    """
    from elftools.common.exceptions import ELFError
    from elftools.elf.constants import SH_FLAGS
    from elftools.elf.elffile import ELFFile

    total = {"text": 0, "data": 0, "bss": 0}
    stack = 0
    try:
        with elf.open("rb") as f:
            for section in ELFFile(f).iter_sections():
                if not section["sh_flags"] & SH_FLAGS.SHF_ALLOC:
                    continue
                if section["sh_type"] == "SHT_NOBITS":
                    kind = "bss"
                else:
                    kind = "data" if section["sh_flags"] & SH_FLAGS.SHF_WRITE else "text"
                total[kind] += section["sh_size"]
                stack += section["sh_size"] if section.name == ".stack" else 0
    except (OSError, ELFError) as e:
        raise AscError(f"cannot read {elf}: {e}", "build it again") from e
    return Image(elf, total["text"], total["data"], total["bss"], stack)
