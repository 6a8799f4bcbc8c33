"""Every board's firmware links where its memory is, for its core; nothing but a port assumes an SoC."""

from __future__ import annotations

import dataclasses
import re
import shlex
import struct
import subprocess
from pathlib import Path

import pytest
import tiny
from elftools.elf.elffile import ELFFile

from mcu_asc import compiler, config, firmware, paths
from mcu_asc.cli import main
from mcu_asc.device.build import compile_project
from mcu_asc.device.targets import open_target
from mcu_asc.errors import UsageError
from mcu_asc.nouns import Board
from mcu_asc.toolchain import arm_gcc

ROOT = Path(__file__).parent.parent
BOARDS = [config.load_board(name) for name in config.board_names()]
SCENES = paths.students_dir() / "scenes" / "student.tflite"


def build_tiny(monkeypatch: pytest.MonkeyPatch, board: Board, directory: Path) -> Path:
    with monkeypatch.context() as patch:
        patch.setattr(config, "load_board", lambda name: board)
        tiny.write(patch, directory)
    return compile_project(directory, "board").elf


@pytest.mark.parametrize("board", BOARDS, ids=lambda b: b.name)
def test_it_links_where_the_boards_memory_is(
    monkeypatch: pytest.MonkeyPatch, board: Board, tmp_path: Path
) -> None:
    elf = build_tiny(monkeypatch, board, tmp_path / "p")
    flash = range(
        board.flash_address + board.app_offset_bytes,
        board.flash_address + (board.app_end_bytes or board.flash_bytes),
    )
    ram = range(board.ram_address, board.ram_address + board.ram_bytes)
    with elf.open("rb") as f:
        image = ELFFile(f)
        for s in image.iter_sections():
            if s["sh_flags"] & 2 and s["sh_size"]:
                room = ram if s["sh_flags"] & 1 else flash
                assert s["sh_addr"] in room and s["sh_addr"] + s["sh_size"] - 1 in room, s.name
        text = image.get_section_by_name(".text")
        boot2 = image.get_section_by_name(".boot2")
        stack = image.get_section_by_name(".stack")
        assert text["sh_addr"] == flash.start + (boot2["sh_size"] if boot2 else 0)
        assert text["sh_addr"] % 256 == 0
        sp, entry = struct.unpack("<2I", text.data()[:8])
        assert sp == stack["sh_addr"] + board.stack_bytes and stack["sh_addr"] == ram.start
        assert entry % 2 == 1 and entry in range(text["sh_addr"], text["sh_addr"] + text["sh_size"])
        assert image.header["e_entry"] == entry


@pytest.mark.parametrize(("name", "arch"), [("rp2040", "v6S-M"), ("nucleo-l4r5zi", "v7E-M")])
def test_a_students_firmware_for_other_cores(name: str, arch: str, tmp_path: Path) -> None:
    """The portable kernels on a Cortex-M0+, the fast ones on another maker's Cortex-M4F."""
    board, model = config.load_board(name), compiler.read(SCENES)
    firmware.write(firmware.project(model, board), tmp_path / "p")
    image = compile_project(tmp_path / "p", "board")
    done = subprocess.run(
        [arm_gcc() + "readelf", "-A", image.elf], capture_output=True, text=True, check=True
    )
    assert re.search(r"Tag_CPU_arch: (\S+)", done.stdout)[1] == arch  # type: ignore[index]
    flavour = compiler.flavour_of(board.cpu)
    assert flavour == ("dsp" if arch == "v7E-M" else "ref")
    assert image.ram_bytes <= firmware.ram_bytes(model, compiler.plan(model.graph, flavour), board)
    with (
        pytest.raises(UsageError, match=f"the emulator is an nRF52840, {name} has a {board.soc}"),
        open_target(tmp_path / "p", "emulator"),
    ):
        pass


@pytest.mark.parametrize("board", [b for b in BOARDS if b.soc == "nrf52840"], ids=lambda b: b.name)
def test_the_emulator_is_every_nrf52840(
    monkeypatch: pytest.MonkeyPatch, board: Board, tmp_path: Path
) -> None:
    """Other pins, other places in flash, an LED that is lit when low: all from the TOML file."""
    build_tiny(monkeypatch, board, tmp_path / "p")
    with open_target(tmp_path / "p", "emulator") as session:
        assert session.info.board == board.name
        data = bytes(range(128))
        import numpy as np

        assert session.tensor(data) == tiny.network(np.frombuffer(data, np.int8))


def crc32_mpeg(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc


def test_what_the_rp2040s_boot_rom_checks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """CRC-32 of 252 bytes (RP2040 data sheet, 2.8.1.3.1), and that they show where our vectors lie."""
    board = config.load_board("rp2040")
    with build_tiny(monkeypatch, board, tmp_path / "p").open("rb") as f:
        image = ELFFile(f)
        boot2 = image.get_section_by_name(".boot2")
        content, text = boot2.data(), image.get_section_by_name(".text")["sh_addr"]
    assert boot2["sh_addr"] == board.flash_address and len(content) == 256
    assert struct.unpack("<I", content[252:])[0] == crc32_mpeg(content[:252])
    assert struct.pack("<I", text) in content


# ---- strict files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("soc", "text", "number"),
    [("nrf52840", "P1.03", 35), ("stm32l4r5", "PG7", 103), ("rp2040", "GP25", 25), ("gd32", 7, 7)],
)
def test_pins_by_the_name_of_the_data_sheet(soc: str, text: str | int, number: int) -> None:
    assert config.pin(text, soc, "here") == number


@pytest.mark.parametrize(
    ("soc", "text", "hint"),
    [
        ("nrf52840", "PA3", "P1.03"),
        ("nrf52840", "P1.32", "P1.03"),
        ("stm32l4r5", "P1.03", "PA3"),
        ("stm32l4r5", "PA16", "PA3"),
        ("rp2040", "GP30", "GP3"),
        ("gd32", "PA3", '"3"'),
        ("rp2040", -1, "GP3"),
        ("rp2040", True, "GP3"),
    ],
)
def test_what_is_no_pin(soc: str, text: str | int | bool, hint: str) -> None:
    with pytest.raises(UsageError, match="here must be a pin") as e:
        config.pin(text, soc, "here")
    assert hint in e.value.hint


def test_an_application_lies_within_flash(tmp_path: Path) -> None:
    text = (paths.boards_dir() / "xiao-nrf52840-sense.toml").read_text()
    (tmp_path / "odd.toml").write_text(text.replace("app_end_bytes = 0xED000", "app_end_bytes = 0x20000"))
    with pytest.raises(UsageError, match="app_offset_bytes < app_end_bytes"):
        config.load_board(str(tmp_path / "odd.toml"))
    assert config.load_board("xiao-nrf52840-sense").app_flash_bytes == 811_008  # as Seeed's boards.txt says


def test_sources_are_named() -> None:
    """A board's facts come from somewhere, and the file says where."""
    for name in config.board_names():
        comment = (paths.boards_dir() / f"{name}.toml").read_text().partition("\ntitle")[0]
        assert re.search(r"data sheet|specification|Zephyr|core", comment), name


def test_boards_with_a_core_get_a_sketch() -> None:
    model = compiler.read(SCENES)
    for board in BOARDS:
        if board.arduino is None:
            continue
        files = firmware.project(model, board, layout="arduino").files
        profile = files["scenes/sketch.yaml"].decode()
        assert board.arduino.fqbn in profile
        assert ("platform_index_url: " + board.arduino.index_url in profile) == bool(board.arduino.index_url)
        assert ("scenes/platformio.ini" in files) == bool(board.arduino.platformio)


# ---- docs/adding-a-board.md, followed ----------------------------------------------------------------------

GUIDE = (ROOT / "docs" / "adding-a-board.md").read_text()


def test_the_guide_adds_a_board(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Its TOML file, saved as it says; its commands, typed as they stand."""
    monkeypatch.chdir(tmp_path)
    name, toml = re.search(r"`(\S+\.toml)`:\n\n```toml\n(.*?)```", GUIDE, re.DOTALL).groups()  # type: ignore[union-attr]
    Path(name).write_text(toml)
    commands = re.findall(r"^    mcu-asc (.*?)(?:  +#.*)?$", GUIDE, re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        if "--on /dev" in command or command.startswith("flash"):
            continue  # needs the board
        with pytest.raises(SystemExit) as end:
            main(shlex.split(command))
        err = capsys.readouterr().err
        assert end.value.code == 0, f"{command}: {err}"
    assert list(tmp_path.rglob("firmware.elf")) and list(tmp_path.rglob("*.ino"))


def test_the_guide_names_every_key() -> None:
    """A key of Board or ArduinoCore that the guide does not tell of cannot be found by a reader."""
    core = {f.name for f in dataclasses.fields(Board)} - {"name"}
    for key in sorted(core):
        assert f"`{key}`" in GUIDE or f"\n{key} =" in GUIDE or f"\n[{key}]" in GUIDE, key
