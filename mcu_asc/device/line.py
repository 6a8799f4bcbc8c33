"""The serial line: opened with care, read and written in bounded time, every failure a DeviceError."""

from __future__ import annotations

import select
import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Any

from mcu_asc.errors import DeviceError

_WRITE_S = 10.0  # longest wait until the other side takes what we send


class Line:
    """A pyserial port: a device path (/dev/ttyACM0, COM3) or a URL (socket://HOST:PORT)."""

    def __init__(self, url: str, baud: int) -> None:
        import serial

        self.url = url
        self.baud = baud
        try:
            # pyserial raises DTR on opening: the Arduino core waits for it; 1200 baud would reset the board
            self._port: Any = serial.serial_for_url(url, do_not_open=True)
            self._port.baudrate = baud
            self._port.timeout = 0
            self._port.write_timeout = _WRITE_S
            if sys.platform != "win32" and "://" not in url:
                self._port.exclusive = True
            self._port.open()
        except (OSError, ValueError) as e:  # SerialException is an OSError
            raise DeviceError(f"cannot open {url}: {e}", _remedy(url, str(e))) from e

    def __enter__(self) -> Line:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._port.close()

    def seconds(self, count: int) -> float:
        """How long `count` bytes take at this baud rate."""
        return 10 * count / self.baud

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except (OSError, ValueError) as e:
            raise self._cut(e) from e

    def drain(self, timeout_s: float) -> None:
        """Wait until what was written has left this machine, so that the next write travels by itself."""
        until = time.monotonic() + timeout_s
        try:
            while self._port.out_waiting and time.monotonic() < until:
                time.sleep(0.0005)
        except (OSError, ValueError, TypeError) as e:
            raise self._cut(e) from e

    def hang_up(self) -> None:
        """Lower DTR and close; a port that is gone already is what was wanted."""
        with suppress(OSError):
            self._port.dtr = False
        with suppress(OSError):
            self._port.close()

    def read(self, timeout_s: float) -> bytes:
        """What has come, waiting at most `timeout_s` for the first byte; b"" when nothing came."""
        try:
            if not self._wait(timeout_s):
                return b""
            data = self._port.read(4096)  # timeout 0: what is there
        except (OSError, ValueError, TypeError) as e:  # TypeError: pyserial, on a port closed meanwhile
            raise self._cut(e) from e
        return bytes(data)

    def _wait(self, timeout_s: float) -> bool:
        if hasattr(self._port, "fileno") and sys.platform != "win32":
            return bool(select.select([self._port.fileno()], [], [], max(0.0, timeout_s))[0])
        until = time.monotonic() + timeout_s
        while not self._port.in_waiting:
            if time.monotonic() >= until:
                return False
            time.sleep(0.001)
        return True

    def _cut(self, e: Exception) -> DeviceError:
        return DeviceError(f"the line to {self.url} was cut: {e}", "check the cable, then run again")


def _remedy(url: str, why: str) -> str:
    lower = why.lower()
    if "permission" in lower:
        return "let your user open it: sudo usermod -aG dialout $USER, then log in again"
    if "exclusiv" in lower or "busy" in lower or "temporarily" in lower:
        return "close the program that holds it (a serial monitor, or ModemManager: see its udev rule)"
    if "://" in url:
        return "start the program that listens there"
    return "plug the board in and see which name it gets: ls /dev/ttyACM* /dev/ttyUSB*"
