"""Pictures of results."""

from __future__ import annotations

from pathlib import Path

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
