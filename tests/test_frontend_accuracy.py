"""The C against float64: log-mel and int8 on synthetic signals and real clips, 0 to -60 dBFS.

Values are compared above the rounding-noise floor of 16-bit input: the band energy that white noise of 1/12
LSB^2 has under window and bank.  Below it the input's own rounding decides, not the arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from mcu_asc.audio import frontend
from mcu_asc.nouns import FrontEndConfig

RATE = 16_000
LEVELS_DBFS = (0, -20, -40, -60)
CONFIGS = {
    "256": FrontEndConfig(fft=256, window=256, hop=160, bands=32, floor_fs2=0.0),
    "512": FrontEndConfig(fft=512, window=480, hop=320, bands=40, floor_fs2=0.0),
    "1024": FrontEndConfig(floor_fs2=0.0),
    "2048": FrontEndConfig(fft=2048, window=2048, hop=1024, bands=64, floor_fs2=0.0),
    "4096": FrontEndConfig(fft=4096, window=4096, hop=2048, bands=64, floor_fs2=0.0, bank="mel-slaney"),
}
STEP_DB = 0.4  # of int8: 102 dB in 256 steps
MOST_RMS_DB, MOST_P999_DB, LEAST_EQUAL = 0.005, 0.03, 0.995


@dataclass(frozen=True)
class Accuracy:
    """Over the values above the floor."""

    rms_db: float
    p999_db: float
    max_db: float
    equal: float  # share of int8 values
    steps: int  # largest int8 difference
    values: int


def rounding_floor(cfg: FrontEndConfig) -> np.ndarray:
    """(bands,) energy in LSB^2, or LSB of a magnitude."""
    window = frontend.WINDOWS[cfg.window_shape](cfg.window)
    weights = frontend._bank(cfg, cfg.bands).matrix(cfg.fft // 2 + 1)
    noise = (window**2).sum() / 12
    return np.asarray(weights.sum(axis=1) * (noise**0.5 if cfg.spectrum == "magnitude" else noise))


def db_per_log2(cfg: FrontEndConfig) -> float:
    return frontend.DB_PER_LOG2 * (2 if cfg.spectrum == "magnitude" else 1)


def above_floor(pcm: np.ndarray, cfg: FrontEndConfig) -> np.ndarray:
    """(rows, values) which values count; a delta where all the rows that it sees do."""
    norms = frontend._norms(cfg)
    above = frontend.energies(pcm, cfg) / norms >= rounding_floor(cfg)
    if not cfg.deltas:
        return np.asarray(above)
    views = np.lib.stride_tricks.sliding_window_view(above, cfg.deltas, axis=0)
    both = np.stack([views[..., cfg.side], views.all(axis=-1)], axis=2)
    return np.asarray(both.reshape(len(views), cfg.values))


def measure(clips: Iterable[np.ndarray], cfg: FrontEndConfig) -> Accuracy:
    """Errors of `extract` against `reference` and `quantise`."""
    cfg = replace(cfg, scale=STEP_DB / db_per_log2(cfg), zero_point=-128)
    errors, differences = [], []
    for pcm in clips:
        ours, right = frontend.extract(pcm, cfg), frontend.reference(pcm, cfg)
        above = above_floor(pcm, cfg)
        errors.append(((ours.log2_q9 / 512 - right) * db_per_log2(cfg))[above])
        differences.append((ours.q.astype(int) - frontend.quantise(right, cfg))[above])
    error, difference = np.abs(np.concatenate(errors)), np.abs(np.concatenate(differences))
    return Accuracy(
        float(np.sqrt((error**2).mean())),
        float(np.quantile(error, 0.999)),
        float(error.max()),
        float((difference == 0).mean()),
        int(difference.max()),
        error.size,
    )


def synthetic(dbfs: float, seconds: float = 2.0, rate: int = RATE) -> dict[str, np.ndarray]:
    """Signals with their peak at dbfs, int16."""
    rng = np.random.default_rng(11)
    n = int(rate * seconds)
    t = np.arange(n) / rate
    impulses = np.zeros(n)
    impulses[::777] = 1.0
    signals = {
        "noise": rng.uniform(-1, 1, n),
        "sweep": np.sin(
            2 * np.pi * 20 * rate / 40 / np.log(400) * (400 ** (t / seconds) - 1) * seconds / 400
        ),
        "sine": np.sin(2 * np.pi * 1234.5 * t),
        "bin sine": np.sin(2 * np.pi * 1062.5 * t),  # not repeating every hop: that would be one value, often
        "dc": np.ones(n),
        "impulses": impulses,
        "square": np.sign(np.sin(2 * np.pi * 440.0 * t) + 1e-9),
        "silence": np.zeros(n),
    }
    peak = 32767 * 10 ** (dbfs / 20)
    return {k: np.round(v * peak).astype(np.int16) for k, v in signals.items()}


def hold(a: Accuracy) -> None:
    assert a.rms_db <= MOST_RMS_DB, a
    assert a.p999_db <= MOST_P999_DB, a
    assert a.equal >= LEAST_EQUAL, a
    assert a.steps <= 1, a


@pytest.mark.parametrize("dbfs", LEVELS_DBFS)
@pytest.mark.parametrize("name", CONFIGS)
def test_synthetic_signals(name: str, dbfs: float) -> None:
    signals = synthetic(dbfs)
    hold(measure(signals.values(), CONFIGS[name]))
    # Pure tones have most of their bands just above the floor, where the arithmetic's own noise shows first.
    for kind in ("noise", "sweep", "sine", "impulses", "square"):
        alone = measure([signals[kind]], CONFIGS[name])
        assert alone.rms_db <= 0.0075, (kind, alone)
        assert alone.p999_db <= 0.035, (kind, alone)
        assert alone.steps <= 1, (kind, alone)


@pytest.fixture(scope="module")
def esc10_clips(esc10_root: Path) -> list[np.ndarray]:
    """12 clips of several classes, peak-normalised float64."""
    from mcu_asc.audio.pcm import load_pcm

    files = sorted((esc10_root / "audio").iterdir())
    clips = [load_pcm(f, RATE).astype(np.float64) for f in files[:: len(files) // 12][:12]]
    return [c / max(np.abs(c).max(), 1.0) for c in clips]


@pytest.mark.parametrize("dbfs", LEVELS_DBFS)
@pytest.mark.parametrize("name", CONFIGS)
def test_real_clips(name: str, dbfs: float, esc10_clips: list[np.ndarray]) -> None:
    peak = 32767 * 10 ** (dbfs / 20)
    hold(measure([np.round(c * peak).astype(np.int16) for c in esc10_clips], CONFIGS[name]))


def test_default_floor_and_standardised_rows(esc10_clips: list[np.ndarray]) -> None:
    """As a network sees them: soft floor, per-band mean and deviation, every value counts."""
    clips = [np.round(c * 20000).astype(np.int16) for c in esc10_clips]
    rows = np.concatenate([frontend.reference(c, FrontEndConfig()) for c in clips])
    mean, std = rows.mean(axis=0), rows.std(axis=0)
    cfg = FrontEndConfig(mean=tuple(mean), std=tuple(std), scale=6 / 255, zero_point=3)
    for clip in clips:
        ours, right = frontend.extract(clip, cfg), frontend.reference(clip, cfg)
        difference = np.abs(ours.q.astype(int) - frontend.quantise(right, cfg))
        assert difference.max() <= 1
        assert (difference == 0).mean() >= LEAST_EQUAL
        assert np.abs(ours.log2_q9 / 512 - right).max() <= 0.6 / 512
