"""Listening: the microphone's samples give what the same samples give as a clip, and no loss goes unsaid."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny
from numpy.typing import NDArray

from mcu_asc import cli, compiler, config, firmware, paths
from mcu_asc.audio.datasets import open_dataset
from mcu_asc.audio.frontend import extract
from mcu_asc.decide import alive_level, log_softmax
from mcu_asc.device import frames
from mcu_asc.device.build import compile_project
from mcu_asc.device.emulator import machine
from mcu_asc.device.emulator.serial_line import TcpLine
from mcu_asc.device.frames import Frame, Type
from mcu_asc.device.session import Session
from mcu_asc.device.targets import open_target, serve
from mcu_asc.errors import DeviceError, UsageError
from mcu_asc.nouns import LiveDecision, LiveEnd, ModelCard
from mcu_asc.results import check, monitor

FE = tiny.FRONT_END
RATE = 16_000
BOARD = dataclasses.replace(config.load_board("nano33"), mic_rates_hz=(RATE,))
LANES = {"host": ("host", False), "emulator": ("emulator", False), "cycles": ("emulator", True)}
LAYER_CYCLES = 9  # of the slow network's loop, about


def noise(seconds: float, seed: int = 0) -> NDArray[np.int16]:
    r = np.random.default_rng(seed)
    loudness = np.repeat(10.0 ** r.uniform(0, 4, int(seconds * RATE) // 2000 + 1), 2000)
    x = r.normal(0, 1, int(seconds * RATE))
    return np.clip(x * loudness[: len(x)], -32768, 32767).astype(np.int16)


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A tiny project for a board with a microphone; `slow`: its network counts so far."""

    def make(slow: int = 0, board: config.Board = BOARD, card: ModelCard = tiny.CARD) -> Path:
        directory = tmp_path_factory.mktemp("live") / "tiny"
        with pytest.MonkeyPatch.context() as patch:
            firmware.write(tiny.project(patch, card, board=board, slow=slow), directory)
        return directory

    return make


@pytest.fixture(scope="module")
def project(write: Callable[..., Path]) -> Path:
    return write()


@pytest.fixture(params=LANES)
def lane(request: pytest.FixtureRequest) -> tuple[str, bool]:
    return LANES[request.param]


def run(session: Session, *args: object, **options: object) -> tuple[list[LiveDecision], LiveEnd]:
    live = session.live(*args, **options)  # type: ignore[arg-type]
    out = []
    while True:
        try:
            out.append(next(live))
        except StopIteration as e:
            return out, e.value


def check_decisions(found: list[LiveDecision], heard: NDArray[np.int16]) -> None:
    """Every decision is the network's on the samples that end at its time: none knows of a hole."""
    assert [d.index for d in found] == list(range(len(found)))
    for d in found:
        end = round(d.time_s * RATE)
        rows = extract(heard[end - FE.samples : end], FE)
        assert d.features_crc == zlib.crc32(rows.q.tobytes())
        assert d.logits == tiny.network(rows.q)
        assert d.alive_rows == np.sum(rows.level_q9 > alive_level(tiny.CARD.decision))


def times(hop_rows: int, seconds: float) -> list[float]:
    """Ends of the windows of a clip of so many seconds."""
    step = hop_rows * FE.hop
    count = 1 + (int(seconds * RATE) - FE.samples) // step
    return [round((FE.samples + i * step) / RATE, 3) for i in range(count)]


# ---- the same as a clip ------------------------------------------------------------------------------


@pytest.mark.parametrize("hop_rows", [3, 8, 11])
def test_the_same_windows_as_of_a_clip(project: Path, lane: tuple[str, bool], hop_rows: int) -> None:
    pcm = noise(1.5, hop_rows)
    with open_target(project, *lane, heard=pcm) as session:
        found, end = run(session, hop_rows, seconds=1.5, settle_s=0)
        session.hop_rows = hop_rows
        clip = session.classify(pcm)
    check_decisions(found, pcm)
    assert [d.time_s for d in found] == times(hop_rows, 1.5)
    assert [d.logits for d in found] == [w.logits for w in clip.windows]
    assert end == LiveEnd("time", len(found), 0, 0, 1.5)


def test_settling_is_ignored(project: Path, lane: tuple[str, bool]) -> None:
    pcm = np.concatenate([np.full(RATE // 2 + 77, 30_000, np.int16), noise(1.0)])
    settled = RATE // 2 + 80  # whole milliseconds
    with open_target(project, *lane, heard=pcm) as session:
        found, end = run(session, 3, seconds=0.9, settle_s=settled / RATE)
    check_decisions(found, pcm)
    assert [d.time_s for d in found] == [round(t + settled / RATE, 3) for t in times(3, 0.9)]
    assert end.time_s == pytest.approx(0.9 + settled / RATE)


def test_the_file_behind_the_host_ends(project: Path) -> None:
    with open_target(project, "host", heard=noise(1.0)) as session:
        found, end = run(session, 3, settle_s=0)
    assert end.reason == "ended"
    assert [d.time_s for d in found][: len(times(3, 1.0))] == times(3, 1.0)


# ---- too slow ----------------------------------------------------------------------------------------


def test_decisions_that_come_due_meanwhile_are_skipped(write: Callable[..., Path]) -> None:
    """60 ms for an inference, one due every 20: the ring lasts, a third is decided, all on the grid."""
    pcm = noise(1.5)
    slow = int(0.06 * BOARD.clock_hz / LAYER_CYCLES)
    with open_target(write(slow), "emulator", True, heard=pcm) as session:
        found, end = run(session, 1, seconds=1.5, settle_s=0)
    check_decisions(found, pcm)
    assert end.dropped == 0
    assert end.skipped >= len(found)
    # What comes due in the last inference may lie behind the end.
    assert len(found) + end.skipped == pytest.approx(len(times(1, 1.5)), abs=1)
    assert {d.time_s for d in found} <= set(times(1, 1.5))
    assert all(d.latency_s > 0.05 for d in found)


def test_samples_that_do_not_fit_are_counted(write: Callable[..., Path]) -> None:
    """300 ms in one layer, longer than the ring: what is lost is said, and no window contains the hole."""
    pcm = noise(2.2)
    directory = write(int(0.3 * BOARD.clock_hz / LAYER_CYCLES))
    ring = firmware._MIC_BLOCK * (firmware._MIC_LEAST + 1)
    with open_target(directory, "emulator", True, heard=pcm) as session:
        found, end = run(session, 1, seconds=2.2, settle_s=0)
        after = session.classify(pcm[:8000])
    check_decisions(found, pcm)
    assert len(found) >= 4
    assert end.dropped % firmware._MIC_BLOCK == 0
    each = end.dropped / len(found)
    busy = np.median([d.model_cycles for d in found]) / BOARD.clock_hz * RATE
    assert each == pytest.approx(busy - ring, abs=3 * firmware._MIC_BLOCK)
    assert [d.dropped for d in found] == sorted(d.dropped for d in found)
    assert 2.2 <= end.time_s < 2.5  # the lost samples' time has passed too
    assert after.windows[0].logits == tiny.network(extract(pcm[: FE.samples], FE).q)


# ---- stopping ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", ["emulator"], indirect=True)
def test_closing_stops_the_device(project: Path, lane: tuple[str, bool]) -> None:
    with open_target(project, *lane, heard=noise(0.5)) as session:
        live = session.live(3, settle_s=0)
        first = [next(live) for _ in range(3)]
        live.close()
        end = session.stop()  # of the run that has ended: asked again
        assert end.reason == "stopped"
        assert end.decisions >= 3
        assert session.stop() == end
        assert [d.index for d in first] == [0, 1, 2]
        pcm = noise(0.3)
        assert session.classify(pcm).windows[0].logits == tiny.network(extract(pcm[: FE.samples], FE).q)


@pytest.mark.parametrize("lane", ["emulator"], indirect=True)
def test_any_command_ends_it(project: Path, lane: tuple[str, bool]) -> None:
    with open_target(project, *lane, heard=noise(0.5)) as session:
        live = session.live(3, settle_s=0)
        next(live)
        assert session.hello() == session.info
        assert session.stop().reason == "stopped"


def test_nothing_to_stop(project: Path) -> None:
    with open_target(project, "host") as session, pytest.raises(DeviceError, match="no LIVE to stop"):
        session.stop()


# ---- who cannot listen -------------------------------------------------------------------------------


def test_no_microphone(write: Callable[..., Path], project: Path) -> None:
    with (
        open_target(write(board=config.load_board("nano33")), "emulator") as session,
        pytest.raises(DeviceError, match="no microphone at the front end's rate"),
    ):
        next(session.live())
    with open_target(project, "host") as session, pytest.raises(DeviceError, match="MCU_ASC_MIC names no"):
        next(session.live())


def test_refusals_in_words() -> None:
    def why(fe: object, board: config.Board) -> str:
        return str(firmware.live_refusal(fe, board))  # type: ignore[arg-type]

    nano33 = config.load_board("nano33")
    assert "has no microphone" in why(FE, nano33)
    assert "wants 44,100 Hz" in why(dataclasses.replace(FE, sample_rate_hz=44_100), BOARD)
    assert "no front end" in why(None, BOARD)
    assert firmware.live_refusal(FE, BOARD) is None
    fast = dataclasses.replace(FE, sample_rate_hz=41_667)  # Arduino's library has it, our own driver has not
    sense = config.load_board("nano33-sense")
    assert "gives 16,000 Hz" in why(fast, sense)
    assert firmware.live_refusal(fast, sense, "arduino") is None
    model = compiler.read(paths.students_dir() / "scenes/student.tflite")
    plain, listening = (check.check(model, b, None) for b in (nano33, BOARD))
    assert any("not live" in w for w in plain.warnings)
    assert not any("not live" in w for w in listening.warnings)
    assert listening.ram_bytes - plain.ram_bytes == firmware.mic_blocks(model, BOARD) * (2 * 256 + 8)


def test_hop_in_seconds() -> None:
    assert [monitor.hop_rows(s, FE) for s in (None, 0.001, 0.02, 0.5)] == [None, 1, 1, 25]
    for bad in (0.0, -1.0, 1e6):
        with pytest.raises(UsageError, match="is not possible"):
            monitor.hop_rows(bad, FE)


# ---- for people ---------------------------------------------------------------------------------------


class Terminal:
    """A person's serial monitor."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("socket://").split(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.settimeout(5)
        self.rest = b""

    def type(self, text: str) -> None:
        self.socket.sendall(text.encode())

    def line(self) -> dict[str, object]:
        while b"\r\n" not in self.rest:
            self.rest += self.socket.recv(4096)
        line, _, self.rest = self.rest.partition(b"\r\n")
        return dict(json.loads(line))

    def is_silent(self) -> bool:
        self.socket.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            self.rest += self.socket.recv(4096)
        self.socket.settimeout(5)
        return not self.rest


@contextlib.contextmanager
def typing(project: Path, lane: tuple[str, bool]) -> Iterator[Terminal]:
    with open_target(project, *lane, heard=np.tile(noise(1.0), 8)) as session:
        url = session._line.url
        session.close()
        time.sleep(0.1)
        yield Terminal(url)


@pytest.fixture
def terminal(project: Path, lane: tuple[str, bool]) -> Iterator[Terminal]:
    with typing(project, lane) as found:
        yield found


@pytest.mark.parametrize("lane", ["host", "emulator"], indirect=True)
def test_lines_of_json_for_a_person(terminal: Terminal) -> None:
    assert terminal.is_silent()
    terminal.type("L\n")
    head = terminal.line()
    assert head == {"live": "tiny", "hop_s": 0.06, "settling_s": 4.0, "stop": "any key"}
    heard = np.tile(noise(1.0), 8)
    for n in range(5):
        line = terminal.line()
        assert set(line) == {
            "time_s",
            "label",
            "probability",
            "alive_rows",
            "dropped",
            "skipped",
            "latency_ms",
        }
        end = round(float(str(line["time_s"])) * RATE)
        assert end == 4 * RATE + FE.samples + n * 3 * FE.hop
        logits = np.frombuffer(tiny.network(extract(heard[end - FE.samples : end], FE).q), np.int8)
        p = np.exp(log_softmax(logits * tiny.SCALE))
        assert line["label"] == tiny.CARD.labels[int(np.argmax(p))]
        assert line["probability"] == pytest.approx(p.max(), abs=0.0012)
    terminal.type(" ")
    while "ended_s" not in (line := terminal.line()):
        pass
    assert terminal.is_silent()


def test_a_label_that_may_hold_beside_others_says_its_own_probability(write: Callable[..., Path]) -> None:
    seen = []
    with typing(write(card=dataclasses.replace(tiny.CARD, multi_label=True)), LANES["host"]) as terminal:
        terminal.type("L\n")
        terminal.line()
        for _ in range(20):
            line = terminal.line()
            end = round(float(str(line["time_s"])) * RATE)
            x = extract(np.tile(noise(1.0), 8)[end - FE.samples : end], FE).q
            z = np.frombuffer(tiny.network(x), np.int8).max() * tiny.SCALE
            assert line["probability"] == pytest.approx(1 / (1 + np.exp(-z)), abs=0.0012)
            seen.append(line["probability"])
    assert len(set(seen)) > 5


@pytest.mark.parametrize("lane", ["host"], indirect=True)
def test_what_a_person_types(terminal: Terminal) -> None:
    for text in ("hello\n", "Lots\n", "L 1 2\n", "L0.5x\n", "L" * 40 + "\n", "\n"):
        terminal.type(text)
        assert terminal.is_silent()
    for text, hop_s in (("L 0.5\r\n", 0.5), ("l\r", 0.06), ("L 0.001\n", 0.02), ("L 12\n", 12.0)):
        terminal.type(text)
        assert terminal.line()["hop_s"] == hop_s
        terminal.type("\n")  # any key; and nothing, should the file have ended before
        while "ended_s" not in terminal.line():
            pass
    for letter in "L 0.1\r":  # letter by letter, each a cell of its own
        terminal.type(letter)
        time.sleep(0.08)
    assert terminal.line()["hop_s"] == 0.1


@pytest.mark.parametrize("lane", ["host"], indirect=True)
def test_a_program_ends_a_persons_run(terminal: Terminal) -> None:
    terminal.type("L\n")
    terminal.line()
    terminal.socket.sendall(frames.cell(Frame(Type.HELLO, 7)))
    decoder, heard = frames.Decoder(), []
    while not heard:
        heard = list(decoder.push(terminal.socket.recv(4096).rpartition(b"}\r\n")[2]))
    assert heard[0].type == Type.HELLO_IS


@pytest.mark.parametrize("lane", ["host"], indirect=True)
def test_a_command_that_is_no_live(terminal: Terminal) -> None:
    decoder = frames.Decoder()
    for payload in (b"", struct.pack("<HHI", 3, 0, 0), struct.pack("<HHII", 0, 0, 0, 0)):
        terminal.socket.sendall(frames.cell(Frame(Type.LIVE, 5, payload)))
        (answer,) = decoder.push(terminal.socket.recv(4096))
        assert (answer.type, answer.seq, answer.payload[0]) == (Type.ERROR, 5, 2)


# ---- colours ------------------------------------------------------------------------------------------


def test_each_class_has_its_colour(project: Path) -> None:
    """Red is bit 0: class k shows k + 1 modulo 7, and the LED is dark afterwards; it is lit by low."""
    pcm = noise(2.0)
    elf = compile_project(project, "board").elf
    board = machine.Machine(machine.load(elf), BOARD, line := TcpLine(), pdm=pcm)
    seen: list[int] = []
    written = line.write

    def colour() -> int:
        pins = [(board._gpio[pin >> 5], pin & 31) for pin in BOARD.led_rgb]
        return sum((not port.level(pin)) << n for n, (port, pin) in enumerate(pins))

    def write(data: bytes) -> None:
        seen.append(colour())
        written(data)

    thread = threading.Thread(target=board.run, daemon=True)
    thread.start()
    with Session(line.url) as session:
        line.write = write  # type: ignore[method-assign]
        found, _ = run(session, 5, seconds=2.0, settle_s=0)
    board.stop()
    thread.join(5)
    best = [int(np.argmax(np.frombuffer(d.logits, np.int8))) for d in found]
    assert len(set(best)) > 3
    assert seen[1 : 1 + len(found)] == [1 + k % 7 for k in best]
    assert seen[-1] == 0


# ---- the whole way, with a student ----------------------------------------------------------------------


def test_monitor_hears_a_known_scene(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, directory = compiler.read(scenes / "model.tflite"), scenes
    assert model.card
    ds = open_dataset("scenes", None)
    pcm = ds.pcm(next(c for c in ds.clips if c.fold == 4), RATE)
    soundfile.write(tmp_path / "scene.wav", pcm, RATE, subtype="PCM_16")

    lines = {}
    for on in ("host", "emulator"):
        with pytest.raises(SystemExit) as ended:
            wav = str(tmp_path / "scene.wav")
            cli.main(["monitor", str(directory), "--on", on, "--wav", wav, "--hop", "0.25", "--json"])
        assert ended.value.code == 0
        *lines[on], end = [json.loads(x) for x in capsys.readouterr().out.splitlines()]
        assert end["ended"] == "time"
        assert end["decisions"] == len(lines[on]) == 4
        assert end["dropped"] == end["skipped"] == end["lost_on_the_line"] == 0
    answers = [[(x["time_s"], x["label"], x["probability"]) for x in v] for v in lines.values()]
    assert answers[0] == answers[1]
    with open_target(directory, "host") as session:
        session.hop_rows = round(0.25 * RATE / model.card.front_end.hop)
        windows = session.classify(pcm).windows
    best = [model.card.labels[int(np.argmax(np.frombuffer(w.logits, np.int8)))] for w in windows]
    assert [x["label"] for x in lines["host"]] == best
    assert all(math.isclose(x["time_s"], 1.044 + 0.24 * i) for i, x in enumerate(lines["host"]))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("live") / "scenes"
    model = compiler.read(paths.students_dir() / "scenes/student.tflite")
    firmware.write(firmware.project(model, config.load_board("nano33-sense")), directory)
    return directory


def test_monitor_refuses_in_words(scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deaf = tmp_path / "deaf"
    model = compiler.read(scenes / "model.tflite")
    firmware.write(firmware.project(model, config.load_board("nano33")), deaf)
    for directory, args, text in (
        (scenes, ["--on", "/dev/null", "--wav", "x.wav"], "cannot be played into /dev/null"),
        (scenes, ["--hop", "0", "--on", "host"], "a decision every 0 s is not possible"),
        (deaf, [], "cannot listen: Arduino Nano 33 BLE has no microphone"),
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main(["monitor", str(directory), *args])
        assert ended.value.code == 2
        assert text in capsys.readouterr().err


def test_ctrl_c_stops_the_device_and_ends_cleanly(scenes: Path) -> None:
    command = [sys.executable, "-m", "mcu_asc.cli", "monitor", str(scenes), "--on", "emulator", "--json"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    signal.signal(signal.SIGINT, before)
    assert process.stdout and process.stderr
    first = [json.loads(process.stdout.readline()) for _ in range(3)]
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of its foreground
    out, err = process.communicate(timeout=30)
    end = json.loads(out.splitlines()[-1])
    assert (process.returncode, err) == (0, b"")
    assert first[0]["time_s"] == 5.044  # four seconds of settling and one window
    assert end["ended"] == "stopped"
    assert end["decisions"] >= 3


# ---- nothing that comes over the line breaks it -----------------------------------------------------------


def test_fuzz_under_sanitizers(project: Path, tmp_path: Path) -> None:
    flags = "-fsanitize=address,undefined -fno-sanitize-recover=all"
    names = ["HOST_EXE=firmware-asan", "HOST_BUILD=build/asan"]
    subprocess.run(["make", "-s", "-j2", "host", f"HOST_FLAGS={flags}", *names], cwd=project, check=True)
    pcm = noise(1.0)
    pcm.astype("<i2").tofile(tmp_path / "heard.raw")
    r = random.Random(5)

    def something() -> bytes:
        if r.random() < 0.5:
            return "".join(r.choices("L.0159 \r\nx", k=r.randrange(1, 30))).encode()
        words = [r.choice([0, 1, 3, 0xFFFF]), r.choice([0, 1, 0xFFFF])]
        times = [r.choice([0, 1, 100, 0xFFFFFFFF]) for _ in range(2)]
        payload = struct.pack("<HHII", *words, *times)[: r.choice([12, 12, 12, 5, 0])]
        return frames.cell(Frame(r.choice([Type.LIVE, Type.LIVE, Type.STOP, Type.HELLO]), 3, payload))

    with serve(project / "firmware-asan", {"MCU_ASC_MIC": str(tmp_path / "heard.raw")}) as (url, process):
        for _ in range(10):
            with Terminal(url).socket as s:
                for _ in range(20):
                    s.sendall(something())
                    if r.random() < 0.3:
                        s.settimeout(0.06)
                        with contextlib.suppress(TimeoutError):
                            s.recv(65_536)
        with Session(url) as session:
            found, _ = run(session, 3, seconds=0.9, settle_s=0.1)
            check_decisions(found, pcm)
        assert process.poll() is None
