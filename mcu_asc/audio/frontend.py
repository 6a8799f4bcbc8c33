"""int16 samples -> log2 band energies -> int8 network input, by the C that runs on the board.

`tables` turns a FrontEndConfig into the constants of `asc_fe`; `extract` runs the C with them here and
`c_source` writes them for a board.  `reference` is the float64 definition of what is right; the C is ours.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcu_asc import native
from mcu_asc.audio import bank as banks
from mcu_asc.audio.bank import BANKS, TRIANGULAR, Bank
from mcu_asc.errors import UsageError
from mcu_asc.native import BAND, FrontEndTables
from mcu_asc.nouns import FrontEndConfig

Floats = NDArray[np.float64]

FFT_LENGTHS = (256, 512, 1024, 2048, 4096)
FULL_SCALE_SQUARED = 2.0**30  # LSB^2
INT8_BITS = range(10, 3, -1)  # fractional bits of the affine to int8, the best first
KERNELS = {
    "ref": ("asc_fft.c", "asc_bank.c"),
    "dsp": ("asc_fft_dsp.c", "asc_fft_stages.S", "asc_bank_dsp.c", "asc_bank_loops.S"),
}
"""Flavour -> the front end's files in firmware/kernels."""
DELTAS = (0, 3, 5, 7, 9)
DB_PER_LOG2 = 10.0 * math.log10(2.0)


def _cosine(a: float) -> Callable[[int], Floats]:
    """Periodic: the length's first repetition is left out, as an FFT wants it."""
    return lambda n: a - (1.0 - a) * np.cos(2.0 * np.pi * np.arange(n) / n)


SPECTRA = ("power", "magnitude")
NORMS = ("none", "slaney")
WINDOWS: dict[str, Callable[[int], Floats]] = {"hann": _cosine(0.5), "hamming": _cosine(0.54)}


@dataclass(frozen=True, eq=False)
class Features:
    """The rows of one clip; row r covers samples (r + side) * hop .. (r + side) * hop + window - 1.

    values = bands, or 2 * bands with deltas: log2 and delta of a band side by side.
    """

    log2_q9: NDArray[np.int16]  # (rows, values) log2(energy + floor), energies in LSB^2, Q9
    q: NDArray[np.int8]  # (rows, values) the network's input
    level_q9: NDArray[np.int16]  # (rows,) log2 of the mean band power without the floor, Q9


# ---- the door ----------------------------------------------------------------------------------


def check(cfg: FrontEndConfig) -> None:
    """Raises UsageError, naming field and allowed values, for a configuration that the C cannot run."""
    nyquist = cfg.sample_rate_hz / 2
    rules: tuple[tuple[str, bool, str], ...] = (
        ("sample_rate_hz", cfg.sample_rate_hz > 0, "above 0"),
        ("fft", cfg.fft in FFT_LENGTHS, "one of " + ", ".join(map(str, FFT_LENGTHS))),
        ("window", 2 <= cfg.window <= cfg.fft, f"2 to fft = {cfg.fft}"),
        ("hop", 1 <= cfg.hop <= cfg.window, f"1 to window = {cfg.window}"),
        ("window_shape", cfg.window_shape in WINDOWS, "one of " + ", ".join(WINDOWS)),
        ("bank", cfg.bank in BANKS, "one of " + ", ".join(BANKS)),
        ("spectrum", cfg.spectrum in SPECTRA, "one of " + ", ".join(SPECTRA)),
        ("norm", cfg.norm in NORMS, "one of " + ", ".join(NORMS)),
        ("norm", cfg.norm == "none" or cfg.bank in TRIANGULAR, "none, for a bank without triangles"),
        ("deltas", cfg.deltas in DELTAS, "one of " + ", ".join(map(str, DELTAS))),
        ("bands", 1 <= cfg.bands < cfg.fft // 2, f"1 to {cfg.fft // 2 - 1}"),
        ("f_max_hz", 0 < cfg.f_max_hz <= nyquist, f"above 0, at most half the sample rate = {nyquist:g}"),
        ("f_min_hz", 0 <= cfg.f_min_hz < cfg.f_max_hz, f"0 to below f_max_hz = {cfg.f_max_hz:g}"),
        ("f_min_hz", cfg.f_min_hz > 0 or cfg.bank != "cqt", "above 0 for geometric steps"),
        ("floor_fs2", 0 <= cfg.floor_fs2 <= cfg.fft**2, f"0 to fft squared = {cfg.fft**2}"),
        ("rows", cfg.rows >= 1, "at least 1"),
        ("mean", len(cfg.mean) in (0, cfg.values), f"empty or one for each value of a row, {cfg.values}"),
        ("mean", all(map(math.isfinite, cfg.mean)), "finite"),
        ("std", len(cfg.std) in (0, cfg.values), f"empty or one for each value of a row, {cfg.values}"),
        ("std", all(0 < s < math.inf for s in cfg.std), "above 0"),
        ("scale", 0 < cfg.scale < math.inf, "above 0"),
        ("zero_point", -128 <= cfg.zero_point <= 127, "-128 to 127"),
    )
    for name, good, allowed in rules:
        if not good:
            value = getattr(cfg, name)
            shown = f"{len(value)} values" if isinstance(value, tuple) else repr(value)
            raise UsageError(f"front end: {name} = {shown} cannot be", f"allowed: {allowed}")


def _bank(cfg: FrontEndConfig, bands: int) -> Bank:
    return banks.make(
        cfg.bank,
        bands,
        cfg.f_min_hz,
        cfg.f_max_hz,
        cfg.fft,
        cfg.sample_rate_hz,
        cfg.spectrum == "magnitude",
    )


def _norms(cfg: FrontEndConfig) -> Floats:
    """(bands,) what each band's energy is multiplied by."""
    if cfg.norm == "none":
        return np.ones(cfg.bands)
    return banks.slaney_norm(cfg.bank, cfg.bands, cfg.f_min_hz, cfg.f_max_hz)


def _full_scale(cfg: FrontEndConfig) -> float:
    """1.0 in units of band energies: LSB^2, or LSB of a magnitude."""
    return math.sqrt(FULL_SCALE_SQUARED) if cfg.spectrum == "magnitude" else FULL_SCALE_SQUARED


# ---- tables ------------------------------------------------------------------------------------


def _fft_tables(shape: Floats, n: int) -> tuple[NDArray[np.int32], NDArray[np.int16], NDArray[np.int32]]:
    """Window in first-stage order, byte steps between first-stage groups, twiddles of the later stages."""
    radix = 8 if n.bit_length() % 2 == 0 else 4  # radix-8 for an odd power of two
    groups = n // radix
    order = np.zeros(groups, np.int64)  # digit reversal to the base of 4
    digit = 1
    while digit < groups:
        order = order * 4 + np.arange(groups) // digit % 4
        digit *= 4
    # Just below 1 at the peak: then no sum of the first stage leaves 32 bits, -32768 samples included.
    one = 2.0**29 - 2.0**13 if radix == 8 else 2.0**30 - 2.0**14
    padded = np.zeros(n)
    padded[: shape.size] = np.round(shape * one)
    legs = (0, 4, 2, 6, 1, 5, 3, 7) if radix == 8 else (0, 2, 1, 3)
    window = np.stack([padded[order + leg * groups] for leg in legs], axis=1).ravel()
    steps = np.append(np.diff(order) * 2, 0)

    twiddles: list[Floats] = []
    m = radix
    while m < n:
        angle = np.outer((1, 2, 3), 2.0 * np.pi * np.arange(1, m // 2) / (4 * m))
        (c1, c2, c3), (s1, s2, s3) = np.cos(angle), np.sin(angle)
        twiddles.append(np.stack([s3, c2, s2, c1, s1, c3], axis=1).ravel())
        m *= 4
    words = np.round(np.concatenate(twiddles) * 2.0**30)
    return window.astype(np.int32), steps.astype(np.int16), words.astype(np.int32)


def _affine(
    mean: Floats, std: Floats, cfg: FrontEndConfig, step: float, carry: float
) -> tuple[int, NDArray[np.int32], NDArray[np.int32]]:
    """(bits, mul, add) with int8 = ((x * mul >> 32) + add) >> bits, rounding in add.

    x = value / step * 2^16 + carry, value in log2 units.
    """
    gain = 1.0 / (std * cfg.scale)
    offset = cfg.zero_point - mean * gain
    for bits in INT8_BITS:
        mul = np.round(gain * step * 2.0 ** (16 + bits))
        add = np.round(offset * 2.0**bits + 2.0 ** (bits - 1) - carry * gain * step * 2.0 ** (bits - 16))
        if mul.max() < 2**31 and np.abs(add).max() <= 2**30:
            if mul.min() < 1:
                break
            return bits, mul.astype(np.int32), add.astype(np.int32)
    raise UsageError(
        f"front end: std * scale from {1 / gain.max():.3g} to {1 / gain.min():.3g} and mean from"
        f" {mean.min():.3g} to {mean.max():.3g} do not fit 32-bit fixed point",
        "steps from 0.0005 to 60000 and means from 0 to 64 fit; is mean or std in other units than log2?",
    )


def _bands(cfg: FrontEndConfig, energy_bits: int) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """(band, delta) of asc_fe: what makes values out of energies."""
    mean = np.reshape(cfg.mean or (0.0,) * cfg.values, (cfg.bands, cfg.channels))
    std = np.reshape(cfg.std or (1.0,) * cfg.values, (cfg.bands, cfg.channels))
    norms = _norms(cfg)
    floor = np.round(cfg.floor_fs2 * _full_scale(cfg) * 2.0**energy_bits / norms)
    if floor.max() >= 2.0**62:
        raise UsageError(
            f"front end: floor_fs2 = {cfg.floor_fs2} does not fit 64-bit fixed point",
            f"up to {cfg.floor_fs2 * 2.0**62 / floor.max():.3g} fits",
        )
    band = np.zeros(cfg.bands, BAND)
    band["floor"] = floor.astype(np.uint64)
    band["one"] = np.round((energy_bits - np.log2(norms)) * 65536) - native.log2_q16(2**31)
    # asc_log2_q16 carries 64 for the rounding of the Q9 row: taken back here.
    band["bits"], band["mul"], band["add"] = _affine(mean[:, 0], std[:, 0], cfg, 1.0, 64.0)
    delta = np.zeros(cfg.bands if cfg.deltas else 0, BAND)
    if cfg.deltas:
        step = 1.0 / _regression(cfg.side)
        delta["bits"], delta["mul"], delta["add"] = _affine(mean[:, 1], std[:, 1], cfg, step, 0.0)
    return band, delta


def _regression(side: int) -> int:
    """Divisor of the regression slope over 2 * side + 1 rows."""
    return 2 * sum(d * d for d in range(1, side + 1))


@functools.lru_cache(maxsize=32)
def tables(cfg: FrontEndConfig) -> FrontEndTables:
    """The constants of `asc_fe`.  Raises UsageError for a configuration that the C cannot run."""
    check(cfg)
    bank = _bank(cfg, cfg.bands)
    empty = bank.empty()
    if empty is not None:
        most = next((b for b in range(cfg.bands - 1, 0, -1) if _bank(cfg, b).empty() is None), 0)
        raise UsageError(
            f"front end: bands = {cfg.bands} leaves band {empty} without an FFT bin"
            f" ({cfg.sample_rate_hz / cfg.fft:g} Hz apart)",
            f"bands up to {most}, a longer fft, or a higher f_min_hz",
        )
    window, steps, twiddles = _fft_tables(WINDOWS[cfg.window_shape](cfg.window), cfg.fft)
    magnitude = cfg.spectrum == "magnitude"
    amplitude_bits = 17 - cfg.fft.bit_length()  # log2(65536 / fft)
    energy_bits = amplitude_bits + 16 if magnitude else 2 * amplitude_bits
    band, delta = _bands(cfg, energy_bits)
    first, segments, weights = bank.tables()
    one = native.log2_q16(2**31)
    made = FrontEndTables(
        n=cfg.fft,
        window_table=window,
        steps=steps,
        twiddles=twiddles,
        power=f"asc_fft_power_{cfg.fft}",
        window=cfg.window,
        hop=cfg.hop,
        bands=cfg.bands,
        first=first,
        magnitude="asc_fft_magnitude" if magnitude else "NULL",
        bank=bank.function,
        segments=segments,
        weights=weights,
        band=band,
        delta=delta,
        level_one=energy_bits * 65536 + round(math.log2(cfg.bands) * 65536) - one,
        delta_scale=round(2**32 / (128 * _regression(cfg.side))) if cfg.deltas else 0,
        side=cfg.side,
        energy_bits=energy_bits,
    )
    for value in vars(made).values():
        if isinstance(value, np.ndarray):
            value.setflags(write=False)  # the cache hands the same arrays to everyone
    return made


# ---- rows --------------------------------------------------------------------------------------


def extract(pcm: NDArray[np.int16], cfg: FrontEndConfig) -> Features:
    """All rows of a clip, by the C.

    Args:
        pcm: int16 mono samples at cfg.sample_rate_hz, (samples,).
        cfg: the front end.

    Returns:
        1 + (samples - first_samples) // hop rows; none where the clip is shorter than that.

    Raises:
        UsageError: a configuration that the C cannot run, or samples that are not int16 mono.
    """
    x = _mono(pcm)
    return Features(*native.FrontEnd(tables(cfg)).push(x))


def _mono(pcm: NDArray[np.int16]) -> NDArray[np.int16]:
    x = np.asarray(pcm)
    if x.dtype != np.int16 or x.ndim != 1:
        raise UsageError(f"samples are {x.dtype} of shape {x.shape}", "int16, one channel, shape (samples,)")
    return x


# ---- what is right -----------------------------------------------------------------------------


def power(pcm: NDArray[np.int16], cfg: FrontEndConfig) -> Floats:
    """(rows, fft / 2 + 1) float64: |X|^2 of each windowed frame in LSB^2."""
    check(cfg)
    x = _mono(pcm).astype(np.float64)
    rows = max(0, 1 + (x.size - cfg.window) // cfg.hop)
    index = np.arange(rows)[:, None] * cfg.hop + np.arange(cfg.window)
    spectrum = np.fft.rfft(x[index] * WINDOWS[cfg.window_shape](cfg.window), cfg.fft)
    out: Floats = spectrum.real**2 + spectrum.imag**2
    return out


def energies(pcm: NDArray[np.int16], cfg: FrontEndConfig) -> Floats:
    """(frames, bands) float64 band energies in LSB^2 (LSB of a magnitude), normalised, without the floor."""
    spectrum = power(pcm, cfg)
    if cfg.spectrum == "magnitude":
        spectrum = np.sqrt(spectrum)
    return np.asarray(spectrum @ _bank(cfg, cfg.bands).matrix(cfg.fft // 2 + 1).T * _norms(cfg))


def deltas(log2: NDArray[np.floating], side: int) -> Floats:
    """Slopes per row by regression (The HTK Book, 5.9).

    (..., frames, bands) -> (..., frames - 2 * side, bands)
    """
    *outer, frames, bands = log2.shape
    rows = max(0, frames - 2 * side)
    slope = np.zeros((*outer, rows, bands))
    for d in range(1, side + 1):
        slope += d * (log2[..., side + d :, :][..., :rows, :] - log2[..., side - d :, :][..., :rows, :])
    return slope / _regression(side)


def reference(pcm: NDArray[np.int16], cfg: FrontEndConfig) -> Floats:
    """(rows, values) float64 log2(energy + floor) in LSB^2, at least 0: what the C approximates."""
    log2 = np.log2(np.maximum(energies(pcm, cfg) + cfg.floor_fs2 * _full_scale(cfg), 1.0))
    if cfg.deltas:
        slope = deltas(log2, cfg.side)
        own = log2[cfg.side : cfg.side + len(slope)]
        log2 = np.stack([own, slope], axis=2).reshape(len(slope), cfg.values)
    return np.asarray(log2)


def quantise(log2: Floats, cfg: FrontEndConfig) -> NDArray[np.int8]:
    """(rows, values) log2 values -> the network's int8 input, in float64."""
    mean = np.array(cfg.mean or (0.0,) * cfg.values)
    std = np.array(cfg.std or (1.0,) * cfg.values)
    q = np.floor((log2 - mean) / std / cfg.scale + 0.5) + cfg.zero_point
    out: NDArray[np.int8] = np.clip(q, -128, 127).astype(np.int8)
    return out


# ---- C -----------------------------------------------------------------------------------------


def c_source(cfg: FrontEndConfig) -> str:
    """The tables as one C file that defines `const asc_fe asc_front_end`; the same text for the same cfg.

    Raises UsageError for a configuration that the C cannot run.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from mcu_asc import __version__, paths

    environment = Environment(
        loader=FileSystemLoader(paths.firmware_dir() / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    template = environment.get_template("front_end.c.j2")
    return template.render(cfg=cfg, t=tables(cfg), version=__version__, fingerprint=cfg.fingerprint.hex())


def table_bytes(cfg: FrontEndConfig) -> int:
    """Flash of the tables that `c_source` writes."""
    return sum(a.nbytes for a in vars(tables(cfg)).values() if isinstance(a, np.ndarray))


def kernel_sources(flavour: str) -> list[Path]:
    """The files of firmware/kernels/`flavour` that the front end needs; "ref" is portable, "dsp" for Cortex-M
    with the DSP extension.  One of the two is linked beside firmware/asc."""
    from mcu_asc import paths

    folder = paths.firmware_dir() / "kernels" / flavour
    return [folder / name for name in KERNELS[flavour]]
