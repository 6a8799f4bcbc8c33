"""From a recipe to a run directory: features, float training, pruning, QAT, int8 conversion."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_asc import __version__, config, store
from mcu_asc.audio.datasets import Dataset, open_dataset, select
from mcu_asc.audio.devices import through_devices
from mcu_asc.audio.features import features
from mcu_asc.audio.frontend import Features, tables
from mcu_asc.errors import UsageError
from mcu_asc.learn import keras, rundir
from mcu_asc.learn.convert import build_student, export, stages_of
from mcu_asc.learn.distil import Tutor
from mcu_asc.learn.evaluation import keras_scores
from mcu_asc.learn.keras import Keras
from mcu_asc.learn.loop import Stage, run_stage
from mcu_asc.learn.progress import Progress
from mcu_asc.learn.prune import narrowed, refuse_branches
from mcu_asc.learn.quantise import quantised, set_ranges
from mcu_asc.learn.recipe import Recipe, as_dict, load
from mcu_asc.learn.rundir import RunDir
from mcu_asc.learn.students import Shape, cost
from mcu_asc.learn.teachers import Teacher, open_teachers
from mcu_asc.learn.untrained import refuse_over, untrained
from mcu_asc.learn.windows import (
    TestSet,
    TrainingSet,
    bare,
    calibration_windows,
    real_input,
    test_set,
    training_set,
    with_statistics,
)
from mcu_asc.nouns import Clip, FrontEndConfig

CALIBRATION_WINDOWS = 300


def train(
    recipe_path: Path,
    data_root: Path | None,
    out: Path | None,
    resume: bool,
    progress: Progress,
    gate: Callable[[bytes, str, str], None] | None = None,
    seed: int | None = None,
) -> Path:
    """Train the student of a recipe through all its stages; returns the run directory.

    `out` defaults to runs/NAME; `seed` stands in for the recipe's.  With `resume` a run that was stopped goes
    on from its last epoch, and a finished one is left as it is; without it a directory that holds a run is
    refused.  Everything that can be wrong with the recipe, the data or the directory is a UsageError before
    the first step, and a student larger than the recipe's [budget] is OverBudget.
    """
    recipe = load(Path(recipe_path))
    if seed is not None:
        recipe = dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, seed=seed))
    tables(recipe.front_end)  # refuses what the C cannot run
    run = RunDir(Path(out) if out else Path("runs") / recipe.name)
    _claim(run, recipe, resume)
    ds = open_dataset(recipe.data.dataset, data_root)
    labels = _labels(recipe, ds, str(recipe_path))
    train_clips, test_clips = _clips(ds, recipe, labels, str(recipe_path))
    keras.one_thread()
    keras.optimisation()  # missing packages show now, not after an hour
    if recipe.narrows:
        refuse_branches(build_student(recipe, len(labels), dropout=False))
    _check_budget(recipe, len(labels), gate)
    teachers = _teachers(run, recipe, labels, test_clips)

    floored, front_end = _features(ds, recipe, train_clips, test_clips, progress)
    heard, also = through_devices(ds, train_clips, recipe.augment.devices)
    bare_features = features(heard, (*train_clips, *also), bare(recipe.front_end))
    data = training_set((*train_clips, *also), bare_features, labels, front_end, recipe)
    test = test_set(test_clips, floored, labels, front_end, recipe.decision, ds.multi_label)
    calibration = _calibration([floored[c.id] for c in train_clips], recipe)
    tutor = None
    if teachers:
        sounds = store.key(*(heard.identity(c) for c in (*train_clips, *also)))
        tutor = Tutor(recipe.distill, teachers, data, sounds)
    with rundir.written(run.path, "make room and go on with --resume: what is there is whole"):
        if not run.config.exists():
            with run.calibration.open("wb") as file:
                np.savez_compressed(file, log2_q9=calibration)
            _describe(
                run, Path(recipe_path), recipe, ds, front_end, labels, train_clips, test_clips, teachers
            )
        _stages(run, recipe, data, test, real_input(calibration, front_end), progress, tutor)
    progress("convert", 0, 1, "")
    export(run.path)
    progress("convert", 1, 1, str(run.student))
    return run.path


def _check_budget(recipe: Recipe, classes: int, gate: Callable[[bytes, str, str], None] | None) -> None:
    """OverBudget when the student described is larger than the recipe's [budget] allows."""
    limits = recipe.budget
    if not limits.name and not limits.board:
        return
    model = build_student(recipe, classes, dropout=False)
    if limits.name:
        refuse_over(model, config.load_budget(limits.name), recipe.student.name)
    if limits.board and gate:
        cfg = recipe.front_end
        shape = Shape(cfg.rows, cfg.bands, classes, recipe.student.width, channels=cfg.channels)
        gate(untrained(recipe.student.name, shape, cfg), limits.board, limits.name)


def _teachers(
    run: RunDir, recipe: Recipe, labels: tuple[str, ...], test: Sequence[Clip]
) -> tuple[Teacher, ...]:
    """The recipe's teachers, where a stage that is not finished has a use for them.

    UsageError also when one is not what it was when the run began.
    """
    left = {s for s in stages_of(recipe) if not run.weights(s).exists()}
    if not recipe.distill.teachers or not left & set(recipe.distill.stages):
        return ()
    found = open_teachers(recipe, labels, [c.id for c in test])
    if run.config.exists():
        began = json.loads(run.config.read_text(encoding="utf-8"))["teachers"]
        for teacher in found:
            if began[teacher.name] != _digests([teacher])[teacher.name]:
                raise UsageError(
                    f"teacher {teacher.name} has changed since {run.path} began", "put it back, or train anew"
                )
    return found


def _digests(teachers: Sequence[Teacher]) -> dict[str, str]:
    """Name -> SHA-256 of what it answers by, as config.json has them."""
    return {t.name: t.network.digest.hex() for t in teachers}


def _claim(run: RunDir, recipe: Recipe, resume: bool) -> None:
    """Refuse a directory that is not ours to write into."""
    if run.config.exists():
        if not resume:
            raise UsageError(f"{run.path} holds a run already", "go on with --resume, or give another --out")
        theirs, ours = as_dict(rundir.read_config(run).recipe), as_dict(recipe)
        if theirs != ours:
            raise UsageError(
                f"{run.path} was made from another recipe: {_difference(theirs, ours)}",
                "choose another --out",
            )
    try:
        run.path.mkdir(parents=True, exist_ok=True)
        left = {p.name for p in run.path.iterdir()}
    except OSError as error:
        raise UsageError(f"cannot write into {run.path}: {error.strerror}", "choose another --out") from error
    if not run.config.exists() and left - {*rundir.BEFORE_CONFIG}:
        raise UsageError(f"{run.path} is not empty and holds no run", "choose another --out")


def _difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """The first key whose value differs: "train.epochs was 100, is 50"."""
    for key in (*theirs, *ours):
        was, now = theirs.get(key, "unset"), ours.get(key, "unset")
        if isinstance(was, Mapping) or isinstance(now, Mapping):
            parts = [v if isinstance(v, Mapping) else {} for v in (was, now)]
            if parts[0] != parts[1]:
                return f"{key}.{_difference(*parts)}"
        elif was != now:
            return f"{key} was {was}, is {now}"
    return "nothing differs"


def _labels(recipe: Recipe, ds: Dataset, where: str) -> tuple[str, ...]:
    if unknown := [label for label in recipe.data.labels if label not in ds.labels]:
        raise UsageError(f"{where}: data: {ds.name} has no label '{unknown[0]}'", ", ".join(ds.labels))
    labels = tuple(label for label in ds.labels if label in (recipe.data.labels or ds.labels))
    if len(labels) < 2 and not ds.multi_label:
        raise UsageError(
            f"{where}: data: '{labels[0]}' alone leaves nothing to tell apart", "name two labels"
        )
    return labels


def _clips(
    ds: Dataset, recipe: Recipe, labels: tuple[str, ...], where: str
) -> tuple[tuple[Clip, ...], tuple[Clip, ...]]:
    """Training and test clips; UsageError where a label has none.

    Where several labels may hold, clips without any count too, and a label may be missing from the test: its
    AUPRC is then left out of the mean.
    """
    data = recipe.data
    parts = []
    for folds, tested in ((data.train_folds, False), (data.test_folds, True)):
        clips = select(ds, ",".join(map(str, folds)))
        if not ds.multi_label:
            clips = tuple(c for c in clips if c.label in labels)
        held = {label for c in clips for label in (c.tags if ds.multi_label else (c.label,))} & set(labels)
        absent = set(labels) - held
        if absent and not (ds.multi_label and tested and held):
            raise UsageError(
                f"{where}: data: folds {', '.join(map(str, folds))} have no clip of '{min(absent)}'",
                "choose other folds, or name the labels to learn",
            )
        parts.append(clips)
    if data.annotator_shares and not any(c.shares for c in parts[0]):
        raise UsageError(
            f"{where}: data: {ds.name} does not say how many annotators heard a label",
            "remove annotator_shares",
        )
    return parts[0], parts[1]


def _features(
    ds: Dataset, recipe: Recipe, train: Sequence[Clip], test: Sequence[Clip], progress: Progress
) -> tuple[Mapping[str, Features], FrontEndConfig]:
    """Rows with the soft floor of all clips, and the front end with the training clips' statistics."""
    clips = (*train, *test)
    plain = dataclasses.replace(recipe.front_end, mean=(), std=(), scale=1.0, zero_point=0)
    found = features(ds, clips, plain, lambda done, total: progress("features", done, total, ds.name))
    return found, with_statistics(plain, [found[c.id] for c in train], recipe.decision)


def _calibration(features: Sequence[Features], recipe: Recipe) -> NDArray[np.int16]:
    """Un-augmented training windows as the device computes them, spread over the clips."""
    rows, hop = recipe.front_end.rows, recipe.decision.hop_rows
    return calibration_windows(features, rows, hop, CALIBRATION_WINDOWS, recipe.train.seed)


def _describe(
    run: RunDir, recipe_path: Path, recipe: Recipe, ds: Dataset, front_end: FrontEndConfig,
    labels: tuple[str, ...], train: Sequence[Clip], test: Sequence[Clip], teachers: Sequence[Teacher],
) -> None:  # fmt: skip
    """recipe.toml, split.json and config.json; the last one makes the directory a run."""
    rundir.write_text(run.path / "recipe.toml", recipe_path.read_text(encoding="utf-8"))
    split = {
        part: {str(fold): [c.id for c in clips if c.fold == fold] for fold in sorted({c.fold for c in clips})}
        for part, clips in (("train", train), ("test", test))
    }
    rundir.write_json(run.path / "split.json", split)
    counts = cost(build_student(recipe, len(labels), dropout=False))
    rundir.write_json(
        run.config,
        {
            "recipe": as_dict(recipe),
            "labels": labels,
            "front_end": dataclasses.asdict(front_end),
            "dataset": ds.title,
            "params": counts.params,
            "macs": counts.macs,
            **({"teachers": _digests(teachers)} if teachers else {}),
            "versions": {
                "mcu-asc": __version__,
                "tensorflow": keras.tensorflow().__version__,
                "numpy": np.__version__,
            },
        },
    )


def _stages(
    run: RunDir,
    recipe: Recipe,
    data: TrainingSet,
    test: TestSet,
    calibration: NDArray[np.float32],
    progress: Progress,
    tutor: Tutor | None,
) -> None:
    """Every stage that is not finished, each from the weights of the one before."""
    t, p, q = recipe.train, recipe.prune, recipe.qat
    schedule = {
        "float": Stage("float", t.epochs, t.lr, t.warmup, t.weight_decay, t.ema),
        "prune": Stage(
            "prune",
            p.epochs,
            p.lr,
            sparsity=p.sparsity,
            ramp=p.ramp,
            mask_every=p.every_steps,
            kind=p.kind,
            block_sparsity=p.block_sparsity,
        ),
        "qat": Stage("qat", q.epochs, q.lr),
    }
    metrics = rundir.Metrics(run)

    def evaluate(model: Keras) -> Mapping[str, float]:
        found = dataclasses.asdict(keras_scores(model, test, recipe.decision))
        return {k: v for k, v in found.items() if k != "clips"}

    before = None
    for name in stages_of(recipe):
        if not run.weights(name).exists():
            model = _network(run, name, before, recipe, data, calibration)
            teaching = tutor if name in recipe.distill.stages else None
            checkpoint = run.checkpoint(name)
            run_stage(schedule[name], model, data, evaluate, checkpoint, metrics.add, progress, teaching)
            if name == "prune" and recipe.narrows:
                rundir.amend_config(run, {"pruned": dataclasses.asdict(cost(narrowed(model)))})
            rundir.save_weights(run, name, model)
            rundir.draw_curves(metrics.rows, run.path / "curves.png")
        before = name


def _network(
    run: RunDir,
    stage: str,
    before: str | None,
    recipe: Recipe,
    data: TrainingSet,
    calibration: NDArray[np.float32],
) -> Keras:
    """The network a stage starts with."""
    model = build_student(recipe, data.y.shape[1], dropout=stage != "qat")
    if before:
        rundir.load_weights(run, before, model)
    if stage != "qat":
        return model
    if recipe.narrows:
        model = narrowed(model)
    plain, model = model, quantised(model, keep_zeros=recipe.prunes)
    set_ranges(model, plain, calibration)
    return model
