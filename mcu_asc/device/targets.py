"""Where a project can run, each giving a Session: emulated board, Renode, this machine, board on a port."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_asc import config
from mcu_asc.device.build import compile_project
from mcu_asc.device.session import Session
from mcu_asc.errors import DeviceError, UsageError
from mcu_asc.firmware import load_manifest
from mcu_asc.nouns import Board

# Longest time for one multiplication, each target at its slowest: an inference that takes longer hangs.
_SECONDS_PER_MAC = 1e-6
_WINDOW_S = 20.0  # and for all that is not one
_START_S = 10.0
_HEARD = "MCU_ASC_MIC"  # port_host.c: the file that its microphone plays


@contextmanager
def open_target(
    directory: Path,
    on: str = "emulator",
    cycles: bool = False,
    quirks: str = "",
    heard: NDArray[np.int16] | None = None,
) -> Iterator[Session]:
    """Build what is needed, start it where it must be started, and talk to it.

    directory  a firmware project
    on         "emulator", "renode", "host", or a port: /dev/ttyACM0, socket://HOST:PORT
    cycles     the emulator counts cycles (slower)
    quirks     "renode": the emulator's UARTE behaves as Renode's does
    heard      samples at the front end's rate that the microphone of "emulator" or "host" hears
    Raises DeviceError, UsageError for a board that is not emulated, and all that compile_project raises.
    """
    manifest = load_manifest(directory)
    board = config.build(Board, manifest["target"], str(directory))
    macs = sum(layer["macs"] for layer in manifest["layers"])
    options: dict[str, Any] = {
        "baud": board.baud,
        "hop_rows": manifest["card"]["decision"]["hop_rows"] if manifest["card"] else 1,
        "window_s": _WINDOW_S + macs * _SECONDS_PER_MAC,
        "fingerprint": bytes.fromhex(manifest["fingerprint"]),
    }
    with ExitStack() as stack:
        sound = stack.enter_context(_raw_file(heard)) if heard is not None else None
        if on == "host":
            url = stack.enter_context(_host(directory, sound))
        elif on == "emulator":
            from mcu_asc.device.emulator import launch

            _refuse_to_emulate(manifest, board)
            image = compile_project(directory, "board")
            emulator = stack.enter_context(launch(image.elf, board, cycles, quirks, sound))
            url, options["fault"] = emulator.url, emulator.fault
        elif on == "renode":
            from mcu_asc.device import renode

            compile_project(directory, "board")
            running = stack.enter_context(renode.launch(directory))
            url, options["fault"] = running.url, running.fault
        else:
            url = on
        yield stack.enter_context(Session(url, **options))


def _refuse_to_emulate(manifest: Mapping[str, Any], board: Board) -> None:
    """UsageError for what the emulator, an nRF52840 without USB, cannot run."""
    if manifest.get("layout") == "arduino":
        raise UsageError(
            "the emulator does not run Arduino's core", "build it with --format baremetal, or use --on host"
        )
    if board.soc != "nrf52840":
        raise UsageError(
            f"the emulator is an nRF52840, {board.name} has a {board.soc}", "use --on host, or a port"
        )


@contextmanager
def _raw_file(pcm: NDArray[np.int16]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "heard.raw"
        pcm.astype("<i2").tofile(path)
        yield path


@contextmanager
def _host(directory: Path, heard: Path | None) -> Iterator[str]:
    """The project as a program of this machine; yields its address.  It ends when its stdin closes."""
    program = compile_project(directory, "host").elf
    with serve(program, {_HEARD: str(heard)} if heard else {}) as (url, _):
        yield url


@contextmanager
def serve(
    program: Path, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start a host program that prints "listening URL"; yields the address and the process."""
    process = subprocess.Popen(
        [program.resolve()],
        env={**os.environ, **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        process_group=0,  # Ctrl-C is the parent's to answer
    )
    try:
        assert process.stdin and process.stdout
        word, _, url = process.stdout.readline().strip().partition(" ")
        if word != "listening":
            raise DeviceError(f"{program} did not start", "run it by hand to see why")
        yield url, process
    finally:
        if process.stdin:
            process.stdin.close()
        try:
            process.wait(_START_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()
