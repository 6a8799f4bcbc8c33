"""Flashing, against a simulated board: what lies in its flash then, and one line for all that goes wrong."""

from __future__ import annotations

import json
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
from bootloader import PAGE, Board, Faults

from mcu_asc import config, toolchain
from mcu_asc.cli import main
from mcu_asc.device import flash as flashing
from mcu_asc.device import frames, ports
from mcu_asc.device.bossa import Waits
from mcu_asc.device.build import compile_project
from mcu_asc.device.flash import Flashed, flash
from mcu_asc.device.ports import UsbPort
from mcu_asc.errors import AscError, DeviceError, ToolMissing, UsageError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo terminals")

NANO = config.load_board("nano33")
QUICK = Waits(boot_s=1.0, open_s=0.3, answer_s=0.5, page_s=1.0, erase_s=1.0, start_s=1.0, stay_s=0.3)
OTHER = UsbPort("/dev/ttyUSB7", 0x0403, 0x6001, "A1", "1-2", "FT232R")
GONE = "the old application is gone, the new one is not complete, the bootloader is still there"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        directory = tiny.write(patch, tmp_path_factory.mktemp("flash") / "p")
    compile_project(directory, "board")
    return directory


@pytest.fixture
def image(project: Path) -> bytes:
    return (project / "firmware.bin").read_bytes()


@pytest.fixture
def usb_project(project: Path) -> Iterator[Path]:
    """The same, said to talk over the board's USB port."""
    path = project / "project.json"
    text = path.read_text()
    path.write_text(json.dumps(json.loads(text) | {"port": "usb"}))
    yield project
    path.write_text(text)


def put(project: Path, board: Board, port: str | None = None, waits: Waits = QUICK) -> Flashed:
    return flash(project, port=port, list_ports=lambda: (OTHER, *board.ports()), waits=waits)


def fails(project: Path, board: Board, port: str | None = None) -> AscError:
    with pytest.raises(AscError) as e:
        put(project, board, port)
    assert e.value.hint and "\n" not in str(e.value)
    return e.value


def hello(fingerprint: bytes) -> bytes:
    """The payload of HELLO_IS, as asc_wire.h lays it out."""
    numbers = struct.pack("<7IHHI", 64_000_000, 16_000, 128, 10, 2, 512, 320, 8, 16, 1024)
    return fingerprint + numbers + b"\x04tiny" + b"\x06nano33"


def firmware_on_usb(fingerprint: bytes) -> tuple[object, list[int]]:
    decoder, seen = frames.Decoder(), list[int]()

    def answer(data: bytes) -> bytes:
        said = b""
        for frame in decoder.push(data):
            seen.append(frame.type)
            said += frames.encode(frames.Frame(frames.Type.HELLO_IS, frame.seq, hello(fingerprint)))
        return said

    return answer, seen


# ---- as it should go --------------------------------------------------------------------------------


def test_from_the_running_program(project: Path, image: bytes) -> None:
    steps: list[tuple[int, int, str]] = []
    with Board() as board:
        before = board.ports()
        done = flash(
            project,
            list_ports=lambda: (OTHER, *board.ports()),
            waits=QUICK,
            progress=lambda n, note, total, text: steps.append((n, total, text)),
        )
        assert board.written(len(image)) == image
        assert done.port != before[0].device  # renumbered on the way
    assert done.bytes == len(image) and done.crc_checked
    assert done.device is None and "P1.03 (TX)" in done.note and "double-tap" in done.note
    pages = -(-len(image) // PAGE)
    assert pages > 2
    assert [n for n, _, _ in steps] == list(range(1, 2 * pages + 1))
    assert {total for _, total, _ in steps} == {2 * pages}


def test_what_is_said_to_the_bootloader(project: Path, image: bytes) -> None:
    with Board(boots=True) as board:
        put(project, board)
        heard = board.heard
    assert heard[:4] == ["N#", "V#", "I#", "X00000000#"]
    assert heard[-1] == "K#"
    pages = [f"{at:08X},00001000#" for at in range(0, len(image), PAGE)]
    written = [c[1:] for c in heard if c.startswith("Y") and not c.endswith(",0#")]
    assert written == [pages[0], *pages[1:], pages[0]]  # blank first, and its content last of all
    assert sorted(c[1:] for c in heard if c.startswith("Z")) == pages


def test_next_to_other_boards(project: Path, image: bytes) -> None:
    """Without --port a question; with it the board that was named, followed by its plug."""
    with Board(location="1-3") as one, Board(location="1-4", boots=True) as two:
        (first,), (second,) = one.ports(), two.ports()
        both = lambda: (*one.ports(), *two.ports())  # noqa: E731
        with pytest.raises(UsageError, match="2 boards") as e:
            flash(project, list_ports=both, waits=QUICK)
        assert first.device in str(e.value) and second.device in str(e.value) and "--port" in e.value.hint
        done = flash(project, port=first.device, list_ports=both, waits=QUICK)
        assert done.port != second.device
        assert one.written(len(image)) == image
        assert bytes(two.flash) == two.old


def test_without_plugs_the_one_that_was_not_there(project: Path, image: bytes) -> None:
    with Board(location="") as one, Board(location="", boots=True) as two:
        both = lambda: (*two.ports(), *one.ports())  # noqa: E731
        flash(project, port=one.ports()[0].device, list_ports=both, waits=replace(QUICK, stay_s=0))
        assert one.written(len(image)) == image
        assert bytes(two.flash) == two.old


def test_a_port_by_a_link_and_one_that_is_not_listed(project: Path, image: bytes, tmp_path: Path) -> None:
    with Board(boots=True) as board:
        link = tmp_path / "by-id"
        link.symlink_to(board.ports()[0].device)
        flash(project, port=str(link), list_ports=tuple, waits=QUICK)
        assert board.written(len(image)) == image


@pytest.mark.parametrize(
    "faults",
    [
        Faults(slow_s=0.08),
        Faults(garbage=b"AT\r\nOK\xff\x00"),
        Faults(wrong_crcs=1),
    ],
    ids=["slow", "garbage", "one wrong page"],
)
def test_what_it_bears(project: Path, image: bytes, faults: Faults) -> None:
    with Board(faults, boots=True) as board:
        put(project, board)
        assert board.written(len(image)) == image


def test_after_a_transfer_that_was_broken_off(project: Path, image: bytes) -> None:
    """The bootloader still waits for data of a page: it is woken."""
    with Board(boots=True) as board:
        with ports.open_line(board.ports()[0].device, 1) as line:
            line.write(b"S00000000,00001000#" + bytes(100))
            time.sleep(0.1)
        put(project, board)
        assert board.written(len(image)) == image


def test_hello_over_usb(usb_project: Path, image: bytes) -> None:
    fingerprint = bytes.fromhex(json.loads((usb_project / "project.json").read_text())["fingerprint"])
    answer, seen = firmware_on_usb(fingerprint)
    with Board(application=answer) as board:  # type: ignore[arg-type]
        done = put(usb_project, board)
        assert done.device and done.device.fingerprint == fingerprint
        assert done.device_port == board.ports()[0].device != done.port
        assert done.note == "" and seen == [frames.Type.HELLO]


# ---- as it should not -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "says", "hint"),
    [
        (Faults(deaf_to_touch=True), "ignores the 1200-baud touch", "double-tap"),
        (Faults(touch_restarts_program=True), "restarted its program", "double-tap"),
        (Faults(never_returns=True), "did not come back as 2341:005a", "double-tap"),
        (Faults(silent=True), "does not answer; nothing was written", "ModemManager"),
        (Faults(chip=b"ATSAMD21G18A"), "on ATSAMD21G18A, the firmware is for nRF52840-QIAA", "--port"),
        (Faults(version=b"v1.1 [Arduino:XYZ]\n\r"), "lacks the commands I, K", "--via pyocd"),
    ],
    ids=["deaf", "restart", "lost", "silent", "chip", "version"],
)
def test_before_anything_is_written(project: Path, faults: Faults, says: str, hint: str) -> None:
    with Board(faults) as board:
        e = fails(project, board)
        assert bytes(board.flash) == board.old
        assert not any(c[0] in "XYS" for c in board.heard)
    assert isinstance(e, DeviceError) and e.exit_code == 5
    assert says in e.message and hint in e.hint
    assert GONE not in e.message


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        (Faults(dies_at_page=3), "was cut"),
        (Faults(loses_data_at=3), "is silent"),
        (Faults(wrong_crcs=1000), "read back wrong, the first at offset 0x1000"),
    ],
    ids=["dies", "loses data", "wrong crc"],
)
def test_half_written_is_said_and_never_starts(
    project: Path, image: bytes, faults: Faults, says: str
) -> None:
    with Board(faults, boots=True) as board:
        e = fails(project, board)
        assert says in e.message and e.message.endswith(GONE)
        assert "flash again" in e.hint and "double-tap" in e.hint
        assert board.written(PAGE) == b"\xff" * PAGE  # so a reset leads into the bootloader
        assert "K#" not in board.heard
        if faults.dies_at_page is None:  # and flashing again mends it
            board.faults = Faults()
            put(project, board)
            assert board.written(len(image)) == image


def test_interrupted_by_the_user(project: Path) -> None:
    def stop(done: int, *_: object) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with Board(boots=True) as board:
        with pytest.raises(DeviceError, match=r"^interrupted; the old application is gone") as e:
            flash(project, list_ports=board.ports, waits=QUICK, progress=stop)
        assert board.written(PAGE) == b"\xff" * PAGE and "flash again" in e.value.hint


def test_it_does_not_start(project: Path, usb_project: Path) -> None:
    with Board(Faults(does_not_start=True), boots=True) as board:
        e = fails(usb_project, board)
        assert "did not come back on USB" in e.message and "reset button" in e.hint


def test_it_returns_to_the_bootloader(project: Path) -> None:
    with Board(Faults(does_not_start=True), boots=True) as board:
        e = fails(project, board)
        assert "does not start the application" in e.message and "reset button" in e.hint


def test_another_firmware_answers(usb_project: Path) -> None:
    answer, _ = firmware_on_usb(b"\x01" * 8)
    with Board(application=answer) as board:  # type: ignore[arg-type]
        assert "runs model 0101010101010101" in fails(usb_project, board).message


def test_no_board(project: Path) -> None:
    with pytest.raises(DeviceError, match="no Arduino Nano 33 BLE on USB") as e:
        flash(project, list_ports=lambda: (OTHER,), waits=QUICK)
    assert "/dev/ttyUSB7 0403:6001" in e.value.message
    assert "data lines" in e.value.hint and "double tap" in e.value.hint


def test_not_that_port(project: Path) -> None:
    with pytest.raises(UsageError, match=r"/dev/ttyUSB7 is FT232R \(0403:6001\), not Arduino Nano 33 BLE"):
        flash(project, port=OTHER.device, list_ports=lambda: (OTHER,), waits=QUICK)
    with pytest.raises(DeviceError, match="there is no port /dev/ttyACM99"):
        flash(project, port="/dev/ttyACM99", list_ports=lambda: (OTHER,), waits=QUICK)


def test_a_port_that_may_not_be_opened(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mcu_asc.device import line

    def no_right(url: str, **_: object) -> None:
        raise PermissionError(13, f"could not open port {url}: Permission denied")

    import serial

    monkeypatch.setattr(serial, "serial_for_url", no_right)
    with pytest.raises(DeviceError) as e:
        ports.open_line("/dev/ttyACM0", 0)
    assert "dialout" in e.value.hint and "60-mcu-asc.rules" in e.value.hint and "ID_MM" in e.value.hint
    assert line.Line is ports.Line


@pytest.mark.parametrize(
    "content",
    [b"", bytes(8), struct.pack("<2I", 0x20040000, 0x1), bytes(NANO.app_flash_bytes + 1)],
    ids=["empty", "zeros", "linked at 0", "too large"],
)
def test_an_image_that_cannot_run_there(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "firmware.bin"
    path.write_bytes(content)
    with pytest.raises(UsageError):
        flashing._image(path, NANO)


def test_a_board_without_bootloader(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "build", lambda *_: replace(NANO, bootloader=""))
    with pytest.raises(UsageError, match="no bootloader") as e:
        flash(project, list_ports=tuple, waits=QUICK)
    assert "--via pyocd" in e.value.hint


# ---- other tools ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("via", "install"),
    [("pyocd", "pip install pyocd"), ("arduino-cli", "install.sh"), ("bossac", "arduino-cli core install")],
)
def test_tools_that_are_missing(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, via: str, install: str
) -> None:
    monkeypatch.setattr(flashing, "compile_project", lambda d, t: toolchain.image(d / "firmware.elf"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with Board() as board:
        with pytest.raises(ToolMissing) as e:
            flash(project, via=via, list_ports=board.ports, waits=QUICK)
        assert install in e.value.hint
        assert board.heard == [] and board.ports()[0].pid == 0x805A  # not even touched


def tool(folder: Path, name: str, says: str = "", code: int = 0) -> Path:
    """A program that notes its arguments."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{folder}/arguments"\necho "{says}"\nexit {code}\n')
    path.chmod(0o755)
    return folder / "arguments"


def test_command_lines(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(flashing, "compile_project", lambda d, t: toolchain.image(d / "firmware.elf"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    arguments = tool(tmp_path, "pyocd")
    flash(project, via="pyocd", list_ports=tuple, waits=QUICK)
    assert arguments.read_text().split() == [
        *("flash", "--no-wait", "--target", "nrf52840", str(project / "firmware.hex"))
    ]
    tool(tmp_path, "arduino-cli")
    with Board(location="1-9") as board:
        name = board.ports()[0].device
        done = threaded_port_leaves(project, board)
        assert arguments.read_text().split() == [
            *("upload", "--fqbn", "arduino:mbed_nano:nano33ble", "--port", name),
            *("--input-file", str(project / "firmware.bin")),
        ]
        assert not done.crc_checked
    folder = tmp_path / ".arduino15/packages/arduino/tools/bossac/1.9.1-arduino2"
    arguments = tool(folder, "bossac")
    with Board(boots=True) as board:
        name = board.ports()[0].device
        with pytest.raises(DeviceError, match="does not start"):  # the simulated board was not written
            flash(project, via="bossac", list_ports=board.ports, waits=QUICK)
    said = arguments.read_text().split()
    assert said[0] == "--port=" + name.removeprefix("/dev/")
    assert said[1:] == ["-U", "-i", "-e", "-w", "-v", str(project / "firmware.bin"), "-R"]


def threaded_port_leaves(project: Path, board: Board) -> Flashed:
    """arduino-cli does the touch by itself; the simulated board is simply unplugged meanwhile."""
    calls = 0

    def listed() -> tuple[UsbPort, ...]:
        nonlocal calls
        calls += 1
        return board.ports() if calls == 1 else ()

    return flash(project, via="arduino-cli", list_ports=listed, waits=QUICK)


@pytest.mark.parametrize(
    ("says", "hint"),
    [
        ("0001103 E No connected debug probes [load]", "SWDIO"),
        ("E something else: error 7", "run it by hand: "),
    ],
)
def test_a_tool_that_fails(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: str, hint: str
) -> None:
    tool(tmp_path, "pyocd", says, 1)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(DeviceError) as e:
        flash(project, via="pyocd", list_ports=tuple, waits=QUICK)
    assert says in e.value.message and hint in e.value.hint


# ---- the verb ---------------------------------------------------------------------------------------


def test_the_verb(
    project: Path, image: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Board() as board:
        monkeypatch.setattr(ports, "serial_ports", board.ports)
        with pytest.raises(SystemExit) as end:
            main(["flash", str(project), "--json"])
        assert end.value.code == 0
        assert board.written(len(image)) == image
    said = json.loads(capsys.readouterr().out)
    assert said["bytes"] == len(image) and said["crc_checked"] and said["board"] == "nano33"
    monkeypatch.setattr(ports, "serial_ports", tuple)
    with pytest.raises(SystemExit) as end:
        main(["flash", str(project)])
    _, err = capsys.readouterr()
    assert end.value.code == 5 and err.count("\n") == 1 and err.startswith("error: no Arduino Nano 33 BLE")
