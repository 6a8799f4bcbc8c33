"""Training from recipe to .tflite, end to end, on a corner of the synthetic scenes (extra [train])."""

from __future__ import annotations

import csv
import dataclasses
import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

pytest.importorskip("tensorflow", reason="needs the extra [train]")
pytest.importorskip("tensorflow_model_optimization", reason="needs the extra [train]")

from mcu_asc import compiler, learn
from mcu_asc.audio.datasets import open_dataset, select
from mcu_asc.errors import AscError, UsageError
from mcu_asc.learn import card, convert, evaluation, loop, quantise, rundir
from mcu_asc.learn.recipe import load
from mcu_asc.learn.students import STUDENTS, Shape, channels, cost

TABLES = {
    "front_end": {"bands": 32, "rows": 40},
    "student": {"width": 0.5},
    "train": {"epochs": 3, "windows_per_clip": 8, "batch": 32},
    "prune": {"epochs": 2, "every_steps": 2},
    "qat": {"epochs": 2},
}


def changed(path: Path, **tables: Any) -> Path:
    """The recipe of `run` with other values in some tables."""
    return tiny.recipe(path, **{k: {**TABLES.get(k, {}), **tables.get(k, {})} for k in {**TABLES, **tables}})


class Killed(Exception):
    """Stands for the signal that ends a process: nothing after it runs."""


def killer(stage: str, step: int) -> learn.Progress:
    def progress(at: str, done: int, total: int, text: str) -> None:
        if (at, done) == (stage, step):
            raise Killed

    return progress


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return changed(tmp_path_factory.mktemp("recipe") / "tiny.toml")


@pytest.fixture(scope="module")
def heard() -> list[tuple[str, int, int]]:
    return []


@pytest.fixture(scope="module")
def run(recipe: Path, tmp_path_factory: pytest.TempPathFactory, heard: list[tuple[str, int, int]]) -> Path:
    """An unbroken run."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    return learn.train(recipe, None, out, progress=lambda *a: heard.append(a[:3]))


def test_the_run_directory_says_everything(
    run: Path, recipe: Path, heard: list[tuple[str, int, int]]
) -> None:
    split = json.loads((run / "split.json").read_text())
    assert set(split["train"]) == {"1"}
    assert set(split["test"]) == {"4"}
    clips = open_dataset("scenes", None).clips
    for part, folds in (("train", (1,)), ("test", (4,))):
        ids = {i for fold in split[part].values() for i in fold}
        assert ids == {c.id for c in clips if c.fold in folds and c.label in ("park", "bus")}
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    epochs = ["float 1", "float 2", "float 3", "prune 1", "prune 2", "qat 1", "qat 2"]
    assert [f"{r['stage']} {r['epoch']}" for r in rows] == epochs
    assert (run / "recipe.toml").read_text() == recipe.read_text()
    assert (run / "curves.png").read_bytes()[:4] == b"\x89PNG"
    made = json.loads((run / "config.json").read_text())
    assert made["labels"] == ["bus", "park"]
    assert len(made["front_end"]["mean"]) == 32
    assert [h for h in heard if h[0] == "float"] == [("float", i, 36) for i in range(1, 37)]


def test_it_learnt_something(run: Path) -> None:
    ds = open_dataset("scenes", None)
    clips = tuple(c for c in select(ds, "4") if c.label in ("park", "bus"))
    pytest.importorskip("tflite_micro", reason="needs the extra [oracle]")
    micro, _ = evaluation.tflite_scores(run / "student.tflite", ds, clips, "tflm")
    lite, _ = evaluation.tflite_scores(run / "student.tflite", ds, clips, "tflite")
    assert micro.clip_accuracy >= 0.75  # two classes: chance is 0.5
    assert micro.clips == 48
    assert abs(micro.log_loss - lite.log_loss) < 0.05


def test_the_card_is_in_the_file_and_its_front_end_feeds_the_model(run: Path) -> None:
    content = (run / "student.tflite").read_bytes()
    found = card.read_card(content)
    assert found.name == "tiny"
    assert found.labels == ("bus", "park")
    assert found.licence == "Apache-2.0"
    assert found.recipe["student"]["width"] == 0.5
    assert (found.front_end.scale, found.front_end.zero_point) == card.input_quantisation(content)
    assert 0.005 < found.front_end.scale < 0.1
    assert len(found.front_end.mean) == len(found.front_end.std) == 32
    assert card.read_card(card.embed_card(content, found)) == found


def test_the_result_is_an_int8_model_of_known_operations(run: Path) -> None:
    from mcu_asc import compiler

    model = compiler.read(run / "student.tflite")
    assert [op.kind for op in model.graph.ops] == [
        "CONV_2D", "CONV_2D", "MAX_POOL_2D", "CONV_2D", "MAX_POOL_2D", "CONV_2D", "CONV_2D", "MEAN",
        "FULLY_CONNECTED",
    ]  # fmt: skip
    counts = compiler.counts(model.graph)
    assert counts[0].name == "stem"
    made = json.loads((run / "config.json").read_text())
    assert sum(c.params for c in counts) == made["params"]
    assert sum(c.macs for c in counts) == made["macs"]
    for c in counts[1:7]:
        if c.kind == "CONV_2D":  # half of each kernel, and now and then a weight that rounds to 0
            assert 0.48 * c.params < c.zeros < 0.56 * c.params, c.name


def test_export_again_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    out = learn.export(run, tmp_path / "again.tflite")
    assert out == tmp_path / "again.tflite"
    assert out.read_bytes() == (run / "student.tflite").read_bytes()


def test_killed_and_resumed_is_as_good_as_unbroken(run: Path, recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "broken"
    for stage, step in (("float", 26), ("prune", 13), ("qat", 15)):
        with pytest.raises(Killed):
            learn.train(recipe, None, out, resume=True, progress=killer(stage, step))
    with pytest.raises(UsageError, match="stage qat is not finished"):
        learn.export(out)
    seen: list[tuple[str, int]] = []
    learn.train(recipe, None, out, resume=True, progress=lambda s, i, n, t: seen.append((s, i)))
    assert min(i for s, i in seen if s == "qat") == 13  # the first epoch was not repeated
    assert not [i for s, i in seen if s in ("float", "prune")]
    assert (out / "metrics.csv").read_text() == (run / "metrics.csv").read_text()
    assert (out / "student.tflite").read_bytes() == (run / "student.tflite").read_bytes()


def test_a_run_that_goes_on_from_anothers_float_weights(run: Path, recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "forked"
    wanted = load(recipe)
    rundir.fork(run, out, wanted)
    stages: set[str] = set()
    learn.train(recipe, None, out, resume=True, progress=lambda s, i, n, t: stages.add(s))
    assert "float" not in stages
    assert (out / "metrics.csv").read_text() == (run / "metrics.csv").read_text()
    assert (out / "student.tflite").read_bytes() == (run / "student.tflite").read_bytes()
    other = dataclasses.replace(wanted, train=dataclasses.replace(wanted.train, seed=1))
    with pytest.raises(UsageError, match="does not hold the float stage"):
        rundir.fork(run, tmp_path / "other", other)


def test_directories_that_are_not_ours_are_refused(run: Path, recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds a run already"):
        learn.train(recipe, None, run)
    other = tmp_path / "other.toml"
    changed(other, train={"epochs": 4})
    with pytest.raises(UsageError, match=r"made from another recipe: train\.epochs was 3, is 4 \("):
        learn.train(other, None, run, resume=True)
    with pytest.raises(UsageError, match="holds no run"):
        learn.train(recipe, None, tmp_path)
    with pytest.raises(UsageError, match="not a run directory"):
        learn.export(tmp_path)
    changed(other, data={"labels": ["park", "beach"]})
    with pytest.raises(UsageError, match="no label 'beach'"):
        learn.train(other, None, tmp_path / "new")
    changed(other, data={"test_folds": [7]})
    with pytest.raises(UsageError, match="has no fold 7"):
        learn.train(other, None, tmp_path / "new")


def test_a_run_needs_two_labels_and_a_folder(tmp_path: Path) -> None:
    path = changed(tmp_path / "recipe.toml", data={"labels": ["park"]})
    with pytest.raises(UsageError, match="'park' alone leaves nothing to tell apart"):
        learn.train(path, None, tmp_path / "run")
    for out in (path, path / "below"):
        with pytest.raises(UsageError, match=r"cannot write into .*: (File exists|Not a directory)"):
            learn.train(path, None, out)


@pytest.mark.parametrize("text", ["[]", "{}", '"x"', '{"recipe": 1', '{"recipe": {}, "labels": []}'])
def test_what_is_no_run_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UsageError, match="is not a run directory"):
        rundir.read_config(rundir.RunDir(tmp_path))


def test_a_full_disk_is_said_and_the_run_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file of a run in turn is the one that finds no room; what lies there is good to go on from."""
    path = tiny.recipe(tmp_path / "recipe.toml", train={"epochs": 2})
    replace = Path.replace
    files = ("split.json", "config.json", "metrics.csv", "float.npz", "float.weights.h5", "student.tflite")
    failed = []

    def full(self: Path, target: Path) -> Path:
        """A file that is not wholly written stays under its other name."""
        name = Path(target).name
        if name in files and name not in failed:
            failed.append(name)
            self.write_bytes(self.read_bytes()[:100])
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    for name in files:
        with pytest.raises(AscError, match=r"cannot write .*: No space left on device \(make room"):
            learn.train(path, None, tmp_path / "run", resume=True)
        assert failed[-1] == name
    learn.train(path, None, tmp_path / "run", resume=True)
    learn.train(path, None, tmp_path / "whole")
    files = ("student.tflite", "metrics.csv", "split.json", "config.json")
    for name in files:
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_damaged_states_and_weights_are_named(tmp_path: Path) -> None:
    path = tiny.recipe(tmp_path / "recipe.toml", train={"epochs": 2})
    run = rundir.RunDir(tmp_path / "run")
    with pytest.raises(Killed):
        learn.train(path, None, run.path, progress=killer("float", 4))
    state = run.checkpoint("float").read_bytes()
    run.checkpoint("float").write_bytes(state[:-100])
    with pytest.raises(UsageError, match=r"float\.npz is damaged: .* \(delete it: the stage starts anew\)"):
        learn.train(path, None, run.path, resume=True)
    run.checkpoint("float").write_bytes(state)
    learn.train(path, None, run.path, resume=True)
    run.weights("float").write_bytes(run.weights("float").read_bytes()[:1000])
    with pytest.raises(UsageError, match=r"float\.weights\.h5 does not hold the weights .* \(delete it"):
        learn.export(run.path)


def test_a_class_that_no_fold_teaches_is_refused(recipe: Path, tmp_path: Path) -> None:
    audio = np.zeros(16_000, np.int16)
    import soundfile

    for label, names in (("hum", "abcdefghijklmnop"), ("buzz", "a")):
        (tmp_path / "data" / label).mkdir(parents=True)
        for name in names:
            soundfile.write(tmp_path / "data" / label / f"{name}.wav", audio, 16_000)
    folders = {"dataset": "folders", "labels": None, "train_folds": [1, 2, 3]}
    path = changed(tmp_path / "recipe.toml", data=folders)
    with pytest.raises(UsageError, match="have no clip of 'buzz'"):
        learn.train(path, tmp_path / "data", tmp_path / "run")


def test_without_qat_the_file_is_calibrated_on_training_windows(run: Path, tmp_path: Path) -> None:
    """The second road to int8, from the same float weights."""
    made = rundir.read_config(rundir.RunDir(run))
    out = tmp_path / "ptq"
    (out / "checkpoints").mkdir(parents=True)
    for name in ("calibration.npz", "float.weights.h5", "prune.weights.h5"):
        (out / name).write_bytes((run / name).read_bytes())
    values = json.loads((run / "config.json").read_text())
    values["recipe"]["qat"]["epochs"] = 0
    (out / "config.json").write_text(json.dumps(values))
    content = learn.export(out).read_bytes()
    ours = card.read_card(content)
    assert ours.front_end.mean == made.front_end.mean
    assert 0.005 < ours.front_end.scale < 0.1
    run_it = evaluation.INTERPRETERS["tflite"](content)
    x = np.zeros((1, 40, 32), np.int8)
    assert run_it(x).shape == (1, 2)
    assert [c.name for c in compiler.counts(compiler.read(content).graph) if c.params][-1] == "logits"


# ---- parts -------------------------------------------------------------------------------------


def test_a_seed_stands_in_for_the_recipes(tmp_path: Path) -> None:
    asked = learn.train(tiny.recipe(tmp_path / "a.toml"), None, tmp_path / "asked", seed=7)
    said = learn.train(tiny.recipe(tmp_path / "b.toml", train={"seed": 7}), None, tmp_path / "said")
    assert rundir.read_config(rundir.RunDir(asked)).recipe.train.seed == 7
    assert (asked / "student.tflite").read_bytes() == (said / "student.tflite").read_bytes()
    with pytest.raises(UsageError, match="seed"):  # that run has another one
        learn.train(tmp_path / "a.toml", None, asked, resume=True)


def test_counts_of_the_students() -> None:
    one = cost(STUDENTS["vgg-asc"](Shape(50, 64, 10, 1.12)))
    assert (one.params, one.macs) == (125_890, 12_963_344)
    small = cost(STUDENTS["ds-cnn"](Shape(50, 64, 10, 1.0)))
    assert (small.params, small.macs) == (46_890, 6_188_544)


def test_a_separable_student_passes_qat_converter_and_compiler() -> None:
    from mcu_asc import compiler

    plain = STUDENTS["ds-cnn"](Shape(20, 16, 3, 0.25))
    plain.layers[-1].bias.assign([0.5, 1.0, -1.0])  # a bias of zeros is dropped by the converter
    x = np.random.default_rng(0).normal(0, 1, (32, 20, 16, 1)).astype(np.float32)
    model = quantise.quantised(plain, keep_zeros=False)
    quantise.set_ranges(model, plain, x)
    counts = compiler.counts(compiler.read(convert.to_int8(model, None)).graph)
    assert sum(c.params for c in counts) == cost(plain).params
    assert sum(c.macs for c in counts) == cost(plain).macs


def test_channels_are_multiples_of_eight() -> None:
    assert [channels(b, 1.12) for b in (16, 28, 48, 64, 96)] == [16, 32, 56, 72, 104]
    assert channels(16, 0.1) == 8


def test_schedules() -> None:
    stage = loop.Stage("s", 10, lr=1.0, warmup=0.1, sparsity=0.8, ramp=0.5)
    rates = [loop.learning_rate(stage, i, 100) for i in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9]
    assert 0 < rates[-1] < 1e-3
    assert rates[9:] == sorted(rates[9:], reverse=True)
    shares = [loop.sparsity(stage, i, 100)[0] for i in range(100)]
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert shares[50] == shares[99] == 0.8
