"""A front end's rows as a picture: float64, fixed point, and their difference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcu_asc.audio import frontend
from mcu_asc.errors import UsageError
from mcu_asc.nouns import FrontEndConfig

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """Fixed point against float64, over all values of a clip."""

    rows: int
    values: int  # of a row
    rms_db: float
    max_db: float
    equal: float  # share of int8 values
    steps: int  # largest int8 difference


def compare(pcm: NDArray[np.int16], cfg: FrontEndConfig) -> tuple[Floats, Floats, Difference]:
    """(float64, fixed point, their difference) in log2 units; UsageError when the clip has no whole row."""
    if pcm.size < cfg.first_samples:
        raise UsageError(
            f"{pcm.size:,} samples do not make a row",
            f"{cfg.first_samples:,} or more at {cfg.sample_rate_hz:,} Hz",
        )
    right, ours = frontend.reference(pcm, cfg), frontend.extract(pcm, cfg)
    fixed = ours.log2_q9 / 512.0
    error = (fixed - right) * db_per_log2(cfg)
    steps = np.abs(ours.q.astype(int) - frontend.quantise(right, cfg))
    return (
        right,
        fixed,
        Difference(
            len(right),
            cfg.values,
            float(np.sqrt((error**2).mean())),
            float(np.abs(error).max()),
            float((steps == 0).mean()),
            int(steps.max()),
        ),
    )


def db_per_log2(cfg: FrontEndConfig) -> float:
    """dB of 1 in log2: of a power, or of a magnitude."""
    return frontend.DB_PER_LOG2 * (2.0 if cfg.spectrum == "magnitude" else 1.0)


def draw(pcm: NDArray[np.int16], cfg: FrontEndConfig, png: Path, title: str) -> Difference:
    """Writes the picture to `png`; UsageError when the clip has no whole row or `png` cannot be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    right, fixed, found = compare(pcm, cfg)
    scale = db_per_log2(cfg)
    channels = cfg.channels
    figure = Figure(figsize=(11, 3 + 6 * channels), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3 * channels, 1, sharex=True, squeeze=False)[:, 0]
    seconds = (cfg.side * cfg.hop + np.array([0, len(right)]) * cfg.hop) / cfg.sample_rate_hz
    for channel in range(channels):
        what = ("log energy, dB re 1 LSB", "slope, dB a row")[channel]
        a, b = (x[:, channel::channels].T * scale for x in (right, fixed))
        error = b - a
        low, high = float(min(a.min(), b.min())), float(max(a.max(), b.max()))
        reach = max(float(np.abs(error).max()), 1e-3)
        panels = (
            ("float64", a, "magma", low, high, what),
            ("fixed point", b, "magma", low, high, what),
            ("fixed point - float64", error, "RdBu_r", -reach, reach, "dB"),
        )
        for axis, (name, values, colours, least, most, unit) in zip(
            axes[3 * channel : 3 * channel + 3], panels, strict=True
        ):
            image = axis.imshow(
                values,
                aspect="auto",
                origin="lower",
                interpolation="nearest",
                cmap=colours,
                vmin=least,
                vmax=most,
                extent=(seconds[0], seconds[1], -0.5, cfg.bands - 0.5),
            )
            axis.set_title(name, loc="left", fontsize=10)
            axis.set_ylabel("band")
            figure.colorbar(image, ax=axis, pad=0.01).set_label(unit)
    axes[-1].set_xlabel("s")
    figure.suptitle(f"{title}: error {found.rms_db:.4f} dB RMS, {found.max_db:.3f} dB at most", fontsize=11)
    try:
        figure.savefig(png, dpi=110, format="png")
    except OSError as e:
        raise UsageError(f"cannot write {png}: {e.strerror}", "choose another --png") from e
    return found
