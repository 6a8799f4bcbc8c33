"""The project in Renode, a model of the board that is not ours: `launch` it, talk to its URL.

Renode counts instructions, not the core's cycles.  The board's description and the script lie in the project
(nrf52840.repl, renode.resc).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from mcu_asc.errors import DeviceError, ToolMissing, UsageError

START_LIMIT_S = 60.0
STOP_LIMIT_S = 10.0
SCRIPT = "renode.resc"
_UP = "mcu-asc: started"  # what the script logs last
_FAULT = re.compile(r"\[ERROR\] (.*CPU abort.*)")


class Renode:
    """A running Renode; `url` is for pyserial's serial_for_url."""

    def __init__(self, process: subprocess.Popen[str], url: str, script: Path) -> None:
        self.process, self.url = process, url
        self._script = script
        self._last: deque[str] = deque(maxlen=50)
        self._abort = ""
        self._started = False
        self._known = threading.Event()  # that it started, or that it ended
        assert process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, log: IO[str]) -> None:
        """Takes the log for as long as there is one: a full pipe would stop it."""
        for line in log:
            self._last.append(line.strip())
            if found := _FAULT.search(line):
                self._abort = self._abort or found[1].strip()
            if _UP in line:
                self._started = True
                self._known.set()
        self._known.set()

    def wait_until_up(self, limit_s: float) -> None:
        """Raises DeviceError when it ends, or when it is not up in time; both with the last it said."""
        in_time = self._known.wait(limit_s)
        if self._started:
            return
        why = f"is not up after {limit_s:g} s" if not in_time else (self.fault() or "ended")
        last = next((line for line in reversed(tuple(self._last)) if line), "")
        said = f"; its log ends with: {last}" if last and last not in why else ""
        raise DeviceError(f"Renode did not start: {why}{said}", f"see it all with: renode {self._script}")

    def fault(self, grace_s: float = 0.2) -> str | None:
        """What went wrong, in one line: the CPU's abort, or that Renode is gone; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(grace_s)
        if self._abort:
            return self._abort
        code = self.process.poll()
        if code is None:
            return None
        self._reader.join(1.0)
        errors = [line for line in tuple(self._last) if "[ERROR]" in line]
        return errors[-1] if errors else f"Renode ended with exit code {code}"


@contextlib.contextmanager
def launch(directory: Path) -> Iterator[Renode]:
    """Boots the project's firmware.elf in Renode and ends it on leaving the context.

    Raises ToolMissing without `renode`, UsageError for a project without its files, DeviceError when it does
    not come up.
    """
    program = shutil.which("renode")
    if program is None:
        raise ToolMissing("renode is not on PATH", "get it from https://renode.io, or use --on emulator")
    script = (directory / SCRIPT).resolve()
    if not script.is_file():
        raise UsageError(f"{directory} has no {SCRIPT}", "the board's Renode model comes with mcu-asc build")
    line, monitor = _free_ports()
    command = [program, "--disable-xwt", "--plain", "-P", str(monitor)]
    command += ["-e", f"$port={line}", "-e", f"include @{_escaped(script)}"]
    # A session of its own: `renode` may be a script around the program, and both must end.
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        renode = Renode(process, f"socket://127.0.0.1:{line}", script)
        renode.wait_until_up(START_LIMIT_S)
        yield renode
    finally:
        _end(process)


def _escaped(path: Path) -> str:
    """Renode's monitor ends a path at a space that has no backslash before it."""
    return str(path).replace(" ", "\\ ")


def _free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as a, socket.create_server(("127.0.0.1", 0)) as b:
        return int(a.getsockname()[1]), int(b.getsockname()[1])


def _end(process: subprocess.Popen[str]) -> None:
    """Asks the whole group to end, then makes it."""
    for number, limit_s in ((signal.SIGTERM, STOP_LIMIT_S), (signal.SIGKILL, STOP_LIMIT_S)):
        until = time.monotonic() + limit_s
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        while time.monotonic() < until:
            process.poll()
            try:
                os.killpg(process.pid, 0)
            except (ProcessLookupError, PermissionError):
                break
            time.sleep(0.02)
        else:
            continue
        break
    process.wait()
    if process.stdout:
        process.stdout.close()
