"""Weights expanded for speed under a limit on flash: what fits, what is taken, and the same outputs."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcu_asc import compiler, config, firmware, paths
from mcu_asc.compiler.dsp import forms
from mcu_asc.compiler.expand import expand, expansion, formed
from mcu_asc.compiler.lower import lower
from mcu_asc.device.build import compile_project
from mcu_asc.device.targets import open_target
from mcu_asc.errors import UsageError
from mcu_asc.nouns import Model
from mcu_asc.results.check import check

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
import sparsity

BOARD = config.load_board("nano33")
PRUNED = {"dense": ("block", 0.0), "blocks": ("block", 0.75), "channels": ("channel", 0.5)}


@pytest.fixture(scope="module", params=PRUNED)
def model(request: pytest.FixtureRequest) -> Model:
    """The student for scenes: as it is, with 75 % of its blocks zero, with half of its channels pruned."""
    content = (paths.students_dir() / "scenes" / "student.tflite").read_bytes()
    return compiler.read(sparsity.pruned(content, *PRUNED[request.param]))


def deployed(model: Model) -> Model:
    return firmware.deployed(model)


def text(model: Model) -> str:
    return compiler.emit(model, compiler.plan(model.graph, "dsp"), "dsp")["model_dsp.c"].decode()


def limits(model: Model) -> tuple[int, int]:
    """Bytes of flash with every weight in its smallest form, and with no limit."""
    least, most = (check(model, BOARD, None, flash_limit=n).flash_bytes for n in (0, None))
    return least, most


def test_no_flash_gives_int8_everywhere(model: Model) -> None:
    fit = check(model, BOARD, None, flash_limit=0)
    assert not fit.fits
    assert "the limit is 0" in fit.reasons[0]
    assert (fit.expansion.bytes, fit.expansion.layers) == (0, ())
    small = text(firmware.fitted(deployed(model), BOARD, flash_limit=0))
    assert "packed" in small
    assert not any(form in small for form in ("winograd", "_wide", "_fixed,\n    .weights"))


def test_what_is_taken_grows_with_the_limit_and_stays_within(model: Model) -> None:
    least, most = limits(model)
    before = (0, 0)
    for limit in np.linspace(least, most, 12).astype(int).tolist():
        fit = check(model, BOARD, None, flash_limit=limit)
        assert fit.fits
        assert fit.flash_bytes <= limit
        spent = (fit.expansion.bytes, fit.expansion.cycles_saved)
        assert before[1] <= spent[1]
        before = spent
        assert spent[0] == sum(x.bytes for x in fit.expansion.layers)
    free = check(model, BOARD, None).expansion
    assert spent == (free.bytes, free.cycles_saved)
    assert free.cycles_saved > 0


def test_room_enough_gives_what_each_layer_pays_for_by_itself(model: Model) -> None:
    model = deployed(model)
    assert firmware.fitted(model, BOARD) is model
    free = replace(model, graph=expand(model.graph, "dsp", 1 << 30))
    assert text(free) == text(model)
    assert expansion(free.graph, "dsp") == expansion(model.graph, "dsp")


def test_the_bytes_are_those_of_the_tables(model: Model) -> None:
    """Apart from the tables of bands: the price is what the emitted arrays grow by."""
    model = deployed(model)
    small = replace(model, graph=formed(model.graph))
    grown = firmware._array_bytes({"": text(model).encode()}) - firmware._array_bytes(
        {"": text(small).encode()}
    )
    assert abs(grown - expansion(model.graph, "dsp").bytes) <= 0.05 * grown


def test_the_best_rate_comes_first(model: Model) -> None:
    """The first bytes save more cycles each than all do."""
    some = check(model, BOARD, None, flash_limit=sum(limits(model)) // 2).expansion
    every = check(model, BOARD, None).expansion
    assert 0 < some.bytes < every.bytes
    assert some.cycles_saved / some.bytes > 1.1 * every.cycles_saved / every.bytes


def test_a_wait_state_takes_what_int16_saves_by_not_unpacking() -> None:
    """What is left is what the outputs save, whatever K."""
    rng = np.random.default_rng(0)

    def saved(k: int, wait_states: int) -> float:
        w = rng.integers(1, 100, (16, 1, 1, k)).astype(np.int8)
        packed, wide = (forms.cost((20, 20), w, name, False) for name in ("packed", "wide"))
        return packed.cycles + wait_states * packed.words - wide.cycles - wait_states * wide.words

    assert saved(512, 1) == pytest.approx(saved(64, 1))
    assert saved(512, 0) == pytest.approx(saved(64, 0) + 100 * 8 * (512 - 64) / 2)


def test_with_wait_states_less_is_saved(model: Model) -> None:
    free, waiting = (
        check(model, replace(BOARD, flash_wait_states=n), None).expansion.cycles_saved for n in (0, 1)
    )
    assert 0 < waiting < free


def test_portable_kernels_have_one_form(model: Model) -> None:
    assert expansion(model.graph, "ref").layers == ()


def test_zero_blocks_are_skipped_in_every_form() -> None:
    content = (paths.students_dir() / "scenes" / "student.tflite").read_bytes()
    graph = compiler.read(sparsity.pruned(content, "block", 0.75)).graph
    for form in forms.FORMS:
        chosen = [x.weights for x in lower(formed(graph, {op.index: form for op in graph.ops}), "dsp")]
        found = [w for w in chosen if w and w.zero_blocks]
        assert len(found) == 4
        assert all(w.skips and w.form == form for w in found)


@pytest.mark.parametrize("limit", [0, 100_000])
def test_the_same_project_every_time(limit: int) -> None:
    again = [compiler.read(paths.students_dir() / "scenes" / "student.tflite") for _ in range(2)]
    one, two = (firmware.project(m, BOARD, flash_limit=limit).files for m in again)
    assert one == two


def test_an_engine_with_one_form_takes_no_limit(model: Model) -> None:
    with pytest.raises(UsageError, match="one form of the weights"):
        firmware.project(model, BOARD, "tflm", flash_limit=100_000)


def test_equal_outputs_whatever_the_limit(model: Model, tmp_path: Path) -> None:
    size = model.graph.tensors[model.graph.inputs[0]].bytes
    rng = np.random.default_rng(3)
    windows = [rng.integers(-128, 128, size).astype(np.int8).tobytes() for _ in range(2)]
    outputs, flash = {}, {}
    for name, limit in {"none": 0, "some": sum(limits(model)) // 2, "all": None}.items():
        firmware.write(firmware.project(model, BOARD, flash_limit=limit), tmp_path / name)
        flash[name] = compile_project(tmp_path / name, "board").flash_bytes
        if limit:
            assert flash[name] <= limit
        with open_target(tmp_path / name, "emulator") as device:
            outputs[name] = [device.tensor(w) for w in windows]
    assert outputs["none"] == outputs["some"] == outputs["all"]
    assert flash["none"] < flash["some"] < flash["all"]
