"""A firmware project onto a board: by the board's own bootloader, or by a tool that the user has.

What can be known is found out before the board is touched; what is written is checked; then the firmware
must answer.
"""

from __future__ import annotations

import struct
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcu_asc import config, toolchain
from mcu_asc.device import bossa, ports
from mcu_asc.device.build import compile_project
from mcu_asc.device.ports import DOUBLE_TAP, Ports, UsbPort
from mcu_asc.device.session import Session
from mcu_asc.errors import DeviceError, ToolMissing, UsageError
from mcu_asc.firmware import load_manifest
from mcu_asc.nouns import Board, DeviceInfo

_TOOL_S = 300.0


@dataclass(frozen=True)
class Flashed:
    """What was done."""

    board: str
    via: str
    port: str  # of the bootloader; "" where a tool found the board by itself
    bytes: int
    seconds: float
    crc_checked: bool  # by us; tools have their own ways
    device: DeviceInfo | None  # its hello, where the firmware talks over USB
    device_port: str  # where it said so
    note: str  # how to talk to it where that is not over USB


@dataclass(frozen=True)
class _Job:
    directory: Path
    manifest: Mapping[str, Any]
    board: Board
    elf: Path
    content: bytes  # what goes into flash at board.app_offset_bytes
    port: str | None
    ports: Ports
    waits: bossa.Waits
    progress: bossa.Progress

    @property
    def binary(self) -> Path:
        return self.elf.with_suffix(".bin")


def flash(
    directory: Path,
    *,
    port: str | None = None,
    via: str = "serial",
    progress: bossa.Progress = bossa.silent,
    list_ports: Ports | None = None,
    waits: bossa.Waits | None = None,
) -> Flashed:
    """Build what is out of date in a firmware project, put it on the board and hear from it.

    port  the board's serial port; None: found by its USB ids
    via   "serial" (nothing to install), "pyocd" (a debug probe), "arduino-cli", "bossac"
    Raises UsageError (no project of ours, not a board for `via`, several boards), ToolMissing, DeviceError,
    and all that compile_project raises.
    """
    if via not in WAYS:
        raise UsageError(f"there is no way to flash called '{via}'", "one of " + ", ".join(WAYS))
    manifest = load_manifest(directory)
    board = config.build(Board, manifest["target"], str(directory))
    elf = compile_project(directory, "board").elf
    job = _Job(
        directory,
        manifest,
        board,
        elf,
        _image(elf.with_suffix(".bin"), board),
        port,
        list_ports or ports.serial_ports,
        waits or bossa.Waits(),
        progress,
    )
    start = time.monotonic()
    used = WAYS[via](job)
    # A tool may end after the board is back; we know that it is still starting.
    others = {p.device for p in job.ports() if p != used} if via == "serial" else set()
    device_port, device, note = _hear(job, used, others)
    return Flashed(
        board=board.name,
        via=via,
        port=used.device if used else "",
        bytes=len(job.content),
        seconds=round(time.monotonic() - start, 2),
        crc_checked=via == "serial",
        device=device,
        device_port=device_port,
        note=note,
    )


def _image(path: Path, board: Board) -> bytes:
    """The file's content, when its vectors are those of an application at the board's offset."""
    try:
        content = path.read_bytes()
    except OSError as e:
        raise UsageError(f"cannot read {path}: {e.strerror}", "build the project again") from e
    if len(content) > board.app_flash_bytes:
        raise UsageError(
            f"{path} has {len(content):,} bytes, the board's flash takes {board.app_flash_bytes:,}",
            "see mcu-asc check",
        )
    _, entry = struct.unpack("<2I", content[:8]) if len(content) >= 8 else (0, 0)
    start = board.flash_address + board.app_offset_bytes
    if not start <= entry < start + len(content):
        raise UsageError(
            f"{path} starts at 0x{entry:x}, which is not in an application at 0x{start:x}",
            "build the project again for this board",
        )
    return content


# ---- the ways -------------------------------------------------------------------------------------


def _serial(job: _Job) -> UsbPort:
    boot = _boot_port(job)
    with ports.open_line(boot.device, job.waits.open_s) as line:
        bossa.program(line, job.content, bossa.CHIPS[job.board.soc], job.waits, job.progress)
    return boot


def _boot_port(job: _Job) -> UsbPort:
    """The board, in its bootloader."""
    if job.board.bootloader != "bossa" or job.board.soc not in bossa.CHIPS:
        raise UsageError(
            f"{job.board.title} has no bootloader that is spoken here", "flash it with a probe: --via pyocd"
        )
    found = ports.find(job.board, job.ports, job.port)
    return ports.enter_bootloader(found, job.board, job.ports, job.waits.boot_s)


def _bossac(job: _Job) -> UsbPort:
    program = toolchain.bossac()
    if program is None:
        raise ToolMissing("bossac is not here", toolchain.INSTALL["bossac"])
    boot = _boot_port(job)
    ports.open_line(boot.device, job.waits.open_s).close()  # wait until it can be opened
    name = boot.device.removeprefix("/dev/")
    _call(
        [program, f"--port={name}", "-U", "-i", "-e", "-w", "-v", str(job.binary), "-R"],
        "bossac",
        {
            "no device found": DOUBLE_TAP,
            "unsupported": f"not one that knows the nRF52840; Arduino's does: {toolchain.ARDUINO_CORE}",
        },
    )
    return boot


def _arduino_cli(job: _Job) -> UsbPort:
    program = toolchain.find("arduino-cli", toolchain.INSTALL["arduino-cli"])
    if job.board.arduino is None:
        raise UsageError(f"no Arduino core is known for {job.board.title}", "flash it with --via pyocd")
    found = ports.find(job.board, job.ports, job.port)
    command = [program, "upload", "--fqbn", job.board.arduino.fqbn, "--port", found.device]
    _call(
        [*command, "--input-file", str(job.binary)],
        "arduino-cli",
        {
            "no device found": DOUBLE_TAP,
            "not found": toolchain.ARDUINO_CORE,
            "not installed": toolchain.ARDUINO_CORE,
        },
    )
    return found


def _pyocd(job: _Job) -> None:
    program = toolchain.find("pyocd", toolchain.INSTALL["pyocd"])
    _call(
        [program, "flash", "--no-wait", "--target", job.board.soc, str(job.elf.with_suffix(".hex"))],
        "pyocd",
        {
            "no connected debug probes": "plug a CMSIS-DAP, J-Link or ST-Link probe in, SWDIO, SWCLK and GND "
            "wired to the board; on Linux it needs pyOCD's udev rules: https://pyocd.io/docs/installing",
            "no target device": "check the probe's wires, and that the board has power",
        },
    )


WAYS: dict[str, Callable[[_Job], UsbPort | None]] = {
    "serial": _serial,
    "pyocd": _pyocd,
    "arduino-cli": _arduino_cli,
    "bossac": _bossac,
}


def _call(command: Sequence[str], what: str, remedies: Mapping[str, str]) -> None:
    """Run a tool; its failure becomes one line, with the remedy for what it says."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TOOL_S)
    except subprocess.TimeoutExpired as e:
        raise DeviceError(f"{what} did not end in {_TOOL_S:g} s", DOUBLE_TAP) from e
    said = done.stderr + done.stdout
    known = next((hint for text, hint in remedies.items() if text in said.lower()), None)
    if done.returncode == 0:
        return
    lines = [x.strip() for x in said.splitlines() if x.strip()] or ["it says nothing"]
    first = next((x for x in lines if any(t in x.lower() for t in (*remedies, "error", "fail"))), lines[-1])
    raise DeviceError(f"{what} failed: {first}", known or f"run it by hand: {' '.join(command)}")


# ---- and then -------------------------------------------------------------------------------------


def _hear(job: _Job, used: UsbPort | None, others: set[str]) -> tuple[str, DeviceInfo | None, str]:
    """The port the firmware answers on, its hello, and a note where it talks over other wires."""
    if job.manifest.get("port", "uart") != "usb":
        _started(job, used, others)
        return "", None, _uart_note(job)
    like = used or UsbPort("")
    seen = ports.wait_for(job.board, "application", like, others, job.ports, job.waits.start_s)
    if seen is None:
        raise DeviceError(
            f"written and checked, but {job.board.title} did not come back on USB in {job.waits.start_s:g} s",
            "press its reset button once; if it still does not show up, " + DOUBLE_TAP,
        )
    ports.open_line(seen.device, job.waits.open_s).close()  # wait until it can be opened
    expected = bytes.fromhex(job.manifest["fingerprint"])
    with Session(seen.device, baud=job.board.baud, fingerprint=expected) as session:
        return seen.device, session.info, ""


def _started(job: _Job, used: UsbPort | None, others: set[str]) -> None:
    """Without a USB port of its own an application shows by the bootloader staying away."""
    if used is None or used.vid is None:  # nothing to watch
        return
    gone = ports.wait_gone(used, job.ports, job.waits.start_s)
    if gone and not ports.wait_for(job.board, "bootloader", used, others, job.ports, job.waits.stay_s):
        return
    raise DeviceError(
        "written and checked, but the bootloader does not start the application",
        "press the reset button once; if the LED still pulses, flash again",
    )


def _uart_note(job: _Job) -> str:
    b = job.board
    return (
        f"this firmware talks over UART pins: {_pin(b.uart_tx)} (TX) to the RX of a 3.3 V USB-UART adapter, "
        f"{_pin(b.uart_rx)} (RX) to its TX, ground to ground, {b.baud:,} baud; "
        f"then mcu-asc score {job.directory} --on /dev/ttyUSB0. "
        "It has no USB port: to flash again, double-tap the reset button first"
    )


def _pin(number: int) -> str:
    return f"P{number // 32}.{number % 32:02}"
