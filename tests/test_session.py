"""Sessions with the host program and the emulated board: right answers, also over bad lines, in good time."""

from __future__ import annotations

import contextlib
import os
import random
import re
import select
import socket
import struct
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny
from badcable import bad_cable
from numpy.typing import NDArray

from mcu_asc import config
from mcu_asc.audio.frontend import extract
from mcu_asc.decide import alive_level
from mcu_asc.device import frames
from mcu_asc.device import session as sessions
from mcu_asc.device.build import compile_project
from mcu_asc.device.emulator import launch
from mcu_asc.device.frames import Frame, Type
from mcu_asc.device.session import Session
from mcu_asc.device.targets import open_target, serve
from mcu_asc.errors import DeviceError, UsageError
from mcu_asc.nouns import ClipResult

FE = tiny.FRONT_END
HOP_ROWS = tiny.CARD.decision.hop_rows
LANES = {
    "host": ("host", ""),
    "emulator": ("emulator", ""),
    "wire": ("emulator", "wire"),  # bytes that come while no receive is armed are lost, as on silicon
    "renode": ("emulator", "renode"),
}
# Renode's UARTE gives up bytes that came unasked one by one, at 50 ms each: a clean line only.
clean_and_dirty = pytest.mark.parametrize("lane", ["host", "emulator", "wire"], indirect=True, scope="module")


def noise(samples: int, seed: int = 0) -> NDArray[np.int16]:
    """Loud and quiet stretches, so that some rows are alive and some are not."""
    r = np.random.default_rng(seed)
    loudness = np.repeat(10.0 ** r.uniform(0, 4, samples // 2000 + 1), 2000)[:samples]
    return np.clip(r.normal(0, 1, samples) * loudness, -32768, 32767).astype(np.int16)


def check(result: ClipResult, pcm: NDArray[np.int16], hop_rows: int = HOP_ROWS) -> None:
    """Every window's bytes, CRC and alive rows, by Python."""
    rows = extract(np.pad(pcm, (0, max(0, FE.samples - len(pcm)))), FE)
    starts = range(0, len(rows.q) - FE.rows + 1, hop_rows)
    assert [w.index for w in result.windows] == list(range(len(starts)))
    for window, start in zip(result.windows, starts, strict=True):
        q = rows.q[start : start + FE.rows]
        assert window.features_crc == zlib.crc32(q.tobytes())
        assert window.logits == tiny.network(q)
        level = rows.level_q9[start : start + FE.rows]
        assert window.alive_rows == np.sum(level > alive_level(tiny.CARD.decision))
    if result.features is not None:
        assert np.array_equal(result.features, rows.q)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        return tiny.write(patch, tmp_path_factory.mktemp("session") / "tiny")


@pytest.fixture(scope="module")
def tensors_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        return tiny.write(patch, tmp_path_factory.mktemp("session") / "tensors", card=None)


@pytest.fixture(scope="module", params=LANES)
def lane(request: pytest.FixtureRequest) -> tuple[str, str]:
    return LANES[request.param]


@pytest.fixture(scope="module")
def session(project: Path, lane: tuple[str, str]) -> Iterator[Session]:
    with open_target(project, lane[0], quirks=lane[1]) as s:
        yield s


@pytest.fixture(scope="module")
def device(project: Path, lane: tuple[str, str]) -> Iterator[str]:
    """A running device without a session: its address."""
    with contextlib.ExitStack() as stack:
        if lane[0] == "host":
            yield stack.enter_context(serve(compile_project(project, "host").elf))[0]
        else:
            elf = compile_project(project, "board").elf
            url = stack.enter_context(launch(elf, config.load_board("nano33"), quirks=lane[1])).url
            Session(url).close()  # it is up
            yield url


# ---- right answers ---------------------------------------------------------------------------------


def test_hello(session: Session) -> None:
    i = session.info
    assert (i.protocol, i.board, i.fingerprint[:4]) == (frames.VERSION, "nano33", i.fingerprint[:4])
    assert (i.input_bytes, i.output_bytes, i.layers) == (FE.rows * FE.bands, tiny.OUTPUTS, 2)
    assert (i.sample_rate_hz, i.window, i.hop, i.rows, i.bands) == (16_000, 512, 320, 8, 16)
    assert (i.samples, i.clock_hz) == (FE.samples, 64_000_000)
    assert session.hello() == i


@pytest.mark.parametrize("samples", [1, FE.samples - 1, FE.samples, FE.samples + 319, 4_000, 33_333])
def test_clips(session: Session, samples: int) -> None:
    pcm = noise(samples, samples)
    check(session.classify(pcm), pcm)
    assert session.retries_by_reason.keys() <= {"silence"}  # of a machine with too much to do


@pytest.mark.parametrize("hop_rows", [1, 8, 11])
def test_overlapping_and_distant_windows(
    session: Session, hop_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "hop_rows", hop_rows)
    pcm = noise(20_000, hop_rows)
    check(session.classify(pcm), pcm, hop_rows)


def test_features(session: Session) -> None:
    pcm = noise(16_000)
    result = session.features(pcm)
    assert result.features is not None
    check(result, pcm)


def test_alive_rows_are_counted(session: Session) -> None:
    pcm = np.concatenate(
        [np.zeros(8_000, np.int16), noise(8_000) * 0 + 3_000 * (np.arange(8_000) % 2 * 2 - 1)]
    )
    counted = [w.alive_rows for w in session.classify(pcm.astype(np.int16)).windows]
    assert counted[0] == 0
    assert counted[-1] == FE.rows
    assert sorted(counted) == counted


def test_clips_do_not_colour_each_other(session: Session) -> None:
    """The arena is poisoned by the network, the front end starts anew: the order cannot matter."""
    clips = [noise(6_000, s) for s in range(3)]
    for i in (0, 1, 2, 0, 2, 1):
        check(session.classify(clips[i]), clips[i])


def test_tensors(session: Session) -> None:
    r = np.random.default_rng(3)
    for _ in range(5):
        x = r.integers(-128, 128, FE.rows * FE.bands).astype(np.int8)
        assert session.tensor(x.tobytes()) == tiny.network(x)


def test_bench(session: Session, lane: tuple[str, str]) -> None:
    b = session.bench()
    assert len(b.layer_cycles) == 2
    assert b.frontend_cycles > 0
    assert sum(b.layer_cycles) <= b.model_cycles
    assert (b.stack_bytes > 100) == (lane[0] == "emulator")
    check(session.classify(noise(4_000)), noise(4_000))


def test_tensors_without_a_front_end(tensors_only: Path, lane: tuple[str, str]) -> None:
    with open_target(tensors_only, lane[0], quirks=lane[1]) as s:
        x = np.arange(128).astype(np.int8)
        assert s.tensor(x.tobytes()) == tiny.network(x)
        assert s.bench().frontend_cycles == 0
        with pytest.raises(UsageError, match="no front end"):
            s.classify(noise(100))


def test_wrong_input_is_refused_here(session: Session) -> None:
    with pytest.raises(UsageError, match=r"int16 of shape \(n,\), not float64"):
        session.classify(np.zeros(100))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="128 bytes, not 5"):
        session.tensor(b"12345")


# ---- what the device says to odd frames ------------------------------------------------------------


class Raw:
    """Frames sent and heard one by one."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("socket://").split(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.decoder = frames.Decoder()
        self.heard: list[Frame] = []

    def send(self, frame: Frame, line_bytes: int = frames.COMMAND_LINE) -> None:
        self.socket.sendall(frames.cell(frame, line_bytes))

    def hear(self, timeout_s: float = 2.0) -> Frame | None:
        self.socket.settimeout(timeout_s)
        while not self.heard:
            try:
                self.heard += self.decoder.push(self.socket.recv(4096))
            except TimeoutError:
                return None
        return self.heard.pop(0)

    def ask(self, frame: Frame, line_bytes: int = frames.COMMAND_LINE) -> Frame:
        self.send(frame, line_bytes)
        answer = self.hear()
        assert answer is not None
        return answer


@pytest.fixture
def raw(device: str) -> Iterator[Raw]:
    r = Raw(device)
    with r.socket:
        answer = r.ask(Frame(Type.HELLO, 1))  # the device gives up what an earlier test left
        assert answer.type == Type.HELLO_IS
        yield r


def error(frame: Frame) -> tuple[int, int]:
    assert frame.type == Type.ERROR
    return frame.seq, int.from_bytes(frame.payload[:4], "little")


def clip(samples: int, seq: int = 9, hop_rows: int = 3) -> Frame:
    return Frame(Type.CLIP, seq, struct.pack("<IHH", samples, hop_rows, 0))


def credit(frame: Frame) -> tuple[int, int, int, int]:
    assert frame.type == Type.CREDIT
    index, line, data, repeats = struct.unpack("<IHHI", frame.payload)
    return index, line, data, repeats


def cell(index: int, size: int, seq: int = 9) -> Frame:
    return Frame(Type.DATA, seq, struct.pack("<I", index) + bytes(size))


def test_odd_commands_are_named(raw: Raw) -> None:
    assert error(raw.ask(Frame(0x44, 7))) == (7, 1)
    assert error(raw.ask(Frame(Type.CLIP, 8, b"abc"))) == (8, 2)
    assert error(raw.ask(clip(0))) == (9, 2)
    assert error(raw.ask(clip(100, hop_rows=0))) == (9, 2)
    assert error(raw.ask(Frame(Type.TENSOR, 10, struct.pack("<I", 5)))) == (10, 2)
    assert error(raw.ask(Frame(Type.HELLO, 11, version=2))) == (11, 3)
    assert error(raw.ask(Frame(Type.STATUS, 12))) == (12, 6)
    assert raw.ask(Frame(Type.HELLO, 13)).type == Type.HELLO_IS


@clean_and_dirty
def test_silent_until_spoken_to_and_at_noise(raw: Raw) -> None:
    assert raw.hear(0.2) is None
    raw.socket.sendall(bytes(range(1, 200)))
    assert raw.hear(0.3) is None
    assert raw.ask(Frame(Type.HELLO, 2)).seq == 2


@clean_and_dirty
def test_the_same_command_twice_is_answered_twice(raw: Raw) -> None:
    assert raw.ask(Frame(Type.HELLO, 5)) == raw.ask(Frame(Type.HELLO, 5))
    first = raw.ask(clip(2_000))
    assert raw.ask(clip(2_000)) == first
    assert credit(first) == (0, 1028, 1000, 0)


@clean_and_dirty
def test_a_command_ends_a_clip(raw: Raw) -> None:
    assert credit(raw.ask(clip(2_000)))[0] == 0
    assert raw.ask(Frame(Type.HELLO, 6)).type == Type.HELLO_IS
    assert error(raw.ask(Frame(Type.STATUS, 7))) == (7, 6)


@clean_and_dirty
def test_cells_out_of_order(raw: Raw) -> None:
    _, line, size, _ = credit(raw.ask(clip(1_200)))
    assert credit(raw.ask(cell(1, size), line)) == (0, line, size, 1)  # too early
    assert credit(raw.ask(cell(0, size, seq=8), line)) == (0, line, size, 2)  # of another transfer
    assert credit(raw.ask(cell(0, size - 2), line)) == (0, line, size, 3)  # too short
    assert credit(raw.ask(cell(0, size), line)) == (1, line, size, 0)
    assert credit(raw.ask(cell(0, size), line)) == (1, line, size, 0)  # repeated: no damage
    assert credit(raw.ask(Frame(Type.STATUS, 9))) == (1, line, size, 0)
    index, line, size, _ = credit(raw.ask(cell(1, size), line))
    assert (index, size) == (2, 400)
    done = raw.ask(cell(2, size), line)
    assert done.type == Type.DONE
    count, crc, windows, rows, bad = struct.unpack("<5I", done.payload)
    assert (count, crc, windows, rows, bad) == (2400, zlib.crc32(bytes(2400)), 0, 3, 3)
    assert raw.ask(Frame(Type.STATUS, 9)) == done


@clean_and_dirty
def test_too_many_bad_cells_end_a_clip(raw: Raw) -> None:
    _, line, size, _ = credit(raw.ask(clip(2_000)))
    for n in range(1, 11):
        assert credit(raw.ask(cell(7, size), line))[3] == n
    assert error(raw.ask(cell(7, size), line)) == (9, 5)
    assert raw.ask(Frame(Type.HELLO, 6)).type == Type.HELLO_IS


@clean_and_dirty
def test_a_cell_cut_short_is_asked_for_again(raw: Raw) -> None:
    _, line, size, _ = credit(raw.ask(clip(2_000)))
    raw.socket.sendall(frames.cell(cell(0, size), line)[:300])
    answer = raw.hear()
    assert answer is not None
    assert credit(answer) == (0, line, size, 1)
    assert credit(raw.ask(cell(0, size), line)) == (1, line, size, 0)


# ---- bad lines --------------------------------------------------------------------------------------


@clean_and_dirty
def test_noise_before_the_session(device: str) -> None:
    r = random.Random(5)
    for n in (1, 63, 64, 65, 1_500):
        with Raw(device).socket as s:
            s.sendall(r.randbytes(n))
        with Session(device, hop_rows=HOP_ROWS) as session:
            check(session.classify(noise(4_000)), noise(4_000))


@clean_and_dirty
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("harm", ["drop", "flip", "insert"])
def test_a_bad_cable_costs_time_only(device: str, harm: str, seed: int) -> None:
    """About 40 KB cross it: some ten bytes are damaged."""
    pcm = noise(16_000, seed)
    with bad_cable(device, seed) as cable:
        setattr(cable, harm, 2e-4)
        with Session(cable.url, hop_rows=HOP_ROWS) as session:
            check(session.classify(pcm), pcm)
            check(session.features(pcm[:8_000]), pcm[:8_000])
            x = np.arange(128).astype(np.int8)
            assert session.tensor(x.tobytes()) == tiny.network(x)
        assert cable.damaged
        assert session.retries


@clean_and_dirty
def test_cells_sent_twice(device: str) -> None:
    with bad_cable(device) as cable, Session(cable.url, hop_rows=HOP_ROWS) as session:
        cable.repeat_next = 6
        check(session.classify(noise(8_000)), noise(8_000))


@pytest.mark.parametrize("lane", ["host"], indirect=True, scope="module")
def test_a_hopeless_cable_ends_in_one_line(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_SILENCE_S", 1.0)
    with bad_cable(device) as cable, Session(cable.url, hop_rows=HOP_ROWS) as session:
        cable.flip = 0.02
        start = time.monotonic()
        with pytest.raises(DeviceError, match="a transfer failed 4 times") as e:
            session.classify(noise(4_000))
        assert "\n" not in str(e.value)
        assert time.monotonic() - start < 30
        cable.flip = 0.0
        check(session.classify(noise(4_000)), noise(4_000))  # and goes on once it is mended


@clean_and_dirty
@pytest.mark.parametrize("after", [5_000, 30_000])
def test_a_cut_cable(device: str, after: int) -> None:
    with bad_cable(device) as cable:
        with Session(cable.url, hop_rows=HOP_ROWS) as session:
            cable.cut_after = after
            with pytest.raises(DeviceError, match=f"the line to {cable.url} was cut") as e:
                session.classify(noise(40_000))
            assert e.value.hint
        cable.cut_after = None
        with Session(cable.url, hop_rows=HOP_ROWS) as session:
            check(session.classify(noise(4_000)), noise(4_000))


def test_a_program_that_dies(project: Path) -> None:
    with serve(compile_project(project, "host").elf) as (url, process), Session(url) as session:
        threading.Timer(0.05, process.kill).start()
        with pytest.raises(DeviceError, match="was cut"):
            for _ in range(1_000):
                session.classify(noise(16_000))


def test_a_terminal_device(project: Path) -> None:
    """A pty in a cable's place: what pyserial does with /dev/ttyACM0, lock and baud rate included."""
    pty = pytest.importorskip("pty")
    near, far = pty.openpty()
    name = os.ttyname(far)
    stop = threading.Event()
    with serve(compile_project(project, "host").elf) as (url, _), Raw(url).socket as device:

        def carry() -> None:
            while not stop.is_set():
                for ready in select.select([near, device], [], [], 0.05)[0]:
                    if ready is device:
                        os.write(near, device.recv(4096))
                    else:
                        device.sendall(os.read(near, 4096))

        thread = threading.Thread(target=carry, daemon=True)
        thread.start()
        with Session(name, hop_rows=HOP_ROWS) as session:
            check(session.classify(noise(16_000)), noise(16_000))
            with pytest.raises(DeviceError, match=f"cannot open {name}") as e:
                Session(name)
            assert "close the program that holds it" in e.value.hint
        stop.set()
        thread.join()
    os.close(near)
    os.close(far)


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_HELLO_ATTEMPTS", 3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(DeviceError, match=r"no answer from .* in 1\.5 s"):
            Session(url)


def test_no_such_port() -> None:
    with pytest.raises(DeviceError, match="cannot open /dev/ttyNONE") as e:
        Session("/dev/ttyNONE")
    assert "ls /dev/ttyACM*" in e.value.hint
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(DeviceError, match="cannot open socket://"):
        Session(f"socket://127.0.0.1:{port}")


@clean_and_dirty
def test_another_model_is_named(device: str) -> None:
    with pytest.raises(
        DeviceError, match=r"runs model [0-9a-f]{16}, the project is of model 0102030405060708"
    ):
        Session(device, fingerprint=bytes(range(1, 9)))


@clean_and_dirty
def test_the_emulators_fault_is_the_reason(device: str) -> None:
    with Session(device) as session:
        session.fault = lambda: "read of 0x00000000 at asc_x"
        session._line.write = lambda data: None  # type: ignore[method-assign]
        with pytest.raises(DeviceError, match="the device stopped: read of 0x00000000"):
            session.classify(noise(4_000))


def test_a_boards_own_fault_report_is_the_reason() -> None:
    """The start-up sends it between two 0x00, then the board blinks and says no more."""
    line = b"fault pc=00012344 lr=000110a1 cfsr=00000082 at=1ffffff8"

    def board(server: socket.socket) -> None:
        client, _ = server.accept()
        client.recv(64)
        client.sendall(b"\x03\x17\0" + line + b"\0")
        client.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=board, args=(server,), daemon=True).start()
        with pytest.raises(DeviceError, match=f"the device stopped: {line.decode()}"):
            Session(f"socket://127.0.0.1:{server.getsockname()[1]}")


def test_the_program_ends_with_its_parent(project: Path) -> None:
    with serve(compile_project(project, "host").elf) as (_, process):
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(2) == 0


# ---- fuzz under sanitizers ---------------------------------------------------------------------------


def test_fuzz_under_sanitizers(project: Path) -> None:
    """Valid commands, mutated ones and noise; afterwards the program is alive and right."""
    flags = "-fsanitize=address,undefined -fno-sanitize-recover=all"
    make = [
        "make",
        "-s",
        "-j2",
        "host",
        f"HOST_FLAGS={flags}",
        "HOST_EXE=firmware-asan",
        "HOST_BUILD=build/asan",
    ]
    subprocess.run(make, cwd=project, check=True)
    r = random.Random(11)

    def something() -> bytes:
        kind = r.choice([*Type, r.randrange(256)])
        sizes = [0, 4, 8, r.randrange(64), 1004]
        payload = bytearray(r.randbytes(r.choice(sizes)))
        if r.random() < 0.5 and len(payload) >= 4:
            payload[:4] = struct.pack("<I", r.choice([0, 1, 128, 500, 501, 0x40000000, 0xFFFFFFFF]))
        line = bytearray(frames.encode(Frame(kind, r.choice([1, 2, 3]), bytes(payload))))
        for _ in range(r.choice([0, 0, 0, 1, 3])):
            line[r.randrange(len(line))] = r.randrange(256)
        return bytes(line) + bytes(r.choice([0, 0, 3, max(0, 64 - len(line)), max(0, 1028 - len(line))]))

    with serve(project / "firmware-asan") as (url, process):
        for _ in range(15):
            with Raw(url).socket as s:
                s.setblocking(False)
                for _ in range(60):
                    with contextlib.suppress(BlockingIOError, ConnectionError):
                        s.send(something() if r.random() < 0.9 else r.randbytes(r.randrange(3_000)))
                    with contextlib.suppress(BlockingIOError, ConnectionError):
                        s.recv(65_536)
        with Session(url, hop_rows=HOP_ROWS) as session:
            check(session.features(noise(8_000)), noise(8_000))
            session.bench()
        assert process.poll() is None


# ---- the line under all that -------------------------------------------------------------------------


def test_replies_cross_in_small_writes() -> None:
    """The port's header promises it, and the Arduino core's USB needs it."""
    port = (Path(__file__).parent.parent / "firmware" / "asc" / "asc_port.h").read_text()
    assert re.search(r"#define ASC_PORT_WRITE\s+64u", port)
