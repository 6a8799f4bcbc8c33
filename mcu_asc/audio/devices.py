"""Made-up recording devices: impulse responses for waveforms, so that training hears more than the set has.

A device is a smooth response over frequency, drawn at random, as the shortest (minimum-phase) impulse
response that has it.  Ours, from numbers: no recorded microphone is shipped.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mcu_asc.audio.datasets import Dataset
from mcu_asc.nouns import Clip

Points = tuple[tuple[float, float], ...]  # (Hz, dB), ascending
Signal = NDArray[np.float64]

VERSION = 1  # raise it whenever any device changes
TAPS = 512
GRID = 8192  # of the spectrum that an impulse response is made from
KNOTS_HZ = (100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, 6400.0)
SPREAD_DB = 3.0  # standard deviation at the knots, about what the microphones of phones differ by
LOW_CUT_DB = (-24.0, -3.0)  # at 40 Hz
HIGH_CUT_DB = (-12.0, 0.0)  # at half of the rate


def random_response(rng: np.random.Generator, rate_hz: int) -> Points:
    """A device's response: a band-pass with soft bumps."""
    inside = [f for f in KNOTS_HZ if f < rate_hz / 2]
    bumps = rng.normal(0, SPREAD_DB, len(inside))
    low, high = rng.uniform(*LOW_CUT_DB), rng.uniform(*HIGH_CUT_DB)
    middle = tuple((f, float(db)) for f, db in zip(inside, bumps, strict=True))
    return ((40.0, float(low)), *middle, (rate_hz / 2, float(high)))


def impulse_response(response: Points, rate_hz: int) -> Signal:
    """The minimum-phase impulse response of `response`, (TAPS,); dB are straight lines over log frequency.

    By the folded cepstrum (Oppenheim and Schafer, Discrete-Time Signal Processing).
    """
    frequency = np.maximum(np.fft.rfftfreq(GRID, 1 / rate_hz), 1.0)
    hz, db = np.array(response).T
    log_gain = np.interp(np.log(frequency), np.log(hz), db) * (np.log(10) / 20)
    cepstrum = np.fft.irfft(log_gain, GRID)
    cepstrum[1 : GRID // 2] *= 2
    cepstrum[GRID // 2 + 1 :] = 0
    taps: Signal = np.fft.irfft(np.exp(np.fft.rfft(cepstrum)), GRID)[:TAPS]
    return taps


def through(pcm: NDArray[np.int16], taps: Signal) -> NDArray[np.int16]:
    """`pcm` as a device of that impulse response gives it: same length, rounded, limited to 16 bits."""
    size = pcm.size + taps.size - 1
    fft = 1 << max(0, size - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(pcm.astype(np.float64), fft) * np.fft.rfft(taps, fft), fft)[: pcm.size]
    out: NDArray[np.int16] = np.clip(np.rint(wet), -32768, 32767).astype(np.int16)
    return out


def through_devices(ds: Dataset, clips: Sequence[Clip], versions: int) -> tuple[Dataset, tuple[Clip, ...]]:
    """A data set that also knows `clips` through `versions` devices each, and those clips.

    A version's name is CLIP@K, what it sounds through is drawn from clip and K alone.  It stays in the fold
    and the group of its clip, under its device.  With 0 versions the data set itself and no clips.
    """
    if not versions:
        return ds, ()
    known = {clip.id: clip for clip in clips}
    also = tuple(
        dataclasses.replace(clip, id=f"{clip.id}@{k}") for k in range(1, versions + 1) for clip in clips
    )
    made = {clip.id for clip in also}

    def original(clip: Clip) -> Clip:
        return known[clip.id.rpartition("@")[0]]

    def pcm(clip: Clip, rate_hz: int) -> NDArray[np.int16]:
        if clip.id not in made:
            return ds.pcm(clip, rate_hz)
        return through(
            ds.pcm(original(clip), rate_hz), impulse_response(random_response(_rng(clip), rate_hz), rate_hz)
        )

    def identity(clip: Clip) -> bytes:
        if clip.id not in made:
            return ds.identity(clip)
        key = b"device %d " % VERSION + clip.id.encode()
        return hashlib.sha256(ds.identity(original(clip)) + key).digest()

    return dataclasses.replace(ds, pcm=pcm, identity=identity), also


def _rng(clip: Clip) -> np.random.Generator:
    seed = hashlib.sha256(f"devices {VERSION} {clip.id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(seed[:8], "little"))
