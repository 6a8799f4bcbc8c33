"""The emulated board: serial line, faults, instruments, memory of exactly the board's size."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import serial
from probe import build_probe, compile_probe

from mcu_asc.config import load_board
from mcu_asc.device.emulator import Emulator, launch
from mcu_asc.device.emulator.machine import load
from mcu_asc.errors import DeviceError, UsageError

BOARD = load_board("nano33")
CELL = 64  # of echo.c


@pytest.fixture(scope="module")
def probes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("probes")
    return {name: build_probe(f"{name}.c", root / name, BOARD) for name in ("echo", "fault", "measure")}


@pytest.fixture
def running(probes: dict[str, Path]) -> Iterator[Emulator]:
    with launch(probes["echo"], BOARD) as emulator:
        yield emulator


def open_line(emulator: Emulator, timeout: float = 5) -> serial.Serial:
    return serial.serial_for_url(emulator.url, timeout=timeout)


def noise(count: int, seed: int = 1) -> bytes:
    return np.random.default_rng(seed).integers(0, 256, count, dtype=np.uint8).tobytes()


# ---- the line --------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"cycles": True}, {"quirks": "renode"}, {"quirks": "wire"}])
def test_echo_cell_by_cell(probes: dict[str, Path], options: dict[str, object]) -> None:
    with launch(probes["echo"], BOARD, **options) as emulator, open_line(emulator) as line:
        for seed in range(20):
            time.sleep(0.05 * ("quirks" in options))  # these lose what comes before the receiver is armed
            line.write(noise(CELL, seed))
            assert line.read(CELL) == noise(CELL, seed)
        assert emulator.fault() is None


def test_a_part_comes_back_after_50_ms(running: Emulator) -> None:
    with open_line(running) as line:
        line.write(noise(CELL))
        line.read(CELL)
        for count in (1, 3, CELL - 1):
            start = time.monotonic()
            line.write(noise(count))
            assert line.read(count) == noise(count)
            assert 0.045 < time.monotonic() - start < 1.0
            line.write(noise(CELL))  # and the next whole cell is whole
            assert line.read(CELL) == noise(CELL)


def test_a_long_stream_at_once(running: Emulator) -> None:
    """200,000 bytes without any flow control of our own: the emulated line must not lose one."""
    data = noise(200_000)
    with open_line(running, timeout=0.5) as line:
        got = bytearray()
        for at in range(0, len(data), 4096):
            line.write(data[at : at + 4096])
            got += line.read(line.in_waiting)
        while part := line.read(4096):
            got += part
    assert bytes(got) == data


def test_another_client_may_come(running: Emulator) -> None:
    for _ in range(3):
        with open_line(running) as line:
            line.write(noise(CELL))
            assert line.read(CELL) == noise(CELL)
    with open_line(running) as line:
        line.write(noise(10))  # gone in the middle of a cell
    with open_line(running) as line:
        time.sleep(0.3)
        line.timeout = 0.1
        line.read(CELL)  # what the part before left
        line.timeout = 5
        line.write(noise(CELL))
        assert line.read(CELL) == noise(CELL)
    assert running.fault() is None


def test_a_client_that_does_not_read_does_not_stop_the_next(running: Emulator) -> None:
    with open_line(running) as line:
        line.write(noise(CELL) * 10)
    with open_line(running) as line:
        time.sleep(0.3)
        line.reset_input_buffer()
        line.write(noise(CELL))
        assert line.read(10_000 if line.in_waiting else CELL)[-CELL:] == noise(CELL)


def test_killed_says_so(running: Emulator) -> None:
    os.kill(running.process.pid, signal.SIGKILL)
    assert running.fault(5) == "the emulator ended with exit code -9"


def test_ends_with_its_parent(probes: dict[str, Path]) -> None:
    script = f"""
import os, pathlib, signal
from mcu_asc.config import load_board
from mcu_asc.device.emulator import launch
with launch(pathlib.Path({str(probes["echo"])!r}), load_board("nano33")) as emulator:
    print(emulator.process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    child = int(done.stdout)
    for _ in range(100):
        if not Path(f"/proc/{child}").exists():
            return
        time.sleep(0.05)
    pytest.fail("the emulator outlived its parent by 5 s")


def test_pty(probes: dict[str, Path]) -> None:
    command = [
        sys.executable,
        "-m",
        "mcu_asc.device.emulator",
        str(probes["echo"]),
        "--board",
        "nano33",
        "--pty",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            word, path = process.stdout.readline().split()
            assert word == "listening"
            for _ in range(2):
                with serial.Serial(path, timeout=5) as line:
                    line.write(noise(CELL))
                    assert line.read(CELL) == noise(CELL)
        finally:
            process.kill()


def test_renode_stalls_on_bytes_sent_ahead(probes: dict[str, Path]) -> None:
    """Two cells at once: the second queues while ENDRX is set, then comes one byte for each STARTRX."""
    with launch(probes["echo"], BOARD, quirks="renode") as emulator, open_line(emulator, 0.3) as line:
        time.sleep(0.5)
        line.write(noise(2 * CELL))
        first = line.read(2 * CELL)
        assert first[:CELL] == noise(2 * CELL)[:CELL]
        assert len(first) < 2 * CELL


def test_wire_overruns_on_bytes_sent_ahead(probes: dict[str, Path]) -> None:
    """A wire has no flow control: what comes behind the armed cell is lost, and only that."""
    with launch(probes["echo"], BOARD, quirks="wire") as emulator, open_line(emulator, 1.0) as line:
        time.sleep(0.5)
        line.write(noise(2 * CELL))
        assert line.read(2 * CELL) == noise(2 * CELL)[:CELL]
        line.write(noise(CELL, 2))
        assert line.read(CELL) == noise(CELL, 2)


# ---- faults ----------------------------------------------------------------------------------------

FAULTS = {
    "r": r"read of unmapped address 0x60000000, .*\(read_unmapped\+0x",
    "p": r"write to unmapped address 0x60000004, .*\(write_unmapped\+0x",
    "f": r"write to flash at 0x00020000, .*\(write_flash\+0x",
    "u": r"undefined instruction de00, .*\(undefined\+0x",
    "b": r"breakpoint, .*\(breakpoint\+0x",
    "j": r"jump to unmapped address 0x70000000, .*lr 0x[0-9a-f]{8} \(main\+0x",
    "J": r"jump to an even address \(not Thumb\), pc 0x00010100",
    "s": r"stack overflow, write to unmapped address 0x1fff[0-9a-f]{4}, .*\(recurse\+0x",
    "o": r"read of unmapped address 0x20040000, .*\(past_ram\+0x",
    "O": r"read of unmapped address 0x00100000, .*\(past_flash\+0x",
    "h": r"read of unmapped address 0x4ffff000, .*\(peripheral_hole\+0x",
    "d": r"DMA read outside RAM at 0x00010000, .*\(dma_from_flash\+0x",
}


@pytest.mark.parametrize(("command", "cycles"), [*((c, False) for c in FAULTS), ("r", True), ("s", True)])
def test_fault(probes: dict[str, Path], command: str, cycles: bool) -> None:
    with launch(probes["fault"], BOARD, cycles=cycles) as emulator:
        with open_line(emulator) as line:
            line.write(command.encode())
            fault = emulator.fault(5)
        assert fault is not None
        assert re.fullmatch(r"fault: .*, pc 0x[0-9a-f]{8} \(.*\), .*sp 0x[0-9a-f]{8}", fault)
        assert re.search(FAULTS[command], fault), fault
        assert emulator.process.poll() == 1


def test_no_fault_at_the_last_words_of_ram_and_flash(probes: dict[str, Path]) -> None:
    with launch(probes["fault"], BOARD) as emulator, open_line(emulator) as line:
        line.write(b"e")
        assert line.read(1) == b"e"


def test_wfi_and_wfe_are_waits(probes: dict[str, Path]) -> None:
    with launch(probes["fault"], BOARD) as emulator, open_line(emulator) as line:
        line.write(b"w")
        assert line.read(1) == b"w"
        line.write(b"m")  # main returns: asleep for good
        assert emulator.fault(0.5) is None


def test_ends_when_asked_and_reports(probes: dict[str, Path]) -> None:
    command = [sys.executable, "-m", "mcu_asc.device.emulator", str(probes["echo"]), "--board", "nano33"]
    command += ["--cycles", "--report"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        url = process.stdout.readline().split()[1]
        with serial.serial_for_url(url, timeout=5) as line:
            line.write(noise(CELL))
            assert line.read(CELL) == noise(CELL)
        process.terminate()
        report = process.stderr.read()
    assert process.returncode == 0
    assert re.search(r"^ +[\d,]+ asc_port_wait$", report, re.MULTILINE)
    assert "not modelled" not in report  # the port uses nothing that the emulator does not know


def test_ram_is_exactly_the_boards(probes: dict[str, Path]) -> None:
    small = dataclasses.replace(BOARD, ram_bytes=128 << 10)
    with launch(probes["fault"], small) as emulator, open_line(emulator) as line:
        line.write(b"e")  # writes the last word of 256 KiB
        assert "write to unmapped address 0x2003fffc" in str(emulator.fault(5))


# ---- instruments -----------------------------------------------------------------------------------


def ask(line: serial.Serial, question: bytes, words: int) -> list[int]:
    line.write(question)
    return list(struct.unpack(f"<{words}I", line.read(4 * words)))


@pytest.mark.parametrize("cycles", [False, True])
def test_instruments(probes: dict[str, Path], cycles: bool) -> None:
    with launch(probes["measure"], BOARD, cycles=cycles) as emulator, open_line(emulator) as line:
        data = ask(line, b"d", 9)
        assert data == [1, 2, 3, 0xCAFEF00D, 0, 0, 0, 0, 9]

        counter = ask(line, b"c", 64)
        assert counter == sorted(counter)
        assert counter[-1] > counter[0]

        before, dug, deeper = ask(line, b"s", 3)
        assert 16 <= before < BOARD.stack_bytes
        assert 600 <= dug < before + 1100
        assert deeper == dug + 400

        elapsed, microseconds = ask(line, b"t", 2)
        assert microseconds == pytest.approx(elapsed / (BOARD.clock_hz / 1e6), rel=0.05, abs=20)


def test_counted_loops_are_exact(probes: dict[str, Path]) -> None:
    with launch(probes["measure"], BOARD, cycles=True) as emulator, open_line(emulator) as line:
        short, long = ask(line, b"l", 2)
        assert long - short == 4 * 1000
        assert 4 * 1000 - 2 <= short <= 4 * 1000 + 20


@pytest.mark.parametrize("waits", [0, 3])
def test_flash_wait_states(probes: dict[str, Path], waits: int) -> None:
    board = dataclasses.replace(BOARD, flash_wait_states=waits)
    with launch(probes["measure"], board, cycles=True) as emulator, open_line(emulator) as line:
        flash, ram = ask(line, b"f", 2)
        assert ram == pytest.approx(200_000 * 6, rel=0.03)  # its block runs from flash, its data does not
        assert flash - ram == pytest.approx(200_000 * waits, rel=0.06, abs=5)


def test_the_fault_report_goes_out_on_the_line(probes: dict[str, Path]) -> None:
    with launch(probes["measure"], BOARD) as emulator, open_line(emulator) as line:
        line.write(b"x")
        expected = b"\0fault pc=22222222 lr=11111111 cfsr=00000000 at=00000000\0"
        assert line.read(len(expected)) == expected


# ---- building and starting ---------------------------------------------------------------------------


@pytest.mark.parametrize("optimise", ["-O0", "-Os", "-O3"])
def test_port_is_free_of_warnings(tmp_path: Path, optimise: str) -> None:
    build_probe("echo.c", tmp_path, BOARD, optimise=optimise)


def test_stack_is_at_the_bottom_and_counted(probes: dict[str, Path]) -> None:
    symbols = load(probes["echo"]).symbols
    assert symbols["asc_stack_bottom"] == 0x20000000
    assert symbols["asc_stack_top"] - symbols["asc_stack_bottom"] == BOARD.stack_bytes


def test_missing_ram_is_refused_with_the_bytes(tmp_path: Path) -> None:
    def missing(cell: int) -> int:
        done = compile_probe("echo.c", tmp_path, BOARD, f"CELL={cell}")
        found = re.search(r"region `RAM' overflowed by (\d+) bytes", done.stderr)
        return int(found[1]) if found else 0

    least = load(build_probe("echo.c", tmp_path, BOARD, "CELL=8")).symbols["asc_bss_end"]
    most = 8 + 0x20000000 + BOARD.ram_bytes - least
    assert missing(most - 8) == 0  # less than 8 of it may be padding
    over = missing(most + 10_000)
    assert 10_000 - 8 < over < 10_000 + 8
    assert missing(most + 10_008) == over + 8


def test_wrong_files_and_quirks_are_refused(probes: dict[str, Path], tmp_path: Path) -> None:
    text = tmp_path / "no.elf"
    text.write_text("not an ELF")
    with pytest.raises(UsageError, match="not an ELF"):
        load(text)
    with pytest.raises(UsageError, match="EM_"):
        load(Path(sys.executable).resolve())
    with pytest.raises(UsageError, match="cannot read"):
        load(tmp_path / "absent.elf")
    with (
        pytest.raises(DeviceError, match="unknown quirk 'fast'"),
        launch(probes["echo"], BOARD, quirks="fast"),
    ):
        pass
    elsewhere = dataclasses.replace(BOARD, app_offset_bytes=0x20000)
    with pytest.raises(DeviceError, match="outside"), launch(probes["echo"], elsewhere):
        pass
