"""Pictures of results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mcu_asc.nouns import Report


def draw_confusion(report: Report, path: Path) -> None:
    """The confusion matrix, rows = truth, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    counts = np.array(report.confusion)
    n = len(report.labels)
    figure = Figure(figsize=(1.8 + 0.6 * n, 1.4 + 0.55 * n), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.imshow(counts, cmap="Blues")
    axes.set_xticks(range(n), report.labels, rotation=45, ha="right")
    axes.set_yticks(range(n), report.labels)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    axes.set_title(f"{100 * report.accuracy:.2f} % of {report.clips} clips, log loss {report.log_loss:.3f}")
    for (row, column), value in np.ndenumerate(counts):
        if value:
            dark = value > counts.max() / 2
            axes.text(column, row, str(value), ha="center", va="center", color="white" if dark else "black")
    figure.savefig(path, dpi=120)


def draw_reliability(calibration: Mapping[str, Any], path: Path) -> None:
    """Accuracy against confidence in bins, and how many clips each holds, as a PNG.

    `calibration` is what score.evaluation gives: error and bins (low, high, clips, confidence, accuracy).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    bins = calibration["bins"]
    left = [b["low"] for b in bins]
    width = [b["high"] - b["low"] for b in bins]
    figure = Figure(figsize=(4.6, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    axes.plot((0, 1), (0, 1), color="grey", linestyle="--", label="as sure as it is right")
    axes.bar(left, [b["accuracy"] for b in bins], width, align="edge", edgecolor="white", label="accuracy")
    axes.plot([b["confidence"] for b in bins], [b["accuracy"] for b in bins], "ko", markersize=3)
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
    axes.legend(loc="upper left")
    axes.set_title(f"expected calibration error {100 * calibration['error']:.2f} %")
    below.bar(left, [b["clips"] for b in bins], width, align="edge", edgecolor="white", color="grey")
    below.set(xlabel="confidence", ylabel="clips")
    figure.savefig(path, dpi=120)
