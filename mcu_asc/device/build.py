"""A firmware project on disk -> linked firmware, through its own Makefile."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from mcu_asc import toolchain
from mcu_asc.errors import AscError, OverBudget, ToolMissing
from mcu_asc.firmware import load_manifest
from mcu_asc.nouns import Image

Target = Literal["board", "host"]

_JOBS = 2
_OUTPUT = {"board": "firmware.elf", "host": "firmware-host"}
_GOAL = {"board": "all", "host": "host"}
_APT = "sudo apt-get install "
_OVERFLOW = re.compile(r"region [`'](\w+)' overflowed by (\d+) bytes")

_REGIONS = {"FLASH": "flash"}


def compile_project(directory: Path, target: Target) -> Image:
    """Build what is missing or out of date and return it: the board's firmware.elf or this machine's program.

    A sketch for Arduino is built by arduino-cli.
    Raises ToolMissing (make, compiler, arduino-cli), OverBudget (with the bytes of flash or RAM that are
    missing), AscError (the compiler's first error), UsageError (no project of ours).
    """
    manifest = load_manifest(directory)
    if target == "board" and manifest.get("layout") == "arduino":
        return _compile_sketch(directory, manifest)
    output = directory / _OUTPUT[target]
    make = toolchain.find("make", _APT + "make")
    command = [make, "-s", f"-j{_JOBS}", _GOAL[target]]
    if _run([*command, "-q"], directory).returncode != 0:
        command += [f"CROSS={toolchain.arm_gcc()}"] if target == "board" else [f"HOST_CC={_host_cc()}"]
        done = _run(command, directory)
        if done.returncode != 0:
            raise _failure(
                done.stderr + done.stdout, f"{manifest['name']} for {manifest['board']}", directory
            )
    return toolchain.image(output)


def _compile_sketch(directory: Path, manifest: Mapping[str, Any]) -> Image:
    """The sketch by arduino-cli, which builds only what changed; the sizes are the core's and ours."""
    cli = toolchain.find("arduino-cli", toolchain.INSTALL["arduino-cli"])
    (sketch,) = (Path(f).parent.name for f in manifest["files"] if f.endswith(".ino"))
    build = Path("build") / "arduino"
    command = [cli, "compile", "--profile", manifest["board"], "--build-path", str(build), sketch]
    done = _run(command, directory)
    if done.returncode != 0:
        what = f"{manifest['name']} for {manifest['board']}"
        raise _failure(done.stderr + done.stdout, what, directory)
    return toolchain.image(directory / build / f"{sketch}.ino.elf")


def _run(command: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def _host_cc() -> str:
    for name in ("gcc", "cc", "clang"):
        if path := shutil.which(name):
            return path
    raise ToolMissing("no C compiler for this machine is on PATH", _APT + "gcc")


def _failure(output: str, what: str, directory: Path) -> AscError:
    missing = [
        f"{int(count):,} bytes of {_REGIONS.get(region, region)}"
        for region, count in _OVERFLOW.findall(output)
    ]
    if missing:
        return OverBudget(f"{what} does not fit: {' and '.join(missing)} missing", "see mcu-asc check")
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["no output"]
    first = next((line for line in lines if "error:" in line or "undefined reference" in line), lines[-1])
    return AscError(f"building {what} failed: {first}", f"run make in {directory} to see it all")
