"""From a recipe and a data set to a trained, compressed student and its .tflite file.

    recipe.toml + data set -> train -> run directory -> export -> student.tflite with its card inside

TensorFlow is imported by the functions that need it (see keras.py), never by importing this package.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mcu_asc.learn.progress import Progress, silent

__all__ = ["Gate", "Progress", "export", "silent", "train"]

Gate = Callable[[bytes, str, str], None]
"""(untrained int8 .tflite, board's name, budget's name): raises OverBudget where it does not fit."""


def train(
    recipe_path: Path,
    data_root: Path | None = None,
    out: Path | None = None,
    resume: bool = False,
    progress: Progress = silent,
    gate: Gate | None = None,
    seed: int | None = None,
) -> Path:
    """Train the student of a recipe and return its run directory (default: runs/NAME), see pipeline.py.

    gate  is asked before training where the recipe's [budget] names a board: this room knows no boards
    seed  in place of the recipe's
    """
    from mcu_asc.learn.pipeline import train as run

    return run(recipe_path, data_root, out, resume, progress, gate, seed)


def export(run_dir: Path, out: Path | None = None) -> Path:
    """Convert the student of a finished run to int8 and return the .tflite's path, see convert.py."""
    from mcu_asc.learn.convert import export as run

    return run(run_dir, out)
