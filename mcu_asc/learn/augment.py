"""Augmentation of log2 band energies: pure NumPy functions, random only through the generator given.

Arrays: x (n, rows, bands) float32; y (n, classes) float32, label shares that sum to 1.  The steps before
the standardisation work on log2 power in LSB^2 as the front end's C gives it, without the soft floor; the
floor is added after them, because on the device it is under the final power.  Recipe and what each step is
worth: Piczak's ESC-10, cross-validated; mixing after Tokozume et al. 2018 (between-class learning), masks
after Park et al. 2019 (SpecAugment).

A step whose amount is 0 draws nothing: what the others draw is then the same as without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from mcu_asc.learn.recipe import Augment

Floats = NDArray[np.float32]
Step = Callable[[Floats, Floats, np.random.Generator, Augment], tuple[Floats, Floats]]
DB_PER_OCTAVE = 10 * np.log10(2.0)  # of power: one unit of log2


def stretched_rows(
    x: Floats, start: NDArray[np.int64], length: NDArray[np.int64], offset: NDArray[np.int64],
    ratio: NDArray[np.float64], rows: int,
) -> Floats:  # fmt: skip
    """Windows cut out of clips at another tempo, interpolated between rows: (n, rows, bands).

    x       (N, bands), the rows of all clips one after another
    start   (n,) first row of each window within its clip, at ratio 1
    length  (n,) rows of its clip;  offset (n,) its clip's first row in x
    ratio   (n,) > 1: faster, as many rows out of more rows in; the window's middle stays

    Rows beyond the clip's ends repeat its last or first row.
    """
    middle = rows // 2
    at = start[:, None] + middle + (np.arange(rows) - middle) * ratio[:, None]
    at = np.clip(at, 0, (length - 1)[:, None])
    low = np.floor(at).astype(np.int64)
    share = (at - low).astype(np.float32)[..., None]
    high = np.minimum(low + 1, (length - 1)[:, None])
    a, b = x[offset[:, None] + low], x[offset[:, None] + high]
    out: Floats = a + share * (b - a)
    return out


def pitch(x: Floats, y: Floats, rng: np.random.Generator, a: Augment) -> tuple[Floats, Floats]:
    """Shift along the bands by up to -+ pitch_bands, interpolated; beyond the edges the edge band repeats."""
    shift = rng.uniform(-a.pitch_bands, a.pitch_bands, len(x))
    at = np.clip(np.arange(x.shape[2]) + shift[:, None], 0, x.shape[2] - 1)
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, x.shape[2] - 1)
    share = (at - low).astype(np.float32)[:, None, :]
    lower = np.take_along_axis(x, low[:, None, :], 2)
    out: Floats = lower + share * (np.take_along_axis(x, high[:, None, :], 2) - lower)
    return out, y


def gain(x: Floats, y: Floats, rng: np.random.Generator, a: Augment) -> tuple[Floats, Floats]:
    """Another level, and a random equaliser: normal gains at the knots, straight lines between them."""
    level = rng.uniform(-a.gain_db, a.gain_db, (len(x), 1))
    knots = rng.normal(0, 1, (len(x), a.eq_knots)) * a.eq_db
    at = np.linspace(0, a.eq_knots - 1, x.shape[2])
    low = np.minimum(at.astype(np.int64), a.eq_knots - 2)
    db = level + knots[:, low] + (at - low) * (knots[:, low + 1] - knots[:, low])
    out: Floats = x + (db / DB_PER_OCTAVE).astype(np.float32)[:, None, :]
    return out, y


def mix(x: Floats, y: Floats, rng: np.random.Generator, a: Augment) -> tuple[Floats, Floats]:
    """Add a share of another window's power, brought to the same mean power; labels mix by amplitude.

    P = (t^2 P1 + (1 - t)^2 P2 E1 / E2) / (t^2 + (1 - t)^2),  y = t y1 + (1 - t) y2,  t ~ Beta(1/2, 1/2):
    the powers of independent sounds add, so no waveform is needed.
    """
    n = len(x)
    partner = rng.permutation(n)
    t = rng.beta(0.5, 0.5, n)
    t = np.where(rng.uniform(size=n) < a.mix, t, 1.0).astype(np.float32)
    chosen = np.flatnonzero(t < 1)
    if not len(chosen):
        return x, y
    partner, t = partner[chosen], t[chosen, None, None]
    power, other = np.exp2(x[chosen]), np.exp2(x[partner])
    even = power.mean((1, 2), keepdims=True) / other.mean((1, 2), keepdims=True)
    x, mixed_y = x.copy(), y.copy()
    x[chosen] = np.log2((t**2 * power + (1 - t) ** 2 * other * even) / (t**2 + (1 - t) ** 2))
    mixed_y[chosen] = t[:, 0] * y[chosen] + (1 - t[:, 0]) * y[partner]
    return x, mixed_y


def roll(x: Floats, y: Floats, rng: np.random.Generator, a: Augment) -> tuple[Floats, Floats]:
    """Turn each window by up to -+ roll_rows rows; what leaves at one end comes in at the other."""
    if not a.roll_rows:
        return x, y
    shift = rng.integers(-a.roll_rows, a.roll_rows, len(x), endpoint=True)
    at = (np.arange(x.shape[1]) - shift[:, None]) % x.shape[1]
    out: Floats = np.take_along_axis(x, at[:, :, None], 1)
    return out, y


def device_differences(spectrum: Mapping[str, Floats]) -> tuple[tuple[str, ...], Floats]:
    """(devices, (devices, devices, bands) log2): entry [i, j] makes a sound of device i one of device j.

    spectrum  device -> mean log2 spectrum of its recordings, (bands,)
    """
    names = tuple(sorted(spectrum))
    mean = np.stack([spectrum[n] for n in names])
    out: Floats = (mean[None] - mean[:, None]).astype(np.float32)
    return names, out


def modulate(
    x: Floats, device: NDArray[np.int64], differences: Floats, rng: np.random.Generator, a: Augment
) -> Floats:
    """Spectrum modulation: give a share of the windows the mean spectrum of another device.

    device       (n,) index of each window's own device;  differences as `device_differences` gives them

    After Sugahara et al. (DCASE 2022): "applying a frequency energy difference to the data of non-device A".
    Here any device's windows, towards any other, each equally likely.
    """
    if not a.spectrum_modulation or len(differences) < 2:
        return x
    chosen = rng.uniform(size=len(x)) < a.spectrum_modulation
    other = (device + rng.integers(1, len(differences), len(x))) % len(differences)
    out: Floats = x + differences[device, other][:, None, :] * chosen[:, None, None].astype(np.float32)
    return out


def mixup(x: Floats, y: Floats, rng: np.random.Generator, a: Augment) -> tuple[Floats, Floats]:
    """Mixup of the network's input (Zhang et al. 2018): t x1 + (1 - t) x2, labels alike."""
    if not a.mixup:
        return x, y
    n = len(x)
    partner = rng.permutation(n)
    t = np.where(rng.uniform(size=n) < a.mixup, rng.beta(a.mixup_alpha, a.mixup_alpha, n), 1.0)
    share = t.astype(np.float32)[:, None]
    mixed: Floats = share[..., None] * x + (1 - share[..., None]) * x[partner]
    labels: Floats = share * y + (1 - share) * y[partner]
    return mixed, labels


def freq_mixstyle(x: Floats, y: Floats, rng: np.random.Generator, a: Augment) -> tuple[Floats, Floats]:
    """Freq-MixStyle (Kim et al. 2022): mix each band's mean and deviation with another window's.

    Labels stay: level and contrast of a band are the device's.  Statistics over the rows of a band;
    t ~ Beta(mixstyle_alpha, mixstyle_alpha), of a share `mixstyle` of the windows.
    """
    if not a.mixstyle:
        return x, y
    n = len(x)
    partner = rng.permutation(n)
    t = np.where(rng.uniform(size=n) < a.mixstyle, rng.beta(a.mixstyle_alpha, a.mixstyle_alpha, n), 1.0)
    t = t.astype(np.float32)[:, None, None]
    mean = x.mean(1, keepdims=True)
    std = np.sqrt(x.var(1, keepdims=True) + 1e-6)
    mixed_mean, mixed_std = (t * v + (1 - t) * v[partner] for v in (mean, std))
    out: Floats = np.where(t < 1, (x - mean) / std * mixed_std + mixed_mean, x)
    return out, y


def mask(x: Floats, y: Floats, rng: np.random.Generator, a: Augment) -> tuple[Floats, Floats]:
    """Set `masks` runs of bands and of rows to 0, the mean of standardised features."""
    x = x.copy()
    for axis, most in ((2, a.mask_bands), (1, a.mask_rows)) * a.masks:
        size = x.shape[axis]
        width = rng.integers(0, min(most, size), len(x), endpoint=True)
        first = rng.integers(0, size - width, endpoint=True)
        at = np.arange(size)
        hit = (at >= first[:, None]) & (at < (first + width)[:, None])
        x[np.broadcast_to(hit[:, None, :] if axis == 2 else hit[:, :, None], x.shape)] = 0
    return x, y


POWER_STEPS: Mapping[str, Step] = {"pitch": pitch, "gain": gain, "mix": mix, "roll": roll}  # before the floor
FEATURE_STEPS: Mapping[str, Step] = {  # after the standardisation
    "freq_mixstyle": freq_mixstyle,
    "mixup": mixup,
    "mask": mask,
}


def add_floor(x: Floats, floor: float) -> Floats:
    """log2(2^x + floor) for log2 powers x and a power `floor` > 0, both in LSB^2."""
    out: Floats = np.logaddexp2(x, np.float32(np.log2(floor)))
    return out


def apply(
    steps: Mapping[str, Step], x: Floats, y: Floats, rng: np.random.Generator, a: Augment
) -> tuple[Floats, Floats]:
    """All steps of a table, in its order."""
    for step in steps.values():
        x, y = step(x, y, rng, a)
    return x, y
