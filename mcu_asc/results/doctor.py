"""What is installed here, what is not, and how to mend it."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mcu_asc import toolchain

OK, MISSING, ABSENT, PROBLEM = "ok", "missing", "absent", "problem"
_RUN_S = 20.0


@dataclass(frozen=True)
class Finding:
    name: str
    state: str  # ok; missing: needed for build, score, bench; absent: optional; problem: here, but of no use
    detail: str  # where it is, or what it is for
    remedy: str = ""  # a command or one sentence; "" where all is well


# program, what it is for; "" = needed for build, score and bench in the emulator
_PROGRAMS = (
    ("arm-none-eabi-gcc", ""),
    ("gcc", ""),
    ("make", ""),
    ("qemu-system-arm", "tests of the kernels' alignment and FPU use"),
    ("renode", "score on an emulator that is not ours"),
    ("arduino-cli", "compile and upload sketches"),
    ("pyocd", "flash --via pyocd, with a debug probe"),
)
# package, what it is for ("" as above), how to get it
_PACKAGES = (
    ("mcu_asc._native", "", "reinstall mcu-asc: its C extension is not built"),
    ("unicorn", "", "pip install unicorn"),
    ("serial", "", "pip install pyserial"),
    ("tflite_micro", "parity with the TFLM interpreter", "pip install 'mcu-asc[oracle]'"),
    ("tensorflow", "training", "pip install 'mcu-asc[train]'"),
    ("tf_keras", "training", "pip install 'mcu-asc[train]'"),
    ("tensorflow_model_optimization", "training", "pip install 'mcu-asc[train]'"),
)


def examine(ports: Iterable[tuple[str, str, str, str]] = ()) -> tuple[Finding, ...]:
    """One finding for each program, package and port; nothing of ours that is heavy is imported.

    ports  device/ports.py: findings(), in the fields' order
    """
    programs = (_finding(n, shutil.which(n), use, toolchain.INSTALL[n]) for n, use in _PROGRAMS)
    bossac = _finding("bossac", toolchain.bossac(), "flash --via bossac", toolchain.INSTALL["bossac"])
    packages = (_finding(n, _origin(n), use, how) for n, use, how in _PACKAGES)
    return (*_newlib(), *programs, bossac, *packages, *(Finding(*p) for p in ports))


def _finding(name: str, where: str | None, use: str, how: str) -> Finding:
    if where:
        return Finding(name, OK, where)
    return Finding(name, ABSENT, f"optional: {use}", how) if use else Finding(name, MISSING, "needed", how)


def _newlib() -> tuple[Finding, ...]:
    """The C library comes in a package of its own; without it the compiler is of no use."""
    name = "arm-none-eabi-gcc"
    gcc = shutil.which(name)
    if gcc is None:
        return ()
    try:
        done = subprocess.run(
            [gcc, "-print-file-name=libc.a"], capture_output=True, text=True, check=True, timeout=_RUN_S
        )
    except (OSError, subprocess.SubprocessError):
        return (
            Finding("newlib", PROBLEM, f"{gcc} does not run", "reinstall it: " + toolchain.INSTALL[name]),
        )
    path = done.stdout.strip()
    found = str(Path(path).resolve()) if Path(path).is_absolute() else None  # gcc echoes what it lacks
    return (_finding("newlib", found, "", toolchain.INSTALL[name]),)


def _origin(module: str) -> str | None:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    return (spec.origin or "a namespace") if spec else None
