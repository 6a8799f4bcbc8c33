"""What pruning zeroes, and what is left of it in the exported file (extra [train])."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

pytest.importorskip("tensorflow", reason="needs the extra [train]")
pytest.importorskip("tensorflow_model_optimization", reason="needs the extra [train]")

from mcu_asc import compiler, config, learn
from mcu_asc.errors import UsageError
from mcu_asc.learn import convert, keras, loop, prune, quantise, recipe
from mcu_asc.learn.students import STUDENTS, Shape, cost
from mcu_asc.nouns import BLOCK
from mcu_asc.results import check


def training(path: Path, student: str, **prune: Any) -> Path:
    """A recipe of one epoch a stage."""
    return tiny.recipe(
        path, student={"name": student, "width": 0.5}, train={"batch": 8}, qat={"epochs": 1},
        prune={"epochs": 1, "every_steps": 1, **prune},
    )  # fmt: skip


def zero_blocks(weights: np.ndarray[Any, Any]) -> float:
    """Share of [channels, rows, columns, depth] in blocks of zeros."""
    n, _, columns, depth = weights.shape
    x, d, c = BLOCK.columns(columns), np.arange(depth) // BLOCK.depth, np.arange(n) // BLOCK.channels
    where = np.ix_(c, np.arange(weights.shape[1]), x, d)
    used = np.zeros([int(i.max()) + 1 for i in where], bool)
    np.logical_or.at(used, where, weights != 0)
    return 1 - float(used.mean())


def student(name: str, seed: int = 0) -> keras.Keras:
    keras.keras().backend.clear_session()
    keras.keras().utils.set_random_seed(seed)
    model = STUDENTS[name](Shape(20, 16, 3, 0.5))
    rng = np.random.default_rng(seed)
    for w in model.weights:
        if "gamma" in w.name or "beta" in w.name or "mean" in w.name or "bias" in w.name:
            w.assign(rng.normal(0.3, 0.5, w.shape))
    return model


def make_sparse(model: keras.Keras, kind: str, share: float, blocks: float = 0.0) -> None:
    pairs = prune.pruned(model, kind)
    masks = prune.KINDS[kind]([target for target, _ in pairs], share, blocks)
    for (_, variables), own in zip(pairs, masks, strict=True):
        for w, mask in zip(variables, own, strict=True):
            w.assign(w * mask)


def windows(count: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).normal(0, 1, (count, 20, 16, 1)).astype(np.float32)


def test_magnitude_zeroes_the_smallest() -> None:
    kernel = np.array([[3.0, -1.0], [0.5, -4.0]], np.float32)
    assert prune.magnitude(kernel, 0.5).tolist() == [[1, 0], [0, 1]]
    assert prune.magnitude(kernel, 0.0).all()
    assert prune.magnitude(np.zeros((10, 10), np.float32), 0.5).sum() == 50  # ties: still half


@pytest.mark.parametrize("shape", [(3, 3, 8, 6), (1, 1, 16, 8), (2, 5, 5, 7)])
def test_blocks_are_the_devices(shape: tuple[int, ...]) -> None:
    kernel = np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)
    mask = prune.block(kernel, 0.5)
    assert zero_blocks((kernel * mask).transpose(3, 0, 1, 2)) == 0.5
    assert set(np.unique(mask)) == {0, 1}


def test_the_weakest_block_goes_first() -> None:
    kernel = np.ones((1, 3, 8, 4), np.float32)
    kernel[:, :, 4:, 2:] = 0.5
    mask = prune.block(kernel, 0.25)
    assert not mask[:, :, 4:, 2:].any()
    assert mask.sum() == mask.size - 24


def test_channels_that_stay_are_multiples_of_four() -> None:
    importance = np.arange(24, dtype=np.float32)
    for share, stay in ((0.0, 24), (0.1, 20), (0.5, 12), (0.9, 4), (0.95, 4)):
        mask = prune.channels(importance, share)
        assert mask.sum() == stay
        assert mask[24 - stay :].all()


@pytest.mark.parametrize("name", ["vgg-asc", "ds-cnn", "dcase2022-baseline"])
@pytest.mark.parametrize(("kind", "blocks"), [("channel", 0.0), ("channel+block", 0.5)])
def test_removed_channels_change_nothing(name: str, kind: str, blocks: float) -> None:
    model = student(name)
    make_sparse(model, kind, 0.5, blocks)
    smaller = prune.narrowed(model)
    x = windows(8)
    np.testing.assert_allclose(smaller(x, training=False), model(x, training=False), rtol=1e-4, atol=1e-4)
    assert cost(smaller).macs < 0.55 * cost(model).macs
    assert [la.name for la in smaller.layers] == [la.name for la in model.layers]


def test_removed_channels_are_not_in_the_file() -> None:
    model = student("ds-cnn")
    make_sparse(model, "channel", 0.5)
    plain = prune.narrowed(model)
    qat = quantise.quantised(plain, keep_zeros=False)
    quantise.set_ranges(qat, plain, windows(32))
    graph = compiler.read(convert.to_int8(qat, None)).graph
    counts = compiler.counts(graph)
    assert sum(c.macs for c in counts) == cost(plain).macs < 0.5 * cost(model).macs
    assert sum(c.params for c in counts) == cost(plain).params


def test_channels_of_branches_are_not_removed() -> None:
    k = keras.keras()
    x = k.layers.Input((8, 8, 1))
    a = k.layers.Conv2D(8, 3, padding="same", name="a")(x)
    model = k.Model(x, k.layers.Add(name="sum")([a, k.layers.Conv2D(8, 3, padding="same")(x)]))
    with pytest.raises(UsageError, match="'sum' has several inputs"):
        prune.narrowed(model)


def test_blocks_are_those_of_the_kernels_that_channels_leave() -> None:
    """Channels of no importance lie among the others: what are neighbours later are none before."""
    model = student("vgg-asc")
    make_sparse(model, "channel+block", 0.5, 0.75)
    kept = [t.kernel.numpy() for t in prune.targets(prune.narrowed(model))]
    assert kept[0].shape[2] == model.get_layer("stem").filters  # the stem stays as it is
    assert [zero_blocks(k.transpose(3, 0, 1, 2)) for k in kept] == pytest.approx([0.75] * len(kept), abs=0.02)
    assert all(k.any(axis=(0, 1, 2)).all() for k in kept)


def test_channels_are_chosen_before_blocks() -> None:
    stage = loop.Stage("prune", 1, 1e-3, sparsity=0.5, ramp=0.5, kind="channel+block", block_sparsity=0.75)
    steps = [loop.sparsity(stage, i, 100) for i in range(100)]
    assert all(blocks == 0 for _, blocks in steps[:26])
    assert all(share == 0.5 for share, _ in steps[25:])
    assert steps[50] == steps[99] == (0.5, 0.75)
    assert steps == sorted(steps)


def test_blocks_stay_zero_through_training_for_int8() -> None:
    plain = student("vgg-asc")
    make_sparse(plain, "block", 0.75)
    model = quantise.quantised(plain, keep_zeros=True)
    quantise.set_ranges(model, plain, windows(32))
    model.compile("sgd", loss="mse")
    model.fit(windows(32), np.ones((32, 3), np.float32), epochs=1, verbose=0)
    graph = compiler.read(convert.to_int8(model, None)).graph
    for op in [op for op in graph.ops if op.kind == "CONV_2D"][1:]:
        data = graph.tensors[op.inputs[1]].data
        assert data is not None
        assert zero_blocks(data) >= 0.75


def test_a_recipe_that_removes_channels_and_zeroes_blocks_of_the_others(tmp_path: Path) -> None:
    """The exported file is smaller and sparse, as `check` counts both."""
    path = training(tmp_path / "tiny.toml", "vgg-asc", kind="channel+block", block_sparsity=0.5)
    run = learn.train(path, None, tmp_path / "run")
    made = json.loads((run / "config.json").read_text())
    found = check.check(compiler.read(run / "student.tflite"), config.load_board("nano33"), None)
    assert (found.views[0].params, found.views[0].macs) == (made["pruned"]["params"], made["pruned"]["macs"])
    assert made["pruned"]["macs"] < 0.6 * made["macs"]
    blocks, zeros = found.sparsity.blocks, found.sparsity.zero_blocks
    assert blocks and 0.48 < zeros / blocks < 0.6
    assert found.sparsity.macs_skipped > 0.3 * made["pruned"]["macs"]


def test_branches_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    path = training(tmp_path / "tiny.toml", "cp-mobile", kind="channel")
    with pytest.raises(UsageError, match=r"has several inputs: channels can only be removed .*\(use kind"):
        learn.train(path, None, tmp_path / "run", progress=lambda *a: pytest.fail(f"trained: {a}"))


def test_a_recipe_that_removes_channels(tmp_path: Path) -> None:
    path = training(tmp_path / "tiny.toml", "ds-cnn", kind="channel")
    run = learn.train(path, None, tmp_path / "run")
    made = json.loads((run / "config.json").read_text())
    counts = compiler.counts(compiler.read(run / "student.tflite").graph)
    assert made["pruned"] == {"params": sum(c.params for c in counts), "macs": sum(c.macs for c in counts)}
    assert made["pruned"]["macs"] < 0.6 * made["macs"]
    assert made["pruned"]["params"] < 0.6 * made["params"]


def test_kinds_that_make_no_sense_are_refused() -> None:
    values = {"name": "a", "data": {"dataset": "scenes", "train_folds": [1], "test_folds": [4]}}
    values["student"] = {"name": "ds-cnn"}
    for pruning, match in (
        ({"kind": "random"}, "unknown 'random'"),
        ({"block_sparsity": 0.5}, 'block_sparsity goes with kind = "channel\\+block", not "magnitude"'),
        ({"kind": "channel+block"}, "needs block_sparsity"),
    ):
        with pytest.raises(UsageError, match=match):
            recipe.parse(values | {"prune": pruning}, "here")
    mixed = recipe.parse(values | {"prune": {"kind": "channel+block", "block_sparsity": 0.5}}, "here")
    assert mixed.narrows
    assert recipe.parse(recipe.as_dict(mixed), "here") == mixed
    assert "block_sparsity" not in recipe.as_dict(recipe.parse(values, "here"))["prune"]
