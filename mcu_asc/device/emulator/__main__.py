"""Runs a firmware in the emulated board until it faults or is killed.

    python -m mcu_asc.device.emulator FIRMWARE.elf --board nano33 [--cycles] [--quirks renode]
                                      [--port N] [--pty] [--pdm FILE]

Prints one line, `listening URL`, on stdout.  A fault is one line on stderr and exit code 1; SIGINT and
SIGTERM end it with 0.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcu_asc.config import build, load_board
from mcu_asc.device.emulator.machine import Machine, load
from mcu_asc.device.emulator.serial_line import Line, PtyLine, TcpLine
from mcu_asc.errors import AscError
from mcu_asc.nouns import Board

PDM_RATE_HZ = 16_000  # the one rate that our port sets


def _end_with_parent() -> None:
    """Leaves as soon as stdin closes: the parent holds its other end and nobody else does."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def _board(text: str) -> Board:
    return build(Board, json.loads(text), "--board-json")


def _heard(path: Path) -> NDArray[np.int16]:
    if path.suffix == ".raw":
        return np.fromfile(path, "<i2").astype(np.int16)
    from mcu_asc.audio.pcm import load_pcm

    return load_pcm(path, PDM_RATE_HZ)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mcu_asc.device.emulator", description=__doc__)
    parser.add_argument("firmware", type=Path)
    board = parser.add_mutually_exclusive_group(required=True)
    board.add_argument("--board", type=load_board, help="name, or path of a board's TOML")
    board.add_argument("--board-json", dest="board", type=_board, help="the same as one JSON object")
    parser.add_argument("--cycles", action="store_true", help="count estimated CPU cycles (slower)")
    parser.add_argument("--quirks", default="", help="comma-separated: renode, wire")
    parser.add_argument("--port", type=int, default=0, help="TCP port; 0 takes a free one")
    parser.add_argument("--pty", action="store_true", help="a pseudo-terminal in place of TCP")
    parser.add_argument("--pdm", type=Path, help="what the microphone hears: wav, or .raw s16le at 16 kHz")
    parser.add_argument("--attached", action="store_true", help="end when stdin closes")
    parser.add_argument(
        "--report", action="store_true", help="at the end: cycles by function, registers not modelled"
    )
    try:
        args = parser.parse_args()
    except AscError as e:  # of load_board
        print(e, file=sys.stderr)
        return e.exit_code
    if args.attached:
        _end_with_parent()
    try:
        line: Line = PtyLine() if args.pty else TcpLine(args.port)
        quirks = [q for q in args.quirks.split(",") if q]
        heard = _heard(args.pdm) if args.pdm else None
        machine = Machine(load(args.firmware), args.board, line, cycles=args.cycles, quirks=quirks, pdm=heard)
    except AscError as e:
        print(e, file=sys.stderr)
        return e.exit_code
    except OSError as e:
        print(f"cannot listen: {e.strerror} (choose another --port)", file=sys.stderr)
        return 5
    print(f"listening {line.url}", flush=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: machine.stop())
    fault = machine.run()
    if fault:
        print(fault, file=sys.stderr, flush=True)
    if args.report:
        for name, cycles in machine.profile().items():
            print(f"{cycles:>14,} {name}", file=sys.stderr)
        for text in machine.unmodelled():
            print(f"not modelled: {text}", file=sys.stderr)
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
