"""The sketch as Arduino builds it: a layout its tools accept, the core's own flags, the same answers.

Arduino's core is not here.  tests/arduino has a header with the signatures of its API, and cores behind it:
one that links for the board, one for QEMU's Cortex-M4, one for this machine with a Serial as picky as USB.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qemu_m4 import needs_qemu

from mcu_asc import compiler, config, firmware, paths
from mcu_asc.cli import main
from mcu_asc.device.build import compile_project
from mcu_asc.device.session import Session
from mcu_asc.device.targets import open_target, serve
from mcu_asc.errors import AscError, DeviceError, OverBudget, UsageError
from mcu_asc.nouns import Board, FirmwareProject, Model
from mcu_asc.results.check import check
from mcu_asc.toolchain import arm_gcc, image

CORE = Path(__file__).parent / "arduino"
BOARD = config.load_board("nano33")
NO_DSP = dataclasses.replace(BOARD, cpu="cortex-m3")  # its sketch holds the portable kernels, which run here

# As in ArduinoCore-mbed 4.6.0: variants/ARDUINO_NANO33BLE/{cflags,cxxflags}.txt, platform.txt; our -Werror
CPU = ["-mcpu=cortex-m4", "-mfloat-abi=softfp", "-mfpu=fpv4-sp-d16", "-mthumb"]
WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wno-missing-field-initializers",
    "-Wno-unused-parameter",
    "-Wvla",
    "-Werror",
]
CODE = [
    "-fdata-sections",
    "-ffunction-sections",
    "-fno-exceptions",
    "-fomit-frame-pointer",
    "-funsigned-char",
]
BOTH = ["-c", "-g3", "-nostdlib", "-Os", "-fmessage-length=0", *WARNINGS, *CODE, *CPU]
FLAGS = {
    ".c": ["-std=gnu11", *BOTH],
    ".cpp": ["-std=gnu++14", "-fno-rtti", *BOTH],
    # neither -mthumb nor an ABI
    ".S": ["-c", "-x", "assembler-with-cpp", "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16"],
}
FLAGS[".ino"] = ["-x", "c++", "-include", "Arduino.h", *FLAGS[".cpp"]]


@pytest.fixture(scope="module")
def model() -> Model:
    return compiler.read(paths.students_dir() / "scenes" / "student.tflite")


@pytest.fixture(scope="module")
def project(model: Model) -> FirmwareProject:
    return firmware.project(model, BOARD, layout="arduino")


def written(project: FirmwareProject, directory: Path) -> Path:
    """The sketch folder of the project on disk."""
    firmware.write(project, directory)
    return directory / project.name


def sources(sketch: Path) -> list[Path]:
    """What Arduino compiles: the sketch's own folder, and all below src/."""
    kinds = (".c", ".cpp", ".S", ".ino")
    return sorted(p for p in [*sketch.iterdir(), *(sketch / "src").rglob("*")] if p.suffix in kinds)


# ---- the layout ----------------------------------------------------------------------------------------


def test_what_arduino_asks_of_a_sketch(project: FirmwareProject) -> None:
    """A main file named as its folder, everything else below src/, no include that leaves the folder."""
    inside = {n: c for n, c in project.files.items() if n.startswith("scenes/")}
    assert {n for n in inside if not n.startswith("scenes/src/")} == {
        "scenes/scenes.ino",
        "scenes/sketch.yaml",
        "scenes/platformio.ini",
    }
    for name, content in inside.items():
        for include in re.findall(r'#include "([^"]+)"', content.decode()):
            here = Path(name).parent / include
            assert here.as_posix() in inside, f"{name} includes {include}"
    assert len(inside["scenes/scenes.ino"].splitlines()) < 15
    assert project.manifest["layout"] == "arduino"


def test_nothing_but_the_arduino_api(project: FirmwareProject) -> None:
    allowed = {"Arduino.h", "PDM.h", "stddef.h", "stdint.h", "string.h"}
    for name, content in project.files.items():
        if name.startswith("scenes/") and name.endswith((".c", ".cpp", ".h", ".ino")):
            assert set(re.findall(r"#include <([^>]+)>", content.decode())) <= allowed, name
            assert "mbed" not in content.decode().lower(), name


def test_the_profile_pins_the_core(project: FirmwareProject) -> None:
    text = project.files["scenes/sketch.yaml"].decode()
    assert BOARD.arduino
    assert f"    fqbn: {BOARD.arduino.fqbn}\n" in text
    assert f"      - platform: {BOARD.arduino.platform}\n" in text
    assert re.search(r"\(\d+\.\d+\.\d+\)", BOARD.arduino.platform)
    assert text.endswith("default_profile: nano33\n")
    assert "board = nano33ble\n" in project.files["scenes/platformio.ini"].decode()
    readme = project.files["README.md"].decode()
    assert "arduino-cli compile --profile nano33 scenes" in readme
    assert "mcu-asc score . --on PORT" in readme


@pytest.mark.parametrize(
    ("name", "sketch"), [("1st model!", "1st-model"), ("-x-", "x"), ("a" * 80, "a" * 63), ("ümlaut", "mlaut")]
)
def test_a_name_that_arduino_takes(model: Model, name: str, sketch: str) -> None:
    assert model.card
    renamed = dataclasses.replace(model, card=dataclasses.replace(model.card, name=name))
    assert f"{sketch}/{sketch}.ino" in firmware.project(renamed, BOARD, layout="arduino").files


def test_boards_and_layouts_that_do_not_go_together(model: Model) -> None:
    with pytest.raises(UsageError, match="no Arduino core") as e:
        firmware.project(model, dataclasses.replace(BOARD, arduino=None), layout="arduino")
    assert "[arduino]" in e.value.hint
    with pytest.raises(UsageError, match="unknown format 'zephyr'"):
        firmware.project(model, BOARD, layout="zephyr")


# ---- for the board, with the core's flags ------------------------------------------------------------------


def compile_one(source: Path, out: Path, *more: str) -> Path:
    gcc = arm_gcc() + ("gcc" if source.suffix in (".c", ".S") else "g++")
    command = [gcc, *FLAGS[source.suffix], *more, f"-I{CORE}", source, "-o", out]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return out


def link(objects: list[Path], elf: Path, *more: str | Path) -> Path:
    command = [
        arm_gcc() + "g++",
        *CPU,
        "-Wl,--gc-sections",
        "--specs=nosys.specs",
        *more,
        *objects,
        "-o",
        elf,
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return elf


@pytest.fixture(scope="module", params=["scenes", "esc10"])
def linked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Path]:
    """A student's sketch in the dsp flavour, linked with a core that does nothing."""
    model = compiler.read(paths.students_dir() / request.param / "student.tflite")
    directory = tmp_path_factory.mktemp("linked")
    sketch = written(firmware.project(model, BOARD, layout="arduino"), directory / "p")
    assert any(p.suffix == ".S" for p in sources(sketch))
    objects = [compile_one(s, directory / f"{s.name}.o") for s in [*sources(sketch), CORE / "board.cpp"]]
    return model, link(objects, directory / "sketch.elf")


def test_it_links_and_the_estimates_hold(linked: tuple[Model, Path]) -> None:
    """flash and RAM of the sketch, less a core of nothing, are what `check` says before."""
    model, elf = linked
    fit, bare = check(model, BOARD, None, "arduino"), check(model, BOARD, None)
    empty = 4_000  # newlib's start-up and memcpy; the real core's are in the board's file
    size = image(elf)
    assert size.ram_bytes - empty <= fit.ram_bytes <= size.ram_bytes + 2_000
    assert size.flash_bytes - empty <= fit.flash_bytes <= size.flash_bytes + 12_000
    assert BOARD.arduino
    assert bare.ram_limit_bytes - fit.ram_limit_bytes == BOARD.arduino.ram_bytes
    assert bare.flash_limit_bytes - fit.flash_limit_bytes == BOARD.arduino.flash_bytes
    assert bare.ram_bytes - fit.ram_bytes == BOARD.stack_bytes


def text_bytes(path: Path) -> int:
    done = subprocess.run([arm_gcc() + "size", path], capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[1].split()[0])


def test_what_takes_the_time_is_compiled_for_speed(project: FirmwareProject, tmp_path: Path) -> None:
    """The core says -Os; the sketch's hot files come out near to -O3's, its other files as with -Os."""
    sketch = written(project, tmp_path / "p")
    fast = {p.name for p in sources(sketch) if p.read_text().startswith('#include "asc_faster.h"')}
    kernels = firmware._kernel_names(compiler.read(tmp_path / "p" / "model.tflite"), "dsp", "aot")
    assert fast == {*firmware._FAST, *(n for n in kernels if n.endswith(".c"))} - firmware._DRIVERS
    for name in ("asc_frontend.c", "asc_gemv_dsp.c", "asc_sum_dsp.c"):
        ours = text_bytes(compile_one(sketch / "src" / name, tmp_path / "s.o"))
        best = text_bytes(compile_one(sketch / "src" / name, tmp_path / "3.o", "-O3"))
        plain = tmp_path / name
        plain.write_text((sketch / "src" / name).read_text().partition("\n")[2])
        small = text_bytes(compile_one(plain, tmp_path / "0.o", f"-I{sketch / 'src'}"))
        assert ours - small > (best - small) / 2  # gcc keeps some of -O3 to whole files


# ---- here, through the API --------------------------------------------------------------------------------


def compile_here(model: Model, board: Board, directory: Path, *more: Path) -> Path:
    """The sketch, with portable kernels, as a program of this machine: setup(), loop() and a fake Serial."""
    sketch = written(firmware.project(model, board, layout="arduino"), directory / "p")
    objects = []
    for source in [*sources(sketch), CORE / "host.cpp", *more]:
        kind = ["gcc", "-std=gnu11"] if source.suffix == ".c" else ["g++", "-std=gnu++14"]
        kind += ["-x", "c++", "-include", "Arduino.h"] if source.suffix == ".ino" else []
        out = directory / f"{source.name}.o"
        flags = [*WARNINGS, "-Os", "-funsigned-char", f"-I{CORE}", "-c"]
        subprocess.run([*kind, *flags, str(source), "-o", str(out)], check=True)
        objects.append(str(out))
    subprocess.run(["g++", *objects, "-o", str(directory / "sketch")], check=True)
    return directory / "sketch"


@pytest.fixture(scope="module")
def sketch_here(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_here(model, NO_DSP, tmp_path_factory.mktemp("here"))


def test_the_same_answers_as_the_bare_metal_build(sketch_here: Path, model: Model, tmp_path: Path) -> None:
    """Clips of the scenes, logits and features byte for byte; a raw tensor path; bench."""
    from mcu_asc.audio import datasets

    ds = datasets.open_dataset("scenes", None)
    clips = datasets.select(ds, "4", 4)
    assert model.card
    firmware.write(firmware.project(model, BOARD), tmp_path / "bare")
    hop = model.card.decision.hop_rows
    with (
        open_target(tmp_path / "bare", "host") as bare,
        serve(sketch_here) as (url, _),
        Session(url, hop_rows=hop, fingerprint=model.fingerprint) as sketch,
    ):
        for clip in clips:
            pcm = ds.pcm(clip, model.card.front_end.sample_rate_hz)
            ours, theirs = sketch.features(pcm), bare.features(pcm)
            assert [w.logits for w in ours.windows] == [w.logits for w in theirs.windows]
            assert ours.features is not None and theirs.features is not None
            assert np.array_equal(ours.features, theirs.features)
        assert sketch.retries == 0
        bench = sketch.bench()
        assert len(bench.layer_cycles) == len(model.graph.ops)
        assert bench.frontend_cycles > 0 and bench.frontend_cycles % 64 == 0  # microseconds at 64 MHz
        assert sketch.info.board == "nano33"


@needs_qemu
def test_the_fast_kernels_as_the_core_compiles_them(model: Model, tmp_path: Path) -> None:
    """-Os, softfp, assembly without a word about the ABI: on QEMU's Cortex-M4, one window, the same bytes."""
    sketch = written(firmware.project(model, BOARD, layout="arduino"), tmp_path / "p")
    qemu = CORE.parent / "qemu"
    objects = [compile_one(s, tmp_path / f"{s.name}.o") for s in [*sources(sketch), CORE / "qemu.cpp"]]
    objects.append(compile_one(qemu / "start.c", tmp_path / "start.o", f"-I{qemu}"))
    elf = link(objects, tmp_path / "sketch.elf", "-nostartfiles", f"-T{qemu / 'qemu.ld'}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = ["qemu-system-arm", "-M", "mps2-an386", "-display", "none", "-monitor", "none"]
    command += ["-semihosting-config", "enable=on,target=native", "-kernel", str(elf)]
    qemu_process = subprocess.Popen([*command, "-serial", f"tcp:{address},server=on,wait=off"])
    assert model.card
    card = model.card
    pcm = np.random.default_rng(6).normal(0, 3_000, card.front_end.samples).astype(np.int16)
    options = {"hop_rows": card.decision.hop_rows, "fingerprint": model.fingerprint}
    try:
        with open_target(tmp_path / "p", "host") as here, connect(f"socket://{address}", **options) as there:
            ours, theirs = there.features(pcm), here.features(pcm)
            assert [w.logits for w in ours.windows] == [w.logits for w in theirs.windows]
            assert ours.features is not None and theirs.features is not None
            assert np.array_equal(ours.features, theirs.features)
    finally:
        qemu_process.kill()
        qemu_process.wait()


def connect(url: str, **options: Any) -> Session:
    """A session with a program that may not listen yet."""
    until = time.monotonic() + 10
    while True:
        try:
            return Session(url, **options)
        except DeviceError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def test_a_host_that_leaves_and_comes_back(sketch_here: Path, model: Model) -> None:
    """In the middle of a clip: nobody listens, nothing blocks, the next host finds a device that answers."""
    pcm = np.zeros(40_000, np.int16)
    with serve(sketch_here) as (url, _):
        with Session(url, fingerprint=model.fingerprint) as first:
            first._line.write(b"\x00\x03half a cell")
        with Session(url, hop_rows=5, fingerprint=model.fingerprint) as second:
            assert second.classify(pcm).windows


# ---- the microphone ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def listening(model: Model, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A sketch with a microphone as a program of this machine, and what its microphone hears."""
    directory = tmp_path_factory.mktemp("listening")
    noise = np.random.default_rng(2).normal(0, 1000, 6 * 16_000).astype("<i2")
    noise.tofile(directory / "heard.raw")
    board = dataclasses.replace(NO_DSP, mic_rates_hz=(16_000,))
    return compile_here(model, board, directory, CORE / "pdm.cpp"), directory / "heard.raw"


def test_a_sketch_hears_what_a_clip_is(listening: tuple[Path, Path], sketch_here: Path) -> None:
    sketch, heard = listening
    with serve(sketch, {"MCU_ASC_MIC": str(heard)}) as (url, _), Session(url) as session:
        found = list(session.live(25, seconds=3.0, settle_s=1.0))
    with serve(sketch_here) as (url, _), Session(url, hop_rows=25) as session:
        clip = session.classify(np.fromfile(heard, "<i2")[16_000:64_000].astype(np.int16))
    assert [d.logits for d in found] == [w.logits for w in clip.windows]
    assert [d.time_s for d in found] == [2.044, 2.544, 3.044, 3.544]
    assert {(d.dropped, d.skipped) for d in found} == {(0, 0)}


def test_a_microphone_that_the_core_has_stopped_is_started_again(listening: tuple[Path, Path]) -> None:
    """After 1.6 s the library falls silent, as it does when a buffer was fetched too late."""
    sketch, heard = listening
    with (
        serve(sketch, {"MCU_ASC_MIC": str(heard), "MCU_ASC_STALL": "100"}) as (url, _),
        Session(url) as session,
    ):
        found = list(session.live(25, seconds=5.0, settle_s=0.0))
    assert [d.dropped for d in found][:2] == [0, 0]  # before
    assert found[-1].dropped >= 0.25 * 16_000
    assert found[-1].time_s > 4.0
    gap = next(d for d in found if d.dropped)
    assert gap.time_s >= 100 * 256 / 16_000 + 1.044  # no window contains the hole


def test_a_sketch_with_a_microphone_links(model: Model, tmp_path: Path) -> None:
    sketch = written(
        firmware.project(model, config.load_board("nano33-sense"), layout="arduino"), tmp_path / "p"
    )
    objects = [
        compile_one(s, tmp_path / f"{s.name}.o")
        for s in [*sources(sketch), CORE / "board.cpp", CORE / "nopdm.cpp"]
    ]
    size = image(link(objects, tmp_path / "sketch.elf"))
    fit = check(model, config.load_board("nano33-sense"), None, "arduino")
    assert size.ram_bytes - 4_000 <= fit.ram_bytes <= size.ram_bytes + 2_000


# ---- the verbs --------------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *args: str | Path) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(list(map(str, args)))
    out, err = capsys.readouterr()
    assert isinstance(end.value.code, int)
    return end.value.code, out, err


def test_check_and_build_know_the_room_of_each_format(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bare = json.loads(run(capsys, "check", "scenes", "--json")[1])
    sketch = json.loads(run(capsys, "check", "scenes", "--format", "arduino", "--json")[1])
    assert bare["ram_limit_bytes"] == 262_144 and bare["flash_limit_bytes"] == 983_040
    assert sketch["ram_limit_bytes"] == 262_144 - 52_624
    assert sketch["flash_limit_bytes"] == 983_040 - 95_218
    verb = ["build", "--student", "scenes", "--format", "arduino", "--out", tmp_path / "p"]
    code, out, err = run(capsys, *verb, "--json")
    assert code == 0, err
    result = json.loads(out)
    assert result["estimate"] and result["ram_limit_bytes"] == sketch["ram_limit_bytes"]
    assert (tmp_path / "p" / "scenes" / "scenes.ino").is_file()
    assert "README.md" in run(capsys, *verb)[1]


def test_a_model_for_bare_metal_only(model: Model) -> None:
    """Between the room of the one and the room of the other."""
    assert BOARD.arduino
    need = check(model, BOARD, None).ram_bytes
    core = dataclasses.replace(BOARD.arduino, ram_bytes=BOARD.ram_bytes - need + 10_000)
    tight = dataclasses.replace(BOARD, arduino=core)
    assert check(model, tight, None).fits
    result = check(model, tight, None, "arduino")
    assert not result.fits and "nano33's Arduino core has" in result.reasons[0]


def test_compile_needs_arduino_cli(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    verb = ("build", "--student", "scenes", "--format", "arduino", "--compile", "--out", tmp_path / "p")
    code, _, err = run(capsys, *verb)
    assert code == 4 and "arduino-cli is not on PATH" in err and "https://" in err and err.count("\n") == 1


def fake_cli(directory: Path, script: str) -> None:
    path = directory / "arduino-cli"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_compile_calls_arduino_cli(
    linked: tuple[Model, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As the README says it to a person: the pinned profile; sizes are those of the linked file."""
    model, elf = linked
    project = firmware.project(model, BOARD, layout="arduino")
    firmware.write(project, tmp_path / "p")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    name = project.name
    copy = f'echo "$@" > args; mkdir -p "$5"; cp {elf} "$5/{name}.ino.elf"'
    fake_cli(tmp_path, copy)
    size = compile_project(tmp_path / "p", "board")
    assert (size.flash_bytes, size.ram_bytes) == (image(elf).flash_bytes, image(elf).ram_bytes)
    said = (tmp_path / "p" / "args").read_text().strip()
    assert said == f"compile --profile nano33 --build-path build/arduino {name}"
    assert f"arduino-cli compile --profile nano33 {name}" in (tmp_path / "p" / "README.md").read_text()

    fake_cli(tmp_path, "echo \"x.ino:3:1: error: 'y' was not declared\" >&2; exit 1")
    with pytest.raises(AscError, match=r"x\.ino:3:1: error: 'y' was not declared"):
        compile_project(tmp_path / "p", "board")
    fake_cli(tmp_path, 'echo "ld: region \\`RAM\' overflowed by 4242 bytes" >&2; exit 1')
    with pytest.raises(OverBudget, match="4,242 bytes of RAM missing"):
        compile_project(tmp_path / "p", "board")


def test_a_sketch_is_scored_on_this_machine_and_not_in_the_emulator(
    capsys: pytest.CaptureFixture[str], project: FirmwareProject, tmp_path: Path
) -> None:
    """The project keeps a host build: what a board's answers are compared with."""
    firmware.write(project, tmp_path / "p")
    verb = ("score", tmp_path / "p", "--data", "scenes", "--folds", "4", "--limit", "3", "--json")
    code, out, err = run(capsys, *verb, "--on", "host")
    assert code == 0, err
    assert json.loads(out)["parity"]["equal"] == 3
    code, _, err = run(capsys, *verb, "--on", "emulator")
    assert code == 2 and "does not run Arduino's core" in err


@pytest.mark.skipif(not shutil.which("arduino-cli"), reason="needs arduino-cli and the core's download")
def test_the_real_core(project: FirmwareProject, tmp_path: Path) -> None:
    firmware.write(project, tmp_path / "p")
    assert compile_project(tmp_path / "p", "board").flash_bytes > 100_000
