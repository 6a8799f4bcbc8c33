"""One run, one directory: what is in it, and how it is written so that a kill leaves it readable.

recipe.toml        the file as it was given
config.json        recipe with every default, front end with its statistics, labels, counts, versions
split.json         the ids of the clips of each fold, training and test
metrics.csv        a row an epoch
curves.png         the same as a picture
checkpoints/       STAGE.npz: the state of a stage in progress
STAGE.weights.h5   the weights that a finished stage left (float, prune, qat)
calibration.npz    un-augmented training windows, for quantisation without QAT
student.tflite     the result
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcu_asc import config
from mcu_asc.errors import AscError, UsageError
from mcu_asc.learn.keras import Keras
from mcu_asc.learn.recipe import Limits, Prune, Qat, Recipe, as_dict, parse
from mcu_asc.nouns import FrontEndConfig

# What a run that was killed before its config.json may have left.
BEFORE_CONFIG = tuple(
    n + end for n in ("recipe.toml", "split.json", "calibration.npz", "config.json") for end in ("", ".new")
)
COLUMNS = (
    "stage", "epoch", "lr", "loss", "sparsity", "clip_accuracy", "window_accuracy", "log_loss",
    "mean_class_accuracy", "macro_log_loss", "micro_auprc", "macro_auprc",
)  # fmt: skip
SHOWN = {"clip_accuracy": "accuracy per clip", "micro_auprc": "micro AUPRC"}  # of COLUMNS, in the picture


@dataclass(frozen=True)
class RunDir:
    """The paths of a run."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def calibration(self) -> Path:
        return self.path / "calibration.npz"

    @property
    def student(self) -> Path:
        return self.path / "student.tflite"

    def weights(self, stage: str) -> Path:
        return self.path / f"{stage}.weights.h5"

    def checkpoint(self, stage: str) -> Path:
        return self.path / "checkpoints" / f"{stage}.npz"


@dataclass(frozen=True)
class RunConfig:
    """What a run was made from, as config.json says it."""

    recipe: Recipe
    front_end: FrontEndConfig  # with mean and std; not yet quantised
    labels: tuple[str, ...]


def write_text(path: Path, text: str) -> None:
    """The whole file or none of it."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """The whole file or none of it."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    new.replace(path)


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1) + "\n")


def read_config(run: RunDir) -> RunConfig:
    """UsageError when the directory is no run."""
    try:
        values = json.loads(run.config.read_text(encoding="utf-8"))
        recipe, front_end, labels = (values[key] for key in ("recipe", "front_end", "labels"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{run.path} is not a run directory", "give a folder that `train` wrote") from error
    where = str(run.config)
    return RunConfig(
        recipe=parse(recipe, where),
        front_end=config.build(FrontEndConfig, front_end, where),
        labels=tuple(labels),
    )


def amend_config(run: RunDir, values: Mapping[str, Any]) -> None:
    """More about a run than its beginning could tell."""
    write_json(run.config, json.loads(run.config.read_text(encoding="utf-8")) | dict(values))


def save_weights(run: RunDir, stage: str, model: Keras) -> None:
    new = run.path / f"new-{stage}.weights.h5"  # the ending is what Keras tells formats by
    model.save_weights(new)
    new.replace(run.weights(stage))


def load_weights(run: RunDir, stage: str, model: Keras) -> None:
    """The weights that a finished stage left, into the network; UsageError when they cannot be."""
    path = run.weights(stage)
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"{path} does not hold the weights of this student: {str(error).splitlines()[0]}",
            f"delete it and go on with train --resume: stage {stage} goes on from its checkpoint",
        ) from error


@contextlib.contextmanager
def written(where: Path, remedy: str) -> Iterator[None]:
    """AscError in one line where the disk is full or a folder may not be written."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise AscError(f"cannot write {error.filename or where}: {reason}", remedy) from error


def fork(source: Path, target: Path, recipe: Recipe) -> None:
    """Make `target` a run of `recipe` that goes on behind the finished float stage of the run `source`.

    For recipes that differ after that stage only; UsageError for others.  A target that is a run already is
    left as it is.
    """
    old, new = RunDir(source), RunDir(target)
    if new.config.exists():
        return
    made = read_config(old)
    theirs, ours = (
        dataclasses.replace(r, prune=Prune(), qat=Qat(), name="", licence="", budget=Limits())
        for r in (made.recipe, recipe)
    )
    if theirs != ours or not old.weights("float").exists():
        raise UsageError(f"{source} does not hold the float stage of that recipe", "train it from the start")
    target.mkdir(parents=True, exist_ok=True)
    for name in (old.weights("float").name, old.calibration.name, "split.json"):
        write_bytes(target / name, (source / name).read_bytes())
    metrics = Metrics(new)
    for row in Metrics(old).rows:
        if row["stage"] == "float":
            metrics.add(row)
    values = json.loads(old.config.read_text(encoding="utf-8"))
    write_json(new.config, {**values, "recipe": as_dict(recipe)})


class Metrics:
    """metrics.csv in memory and on disk; a resumed stage replaces its later rows."""

    def __init__(self, run: RunDir) -> None:
        self.path = run.metrics
        self.rows: list[dict[str, Any]] = []
        if self.path.exists():
            with self.path.open(newline="", encoding="utf-8") as file:
                self.rows = list(csv.DictReader(file))

    def add(self, row: Mapping[str, Any]) -> None:
        stage, epoch = row["stage"], int(row["epoch"])
        self.rows = [r for r in self.rows if r["stage"] != stage or int(r["epoch"]) < epoch]
        shown = {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()}
        self.rows.append({c: shown.get(c, "") for c in COLUMNS})
        lines = [",".join(COLUMNS), *(",".join(str(r.get(c, "")) for c in COLUMNS) for r in self.rows)]
        write_text(self.path, "\n".join(lines) + "\n")


def draw_curves(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Loss and test accuracy (or AUPRC) over the epochs of all stages."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left = figure.add_subplot()
    right = left.twinx()
    first = 0
    shown = "micro_auprc" if any(r.get("micro_auprc") for r in rows) else "clip_accuracy"
    for stage in dict.fromkeys(str(r["stage"]) for r in rows):
        own = [r for r in rows if r["stage"] == stage]
        left.plot([first + int(r["epoch"]) for r in own], [float(r["loss"]) for r in own], label=stage)
        tested = [r for r in own if r[shown] != ""]
        accuracy = [100 * float(r[shown]) for r in tested]
        right.plot([first + int(r["epoch"]) for r in tested], accuracy, "k.:")
        first += int(own[-1]["epoch"])
    left.set(xlabel="epoch", ylabel="training loss (augmented)")
    right.set(ylabel=f"test {SHOWN[shown]}, % (dots)")
    left.legend(loc="center right")
    new = path.with_name("new-" + path.name)
    figure.savefig(new, dpi=100)
    new.replace(path)
