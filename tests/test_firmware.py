"""Firmware projects: the same bytes each time, honest sizes, and writing that harms nobody's files."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path

import pytest
import tiny

from mcu_asc import compiler, config, firmware, paths
from mcu_asc.audio.frontend import kernel_sources
from mcu_asc.decide import alive_level
from mcu_asc.errors import UsageError
from mcu_asc.nouns import FirmwareProject, Model

STUDENTS = sorted(paths.students_dir().glob("*/student.tflite"))


@pytest.fixture(scope="module", params=STUDENTS, ids=lambda p: p.parent.name)
def model(request: pytest.FixtureRequest) -> Model:
    return compiler.read(request.param)


@pytest.fixture(scope="module")
def project(model: Model) -> FirmwareProject:
    return firmware.project(model, config.load_board("nano33"))


# ---- what is in it -----------------------------------------------------------------------------------


def test_the_same_bytes_each_time(model: Model, project: FirmwareProject) -> None:
    again = firmware.project(model, config.load_board("nano33"))
    assert dict(again.files) == dict(project.files)
    assert list(project.files) == sorted(project.files)


def test_files_are_plain(project: FirmwareProject) -> None:
    for name, content in project.files.items():
        assert re.fullmatch(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?", name)
        if not name.endswith(".tflite"):
            text = content.decode("utf-8")
            assert str(paths.firmware_dir().parent) not in text, name
            assert "\r" not in text
            assert text.endswith("\n")
    names = [Path(n).name for n in project.files if n.startswith("src/")]
    assert len(names) == len(set(names))


def test_includes_are_met_within_the_project(project: FirmwareProject) -> None:
    """A sketch flattens src/: every quote-include is a sibling, or the port's own."""
    src = {Path(n).name for n in project.files if n.startswith("src/")}
    for name, content in project.files.items():
        if name.endswith((".c", ".h")):
            here = {Path(n).name for n in project.files if Path(n).parent == Path(name).parent}
            for include in re.findall(r'#include "([^"]+)"', content.decode()):
                assert include in src | here, f"{name} includes {include}"


def test_only_the_kernels_it_needs(model: Model, project: FirmwareProject) -> None:
    """Those of the board's flavour, and the portable ones for the host."""
    kernels = {p.name for p in (paths.firmware_dir() / "kernels").glob("*/*.[cS]")}
    there = {Path(n).name for n in project.files} & kernels
    front_end = {p.name for flavour in ("dsp", "ref") for p in kernel_sources(flavour)}
    layers = {k for flavour in ("dsp", "ref") for k in compiler.kernel_sources(model.graph, flavour)}
    assert there == layers | front_end


def test_manifest(model: Model, project: FirmwareProject) -> None:
    manifest = json.loads(project.files["project.json"])
    assert manifest == json.loads(json.dumps(project.manifest))
    assert manifest["fingerprint"] == model.fingerprint.hex()
    assert manifest["files"] == sorted(project.files)
    assert config.card_from_json(json.dumps(manifest["card"])) == model.card
    assert [x["index"] for x in manifest["layers"]] == list(range(len(model.graph.ops)))
    assert manifest["arena_bytes"] == compiler.plan(model.graph, "dsp").arena_bytes
    assert project.files["model.tflite"] == model.content


def test_the_project_says_who_it_is(model: Model, project: FirmwareProject) -> None:
    text = project.files["src/project.c"].decode()
    assert ", ".join(map(str, model.fingerprint)) in text
    assert model.card
    assert f".alive_level = {alive_level(model.card.decision)}," in text


def test_without_a_card_it_takes_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    project = tiny.project(monkeypatch, card=None)
    source = project.files["src/project.c"].decode()
    assert all(f".{part} = NULL," in source for part in ("fe", "sound", "live"))
    assert "src/front_end.c" not in project.files
    assert project.manifest["card"] is None


# ---- what is refused ---------------------------------------------------------------------------------


def test_a_front_end_that_does_not_match(model: Model) -> None:
    assert model.card
    fe = dataclasses.replace(model.card.front_end, rows=model.card.front_end.rows + 1)
    odd = dataclasses.replace(model, card=dataclasses.replace(model.card, front_end=fe))
    with pytest.raises(UsageError, match=rf"gives {fe.rows} rows of {fe.bands} bands, the network takes"):
        firmware.project(odd, config.load_board("nano33"))


def test_a_board_without_a_port(model: Model) -> None:
    board = dataclasses.replace(config.load_board("nano33"), soc="z80")
    with pytest.raises(UsageError, match="no port for 'z80'") as e:
        firmware.project(model, board)
    assert "nrf52840" in e.value.hint
    assert "host" not in e.value.hint


def test_an_engine_that_is_not_there(model: Model) -> None:
    with pytest.raises(UsageError, match="unknown engine 'x'"):
        firmware.project(model, config.load_board("nano33"), engine="x")


# ---- writing it --------------------------------------------------------------------------------------


def on_disk(directory: Path) -> dict[str, bytes]:
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def test_write_to_a_new_an_empty_and_our_own_folder(project: FirmwareProject, tmp_path: Path) -> None:
    new, empty = tmp_path / "a" / "new", tmp_path / "empty"
    empty.mkdir()
    for directory in (new, empty, new):
        firmware.write(project, directory)
        assert on_disk(directory) == dict(project.files)
    assert os.listdir(tmp_path / "a") == ["new"]  # nothing left over  # noqa: PTH208


def test_files_that_are_the_same_keep_their_time(project: FirmwareProject, tmp_path: Path) -> None:
    firmware.write(project, tmp_path / "p")
    for path in (tmp_path / "p").rglob("*"):
        os.utime(path, (1, 1))
    changed = {**project.files, "README.md": b"other\n", "src/new.c": b"\n"}
    del changed["src/asc_wire.c"]
    (tmp_path / "p" / "mine.txt").write_text("a user's own")
    firmware.write(dataclasses.replace(project, files=changed), tmp_path / "p")
    touched = {n for n in changed if (tmp_path / "p" / n).stat().st_mtime > 1}
    assert touched == {"README.md", "src/new.c"}
    assert on_disk(tmp_path / "p") == {**changed, "mine.txt": b"a user's own"}


def test_other_peoples_folders_are_left_alone(project: FirmwareProject, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="holds files that are no firmware project") as e:
        firmware.write(project, tmp_path)
    assert e.value.hint
    (tmp_path / "project.json").write_text('{"name": "of another tool"}')
    with pytest.raises(UsageError, match="is not a manifest of ours"):
        firmware.write(project, tmp_path)
    with pytest.raises(UsageError, match=r"thesis\.tex is a file"):
        firmware.write(project, tmp_path / "thesis.tex")
    assert sorted(on_disk(tmp_path)) == ["project.json", "thesis.tex"]


def test_a_manifest_cannot_make_us_remove_what_is_outside(project: FirmwareProject, tmp_path: Path) -> None:
    firmware.write(project, tmp_path / "p")
    outside = tmp_path / "outside.txt"
    outside.write_text("x")
    manifest = json.loads((tmp_path / "p" / "project.json").read_text())
    manifest["files"] += ["../outside.txt", str(outside)]
    (tmp_path / "p" / "project.json").write_text(json.dumps(manifest))
    firmware.write(project, tmp_path / "p")
    assert outside.exists()


def test_a_new_folder_appears_whole_or_not_at_all(
    project: FirmwareProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes, written = Path.write_bytes, 0

    def fail_at_the_tenth(self: Path, data: bytes) -> int:
        nonlocal written
        written += 1
        if written == 10:
            raise OSError(28, "No space left on device", str(self))
        return write_bytes(self, data)

    monkeypatch.setattr(Path, "write_bytes", fail_at_the_tenth)
    with pytest.raises(UsageError, match=r"cannot write .*: No space left on device"):
        firmware.write(project, tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a firmware project") as e:
        firmware.load_manifest(tmp_path)
    assert "mcu-asc build" in e.value.hint
