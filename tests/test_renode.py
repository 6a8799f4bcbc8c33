"""Renode as a place to run: its process, by a stand-in; its quirks, by the emulator; itself, where it is."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny

from mcu_asc import compiler, config, firmware, paths
from mcu_asc.device import frames, renode
from mcu_asc.device.frames import Frame, Type
from mcu_asc.device.targets import open_target
from mcu_asc.errors import DeviceError, ToolMissing, UsageError
from mcu_asc.nouns import Model

REAL = shutil.which("renode")
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In a folder with a space in its name."""
    with pytest.MonkeyPatch.context() as patch:
        return tiny.write(patch, tmp_path_factory.mktemp("a b") / "tiny")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts the stand-in on PATH, around it a script that does not pass signals on, as Renode's own does."""
    program = tmp_path / "bin" / "renode"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n"{sys.executable}" "{HERE / "fake_renode.py"}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(paths.firmware_dir().parent), *sys.path]))
    monkeypatch.setenv("FAKE_RENODE_PIDS", str(tmp_path / "pids"))
    monkeypatch.setattr(renode, "STOP_LIMIT_S", 1.0)
    return lambda mode: monkeypatch.setenv("FAKE_RENODE", mode)


def is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and ") Z " not in stat.read_text()


# ---- the process -----------------------------------------------------------------------------------


def test_scores_and_ends(project: Path, fake: Callable[[str], None]) -> None:
    fake("")
    pcm = np.random.default_rng(1).normal(0, 3_000, 8_000).astype(np.int16)
    with open_target(project, "host") as session:
        expected = session.classify(pcm)
    with open_target(project, "renode") as session:
        result = session.classify(pcm)
        assert [w.logits for w in result.windows] == [w.logits for w in expected.windows]
        assert session.bench().stack_bytes > 0


@pytest.mark.parametrize("mode", ["", "stubborn"])
def test_nothing_is_left_running(
    project: Path, tmp_path: Path, fake: Callable[[str], None], mode: str
) -> None:
    fake(mode)
    with open_target(project, "renode"):
        pids = [int(text) for text in (tmp_path / "pids").read_text().split()]
        assert all(map(is_alive, pids))
    assert not any(map(is_alive, pids))


def test_a_script_that_fails_is_told(project: Path, fake: Callable[[str], None]) -> None:
    fake("dies")
    says = r"Renode did not start: .*parse the platform description"
    with pytest.raises(DeviceError, match=says) as e, open_target(project, "renode"):
        pass
    assert "renode.resc" in e.value.hint


def test_a_start_that_takes_for_ever_is_ended(
    project: Path, fake: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake("silent")
    monkeypatch.setattr(renode, "START_LIMIT_S", 1.0)
    start = time.monotonic()
    says = r"not up after 1 s; its log ends with: .*monitor\.py"
    with pytest.raises(DeviceError, match=says), open_target(project, "renode"):
        pass
    assert time.monotonic() - start < 5.0


def test_an_abort_of_the_core_is_the_reason(project: Path, fake: Callable[[str], None]) -> None:
    fake("aborts")
    with open_target(project, "renode") as session:
        until = time.monotonic() + 10
        while session.fault() is None and time.monotonic() < until:
            time.sleep(0.05)
        assert session.fault() == (
            "cpu: CPU abort [PC=0x12345]: Trying to execute code outside RAM or ROM at 0x70000000."
        )


def test_without_renode(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mcu_asc.device.build import compile_project

    compile_project(project, "board")
    (tmp_path / "make").symlink_to(shutil.which("make") or "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match="renode is not on PATH"), open_target(project, "renode"):
        pass


def test_an_older_project(project: Path, tmp_path: Path, fake: Callable[[str], None]) -> None:
    fake("")
    shutil.copytree(project, tmp_path / "old")
    (tmp_path / "old" / "renode.resc").unlink()
    with pytest.raises(UsageError, match=r"has no renode\.resc"), open_target(tmp_path / "old", "renode"):
        pass


# ---- the files -------------------------------------------------------------------------------------


def test_the_platform_is_the_boards(project: Path) -> None:
    board = config.load_board("nano33")
    text = (project / "nrf52840.repl").read_text()
    assert f"size: 0x{board.flash_bytes:X}" in text
    assert f"size: 0x{board.ram_bytes:X}" in text
    assert f"frequency: {board.clock_hz}" in text
    assert "http" not in text + (project / "renode.resc").read_text()


def test_the_robot_speaks_the_protocol() -> None:
    """The bytes in the .robot file are a HELLO's cell."""
    text = (HERE / "robot" / "board.robot").read_text()
    (cell,) = re.findall(r"@\{HELLO\}((?:[\n. ]+[0-9a-f]{2}\b)+)", text)
    assert bytes.fromhex(cell.replace(".", " ")) == frames.cell(Frame(Type.HELLO, 1))
    (name,) = re.findall(r"\$\{NAME\} +((?:[0-9a-f]{2} )+[0-9a-f]{2})", text)
    assert bytes.fromhex(name) == b"nano33"


# ---- the board as Renode models it ------------------------------------------------------------------


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Model]:
    model = compiler.read(next(iter(sorted(paths.students_dir().glob("*/student.tflite")))))
    directory = tmp_path_factory.mktemp("student") / "p"
    firmware.write(firmware.project(model, config.load_board("nano33")), directory)
    return directory, model


@pytest.mark.parametrize(
    "lane",
    [
        ("emulator", "renode"),
        pytest.param(("renode", ""), marks=pytest.mark.skipif(REAL is None, reason="needs renode")),
    ],
    ids=["quirks", "renode"],
)
def test_a_student_equals_the_host(student: tuple[Path, Model], lane: tuple[str, str]) -> None:
    directory, model = student
    assert model.card
    fe = model.card.front_end
    pcm = np.random.default_rng(4).normal(0, 2_000, (2, fe.samples)).astype(np.int16)
    with open_target(directory, "host") as session:
        expected = [[w.logits for w in session.classify(clip).windows] for clip in pcm]
    with open_target(directory, lane[0], quirks=lane[1]) as session:
        assert [[w.logits for w in session.classify(clip).windows] for clip in pcm] == expected
