"""What is installed here, what is not, and how to mend it."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    name: str
    found: bool
    needed: bool  # for build, score and bench in the emulator
    detail: str  # where it is, or how to get it


_APT = "sudo apt-get install "
# program, needed, how to get it
_PROGRAMS = (
    ("arm-none-eabi-gcc", True, _APT + "gcc-arm-none-eabi libnewlib-arm-none-eabi"),
    ("gcc", True, _APT + "gcc"),
    ("make", True, _APT + "make"),
    ("renode", False, "optional, for score on an independent emulator: https://renode.io"),
    ("qemu-system-arm", False, "optional: " + _APT + "qemu-system-arm"),
)
# package, needed, how to get it
_PACKAGES = (
    ("mcu_asc._native", True, "reinstall mcu-asc: its C extension is not built"),
    ("unicorn", True, "pip install unicorn"),
    ("tflite_micro", False, "parity with the TFLM interpreter: pip install 'mcu-asc[oracle]'"),
    ("tensorflow", False, "training: pip install 'mcu-asc[train]'"),
    ("tf_keras", False, "training: pip install 'mcu-asc[train]'"),
    ("tensorflow_model_optimization", False, "training: pip install 'mcu-asc[train]'"),
)


def examine() -> tuple[Finding, ...]:
    """One finding for each program and package; nothing is run or imported."""
    programs = (Finding(n, (p := shutil.which(n)) is not None, need, p or how) for n, need, how in _PROGRAMS)
    packages = (Finding(n, (o := _origin(n)) is not None, need, o or how) for n, need, how in _PACKAGES)
    return (*programs, *packages)


def _origin(module: str) -> str | None:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    return spec.origin if spec else None
