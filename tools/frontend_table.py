#!/usr/bin/env python3
"""The front end's tables for the README, as Markdown: accuracy beside its peers', and cycles, RAM and flash.

    tools/frontend_table.py accuracy [--data DIR] [--folds 1,2,3,4] [--seconds 5]
    tools/frontend_table.py cycles

DIR holds esc10/ (default: MCU_ASC_DATA).  Needs the peers `pymicro-features` and `cmsisdsp` for the first and
arm-none-eabi-gcc for the second.

How the peers are treated, which is generously: each is compared with float64 on its own window and its own
bank; TFLM's microfrontend without noise reduction, gain control and constant offset; CMSIS-DSP's frames are
shifted up to full scale before the transform, everything after it is float, and one second of each clip is
taken.  Errors count where
float64's band energy is above what the rounding of 16-bit input puts there; a zero counts as 90 dB too low.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from mcu_asc.audio import frontend  # noqa: E402
from mcu_asc.audio.presets import PRESETS, preset  # noqa: E402
from mcu_asc.nouns import FrontEndConfig  # noqa: E402

Floats = NDArray[np.float64]
Pcm = NDArray[np.int16]
LEVELS_DBFS = (0, -20, -40, -60)
DB = 10 * np.log10(2.0)
LOST_DB = 90.0
CFG = replace(preset("microfrontend-like"), floor_fs2=0.0)


# ---- the subjects: samples -> (errors in dB where they count) ---------------------------------------


def _frames(x: Pcm, window: int, hop: int) -> Floats:
    rows = max(0, 1 + (x.size - window) // hop)
    return x.astype(np.float64)[np.arange(rows)[:, None] * hop + np.arange(window)]


def _counted(got_db: Floats, energy: Floats, floor: Floats) -> Floats:
    right_db = 10 * np.log10(np.maximum(energy, 1e-9))
    error = np.maximum(got_db - right_db, -LOST_DB)
    return np.asarray(error[energy >= floor])


def ours(x: Pcm) -> Floats:
    """The C's int16 rows."""
    window = frontend.WINDOWS[CFG.window_shape](CFG.window)
    floor = frontend._bank(CFG, CFG.bands).matrix(CFG.fft // 2 + 1).sum(axis=1) * (window**2).sum() / 12
    return _counted(frontend.extract(x, CFG).log2_q9 / 512 * DB, frontend.energies(x, CFG), floor)


class Cmsis:
    """arm_rfft on windowed frames that fill the format; float before (the shift) and after it."""

    def __init__(self, bits: int) -> None:
        import cmsisdsp as dsp

        name = f"q{bits}"
        self._instance = getattr(dsp, f"arm_rfft_instance_{name}")()
        getattr(dsp, f"arm_rfft_init_{name}")(self._instance, CFG.fft, 0, 1)
        self._rfft = getattr(dsp, f"arm_rfft_{name}")
        self._full = 2.0**bits
        self._type = np.int16 if bits == 15 else np.int32
        shape = frontend.WINDOWS[CFG.window_shape](CFG.window)
        self._window = np.minimum(np.round(shape * self._full), self._full - 1) / self._full
        self._bank = frontend._bank(CFG, CFG.bands).matrix(CFG.fft // 2 + 1)
        self._floor = self._bank.sum(axis=1) * (self._window**2).sum() / 12

    def calibrate(self, x: Pcm) -> None:
        """What the transform divides by, a power of two."""
        self.gain = 1.0
        got, right = self._parts(x)
        self.gain = 2.0 ** np.round(np.log2(np.median(right / got)) / 2)

    def _parts(self, x: Pcm) -> tuple[Floats, Floats]:
        """(got, right) band energies of all frames."""
        frames = _frames(x, CFG.window, CFG.hop) * self._window
        right = np.abs(np.fft.rfft(frames, CFG.fft)) ** 2 @ self._bank.T
        peak = np.maximum(np.abs(frames).max(axis=1, keepdims=True), 1e-9)
        up = 2.0 ** np.floor(np.log2((self._full - 1) / peak))
        padded = np.zeros((len(frames), CFG.fft), self._type)
        padded[:, : CFG.window] = np.round(frames * up)
        got = np.empty_like(right)
        for i, frame in enumerate(padded):
            out = np.asarray(self._rfft(self._instance, frame), np.float64)[: CFG.fft + 2]
            got[i] = self._bank @ ((out.reshape(-1, 2) / up[i] * self.gain) ** 2).sum(axis=1)
        return got, right

    def __call__(self, x: Pcm) -> Floats:
        got, right = self._parts(x[: CFG.sample_rate_hz])  # a call a frame: a second a clip will do
        return _counted(10 * np.log10(np.maximum(got, 1e-9)), right, self._floor)


class Microfrontend:
    """TFLM's, through pymicro-features; its state lies as TFLM's frontend.h has it."""

    def __init__(self) -> None:
        import micro_features_cpp as tflm

        self._tflm = tflm
        self._make()
        self.offset_db = 0.0

    def _make(self) -> None:
        self._capsule = self._tflm.create_frontend()
        api = ctypes.pythonapi
        api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
        api.PyCapsule_GetPointer.restype = ctypes.c_void_p
        api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
        handle = api.PyCapsule_GetPointer(self._capsule, api.PyCapsule_GetName(self._capsule))
        state = handle + 72  # behind the FrontendConfig

        def at(offset: int, kind: type[ctypes._SimpleCData[int]]) -> int:
            return int(kind.from_address(state + offset).value or 0)

        def array(offset: int, count: int) -> Floats:
            pointer = at(offset, ctypes.c_uint64)
            return np.array((ctypes.c_int16 * count).from_address(pointer), np.float64)

        self.window, self.hop = at(0, ctypes.c_uint64), at(16, ctypes.c_uint64)
        assert (self.window, self.hop) == (480, 160), "pymicro-features lays its state out otherwise"
        self.shape = array(8, self.window) / 4096
        self.fft = at(72, ctypes.c_uint64)
        bank = 104
        self.channels = at(bank, ctypes.c_int)
        starts, weight_starts, widths = (
            array(bank + 16 + 8 * i, self.channels + 1).astype(int) for i in range(3)
        )
        count = int((weight_starts + widths).max())
        rising, falling = (array(bank + 40 + 8 * i, count) / 4096 for i in range(2))
        self.bank = np.zeros((self.channels + 1, self.fft // 2 + 1))
        for i in range(self.channels + 1):
            bins, weights = np.arange(widths[i]) + starts[i], np.arange(widths[i]) + weight_starts[i]
            self.bank[i, bins] += rising[weights]
            if i < self.channels:
                self.bank[i + 1, bins] += falling[weights]
        self.bank = self.bank[1:]
        noise, gain = bank + 64, bank + 64 + 24
        assert (self.fft, self.channels) == (512, 40)
        ctypes.c_uint16.from_address(state + noise + 8).value = 1 << 14  # all of the signal remains
        ctypes.c_int.from_address(state + gain).value = 0

    def _rows(self, x: Pcm) -> Floats:
        self._make()  # a reset would make the state anew
        data, at, rows = x.tobytes(), 0, []
        while at + 2 * self.hop <= len(data):
            features, taken = self._tflm.process_samples(self._capsule, data[at:])
            at += 2 * taken
            if features:
                rows.append(features)
            if not taken:
                break
        return np.reshape(rows, (-1, self.channels))

    def _parts(self, x: Pcm) -> tuple[Floats, Floats]:
        spectrum = np.fft.rfft(_frames(x, self.window, self.hop) * self.shape, self.fft)
        right = np.abs(spectrum) ** 2 @ self.bank.T
        got = self._rows(x) / 0.0390625 / 64  # natural log of an amplitude
        return got * 20 / np.log(10), right[: len(got)]

    def calibrate(self, x: Pcm) -> None:
        """The constant between its units and LSB^2, from loud noise."""
        got, right = self._parts(x)
        self.offset_db = float(np.median(10 * np.log10(right) - got))

    def __call__(self, x: Pcm) -> Floats:
        got, right = self._parts(x)
        floor = self.bank.sum(axis=1) * (self.shape**2).sum() / 12
        return _counted(got + self.offset_db, right, floor)


# ---- accuracy --------------------------------------------------------------------------------------


def _clips(root: Path, folds: str, seconds: float) -> Iterator[Floats]:
    """ESC-10's clips, their peak at 1."""
    from mcu_asc.audio.datasets import open_dataset, select

    dataset = open_dataset("esc10", root)
    for clip in select(dataset, folds):
        x = dataset.pcm(clip, CFG.sample_rate_hz)[: int(seconds * CFG.sample_rate_hz)].astype(np.float64)
        if np.abs(x).max() > 0:
            yield x / np.abs(x).max()


def _at(x: Floats, dbfs: float) -> Pcm:
    return np.asarray(np.round(x * 32767 * 10 ** (dbfs / 20)), np.int16)


def _line(name: str, measure: Callable[[Pcm], Floats], sets: Iterable[list[Floats]]) -> str:
    cells = [name]
    for signals in sets:
        for dbfs in LEVELS_DBFS:
            errors = np.abs(np.concatenate([measure(_at(x, dbfs)) for x in signals]))
            cells.append(f"{np.sqrt((errors**2).mean()):.3f} / {np.quantile(errors, 0.999):.2f}")
    return "| " + " | ".join(cells) + " |"


def accuracy(data: Path, folds: str, seconds: float) -> Iterator[str]:
    from test_frontend_accuracy import synthetic

    real = list(_clips(data, folds, seconds))
    made = [x / 32767 for x in synthetic(0.0).values()]
    loud = np.random.default_rng(1).uniform(-0.3, 0.3, 48_000)
    tflm, q15, q31 = peers = Microfrontend(), Cmsis(15), Cmsis(31)
    for peer in peers:
        peer.calibrate(_at(loud, 0.0))
    levels = [f"{kind} {dbfs} dBFS" for kind in ("ESC-10", "synthetic") for dbfs in LEVELS_DBFS]
    yield (
        f"Error of log band energies in dB, RMS / 99.9th percentile, against float64; {len(real)} clips of"
        f" ESC-10 (folds {folds}), peak-normalised and scaled to each level, and {len(made)} synthetic"
        f" signals; 16 kHz, window 480, FFT 512, 40 bands.\n"
    )
    yield "| | " + " | ".join(levels) + " |"
    yield "|---" * (1 + len(levels)) + "|"
    for name, measure in (
        ("mcu-asc, int16 rows", ours),
        ("TFLM microfrontend", tflm),
        ("CMSIS-DSP q15, frames normalised", q15),
        ("CMSIS-DSP q31, frames normalised", q31),
    ):
        yield _line(name, measure, (real, made))


# ---- cycles ----------------------------------------------------------------------------------------

SHAPES = {  # the speed comparison's and the FFT lengths, at 16 kHz
    "FFT 256, 256/160, 32 bands": (256, 256, 160, 32),
    "FFT 512, 480/320, 40 bands": (512, 480, 320, 40),
    "FFT 1024, 1024/320, 64 bands": (1024, 1024, 320, 64),
    "FFT 2048, 2048/1024, 64 bands": (2048, 2048, 1024, 64),
    "FFT 4096, 4096/2048, 64 bands": (4096, 4096, 2048, 64),
}


def cycles() -> Iterator[str]:
    from board_rows import build, running
    from test_frontend import golden_config

    configs: dict[str, FrontEndConfig] = {name: golden_config(*shape) for name, shape in SHAPES.items()}
    configs |= {f"`{name}`": p.config for name, p in PRESETS.items()}
    yield (
        "One second of sound pushed hop by hop; Cortex-M4 cycles estimated by the emulator; RAM is the state"
        " of the stream.\n"
    )
    yield "| front end | rows | cycles a row | M cycles | ms at 64 MHz | RAM B | code B | tables B |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, cfg in configs.items():
        samples = max(cfg.sample_rate_hz, cfg.first_samples)
        pcm = np.random.default_rng(1).normal(0, 3000, samples).astype(np.int16)
        with tempfile.TemporaryDirectory() as folder:
            built = build(cfg, Path(folder), log2=False)
            with running(built, cfg, cycles=True) as board:
                rows, spent = board.rows(pcm, cfg.hop)
        yield (
            f"| {name} | {len(rows.q)} | {spent // len(rows.q):,} | {spent / 1e6:.2f} | {spent / 64e3:.1f} |"
            f" {built.state_bytes:,} | {built.code_bytes:,} | {built.table_bytes:,} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=("accuracy", "cycles"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MCU_ASC_DATA", ".")) / "esc10")
    parser.add_argument("--folds", default="1,2,3,4")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each clip, from its start")
    args = parser.parse_args()
    lines = cycles() if args.table == "cycles" else accuracy(args.data, args.folds, args.seconds)
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    main()
