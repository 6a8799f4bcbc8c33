"""The emulated board as a child process with a serial line: `launch` it, talk to its URL."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from mcu_asc.errors import DeviceError
from mcu_asc.nouns import Board

START_LIMIT_S = 30.0


@dataclass(frozen=True)
class Emulator:
    """A running emulator; `url` is for pyserial's serial_for_url."""

    url: str
    process: subprocess.Popen[bytes]
    errors: IO[bytes]

    def fault(self, grace_s: float = 0.2) -> str | None:
        """Why it ended, in one line; None while it runs.

        The line breaks a moment before the end is known: `grace_s` is how long to wait for that.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(grace_s)
        code = self.process.poll()
        if code is None:
            return None
        self.errors.seek(0)
        text = self.errors.read().decode(errors="replace").strip()
        return text.splitlines()[0] if text else f"the emulator ended with exit code {code}"


@contextlib.contextmanager
def launch(
    elf: Path, board: Board, cycles: bool = False, quirks: str = "", pdm: Path | None = None
) -> Iterator[Emulator]:
    """Boots `elf` on the emulated `board` and ends it on leaving the context.

    `cycles` counts estimated CPU cycles (slower); `quirks`: see peripherals.Uarte; `pdm`: an audio file that
    the microphone hears from its start (.raw: s16le at 16 kHz).  The child also ends when this process dies.
    DeviceError when it does not come up.
    """
    facts = json.dumps(asdict(board))
    command = [sys.executable, "-m", "mcu_asc.device.emulator", str(elf), "--board-json", facts, "--attached"]
    command += ["--cycles"] * cycles + (["--quirks", quirks] if quirks else [])
    command += ["--pdm", str(pdm)] if pdm else []
    with tempfile.TemporaryFile() as errors:
        # a group of its own: Ctrl-C is the parent's to answer
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, process_group=0
        )
        try:
            yield Emulator(_wait_for_url(process, errors), process, errors)
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()


def _wait_for_url(process: subprocess.Popen[bytes], errors: IO[bytes]) -> str:
    """The URL out of the child's first line; a child that says nothing is ended after START_LIMIT_S."""
    assert process.stdout is not None
    watchdog = threading.Timer(START_LIMIT_S, process.kill)
    watchdog.start()
    start = time.monotonic()
    line = process.stdout.readline().decode().split()
    watchdog.cancel()
    if len(line) == 2 and line[0] == "listening":
        return line[1]
    process.wait()
    errors.seek(0)
    said = errors.read().decode(errors="replace").strip().splitlines()
    reason = (
        said[-1] if said else f"nothing in {time.monotonic() - start:.0f} s, exit code {process.returncode}"
    )
    raise DeviceError(f"the emulator did not start: {reason}", "see that firmware and board belong together")
