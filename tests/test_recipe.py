"""Recipes are strict: whatever is wrong is refused when the file is read, and the line says what is right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mcu_asc import paths
from mcu_asc.errors import UsageError
from mcu_asc.learn.recipe import as_dict, load, parse

GOOD = """
name = "x"
[data]
dataset = "esc10"
train_folds = [1, 2]
test_folds = [4]
[student]
name = "vgg-asc"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


def test_a_short_recipe_has_every_default(tmp_path: Path) -> None:
    recipe = load(write(tmp_path, GOOD))
    assert recipe.train.epochs == 100
    assert recipe.front_end.bands == 64
    assert recipe.decision.hop_rows == 25
    assert recipe.prunes


def test_a_recipe_survives_json(tmp_path: Path) -> None:
    recipe = load(write(tmp_path, GOOD))
    assert parse(json.loads(json.dumps(as_dict(recipe))), "again") == recipe


def test_what_a_training_window_needs_is_the_decisions_unless_said(tmp_path: Path) -> None:
    plain = load(write(tmp_path, GOOD + "[decision]\nmin_alive = 0.25\n"))
    assert plain.taught_alive == 0.25
    assert "min_alive" not in as_dict(plain)["train"]
    own = load(write(tmp_path, GOOD + "[train]\nmin_alive = 0\n"))
    assert (own.taught_alive, own.decision.min_alive) == (0, 0.5)
    assert parse(json.loads(json.dumps(as_dict(own))), "again") == own


def test_what_was_not_looked_at_before_stays_readable_in_runs(tmp_path: Path) -> None:
    recipe = load(write(tmp_path, GOOD))
    values = as_dict(recipe)
    values["decision"]["min_alive"] = 50.0
    values["data"]["labels"] = ["rain", "rain"]
    assert parse(values, "a run's config.json").decision.min_alive == 50


@pytest.mark.parametrize("student", ["esc10", "scenes"])
def test_shipped_recipes_are_valid(student: str) -> None:
    recipe = load(paths.students_dir() / student / "recipe.toml")
    assert recipe.name == student
    assert not set(recipe.data.train_folds) & set(recipe.data.test_folds)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("[student]", "[student]\nwidht = 1.0"), "unknown key 'widht' (known here: dropout, name, width)"),
        (("[student]", "[learning]\n[student]"), "unknown key 'learning'"),
        (('dataset = "esc10"', ""), "key 'dataset' is missing"),
        (('dataset = "esc10"', 'dataset = "esc11"'), "unknown 'esc11' (known: esc10"),
        (('name = "vgg-asc"', 'name = "vgg"'), "unknown 'vgg' (known: vgg-asc, ds-cnn, "),
        (("test_folds = [4]", "test_folds = [2]"), "fold 2 is in train_folds and in test_folds"),
        (("test_folds = [4]", "test_folds = []"), "must each name a fold"),
        (("test_folds = [4]", 'test_folds = ["4"]'), "must be a int"),
        (("[student]", "[train]\nepochs = 0\n[student]"), "epochs is 0, it must be in 1 .. 10000"),
        (("[student]", "[train]\nlr = -0.1\n[student]"), "lr is -0.1, it must be in 0 .. 1"),
        (("[student]", "[decision]\nmin_alive = 50\n[student]"), "min_alive is 50, it must be in 0 .. 1"),
        (("test_folds", 'labels = ["rain", "rain"]\ntest_folds'), "labels names 'rain' twice"),
        (("[student]", "[train]\nmin_alive = 2.0\n[student]"), "min_alive is 2.0, it must be in 0 .. 1"),
        (("[student]", "[train]\nlr = nan\n[student]"), "lr is nan"),
        (("[student]", "[prune]\nsparsity = 1.0\n[student]"), "sparsity is 1.0"),
        (("[student]", "[front_end]\nmean = [1.0]\n[student]"), "'mean' is measured in training"),
        (("[student]", "[decision]\nhop_rows = 0\n[student]"), "hop_rows must be at least 1"),
        (('name = "x"', 'name = "../x"'), "cannot be a folder"),
        (("[student]", "[student"), "not valid TOML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    assert change[0] in GOOD
    path = write(tmp_path, GOOD.replace(*change, 1))
    with pytest.raises(UsageError) as error:
        load(path)
    assert says in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing\.toml"):
        load(tmp_path / "nothing.toml")


def test_reading_a_recipe_does_not_import_tensorflow() -> None:
    code = "import sys, mcu_asc.learn, mcu_asc.learn.recipe, mcu_asc.learn.evaluation as e;"
    code += "import mcu_asc.learn.students; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_tensorflow_the_command_that_installs_it_is_named(tmp_path: Path) -> None:
    """As where only the core is installed: the import fails, before any audio is read."""
    recipe = write(tmp_path, GOOD.replace("esc10", "scenes"))
    code = "import sys; sys.modules['tensorflow'] = None\n"
    code += "from pathlib import Path; from mcu_asc import learn, errors\n"
    code += f"try: learn.train(Path({str(recipe)!r}), None, Path({str(tmp_path / 'run')!r}))\n"
    code += "except errors.ToolMissing as e: sys.exit(e.hint != \"pip install 'mcu-asc[train]'\")\n"
    code += "sys.exit(2)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
