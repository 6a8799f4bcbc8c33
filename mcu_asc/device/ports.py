"""Boards on USB: found by their ids, sent into their bootloader, met again under whatever name they get.

A list of ports is a function, so that tests give their own.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mcu_asc import config
from mcu_asc.device.line import Line
from mcu_asc.errors import DeviceError, UsageError
from mcu_asc.nouns import Board

_TOUCH_BAUD = 1200
_BAUD = 115_200  # USB has none; anything but the touch's
_POLL_S = 0.05
_RULES = Path("/etc/udev/rules.d")

DOUBLE_TAP = "double-tap the reset button (the LED then pulses) and flash again"
CABLE = "plug it in with a cable that has data lines (many only charge)"


@dataclass(frozen=True)
class UsbPort:
    """A serial port as the system lists it."""

    device: str  # /dev/ttyACM0, COM3
    vid: int | None = None  # None: not on USB, or not known
    pid: int | None = None
    serial: str = ""
    location: str = ""  # bus and plug, "1-4.2": stays when the board changes its name and its ids
    product: str = ""

    @property
    def ids(self) -> str:
        return "no USB ids" if self.vid is None else f"{self.vid:04x}:{self.pid or 0:04x}"


Ports = Callable[[], tuple[UsbPort, ...]]
Mode = Literal["application", "bootloader"]


def serial_ports() -> tuple[UsbPort, ...]:
    """The serial ports of this machine, by name."""
    from serial.tools import list_ports

    return tuple(
        UsbPort(
            p.device,
            p.vid,
            p.pid,
            p.serial_number or "",
            (p.location or "").partition(":")[0],  # Linux adds the interface
            p.product or "",
        )
        for p in sorted(list_ports.comports(), key=lambda p: str(p.device))
    )


def mode(port: UsbPort, board: Board) -> Mode | None:
    """What of the board this port is; None: not this board, or no ids to tell by."""
    if port.vid is None or port.vid != board.usb_vid:
        return None
    if port.pid in board.usb_boot_pids:
        return "bootloader"
    return "application" if port.pid in board.usb_pids else None


def find(board: Board, ports: Ports, wanted: str | None = None) -> UsbPort:
    """The port that the board is on.

    wanted  its name, a link such as /dev/serial/by-id/... included; None: the only port with the board's ids
    Raises UsageError (several boards, a port of another board), DeviceError (none).
    """
    listed = ports()
    if wanted is not None:
        return _named(wanted, listed, board)
    found = [p for p in listed if mode(p, board)]
    if len(found) > 1:
        names = ", ".join(f"{p.device} ({mode(p, board)})" for p in found)
        raise UsageError(
            f"{len(found)} boards of this kind are plugged in: {names}", "choose one with --port"
        )
    if not found:
        others = ", ".join(f"{p.device} {p.ids}" for p in listed if p.vid is not None) or "none"
        raise DeviceError(
            f"no {board.title} on USB (USB serial ports here: {others})",
            f"{CABLE}; one whose firmware has no USB port shows up after a double tap of its reset button",
        )
    return found[0]


def _named(wanted: str, listed: Iterable[UsbPort], board: Board) -> UsbPort:
    real = os.path.realpath(wanted) if os.sep in wanted else wanted
    for port in listed:
        if real not in (port.device, os.path.realpath(port.device)):
            continue
        if port.vid is not None and mode(port, board) is None:
            raise UsageError(
                f"{wanted} is {port.product or 'another device'} ({port.ids}), not {board.title}",
                "give the board's port, or leave --port away to have it found",
            )
        return port
    if sys.platform != "win32" and not Path(real).exists():
        raise DeviceError(f"there is no port {wanted}", f"leave --port away to have it found; {CABLE}")
    return UsbPort(real)


def enter_bootloader(port: UsbPort, board: Board, ports: Ports, timeout_s: float) -> UsbPort:
    """The board's port in boot mode: as it is, or by the 1200-baud touch and whatever name it then has.

    A port without ids is taken to be in boot mode.  Raises DeviceError when the board does not come back so.
    """
    if mode(port, board) != "application":
        return port
    strangers = {p.device for p in ports() if p != port}
    touch(port.device)
    until = time.monotonic() + timeout_s
    vanished = False
    while time.monotonic() < until:
        time.sleep(_POLL_S)
        now = ports()
        for p in now:
            if mode(p, board) == "bootloader" and _same_board(p, port, strangers):
                return p
        vanished = vanished or port not in now
    if not vanished:
        raise DeviceError(
            f"{port.device} ignores the 1200-baud touch, so its program hangs or is not an Arduino one",
            DOUBLE_TAP,
        )
    if any(mode(p, board) == "application" and _same_board(p, port, strangers) for p in ports()):
        raise DeviceError(f"the board on {port.device} restarted its program, not its bootloader", DOUBLE_TAP)
    ids = ", ".join(f"{board.usb_vid:04x}:{pid:04x}" for pid in board.usb_boot_pids)
    raise DeviceError(
        f"the board left {port.device} and did not come back as {ids} in {timeout_s:g} s",
        f"{DOUBLE_TAP}; without a hub, and in a virtual machine with those ids passed through too",
    )


def _same_board(now: UsbPort, before: UsbPort, strangers: set[str]) -> bool:
    """By its plug where the system tells; otherwise it is the one that was not there before."""
    if now.location and before.location:
        return now.location == before.location
    return now.device not in strangers


def wait_for(
    board: Board, what: Mode, like: UsbPort, strangers: set[str], ports: Ports, timeout_s: float
) -> UsbPort | None:
    """The board's port in that mode; None when it is late.

    like       a port that the board had: the new one is on the same plug
    strangers  where plugs are not known: devices that are other boards
    """
    until = time.monotonic() + timeout_s
    while True:
        for p in ports():
            if mode(p, board) == what and _same_board(p, like, strangers):
                return p
        if time.monotonic() >= until:
            return None
        time.sleep(_POLL_S)


def wait_gone(port: UsbPort, ports: Ports, timeout_s: float) -> bool:
    """Whether the port left the list in time; one that was never listed counts as gone."""
    until = time.monotonic() + timeout_s
    while port in ports():
        if time.monotonic() >= until:
            return False
        time.sleep(_POLL_S)
    return True


def touch(device: str) -> None:
    """Open at 1200 baud and close: Arduino's cores then restart into the bootloader (some 0.2 s later)."""
    _described(lambda: Line(device, _TOUCH_BAUD)).hang_up()


def open_line(device: str, timeout_s: float) -> Line:
    """Open a port that has just appeared: its permissions come a little later, and others try it first."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        try:
            return Line(device, _BAUD)
        except DeviceError:
            time.sleep(_POLL_S)
    return _described(lambda: Line(device, _BAUD))


def _described(opening: Callable[[], Line]) -> Line:
    try:
        return opening()
    except DeviceError as e:
        raise DeviceError(e.message, f"{e.hint}; for good: {udev_rule()}") from e


def udev_rule(vid: int = 0x2341) -> str:
    """A line for a shell: every user may open the board's ports, and ModemManager leaves them alone."""
    rule = (
        f'ATTRS{{idVendor}}=="{vid:04x}", MODE="0666", '
        'ENV{ID_MM_DEVICE_IGNORE}="1", ENV{ID_MM_PORT_IGNORE}="1"'
    )
    return (
        f"echo '{rule}' | sudo tee /etc/udev/rules.d/60-mcu-asc.rules "
        "&& sudo udevadm control --reload && sudo udevadm trigger"
    )


# ---- is all well with the ports of this machine? --------------------------------------------------------


def findings(ports: Ports | None = None, proc: Path = Path("/proc")) -> list[tuple[str, str, str, str]]:
    """What results/doctor.py says of ports: name, state ("ok", "absent", "problem"), detail, remedy."""
    boards = [config.load_board(name) for name in config.board_names()]
    listed = [p for p in (ports or serial_ports)() if p.vid is not None]
    if not listed:
        none = "no serial port on USB; a firmware that talks over UART pins needs an adapter"
        return [("USB serial ports", "absent", none, CABLE), *_modem_manager(proc)]
    return [_finding(p, boards) for p in listed] + _modem_manager(proc)


def _finding(port: UsbPort, boards: Iterable[Board]) -> tuple[str, str, str, str]:
    modes = {f"{b.title}, {m}" for b in boards if (m := mode(port, b))}
    what = f"{' or '.join(sorted(modes)) or port.product or 'no board of ours'} ({port.ids})"
    if sys.platform == "win32" or os.access(port.device, os.R_OK | os.W_OK):
        return port.device, "ok", what, ""
    return port.device, "problem", f"{what}: your user may not open it", _right_to(port.device)


def _right_to(device: str) -> str:
    """How this user gets at a port that belongs to a group."""
    import grp

    try:
        group = grp.getgrgid(Path(device).stat().st_gid)
    except (OSError, KeyError):
        return udev_rule()
    user = os.environ.get("USER", "")
    if user in group.gr_mem:
        return f"you are in group {group.gr_name} since a short while: log out and in again"
    if group.gr_name == "root":  # in nobody's interest
        return udev_rule()
    return f"sudo usermod -aG {group.gr_name} $USER, then log out and in; or: {udev_rule()}"


def _modem_manager(proc: Path) -> list[tuple[str, str, str, str]]:
    """It opens every port that appears and writes AT commands into it."""
    if not any(_reads(p) == "ModemManager" for p in proc.glob("[0-9]*/comm")):
        return []
    if any("2341" in (text := _reads(p)) and "ID_MM_" in text for p in _RULES.glob("*.rules")):
        return [("ModemManager", "ok", "runs, and leaves the board alone by a rule", "")]
    what = "runs and talks into ports that appear: flashing and scoring can fail for no visible reason"
    return [("ModemManager", "problem", what, udev_rule())]


def _reads(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:  # a process that ended
        return ""
