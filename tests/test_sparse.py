"""Zero blocks of weights: the kernels that skip them, every byte as TFLM's, and when they are chosen."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import nn_m4
import numpy as np
import pytest
import vectors
from tflite_micro import runtime

from mcu_asc import compiler, paths
from mcu_asc.compiler import sparsity as compiler_sparsity
from mcu_asc.compiler.dsp import forms, sparse
from mcu_asc.compiler.lower import lower
from mcu_asc.compiler.ops.base import Weights
from mcu_asc.compiler.schedule import op_cycles
from mcu_asc.nouns import Sparsity

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
import bench
import sparsity

SHAPES = {  # input, output channels, kernel, stride
    "pointwise": ((1, 9, 5, 48), 18, (1, 1), (1, 1)),
    "odd": ((1, 7, 5, 40), 13, (1, 1), (1, 1)),
    "strided": ((1, 13, 9, 8), 16, (3, 3), (2, 2)),
    "wide": ((1, 8, 11, 12), 14, (3, 3), (1, 1)),
    "rest": ((1, 6, 9, 16), 9, (2, 5), (1, 1)),
    "few": ((1, 12, 8, 2), 12, (3, 4), (1, 1)),
    "long": ((1, 3, 3, 1400), 4, (1, 1), (1, 1)),
    "dilated": ((1, 12, 9, 8), 10, (3, 3), (1, 1)),
    "grouped": ((1, 9, 8, 16), 12, (2, 4), (1, 1)),
}
MORE = {"dilated": {"dilation": (4, 1)}, "grouped": {"groups": 4}}
ZERO = (0.0, 0.5, 0.8, 0.99, 1.0)
FORMS = ("packed", "wide", "winograd")


def case(name: str, share: float, zero_out: int) -> bytes:
    x, out_c, kernel, stride = SHAPES[name]
    more: dict[str, Any] = MORE.get(name, {})
    key = f"sparse_{name}"
    vectors._conv(
        key, x, out_c, kernel, stride=stride, zero_in=-7, zero_out=zero_out, gain=0.01 / x[3], **more
    )
    content = vectors.CASES.pop(key)
    # `pruned` leaves a model's first convolution as it is: zero this one's here
    return sparsity.pruned(content, "block", share, first=0, seed=len(name))


def functions(content: bytes) -> set[str]:
    """The products that a model's layers call."""
    return {
        str(p.fields.get("gemm") or p.fields.get("kernel"))
        for low in lower(compiler.read(content).graph, "dsp")
        for p in low.code.params
    }


@pytest.mark.parametrize("form", FORMS)
def test_sparse_kernels_equal_tflm(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every form where it can be, at any share of zeros, linear and fixed."""

    def forced(graph, op, m, by_rows=False):  # type: ignore[no-untyped-def]
        return Weights(form if by_rows or form != "winograd" else "wide", True, 0, 0, 0)

    def possible(name: str) -> bool:
        (_, _, _, depth), _, (_, columns), stride = SHAPES[name]
        return columns >= 3 and depth % 4 == 0 and stride == (1, 1) if form == "winograd" else True

    monkeypatch.setattr(forms, "choose", forced)
    cases = {
        f"{name}_{int(100 * share)}_{zero + 128}": case(name, share, zero)
        for name in SHAPES
        for share in ZERO
        for zero in (-128, 5)
        if possible(name)
    }
    called = set().union(*map(functions, cases.values()))
    assert all("sparse" in f for f in called) and len(called) == (1 if form == "packed" else 2)
    cortex = nn_m4.build(cases, tmp_path)
    for name, content in cases.items():
        oracle = runtime.Interpreter.from_bytes(content, arena_size=1 << 18)
        shape = oracle.get_input_details(0)["shape"]
        for i, x in enumerate(vectors.inputs(int(np.prod(shape)), 2)):
            oracle.set_input(x.reshape(shape), 0)
            oracle.invoke()
            expected = oracle.get_output(0).reshape(-1)
            np.testing.assert_array_equal(cortex.run(name, x, fill=i * 41), expected, name)


# ---- the choice ----------------------------------------------------------------------------------------


def student() -> bytes:
    return sparsity.dense((paths.students_dir() / "esc10" / "student.tflite").read_bytes())


@pytest.mark.parametrize(
    ("kind", "share", "skips"),
    [("block", 0.05, False), ("block", 0.5, True), ("weight", 0.5, False), ("block", 0.9, True)],
)
def test_zero_blocks_are_skipped_where_that_pays(kind: str, share: float, skips: bool) -> None:
    called = functions(sparsity.pruned(student(), kind, share))
    assert any("sparse" in f for f in called) == skips


def test_estimates_fall_with_the_blocks() -> None:
    rng = np.random.default_rng(0)
    w = rng.integers(1, 100, (32, 3, 3, 64)).astype(np.int8)
    for form in FORMS:
        dense = forms.cost((20, 20), w, form, False)
        prices = [
            forms.cost((20, 20), w * sparsity.blocks(w.shape, share, rng), form, True)
            for share in (0.0, 0.5, 0.75, 1.0)
        ]
        assert sorted((p.cycles for p in prices), reverse=True) == [p.cycles for p in prices]
        assert prices[0].cycles > dense.cycles > prices[1].cycles
        assert prices[0].bytes > dense.bytes > prices[1].bytes


def test_blocks_that_are_far_apart_are_reached_by_stepping_stones() -> None:
    words = np.zeros((700, 2), np.int64)
    words[[0, 699]] = 7
    first, *rest = sparse.groups(words, 8)
    assert first == 4  # 0, 256, 512 and 699
    assert rest[:8] == [7, 7, 0, 0, 0, 0, 7, 7]
    assert rest[8] == 8
    assert np.array(rest[9:], "<u4").tobytes() == bytes([0, 0, 0, 0, 0, 255, 255, 186])


def test_flash_is_saved_as_blocks_are() -> None:
    def size(content: bytes) -> int:
        low = lower(compiler.read(content).graph, "dsp")
        return sum(a.values.nbytes for x in low for a in x.code.arrays if a.ctype == "uint32_t")

    whole, half, quarter = (size(sparsity.pruned(student(), "block", s)) for s in (0.0, 0.5, 0.75))
    assert half < 0.6 * whole
    assert quarter < 0.34 * whole


# ---- what is told of it --------------------------------------------------------------------------------


def test_zero_blocks_are_counted_as_the_kernels_skip_them() -> None:
    graph = compiler.read(sparsity.pruned(student(), "block", 0.6)).graph
    found = compiler_sparsity.sparsity(graph, "dsp")
    lowered = lower(graph, "dsp")
    assert [x.index for x in found.layers] == [op.index for op in graph.ops if op.kind == "CONV_2D"][1:]
    for x in found.layers:
        op, chosen = graph.ops[x.index], lowered[x.index].weights
        assert chosen is not None and chosen.form == "winograd"
        w = graph.tensors[op.inputs[1]].data
        assert w is not None
        n, rows, _, depth = w.shape
        zero = [
            not w[c : c + 2, r, :, d : d + 4].any()
            for c in range(0, n, 2)
            for r in range(rows)
            for d in range(0, depth, 4)
        ]
        assert (x.blocks, x.zero_blocks) == (len(zero), sum(zero))
        assert x.macs_skipped == x.macs * sum(zero) // len(zero)
        stored = dataclasses.replace(op, skips=False)
        plain = dataclasses.replace(graph, ops=tuple(stored if o is op else o for o in graph.ops))
        assert lower(plain, "dsp")[x.index].table_bytes - lowered[x.index].table_bytes == x.bytes_saved > 0
        assert x.cycles_saved > 0
    assert found.zero_blocks / found.blocks == pytest.approx(0.6, abs=0.001)
    for total in ("blocks", "zero_blocks", "macs", "macs_skipped", "bytes_saved", "cycles_saved"):
        assert getattr(found, total) == sum(getattr(x, total) for x in found.layers)


def test_an_odd_last_channel_has_half_a_block() -> None:
    w = np.ones((3, 1, 1, 8), np.int8)
    w[2, :, :, :4] = 0
    found = forms.cost((10, 10), w, "wide", True)
    assert (found.blocks, found.zero_blocks, found.zero_weights) == (4, 1, 4)


def test_groups_are_skipped_and_not_counted() -> None:
    """What lies between them is zero whatever the weights are."""
    vectors._conv("groups", (1, 20, 20, 32), 32, (3, 3), groups=8)
    graph = compiler.read(vectors.CASES.pop("groups")).graph
    (low,) = lower(graph, "dsp")
    assert low.weights is not None and low.weights.skips
    assert compiler_sparsity.sparsity(graph, "dsp") == Sparsity()


@pytest.mark.parametrize(("kind", "share", "flavour"), [("weight", 0.5, "dsp"), ("block", 0.75, "ref")])
def test_zeros_that_nobody_skips_are_not_counted(kind: str, share: float, flavour: str) -> None:
    graph = compiler.read(sparsity.pruned(student(), kind, share)).graph
    assert compiler_sparsity.sparsity(graph, flavour) == Sparsity()


def test_schedules_price_what_is_skipped(tmp_path: Path) -> None:
    """The estimate of a sparse layer is what the emulated core takes, not what its dense self would."""
    model = compiler.read(sparsity.pruned(student(), "block", 0.75))
    run = bench.run(model, tmp_path / "p")
    found = compiler_sparsity.sparsity(model.graph, "dsp").layers
    assert len(found) == 4
    for x in found:
        assert op_cycles(model.graph, model.graph.ops[x.index]) == pytest.approx(
            run.layers[x.index][2], rel=0.05
        )
    dense = compiler.read(student()).graph
    whole, sparse_whole = (sum(op_cycles(g, op) for op in g.ops) for g in (dense, model.graph))
    assert sparse_whole < 0.4 * whole


def test_a_kernel_that_saves_little_is_not_worth_its_code() -> None:
    w = np.random.default_rng(0).integers(1, 100, (20, 1, 1, 32)).astype(np.int8)
    few, many = ({form: forms.cost((n, n), w, form, False) for form in ("packed", "wide")} for n in (6, 20))
    assert few["packed"].cycles - few["wide"].cycles > 3 * (few["wide"].bytes - few["packed"].bytes)
    assert min(few, key=lambda form: forms.price(few[form])) == "packed"
    assert min(many, key=lambda form: forms.price(many[form])) == "wide"
