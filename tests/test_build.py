"""Building a project: sizes as the binutils count them, little built twice, errors in one line."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tiny

from mcu_asc import compiler, config, firmware, paths
from mcu_asc.device.build import compile_project
from mcu_asc.device.targets import open_target
from mcu_asc.errors import AscError, OverBudget, ToolMissing, UsageError
from mcu_asc.nouns import Board, Model
from mcu_asc.toolchain import arm_gcc

STUDENTS = sorted(paths.students_dir().glob("*/student.tflite"))
BOARD = config.load_board("nano33")


@pytest.fixture(scope="module", params=STUDENTS, ids=lambda p: p.parent.name)
def model(request: pytest.FixtureRequest) -> Model:
    return compiler.read(request.param)


@pytest.fixture(scope="module")
def built(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("build") / "p"
    firmware.write(firmware.project(model, BOARD), directory)
    compile_project(directory, "board")
    return directory


def binutils(tool: str, *arguments: str | Path) -> list[str]:
    done = subprocess.run([arm_gcc() + tool, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def tiny_project(monkeypatch: pytest.MonkeyPatch, directory: Path, board: Board = BOARD) -> Path:
    with monkeypatch.context() as patch:
        patch.setattr(config, "load_board", lambda name: board)
        return tiny.write(patch, directory)


# ---- sizes ---------------------------------------------------------------------------------------------


def test_sizes_are_those_of_arm_none_eabi_size(built: Path) -> None:
    image = compile_project(built, "board")
    text, data, bss = map(int, binutils("size", built / "firmware.elf")[1].split()[:3])
    assert (image.text_bytes, image.data_bytes, image.bss_bytes) == (text, data, bss)
    assert image.stack_bytes == BOARD.stack_bytes
    assert (built / "firmware.bin").stat().st_size == image.flash_bytes
    assert (built / "firmware.hex").read_text().startswith(":02")


def test_tables_and_weights_are_counted_as_the_linker_placed_them(built: Path) -> None:
    """The manifest's bytes are those of the generated files' arrays among the linked symbols."""
    manifest = firmware.load_manifest(built)
    text = "".join((built / "src" / f"{n}.c").read_text() for n in ("model_dsp", "front_end"))
    names = set(re.findall(r"^(?:static )?const \w+ (\w+)", text, re.MULTILINE))
    arrays = 0
    for line in binutils("nm", "-S", built / "firmware.elf"):
        fields = line.split()
        if len(fields) == 4 and fields[3].partition(".")[0] in names:
            arrays += int(fields[1], 16)
    counted = manifest["weight_bytes"] + manifest["table_bytes"]
    structs = len(re.findall(r"^static const \w+ \w+ = \{", text, re.MULTILINE))
    assert counted <= arrays <= counted + 100 * structs  # the rest: parameters of layers and of their pieces


def test_estimates_before_linking(built: Path, model: Model) -> None:
    image = compile_project(built, "board")
    ram = firmware.ram_bytes(model, compiler.plan(model.graph, "dsp"), BOARD)
    assert image.ram_bytes <= ram <= image.ram_bytes + 2_000
    flash = firmware.rough_flash_bytes(model, BOARD)
    assert image.flash_bytes <= flash <= image.flash_bytes + 10_000


def test_the_code_is_small(built: Path) -> None:
    manifest = firmware.load_manifest(built)
    code = compile_project(built, "board").flash_bytes - manifest["weight_bytes"] - manifest["table_bytes"]
    assert code < 24 * 1024


# ---- what is built when -----------------------------------------------------------------------------


def test_only_what_changed_is_built_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    directory = tiny_project(monkeypatch, tmp_path / "p")
    elf = compile_project(directory, "board").elf
    first = elf.stat().st_mtime_ns
    objects = {p: p.stat().st_mtime_ns for p in directory.rglob("*.o")}
    tiny_project(monkeypatch, directory)
    compile_project(directory, "board")
    assert elf.stat().st_mtime_ns == first
    os.utime(directory / "src" / "asc_wire.c")
    compile_project(directory, "board")
    assert {p.name for p, t in objects.items() if p.stat().st_mtime_ns != t} == {"asc_wire.o"}
    assert elf.stat().st_mtime_ns > first
    os.utime(directory / "src" / "asc_wire.h")  # headers are followed
    compile_project(directory, "board")
    assert (directory / "build/board/src/asc_app.o").stat().st_mtime_ns != objects[
        directory / "build/board/src/asc_app.o"
    ]


def test_the_same_firmware_wherever_it_is_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    binaries = []
    for name in ("a", "b/c"):
        directory = tiny_project(monkeypatch, tmp_path / name)
        compile_project(directory, "board")
        binaries.append((directory / "firmware.bin").read_bytes())
    assert binaries[0] == binaries[1]


# ---- errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ram_bytes": 8_192}, r"tiny for nano33 does not fit: [\d,]+ bytes of RAM missing"),
        ({"app_offset_bytes": BOARD.flash_bytes - 8_192}, r"does not fit: [\d,]+ bytes of flash missing"),
    ],
)
def test_too_large_for_the_board(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: dict[str, int], says: str
) -> None:
    directory = tiny_project(monkeypatch, tmp_path / "p", dataclasses.replace(BOARD, **change))
    with pytest.raises(OverBudget, match=says):
        compile_project(directory, "board")


def test_an_error_of_the_compiler_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    directory = tiny_project(monkeypatch, tmp_path / "p")
    (directory / "src" / "model.c").write_text("int x = y;\n")
    for target in ("board", "host"):
        with pytest.raises(
            AscError, match=r"building tiny for nano33 failed: src/model\.c:1:\d+: error: "
        ) as e:
            compile_project(directory, target)  # type: ignore[arg-type]
        assert type(e.value) is AscError
        assert "\n" not in str(e.value)
        assert "run make in" in e.value.hint


@pytest.mark.parametrize(
    ("there", "target", "says"),
    [
        (("make", "mkdir"), "board", "arm-none-eabi-gcc is not on PATH"),
        (("make", "mkdir"), "host", "no C compiler for this machine"),
        ((), "board", "make is not on PATH"),
    ],
)
def test_a_missing_tool_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: tuple[str, ...], target: str, says: str
) -> None:
    directory = tiny_project(monkeypatch, tmp_path / "p")
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for tool in there:
        (bin_ / tool).symlink_to(shutil.which(tool) or "")
    monkeypatch.setenv("PATH", str(bin_))
    with pytest.raises(ToolMissing, match=says) as e:
        compile_project(directory, target)  # type: ignore[arg-type]
    assert "apt-get install" in e.value.hint


def test_what_is_built_needs_no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    directory = tiny_project(monkeypatch, tmp_path / "p")
    image = compile_project(directory, "board")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "make").symlink_to(shutil.which("make") or "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert compile_project(directory, "board") == image


def test_a_folder_that_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a firmware project"):
        compile_project(tmp_path, "board")


# ---- the real thing, end to end ------------------------------------------------------------------------


@pytest.mark.parametrize("on", ["host", "emulator"])
def test_students_equal_tflm_from_samples_to_logits(built: Path, model: Model, on: str) -> None:
    """Samples in, every window's logits out: as the TFLM interpreter gives them for the front end's rows."""
    pytest.importorskip("tflite_micro")
    from mcu_asc.results.score import interpreter_oracle

    card = model.card
    assert card
    oracle = interpreter_oracle(model)
    assert oracle
    r = np.random.default_rng(4)
    samples = 2 * card.front_end.samples
    with open_target(built, on) as session:
        for loudness in (30, 3_000, 40_000):
            pcm = np.clip(r.normal(0, loudness, samples), -32_768, 32_767).astype(np.int16)
            assert tuple(w.logits for w in session.classify(pcm).windows) == oracle(pcm)
        assert len(session.bench().layer_cycles) == len(model.graph.ops)


@pytest.mark.parametrize("name", ["ad01_int8", "kws_ref_model"])
def test_tensors_equal_tflm(models_dir: Path, tmp_path: Path, name: str) -> None:
    """An input of several cells, an output of several frames."""
    runtime = pytest.importorskip("tflite_micro").runtime
    model = compiler.read(models_dir / f"{name}.tflite")
    firmware.write(firmware.project(model, BOARD), tmp_path / "p")
    interpreter = runtime.Interpreter.from_bytes(model.content)
    shape = model.graph.tensors[model.graph.inputs[0]].shape
    r = np.random.default_rng(5)
    with open_target(tmp_path / "p", "host") as session:
        for _ in range(20):
            x = r.integers(-128, 128, shape).astype(np.int8)
            interpreter.set_input(x, 0)
            interpreter.invoke()
            assert session.tensor(x.tobytes()) == interpreter.get_output(0).astype(np.int8).tobytes()
