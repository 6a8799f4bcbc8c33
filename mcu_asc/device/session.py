"""Talking to a device: hello, clips, tensors and bench over any serial line, every wait bounded.

What is lost on the way is asked for again: a damaged cell by the device (CREDIT with `repeats` one higher), a
lost reply by STATUS, and a clip with a missing result as a whole, `_CLIP_ATTEMPTS` times.  `Session.retries`
counts all of them by reason.
"""

from __future__ import annotations

import contextlib
import random
import struct
import time
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from mcu_asc.device import frames
from mcu_asc.device.frames import Frame, Type
from mcu_asc.device.line import Line
from mcu_asc.errors import AscError, DeviceError, UsageError
from mcu_asc.nouns import ClipResult, DeviceInfo, LiveDecision, LiveEnd, WindowResult

_CLIP_ATTEMPTS = 4  # once and three times again
_HELLO_ATTEMPTS = 20
_REPLY_S = 0.5  # what a device may take for an answer that needs no inference
_SILENCE_S = 8.0  # and how long it is asked again until it counts as gone
_REASON_S = 2.0  # from a line's end until an emulator's reason is known
_STILL_S = 0.1  # twice the time after which a device takes a partial cell as it is
_AGAIN = "check the cable and the baud rate, then run again"
_REPORT_IT = "a bug in the firmware, unless somebody ended it: please report it"
_MEMORY, _ENGINE = 8, 9  # ASC_ERROR_MEMORY and _ENGINE
_NO_MIC = 10  # asc_wire.h: ASC_ERROR_NO_MIC
_LOST = (5, 6)  # asc_wire.h: ASC_ERROR_ABORTED and _NOTHING, the errors that asking again may mend

_HELLO = struct.Struct("<8s7IHHI")
_CREDIT = struct.Struct("<IHHI")
_RESULT = struct.Struct("<7I")
_DONE = struct.Struct("<5I")
_BENCHED = struct.Struct("<4I")
_LIVE = struct.Struct("<HHII")
_LIVE_IS = struct.Struct("<9I")
_LIVE_DONE = struct.Struct("<5I")
_LIVE_ENDS = {1: "stopped", 2: "time", 3: "ended"}

SETTLE_S = 4.0  # until a microphone has settled: what it hears before is ignored


@dataclass(frozen=True)
class Bench:
    """One window on the device; cycles of its clock (host: nanoseconds)."""

    frontend_cycles: int
    layer_cycles: tuple[int, ...]
    model_cycles: int  # the inference as a whole, probes included
    stack_bytes: int  # deepest use so far; 0 where unknown


class _LostError(Exception):
    """Something did not come over; the whole transfer is worth asking for again.  The text is the reason."""


@dataclass
class _Reply:
    """What a transfer brought; keyed, so that a repeat overwrites its equal."""

    results: dict[int, dict[int, tuple[tuple[int, ...], bytes]]] = field(default_factory=dict)
    rows: dict[int, bytes] = field(default_factory=dict)
    windows: int = 0
    row_count: int = 0


class Session:
    """A conversation with one device.  `info` is its answer to HELLO.

    url          /dev/ttyACM0, socket://HOST:PORT
    baud         of a real port
    hop_rows     rows from one window of a clip to the next, the card's decision rule
    window_s     longest time one inference may take there
    fingerprint  that the device must have; None accepts any
    fault        asks the emulator what has gone wrong; None while nothing has
    Raises DeviceError: no such port, no answer, another protocol or fingerprint.
    """

    def __init__(
        self,
        url: str,
        *,
        baud: int = 1_000_000,
        hop_rows: int = 1,
        window_s: float = 30.0,
        fingerprint: bytes | None = None,
        fault: Callable[[], str | None] | None = None,
    ) -> None:
        self.retries_by_reason: Counter[str] = Counter()
        self.hop_rows = hop_rows
        self._emulators_fault = fault
        self._window_s = window_s
        self._decoder = frames.Decoder()
        self._ready: list[Frame] = []
        self._seq = random.randrange(1 << 16)  # replies to an earlier program's questions do not match
        self._line = Line(url, baud)
        try:
            self.info = self.hello()
            if fingerprint is not None and self.info.fingerprint != fingerprint:
                raise DeviceError(
                    f"the device at {url} runs model {self.info.fingerprint.hex()}, "
                    f"the project is of model {fingerprint.hex()}",
                    "build the project and flash it again",
                )
        except BaseException:
            self._line.close()
            raise

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._line.close()

    @property
    def retries(self) -> int:
        """How often anything was asked for again."""
        return self.retries_by_reason.total()

    def fault(self) -> str | None:
        """Why the device has stopped, by its emulator or by its own last words; None while it has not."""
        return (self._emulators_fault and self._emulators_fault()) or self._decoder.report or None

    # ---- what one can ask ------------------------------------------------------------------------

    def hello(self) -> DeviceInfo:
        """Who is there.  Garbage on the line, and what the device still has to say, is passed over."""
        seq = self._next_seq()
        for attempt in range(_HELLO_ATTEMPTS):
            if attempt:  # not counted: a device that still starts is no damage
                time.sleep(_STILL_S)
            self._line.write(frames.cell(Frame(Type.HELLO, seq)))
            until = time.monotonic() + _REPLY_S
            while (frame := self._receive(until)) is not None:
                if frame.seq == seq and frame.type == Type.ERROR:
                    raise _error(frame)
                if frame.seq == seq and frame.type == Type.HELLO_IS:
                    return _info(frame)
            self._raise_fault()
        raise DeviceError(
            f"no answer from {self._line.url} in {_HELLO_ATTEMPTS * _REPLY_S:g} s",
            "is the firmware flashed, and is this its port?",
        )

    def classify(self, pcm: NDArray[np.int16]) -> ClipResult:
        """int16 mono samples (n,) at the front end's rate -> a result for every window.

        A clip shorter than one window is filled up with zeros.
        """
        return self._clip(pcm, with_features=False)

    def features(self, pcm: NDArray[np.int16]) -> ClipResult:
        """As `classify`, and the int8 rows (n, bands) that the device computed as `features`."""
        return self._clip(pcm, with_features=True)

    def tensor(self, data: bytes) -> bytes:
        """The raw int8 input tensor -> the raw output tensor."""
        if len(data) != self.info.input_bytes:
            raise UsageError(
                f"the input tensor has {self.info.input_bytes} bytes, not {len(data)}",
                "send it whole, as int8",
            )
        reply = self._attempts(Type.TENSOR, struct.pack("<I", len(data)), data)
        (result,) = _windows(reply, self.info.output_bytes)
        if result.features_crc != zlib.crc32(data):
            raise DeviceError("the device computed on another tensor than was sent", _AGAIN)
        return result.logits

    def bench(self) -> Bench:
        """One window of noise through the front end and the model, each layer timed by itself."""
        for attempt in range(_CLIP_ATTEMPTS):
            self._again("bench", attempt)
            try:
                with self._faults_told():
                    return self._bench()
            except _LostError as e:
                reason = str(e)
        raise DeviceError(f"bench failed {_CLIP_ATTEMPTS} times: {reason}", _AGAIN)

    def live(
        self, hop_rows: int | None = None, seconds: float | None = None, settle_s: float = SETTLE_S
    ) -> Generator[LiveDecision, None, LiveEnd]:
        """Let the device listen to its microphone: a decision every `hop_rows` rows (None: the card's).

        seconds   how long it listens once it has settled; None: until the generator is closed, which also
                  stops the device
        settle_s  what is ignored at first
        A decision whose frame is lost on the line is missing: `index` then jumps.
        Raises UsageError and DeviceError: no microphone, no answer, silence for longer than a decision takes.
        """
        i = self.info
        if not i.sample_rate_hz:
            raise UsageError("the model on the device has no front end", "send tensors")
        rows = hop_rows or self.hop_rows
        duration_ms = 0 if seconds is None else max(1, round(1000 * seconds))
        payload = _LIVE.pack(rows, 0, round(1000 * settle_s), duration_ms)
        seq = self._ask_live(Frame(Type.LIVE, 0, payload), Type.LIVE_ON).seq
        patience_s = (rows * i.hop + i.samples) / i.sample_rate_hz + self._window_s
        until = time.monotonic() + settle_s + patience_s
        over = False
        try:
            while (frame := self._receive(until)) is not None:
                if frame.seq != seq:
                    continue
                if frame.type == Type.LIVE_IS:
                    until = time.monotonic() + patience_s
                    yield _decision(frame, i)
                elif frame.type == Type.LIVE_DONE:
                    over = True
                    return _live_end(frame)
                elif frame.type == Type.ERROR:
                    over = True
                    raise _error(frame)
            self._raise_fault()
            raise DeviceError(f"nothing from the device for {patience_s:.0f} s while it listened", _AGAIN)
        finally:
            if not over:
                self._silence()

    def stop(self) -> LiveEnd:
        """End the live run that is on, or ask how the last one ended."""
        return _live_end(self._ask_live(Frame(Type.STOP, 0), Type.LIVE_DONE))

    # ---- how it is asked -------------------------------------------------------------------------

    def _ask_live(self, question: Frame, answer: Type) -> Frame:
        """One command, asked again until its answer comes; an inference may be in its way."""
        seq = self._next_seq()
        end = time.monotonic() + _SILENCE_S + self._window_s
        while time.monotonic() < end:
            self._line.write(frames.cell(Frame(question.type, seq, question.payload)))
            until = time.monotonic() + _REPLY_S
            while (frame := self._receive(until)) is not None:
                if frame.seq == seq and frame.type == Type.ERROR:
                    error = _error(frame)
                    raise DeviceError(str(error), _AGAIN) if isinstance(error, _LostError) else error
                if frame.seq == seq and frame.type == answer:
                    return frame
            self._raise_fault()
            self.retries_by_reason["silence"] += 1
        raise DeviceError(f"no answer from {self._line.url}", _AGAIN)

    def _silence(self) -> None:
        """As `stop`, whatever else has gone wrong."""
        with contextlib.suppress(AscError):
            self.stop()

    def _clip(self, pcm: NDArray[np.int16], with_features: bool) -> ClipResult:
        i = self.info
        if not i.sample_rate_hz:
            raise UsageError(
                "the model on the device has no front end", "send tensors, or export it with one"
            )
        if pcm.dtype != np.int16 or pcm.ndim != 1:
            raise UsageError(
                f"a clip is int16 of shape (n,), not {pcm.dtype} {pcm.shape}", "decode it to mono"
            )
        pcm = np.pad(pcm, (0, max(0, i.samples - len(pcm))))
        head = struct.pack("<IHH", len(pcm), self.hop_rows, frames.CLIP_FEATURES if with_features else 0)
        reply = self._attempts(Type.CLIP, head, pcm.astype("<i2").tobytes())
        rows = 1 + (len(pcm) - i.window) // i.hop
        windows = 1 + (rows - i.rows) // self.hop_rows
        if (reply.row_count, reply.windows) != (rows, windows):
            raise DeviceError(
                f"the device made {reply.row_count} rows and {reply.windows} windows of {len(pcm)} samples, "
                f"not {rows} and {windows}",
                "build the project and flash it again",
            )
        features = None
        if with_features:
            flat = b"".join(reply.rows[r] for r in range(rows))
            features = np.frombuffer(flat, np.int8).reshape(rows, i.bands)
        return ClipResult(_windows(reply, i.output_bytes), features)

    def _attempts(self, kind: Type, head: bytes, data: bytes) -> _Reply:
        for attempt in range(_CLIP_ATTEMPTS):
            self._again("transfer", attempt)
            try:
                with self._faults_told():
                    return self._transfer(kind, head, data)
            except _LostError as e:
                reason = str(e)
                self.retries_by_reason[reason] += 1
        raise DeviceError(f"a transfer failed {_CLIP_ATTEMPTS} times: {reason}", _AGAIN)

    def _transfer(self, kind: Type, head: bytes, data: bytes) -> _Reply:
        """Command, cells by credit, until DONE; raises _LostError when something is missing then."""
        seq = self._next_seq()
        command = frames.cell(Frame(kind, seq, head))
        status = frames.cell(Frame(Type.STATUS, seq))
        reply = _Reply()
        credited = False
        granted = b""  # the credit that was acted on last
        patience = _Patience()
        self._line.write(command)
        while True:
            frame = self._receive(patience.until)
            if frame is None:
                self._raise_fault()
                self.retries_by_reason["silence"] += 1
                if patience.asked_again():
                    raise _LostError("no answer in the middle of a transfer")
                granted = b""
                self._line.write(status if credited else command)
                continue
            if frame.seq != seq:
                continue
            patience.heard(self._window_s if frame.type == Type.BUSY else _REPLY_S)
            if frame.type == Type.CREDIT:
                credited = True
                if frame.payload == granted:
                    continue  # heard twice; its cell is on the way
                granted = frame.payload
                index, line_bytes, data_bytes, repeats = _CREDIT.unpack(granted)
                if repeats:
                    self.retries_by_reason["damaged cell"] += 1
                    if self._hears_more(seq, granted):
                        continue
                start = index * self.info.cell_bytes
                payload = struct.pack("<I", index) + data[start : start + data_bytes]
                self._line.write(frames.cell(Frame(Type.DATA, seq, payload), line_bytes))
                patience.heard(_REPLY_S + 2 * self._line.seconds(line_bytes))
            elif frame.type == Type.DONE:
                count, crc, reply.windows, reply.row_count, _ = _DONE.unpack(frame.payload)
                self._check(reply, kind, head, count == len(data) and crc == zlib.crc32(data))
                return reply
            else:
                _collect(frame, reply)

    def _check(self, reply: _Reply, kind: Type, head: bytes, whole: bool) -> None:
        if not whole:
            raise _LostError("the device did not get all data")
        for w in range(reply.windows):
            if sum(len(b) for _, b in reply.results.get(w, {}).values()) != self.info.output_bytes:
                raise _LostError("a result was lost")
        wants_rows = kind == Type.CLIP and head[-2] & frames.CLIP_FEATURES
        if wants_rows and set(reply.rows) != set(range(reply.row_count)):
            raise _LostError("a row of features was lost")

    def _bench(self) -> Bench:
        seq = self._next_seq()
        layers: dict[int, int] = {}
        self._line.write(frames.cell(Frame(Type.BENCH, seq)))
        until = time.monotonic() + _REPLY_S
        while (frame := self._receive(until)) is not None:
            if frame.seq != seq:
                continue
            if frame.type == Type.ERROR:
                raise _error(frame)
            if frame.type == Type.BUSY:
                until = time.monotonic() + self._window_s
            elif frame.type == Type.LAYERS:
                first, *cycles = struct.unpack(f"<{len(frame.payload) // 4}I", frame.payload)
                layers.update(enumerate(cycles, first))
            elif frame.type == Type.BENCHED:
                frontend, model, count, stack = _BENCHED.unpack(frame.payload)
                if set(layers) != set(range(count)):
                    raise _LostError("the cycles of some layers were lost")
                return Bench(frontend, tuple(layers[i] for i in range(count)), model, stack)
        self._raise_fault()
        raise _LostError("no answer")

    # ---- the line --------------------------------------------------------------------------------

    def _next_seq(self) -> int:
        self._seq = (self._seq + 1) & 0xFFFF
        return self._seq

    def _again(self, what: str, attempt: int) -> None:
        """Before a repeat: when the line is still, the device gives up what it holds in part."""
        if attempt:
            self.retries_by_reason[f"{what} again"] += 1
            time.sleep(_STILL_S)

    def _hears_more(self, seq: int, granted: bytes) -> bool:
        """Wait until the line has been still, so that the device gives up what is left over from a bad cell.

        True when it has granted another cell, or ended the transfer, meanwhile.
        """
        until = time.monotonic() + 10 * _STILL_S
        while time.monotonic() < until and (data := self._line.read(_STILL_S)):
            self._ready += self._decoder.push(data)
        return any(f.seq == seq and f.payload != granted for f in self._ready)

    def _receive(self, until: float) -> Frame | None:
        """The next valid frame; None when none came in time."""
        while not self._ready:
            left = until - time.monotonic()
            data = self._line.read(max(0.0, left))
            if not data and left <= 0:
                return None
            self._ready += self._decoder.push(data)
        frame = self._ready.pop(0)
        if frame.version != frames.VERSION:
            raise DeviceError(
                f"the device speaks protocol version {frame.version}, this is version {frames.VERSION}",
                "build the project with this version of mcu-asc and flash it",
            )
        return frame

    @contextlib.contextmanager
    def _faults_told(self) -> Iterator[None]:
        """A line that breaks because the device has stopped: the reason is that, known a moment later."""
        try:
            yield
        except DeviceError:
            until = time.monotonic() + _REASON_S
            while self._emulators_fault and not self.fault() and time.monotonic() < until:
                time.sleep(0.05)
            self._raise_fault()
            raise

    def _raise_fault(self) -> None:
        if text := self.fault():
            raise DeviceError(
                f"the device stopped: {text}",
                "a bug in the firmware, unless somebody ended it: please report it",
            )


class _Patience:
    """How long to wait for the next frame, and when asking again has been in vain for too long."""

    def __init__(self) -> None:
        self.heard(_REPLY_S)

    def heard(self, allowed_s: float) -> None:
        self._wait = _REPLY_S
        self.until = time.monotonic() + allowed_s
        self._end = self.until + _SILENCE_S

    def asked_again(self) -> bool:
        """Wait twice as long as the last time; True when the silence has lasted too long."""
        self._wait *= 2
        now = time.monotonic()
        self.until = now + self._wait
        return now >= self._end


def _collect(frame: Frame, reply: _Reply) -> None:
    if frame.type == Type.RESULT:
        window, offset, *rest = _RESULT.unpack_from(frame.payload)
        parts = reply.results.setdefault(window, {})
        parts[offset] = (tuple(rest), frame.payload[_RESULT.size :])
    elif frame.type == Type.FEATURES:
        (row,) = struct.unpack_from("<I", frame.payload)
        reply.rows[row] = frame.payload[4:]
    elif frame.type == Type.ERROR:
        raise _error(frame)


def _error(frame: Frame) -> Exception:
    code = int.from_bytes(frame.payload[:4], "little")
    text = frame.payload[4:].decode("ascii", "replace")
    if code == _NO_MIC:
        return DeviceError(f"the device cannot listen: {text}", "score it with clips instead")
    if code in _LOST:
        return _LostError(f"the device gave up: {text}")
    if code == _MEMORY:
        return DeviceError(
            f"the device stopped: {text}", "give the board more stack_bytes, or report a bug; then reset it"
        )
    if code == _ENGINE:
        return DeviceError(
            f"the engine stopped: {text}", "build with another version of TFLM, or --engine aot"
        )
    return DeviceError(f"the device refused (error {code}): {text}", "build the project and flash it again")


def _decision(frame: Frame, info: DeviceInfo) -> LiveDecision:
    index, ms, dropped, skipped, alive, lag, crc, frontend, model = _LIVE_IS.unpack_from(frame.payload)
    logits = frame.payload[_LIVE_IS.size :]
    if len(logits) != info.output_bytes:
        raise DeviceError("a decision has another length than the device said in its hello", _AGAIN)
    return LiveDecision(
        index, ms / 1000, logits, alive, dropped, skipped, lag / info.clock_hz, crc, frontend, model
    )


def _live_end(frame: Frame) -> LiveEnd:
    reason, decisions, dropped, skipped, ms = _LIVE_DONE.unpack(frame.payload)
    return LiveEnd(_LIVE_ENDS.get(reason, "stopped"), decisions, dropped, skipped, ms / 1000)


def _windows(reply: _Reply, output_bytes: int) -> tuple[WindowResult, ...]:
    out = []
    for w in range(reply.windows):
        parts = reply.results[w]
        (total, crc, frontend, model, alive), _ = parts[0]
        logits = b"".join(parts[k][1] for k in sorted(parts))
        if total != output_bytes or len(logits) != total:
            raise DeviceError("a result has another length than the device said in its hello", _AGAIN)
        out.append(WindowResult(w, logits, alive, crc, frontend, model))
    return tuple(out)


def _info(frame: Frame) -> DeviceInfo:
    p = frame.payload
    try:
        fingerprint, clock, rate, inputs, outputs, layers, window, hop, rows, bands, cell = (
            _HELLO.unpack_from(p)
        )
        at = _HELLO.size
        firmware = p[at + 1 : at + 1 + p[at]].decode("ascii", "replace")
        at += 1 + p[at]
        board = p[at + 1 : at + 1 + p[at]].decode("ascii", "replace")
    except (struct.error, IndexError) as e:
        raise DeviceError("the device's hello cannot be read", "flash a firmware of this version") from e
    return DeviceInfo(
        protocol=frame.version,
        firmware=firmware,
        board=board,
        fingerprint=fingerprint,
        input_bytes=inputs,
        output_bytes=outputs,
        sample_rate_hz=rate,
        clock_hz=clock,
        layers=layers,
        window=window,
        hop=hop,
        rows=rows,
        bands=bands,
        cell_bytes=cell,
    )
