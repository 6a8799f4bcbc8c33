"""The students that ship: what their READMEs claim, computed again from the files in the box."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from mcu_asc import compiler, paths
from mcu_asc.audio.datasets import open_dataset, select
from mcu_asc.learn.card import input_quantisation, read_card
from mcu_asc.learn.convert import stages_of
from mcu_asc.learn.evaluation import tflite_scores
from mcu_asc.learn.recipe import as_dict, load

NAMES = ("esc10", "scenes")


@pytest.mark.parametrize("name", NAMES)
def test_the_folder_is_whole(name: str) -> None:
    folder = paths.students_dir() / name
    content = (folder / "student.tflite").read_bytes()
    card, recipe = read_card(content), load(folder / "recipe.toml")
    assert card.name == name
    assert card.licence == "Apache-2.0"
    assert dict(card.recipe) == as_dict(recipe)  # made from the recipe that lies beside it
    assert card.decision == recipe.decision
    assert (card.front_end.scale, card.front_end.zero_point) == input_quantisation(content)
    with (folder / "training_log.csv").open() as file:
        stages = [row["stage"] for row in csv.DictReader(file)]
    assert tuple(dict.fromkeys(stages)) == stages_of(recipe)
    assert stages.count("float") == recipe.train.epochs
    assert not [p for p in folder.rglob("*") if p.suffix in (".wav", ".ogg", ".flac", ".h5")]


@pytest.mark.parametrize(("name", "params", "macs"), [("esc10", 128_000, 30e6), ("scenes", 40_000, 6e6)])
def test_size_and_sparsity(name: str, params: int, macs: float) -> None:
    folder = paths.students_dir() / name
    counts = compiler.counts(compiler.read(folder / "student.tflite").graph)
    assert sum(c.params for c in counts) < params
    assert sum(c.macs for c in counts) < macs
    if load(folder / "recipe.toml").prunes:
        assert sum(c.zeros for c in counts) > 0.45 * sum(c.params for c in counts)


def accuracy(name: str, root: Path | None) -> float:
    """Per clip, on the recipe's test folds: the C front end's int8 rows through the TFLM interpreter."""
    pytest.importorskip("tflite_micro", reason="needs the extra [oracle]")
    folder = paths.students_dir() / name
    recipe = load(folder / "recipe.toml")
    ds = open_dataset(recipe.data.dataset, root)
    clips = select(ds, ",".join(map(str, recipe.data.test_folds)))
    return tflite_scores(folder / "student.tflite", ds, clips)[0].clip_accuracy


def test_scenes_on_locations_it_has_not_heard() -> None:
    assert accuracy("scenes", None) >= 0.84


def test_esc10_on_fold_4(esc10_root: Path) -> None:
    assert accuracy("esc10", esc10_root) >= 0.95
