"""The emulated board: serial line, faults, memory of exactly the board's size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import serial
from probe import build_probe

from mcu_asc.config import load_board
from mcu_asc.device.emulator import Emulator, launch

BOARD = load_board("nano33")


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_probe("echo.c", tmp_path_factory.mktemp("echo"), BOARD)


@pytest.fixture
def running(echo: Path) -> Iterator[Emulator]:
    with launch(echo, BOARD) as emulator:
        yield emulator


def open_line(emulator: Emulator) -> serial.Serial:
    return serial.serial_for_url(emulator.url, timeout=5)


def test_echo(running: Emulator) -> None:
    with open_line(running) as line:
        line.write(bytes(range(64)))
        assert line.read(64) == bytes(range(64))
    assert running.fault() is None
