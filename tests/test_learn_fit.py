"""Budgets before training: what is refused, and the widest student that is not."""

from __future__ import annotations

import dataclasses
import json
from importlib.util import find_spec
from pathlib import Path

import pytest

if not (find_spec("tensorflow") and find_spec("tf_keras")):  # imported by learn/keras.py only
    pytest.skip("needs the extra [train]", allow_module_level=True)

from mcu_asc import cli, config, learn
from mcu_asc.errors import OverBudget, UsageError
from mcu_asc.learn.recipe import as_dict, parse
from mcu_asc.learn.students import Shape
from mcu_asc.learn.untrained import student_views
from mcu_asc.nouns import FrontEndConfig
from mcu_asc.results import fit as fitting

RECIPE = """
name = "wide"
[data]
dataset = "scenes"
labels = ["park", "bus"]
train_folds = [1]
test_folds = [4]
[front_end]
bands = 32
rows = 40
[student]
name = "vgg-asc"
width = 1.5
[budget]
name = "dcase2022"
"""


def test_train_refuses_a_student_over_the_recipes_budget_before_it_reads_a_clip(tmp_path: Path) -> None:
    recipe = tmp_path / "wide.toml"
    recipe.write_text(RECIPE)
    heard: list[str] = []
    with pytest.raises(OverBudget, match=r"parameters .*dcase2022 allows 128,000"):
        learn.train(recipe, None, tmp_path / "run", progress=lambda *a: heard.append(a[0]))
    assert heard == []


def test_train_asks_the_gate_about_the_board(tmp_path: Path) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text(
        RECIPE.replace("width = 1.5", "width = 0.1").replace('name = "dcase2022"', 'board = "nano33"')
    )
    asked: list[tuple[bytes, str, str]] = []

    class Refused(Exception):
        pass

    def gate(*args: object) -> None:
        asked.append(args)  # type: ignore[arg-type]
        raise Refused

    with pytest.raises(Refused):
        learn.train(recipe, None, tmp_path / "run", gate=gate)
    content, board, budget = asked[0]
    assert (board, budget) == ("nano33", "")
    fitting.gate(content, board, "dcase2022")  # that one does fit
    none = dataclasses.replace(config.load_budget("dcase2022"), max_params=10)
    assert fitting.check(fitting.compiler.read(content), config.load_board(board), none).reasons


def test_a_recipe_without_a_budget_says_what_it_always_said() -> None:
    import tomllib

    values = tomllib.loads(RECIPE)
    assert as_dict(parse(values, "r"))["budget"] == {"name": "dcase2022", "board": ""}
    del values["budget"]
    assert "budget" not in as_dict(parse(values, "r"))


def test_fit_finds_the_widest_and_says_what_stops_the_next(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fitting, "WIDTHS", (0.2, 1.12, 1.2, 2.0))
    with pytest.raises(SystemExit) as exit_:
        cli.main(["fit", "vgg-asc", "--budget", "dcase2022", "--latency-ms", "5000", "--json"])
    assert exit_.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert found["width"] == 1.12  # 126,170 parameters by NeSsi; at 1.2 there are more than 128,000
    assert found["check"]["params"] == 125_890
    assert found["check"]["fits"]
    assert "parameters" in found["stopped_by"][0]
    assert found["latency_is"] == "estimate"
    assert 100 < found["latency_ms"] < 600  # 13 MMAC at about 1.4 cycles each, 64 MHz


def test_fit_refuses_what_never_fits() -> None:
    nano, slow = config.load_board("nano33"), FrontEndConfig(rows=20, bands=16)
    with pytest.raises(OverBudget, match=r"narrowest.* ms are allowed"):
        fitting.fit("ds-cnn", 4, slow, nano, None, limit_ms=0.01)
    with pytest.raises(UsageError, match="unknown student"):
        student_views("no-such", Shape(20, 16, 4))


def test_the_search_ends_at_the_last_that_fits() -> None:
    for last in range(len(fitting.WIDTHS)):
        limit = fitting.WIDTHS[last]
        assert fitting._last(lambda w, m=limit: ("no",) if w > m else (), 0, len(fitting.WIDTHS)) == last
