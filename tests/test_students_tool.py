"""tools/students.py on a corner of the synthetic scenes: what it keeps, and that it does nothing twice."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from pathlib import Path

import pytest
import tiny

pytest.importorskip("tensorflow", reason="needs the extra [train]")
pytest.importorskip("tensorflow_model_optimization", reason="needs the extra [train]")
sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

import students

from mcu_asc.errors import UsageError

QAT = ("--set", "qat.epochs=1")


def run(folder: Path, *options: str) -> int:
    arguments = ["--recipe", str(folder / "recipe.toml"), "--out", str(folder / "out"), "--folds", "4"]
    return students.main([*arguments, "--no-cost", *options])


def test_variants_share_their_float_weights_and_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.recipe(tmp_path / "recipe.toml", train={"batch": 8})
    assert run(tmp_path, "--variants", "float,ptq") == 0
    folder = tmp_path / "out" / "recipe" / "vgg-asc-0.25" / "f4-s0"
    assert {p.name for p in folder.glob("*.json")} == {"float.json", "ptq.json"}
    kept = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    assert run(tmp_path, "--variants", "float,ptq") == 1
    assert "--resume" in capsys.readouterr().err
    assert run(tmp_path, "--variants", "float,ptq", "--resume") == 0
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()} == kept

    assert run(tmp_path, "--variants", "qat", *QAT, "--resume") == 0
    weights = "float.weights.h5"
    assert (folder / "qat" / weights).read_bytes() == (folder / "float" / weights).read_bytes()
    result = json.loads((folder / "qat.json").read_text())
    assert result["clips"] == 48
    assert result["clip_accuracy"] == result["correct"] / 48
    assert result["recipe"]["data"] == {
        "dataset": "scenes", "labels": ["park", "bus"], "train_folds": [1], "test_folds": [4]
    }  # fmt: skip
    shown = capsys.readouterr().out
    assert "| recipe | vgg-asc 0.25 | qat | 1 x 1 |" in shown
    assert "qat less float" in shown

    assert run(tmp_path, "--set", "train.epochs=2", "--resume") == 1
    assert "another" in capsys.readouterr().err


def test_means_are_of_folds_then_of_seeds() -> None:
    values = {(1, 0): 0.9, (2, 0): 1.0, (1, 1): 0.8, (2, 1): 0.9}
    results = [{"fold": f, "seed": s, "clip_accuracy": a} for (f, s), a in values.items()]
    assert students.mean_by(results, "fold") == pytest.approx({1: 0.85, 2: 0.95})
    assert students.accuracy(results) == f"90.0 ± {100 * math.sqrt(0.005):.1f}"
    assert students.accuracy(results[:2]) == "95.0"


def test_changes_are_read_as_toml_and_wrong_ones_refused() -> None:
    assert students.change("train.epochs=250") == {"train": {"epochs": 250}}
    with pytest.raises(UsageError, match="--set"):
        students.change("train.epochs")
    with pytest.raises(argparse.ArgumentTypeError, match="unknown 'fp16'"):
        students.variants("ptq,fp16")


def test_stages_follow_the_length_of_float_training() -> None:
    assert students.compression(students.VARIANTS["blocks+qat"], 50) == {
        "prune": {"kind": "block", "sparsity": 0.5, "epochs": 10}, "qat": {"epochs": 5}
    }  # fmt: skip
    assert students.compression(students.VARIANTS["qat"], 1) == {
        "prune": {"sparsity": 0.0, "epochs": 0}, "qat": {"epochs": 1}
    }  # fmt: skip


def test_only_who_is_taught_has_the_recipes_teachers(tmp_path: Path) -> None:
    path = tiny.recipe(tmp_path / "recipe.toml", distill={"teachers": ["runs/a"], "temperature": 4.0})
    args = argparse.Namespace(out=Path("o"), recipe=path, set=[], teachers=(1,), teacher=None)
    trial = students.Trial("now", "vgg-asc", 0.25, "qat", 4, 0)
    assert not students.recipe_of(trial, args).distill.teachers
    taught = students.recipe_of(dataclasses.replace(trial, variant="distilled"), args).distill
    assert (taught.temperature, taught.teachers) == (4.0, ("o/now/vgg-asc-0.25/f4-s1/float",))


def test_teachers_are_the_students_own_floats_or_another_ones() -> None:
    trial = students.Trial("now", "ds-cnn", 0.5, "distilled", 3, 1)
    args = argparse.Namespace(out=Path("o"), teachers=(0, 2), teacher=None)
    assert students.teachers(trial, args) == [f"o/now/ds-cnn-0.5/f3-s{s}/float" for s in (0, 2)]
    args.teacher = students.teacher("best/vgg-asc:1.12")
    assert students.teachers(trial, args) == [f"o/best/vgg-asc-1.12/f3-s{s}/float" for s in (0, 2)]
