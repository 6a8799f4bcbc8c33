#!/usr/bin/env python3
"""Students x variants, cross-validated: trained, compressed, scored as the device scores, put into a table.

    tools/students.py --out DIR [--student NAME[:WIDTH] ...] [--variants ptq,qat] [--folds 1-4] [--seeds 0-2]
                      [--label TEXT] [--set SECTION.KEY=VALUE ...] [--data-root DIR] [--resume]
    tools/students.py --out DIR --table

All but the variant comes from one recipe (--recipe, by default the shipped ESC-10 one), changed by --set;
each fold is tested by a student that was trained on the others.  The variants of one (student, fold, seed)
start from the same float weights: float training is done once, and once again with teachers for "distilled".
These are floats of its fold, of the seeds --teachers, its own or those of --teacher, to be trained before it.
Pruning zeroes half of the weights, in a fifth of the epochs of float training; QAT takes a tenth.

int8 students are scored by the firmware's own C on this machine, as `score --on host` does; floats by Keras,
on the same windows and by the same decision rule.

DIR/LABEL/STUDENT/fF-sS/      VARIANT.json, one result each, and the run directories of `mcu-asc train`
DIR/LABEL/STUDENT/cost-VARIANT.json   what the first int8 student of that kind takes on the board

A run that was killed goes on with --resume from the last epoch; what is finished is not done again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import statistics
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench

from mcu_asc import compiler, config, firmware, learn, paths
from mcu_asc.audio import datasets
from mcu_asc.device.targets import open_target
from mcu_asc.errors import AscError, UsageError
from mcu_asc.learn import rundir
from mcu_asc.learn.recipe import Prune, Qat, Recipe, Train, as_dict, parse
from mcu_asc.results import score
from mcu_asc.results.check import check


@dataclass(frozen=True)
class Variant:
    """What is done to a student: taught by teachers or not, then pruned, then quantised."""

    taught: bool = False
    pruned: str = ""  # a kind of the recipe's [prune]; "" = not
    qat: bool = False  # quantisation-aware; or else quantised after training

    @property
    def start(self) -> str:
        """The run directory of the weights before pruning and QAT, which are theirs too who have neither."""
        return "distilled" if self.taught else "float"


VARIANTS: Mapping[str, Variant] = {
    "float": Variant(),
    "ptq": Variant(),
    "qat": Variant(qat=True),
    "pruned+qat": Variant(pruned="magnitude", qat=True),
    "blocks+qat": Variant(pruned="block", qat=True),
    "distilled": Variant(taught=True),
    "distilled+qat": Variant(taught=True, qat=True),
    "distilled+blocks+qat": Variant(taught=True, pruned="block", qat=True),
}
SPARSITY = 0.5
PRUNE_EPOCHS, QAT_EPOCHS = 0.2, 0.1  # of those of float training
SCORES = ("clip_accuracy", "window_accuracy", "log_loss", "mean_class_accuracy")
Result = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One cell of the cross-validation."""

    label: str
    student: str
    width: float
    variant: str
    fold: int
    seed: int

    @property
    def row(self) -> tuple[str, str, float, str]:
        """What trials of one line of the table have in common."""
        return self.label, self.student, self.width, self.variant

    def folder(self, out: Path) -> Path:
        return out / self.label / f"{self.student}-{self.width:g}" / f"f{self.fold}-s{self.seed}"

    def result(self, out: Path) -> Path:
        return self.folder(out) / f"{self.variant}.json"


# ---- recipes -------------------------------------------------------------------------------------


def recipe_of(trial: Trial, args: argparse.Namespace) -> Recipe:
    """The base recipe as this trial needs it."""
    base = tomllib.loads(args.recipe.read_text())
    folds = {*base["data"]["train_folds"], *base["data"]["test_folds"]}
    own = {
        "data": {"train_folds": sorted(folds - {trial.fold}), "test_folds": [trial.fold]},
        "student": {"name": trial.student, "width": trial.width},
        "train": {"seed": trial.seed},
    }
    values: dict[str, Any] = dict(base)
    for part in map(change, args.set):
        values = merged(values, part)
    epochs = values.get("train", {}).get("epochs", Train().epochs)
    variant = VARIANTS[trial.variant]
    for part in (compression(variant, epochs), *map(change, args.set), own):
        values = merged(values, part)
    distill = values.pop("distill", {})
    if variant.taught:
        values["distill"] = {**distill, "teachers": teachers(trial, args)}
    return parse(values, f"{trial.student}, {trial.variant}")


def compression(variant: Variant, epochs: int) -> dict[str, Any]:
    """[prune] and [qat] of a variant after so many epochs of float training."""
    prune = {"sparsity": 0.0, "epochs": 0}
    if variant.pruned:
        length = max(1, round(PRUNE_EPOCHS * epochs))
        prune = {"kind": variant.pruned, "sparsity": SPARSITY, "epochs": length}
    return {"prune": prune, "qat": {"epochs": max(1, round(QAT_EPOCHS * epochs)) if variant.qat else 0}}


def teachers(trial: Trial, args: argparse.Namespace) -> list[str]:
    """The floats of seeds --teachers that never heard the trial's fold: its own, or those of --teacher."""
    if args.teacher:
        label, name, width = args.teacher
        trial = dataclasses.replace(trial, label=label, student=name, width=width)
    runs = [dataclasses.replace(trial, seed=seed).folder(args.out) for seed in args.teachers]
    return [str(run / "float") for run in runs]


def merged(values: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with the entries of `change` put in, table by table."""
    tables = {k: merged(values.get(k, {}), v) if isinstance(v, Mapping) else v for k, v in change.items()}
    return {**values, **tables}


def change(text: str) -> dict[str, Any]:
    """SECTION.KEY=VALUE, the value as TOML writes it."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"--set {text}: {error}", 'as in --set train.epochs=250 or --set name="x"'
        ) from error


def as_toml(values: Mapping[str, Any]) -> str:
    """Plain values and tables of plain values as TOML."""
    plain = [f"{k} = {json.dumps(v)}" for k, v in values.items() if not isinstance(v, Mapping)]
    tables = [f"\n[{k}]\n{as_toml(v)}" for k, v in values.items() if isinstance(v, Mapping)]
    return "\n".join([*plain, *tables]) + "\n"


def start_of(recipe: Recipe) -> Recipe:
    """The recipe of the weights that a variant starts from; quantised after training."""
    return dataclasses.replace(recipe, prune=Prune(sparsity=0.0, epochs=0), qat=Qat(epochs=0))


# ---- training and scoring --------------------------------------------------------------------------


def trained(recipe: Recipe, run: Path, data_root: Path | None) -> float:
    """Train, or go on; the seconds that it took, of the process that finished it."""
    clock = run.with_name(f"{run.name}.seconds")
    if not (run / "student.tflite").exists():
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "recipe.toml"
            path.write_text(as_toml(as_dict(recipe)))
            learn.train(path, data_root, run, resume=True)
        clock.write_text(f"{time.perf_counter() - start:.1f}\n")
    return float(clock.read_text()) if clock.exists() else math.nan


def run_of(trial: Trial, recipe: Recipe, out: Path) -> Path:
    """The run directory of a trial."""
    start = VARIANTS[trial.variant].start
    return trial.folder(out) / (start if as_dict(start_of(recipe)) == as_dict(recipe) else trial.variant)


def run_trial(trial: Trial, recipe: Recipe, out: Path, data_root: Path | None) -> Result:
    """Train what is missing of a trial and score it."""
    run, seconds = run_of(trial, recipe, out), 0.0
    start = run.with_name(VARIANTS[trial.variant].start)
    if run != start:
        seconds = trained(start_of(recipe), start, data_root)
        rundir.fork(start, run, recipe)
    seconds += trained(recipe, run, data_root)
    found = float_scores(run) if trial.variant == "float" else device_scores(run, recipe, data_root)
    made = json.loads((run / "config.json").read_text())
    return {
        **dataclasses.asdict(trial),
        **found,
        "params": made["params"],
        "macs": made["macs"],
        "train_s": round(seconds, 1),
        "date": time.strftime("%Y-%m-%d"),
        "recipe": as_dict(recipe),
    }


def float_scores(run: Path) -> Result:
    """What training noted of the float stage's last epoch."""
    rows = [row for row in rundir.Metrics(rundir.RunDir(run)).rows if row["stage"] == "float"]
    return {key: float(rows[-1][key]) for key in SCORES}


def device_scores(run: Path, recipe: Recipe, data_root: Path | None) -> Result:
    """The student through the firmware's C: front end, windows and kernels as on the emulated board."""
    model = compiler.read(run / "student.tflite")
    ds = datasets.open_dataset(recipe.data.dataset, data_root)
    known = score.Judge.of(model).card.labels
    held_out = datasets.select(ds, ",".join(map(str, recipe.data.test_folds)))
    clips = [clip for clip in held_out if clip.label in known]
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary) / "firmware"
        firmware.write(firmware.project(model, config.load_board(bench.BOARD)), project)
        journal = score.Journal(Path(temporary) / "journal.jsonl", {}, resume=False)
        with open_target(project, "host") as device:
            report = score.score_all(
                clips, ds, score.Judge.of(model), device.classify, {}, journal, lambda done, text: None
            )
    more = score.evaluation(clips, journal.done, report.labels)
    return {
        "clip_accuracy": report.accuracy,
        "window_accuracy": more["window_accuracy"],
        "log_loss": report.log_loss,
        "mean_class_accuracy": more["mean_class_accuracy"],
        "correct": report.correct,
        "clips": report.clips,
    }


def cost(student: Path) -> Result:
    """Cycles in the emulator and bytes of the firmware for the board."""
    model = compiler.read(student)
    counted = check(model, config.load_board(bench.BOARD), None)
    with tempfile.TemporaryDirectory() as temporary:
        took = bench.run(model, Path(temporary) / "firmware")
    zeros = sum(c.zeros for c in compiler.counts(model.graph))
    return {
        "params": counted.params,
        "zeros": zeros,
        "macs": counted.macs,
        "cycles": took.cycles,
        "frontend_cycles": took.frontend_cycles,
        "ram_bytes": counted.ram_bytes,
        "flash_bytes": took.flash_bytes,
    }


def trials(args: argparse.Namespace) -> Iterator[Trial]:
    """Float and PTQ of all students first: what starts from the same weights comes together."""
    for text in args.student:
        name, _, width = text.partition(":")
        for seed in args.seeds:
            for fold in args.folds:
                for variant in args.variants:
                    yield Trial(args.label, name, float(width or 1), variant, fold, seed)


def train_all(args: argparse.Namespace) -> None:
    planned = [(t, recipe_of(t, args)) for t in trials(args)]  # refuses before the first hour
    if not args.resume and (done := [t for t, _ in planned if t.folder(args.out).exists()]):
        raise UsageError(
            f"{done[0].folder(args.out)} exists", "go on with --resume, or choose another --label"
        )
    for trial, recipe in planned:
        path = trial.result(args.out)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            rundir.write_json(path, run_trial(trial, recipe, args.out, args.data_root))
        result = json.loads(path.read_text())
        if result["recipe"] != as_dict(recipe):
            raise UsageError(f"{path} is of another recipe", "choose another --label")
        print(
            f"{trial.label} {trial.student}:{trial.width:g} fold {trial.fold} seed {trial.seed} "
            f"{trial.variant}: {100 * result['clip_accuracy']:.2f} %, log loss {result['log_loss']:.3f}, "
            f"{result['train_s']:.0f} s",
            flush=True,
        )
        priced = path.parent.parent / f"cost-{trial.variant}.json"
        if args.cost and trial.variant != "float" and not priced.exists():
            rundir.write_json(priced, cost(run_of(trial, recipe, args.out) / "student.tflite"))


# ---- tables --------------------------------------------------------------------------------------


def read(out: Path) -> list[Result]:
    """All results under DIR that are whole."""
    found = [json.loads(p.read_text()) for p in sorted(out.glob("*/*/f*-s*/*.json"))]
    names = [f.name for f in dataclasses.fields(Trial)]
    return [{**r, "trial": Trial(**{n: r[n] for n in names})} for r in found]


def by_row(results: Sequence[Result]) -> dict[tuple[str, str, float, str], list[Result]]:
    rows: dict[tuple[str, str, float, str], list[Result]] = {}
    for result in results:
        rows.setdefault(result["trial"].row, []).append(result)
    order = list(VARIANTS)
    return dict(sorted(rows.items(), key=lambda item: (item[0][:3], order.index(item[0][3]))))


def mean_by(results: Sequence[Result], key: str, what: str = "clip_accuracy") -> dict[int, float]:
    """The mean of `what` for each fold, or each seed."""
    values: dict[int, list[float]] = {}
    for result in results:
        values.setdefault(result[key], []).append(result[what])
    return {k: statistics.fmean(v) for k, v in sorted(values.items())}


def accuracy(results: Sequence[Result]) -> str:
    """Mean over the seeds of their fold means, +- the standard deviation of those, in percent."""
    seeds = [100 * v for v in mean_by(results, "seed").values()]
    spread = f" ± {statistics.stdev(seeds):.1f}" if len(seeds) > 1 else ""
    return f"{statistics.fmean(seeds):.1f}{spread}"


def table(out: Path) -> str:
    """Markdown: a line a row, then what quantisation takes, fold by fold and seed by seed."""
    rows = by_row(read(out))
    head = (
        "recipe", "student", "variant", "folds x seeds", "clips right, %", "each fold", "each seed",
        "windows right, %", "log loss", "parameters", "of them 0", "MMAC", "M cycles", "RAM B", "flash B",
        "s to train",
    )  # fmt: skip
    lines = [head, tuple("---" for _ in head)]
    for (label, student, width, variant), results in rows.items():
        path = out / label / f"{student}-{width:g}" / f"cost-{variant}.json"
        took: Result = json.loads(path.read_text()) if path.exists() else {}
        folds, seeds = mean_by(results, "fold"), mean_by(results, "seed")
        part = "" if len(results) == len(folds) * len(seeds) else ", part"
        windows, loss, seconds = (
            statistics.fmean(r[key] or math.nan for r in results)
            for key in ("window_accuracy", "log_loss", "train_s")
        )
        lines.append(
            (
                label,
                f"{student} {width:g}",
                variant,
                f"{len(folds)} x {len(seeds)}{part}",
                "" if part else accuracy(results),  # without its hardest fold a seed would look good
                " ".join(f"{100 * v:.1f}" for v in folds.values()),
                "" if part else " ".join(f"{100 * v:.1f}" for v in seeds.values()),
                f"{100 * windows:.1f}",
                f"{loss:.3f}",
                f"{results[0]['params']:,}",
                f"{took['zeros']:,}" if took else "",
                f"{took.get('macs', results[0]['macs']) / 1e6:.2f}",
                f"{took['cycles'] / 1e6:.2f}" if took else "",
                f"{took['ram_bytes']:,}" if took else "",
                f"{took['flash_bytes']:,}" if took else "",
                f"{seconds:.0f}",
            )
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n\n" + differences(rows)


def differences(rows: Mapping[tuple[str, str, float, str], Sequence[Result]]) -> str:
    """int8 less float, pair by pair of the same fold and seed."""
    lines = []
    for (label, student, width, variant), results in rows.items():
        floats = {(r["fold"], r["seed"]): r for r in rows.get((label, student, width, "float"), ())}
        pairs = [(r, floats[at]) for r in results if (at := (r["fold"], r["seed"])) in floats]
        if variant == "float" or not pairs:
            continue
        steps = [100 * (a["clip_accuracy"] - b["clip_accuracy"]) for a, b in pairs]
        lines.append(
            f"- {label}, {student} {width:g}: {variant} less float {statistics.fmean(steps):+.2f} points "
            f"({len(steps)} pairs, {min(steps):+.2f} to {max(steps):+.2f})"
        )
    return "\n".join(lines) + "\n" if lines else ""


def numbers(text: str) -> tuple[int, ...]:
    return datasets.parse_folds(text)


def teacher(text: str) -> tuple[str, str, float]:
    label, _, student = text.partition("/")
    name, _, width = student.partition(":")
    return label, name, float(width or 1)


def variants(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := [n for n in names if n not in VARIANTS]:
        raise argparse.ArgumentTypeError(f"unknown '{unknown[0]}', known: {', '.join(VARIANTS)}")
    return names


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    shipped = paths.students_dir() / "esc10" / "recipe.toml"
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--recipe", type=Path, default=shipped, metavar="FILE")
    parser.add_argument("--student", action="append", metavar="NAME[:WIDTH]")
    parser.add_argument("--variants", type=variants, default=("float", "ptq"), metavar=",".join(VARIANTS))
    parser.add_argument("--folds", type=numbers, default=(1, 2, 3, 4), metavar="1-4")
    parser.add_argument("--seeds", type=numbers, default=(0,), metavar="0,1,2")
    parser.add_argument("--teachers", type=numbers, default=(0, 1, 2), metavar="0-2")
    parser.add_argument(
        "--teacher",
        type=teacher,
        metavar="LABEL/NAME[:WIDTH]",
        help="whose floats teach; default: its own",
    )
    parser.add_argument(
        "--label", default="recipe", help="of the recipe as changed by --set: a folder's name"
    )
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--data-root", type=Path, default=paths.data_root(), metavar="DIR")
    parser.add_argument("--no-cost", dest="cost", action="store_false", help="without the emulator")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--table", action="store_true", help="only print what there is")
    args = parser.parse_args(arguments)
    base = tomllib.loads(args.recipe.read_text())["student"]
    args.student = args.student or [f"{base['name']}:{base.get('width', 1)}"]
    try:
        if not args.table:
            train_all(args)
    except AscError as error:
        print(f"{error.message}: {error.hint}", file=sys.stderr)
        return 1
    print(table(args.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
