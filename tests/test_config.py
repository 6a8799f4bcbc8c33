"""Strict TOML: every wrong file gets one line that names the file, the place and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcu_asc import config, paths
from mcu_asc.errors import UsageError
from mcu_asc.nouns import Board, Budget, Decision, FrontEndConfig, ModelCard

NANO = (paths.boards_dir() / "nano33.toml").read_text()


def test_nano33_is_what_its_data_sheet_says() -> None:
    board = config.load_board("nano33")
    assert (board.clock_hz, board.flash_bytes, board.ram_bytes) == (64_000_000, 1 << 20, 256 << 10)
    assert board.app_offset_bytes == 0x10000
    assert board.app_flash_bytes == 0xF0000
    assert (board.uart_tx, board.uart_rx, board.pdm_clk) == (32 + 3, 32 + 10, 26)


@pytest.mark.parametrize("name", config.board_names())
def test_every_board_loads(name: str) -> None:
    assert isinstance(config.load_board(name), Board)


@pytest.mark.parametrize("name", config.budget_names())
def test_every_budget_loads(name: str) -> None:
    assert isinstance(config.load_budget(name), Budget)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("clock_hz", "clock_mhz", "unknown key 'clock_mhz'"),
        ('title = "Arduino Nano 33 BLE"\n', "", "key 'title' is missing"),
        ('uart_tx = "P1.03"', 'uart_tx = "P3.99"', 'write it as "P1.03"'),
        ("baud = 1_000_000", 'baud = "fast"', "baud must be a int, not 'fast'"),
        ("baud = 1_000_000", "baud = ", "not valid TOML"),
        ("usb_pids = [0x805a]", "usb_pids = [true]", "usb_pids[0] must be a int"),
    ],
)
def test_a_wrong_board_file_says_what_where_and_remedy(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in NANO
    path = tmp_path / "mine.toml"
    path.write_text(NANO.replace(old, new, 1))
    with pytest.raises(UsageError) as e:
        config.load_board(str(path))
    assert str(path) in e.value.message
    assert says in str(e.value)
    assert e.value.hint


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UsageError, match="nano33"):
        config.load_board("nano34")
    with pytest.raises(UsageError, match="dcase2022"):
        config.load_budget("dcase1999")


def test_a_card_survives_its_json() -> None:
    card = ModelCard(
        "x",
        ("a", "b"),
        FrontEndConfig(mean=(1.0, 2.5), scale=0.1),
        Decision(alive_db=-30.0),
        {"k": [1, {"z": 2}]},
    )
    again = config.card_from_json(config.card_to_json(card))
    assert again == card
    assert again.front_end.fingerprint == card.front_end.fingerprint


@pytest.mark.parametrize("text", ["", "[]", '{"version":2}', '{"version":1}', '{"version":1,"name":3}'])
def test_a_broken_card_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        config.card_from_json(text)
