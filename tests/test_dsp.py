"""The kernels for the Cortex-M4, inside an emulated one: every byte equals the TFLM interpreter's.

Every buffer lies apart with nothing mapped behind it (then before it), and memory is poisoned: a read outside
faults, a read of what was not written shows.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nn_m4
import numpy as np
import pytest
import vectors
from numpy.typing import NDArray
from tflite_micro import runtime

from mcu_asc import compiler
from mcu_asc.compiler import fixed
from mcu_asc.compiler.dsp import conv, depthwise, winograd
from mcu_asc.compiler.dsp.fast import fast, only_output, sums
from mcu_asc.compiler.dsp.matrix import column_order, k_order
from mcu_asc.compiler.lower import lower

_RANDOM_CASES = 300
_MODELS = (
    "ad01_int8",
    "asc_a",
    "asc_b",
    "asc_c",
    "kws_ref_model",
    "pretrainedResnet_quant",
    "vww_96_int8",
)
_MODEL_INPUTS = 20


def _random_case(rng: np.random.Generator, name: str) -> None:
    """One convolution or dense layer of any shape that some dsp kernel takes, into vectors.CASES."""
    kind = rng.choice(
        ["1x1", "any", "strided", "wide", "depthwise", "taps", "dense", "first", "dilated", "grouped"]
    )
    padding, zero_in, zero_out = (
        int(rng.choice(v)) for v in ([0, 1], [-128, 127, -5, 0, 60], [-128, -128, 127, 3, -40])
    )
    if kind == "dense":
        rows, n = int(rng.integers(1, 10)), int(rng.integers(1, 70))
        vectors._dense(
            name,
            (rows, n),
            n,
            int(rng.integers(1, 20)),
            per_channel=bool(rng.integers(2)),
            zero_in=zero_in,
            zero_out=zero_out,
        )
        return
    h, w = (int(v) for v in rng.integers(1, 14, 2))
    in_c, out_c = int(rng.integers(1, 25)), int(rng.integers(1, 20))
    kernel, stride, more = (1, 1), (1, 1), dict[str, Any]()
    if kind == "any":
        kernel, stride = tuple(rng.integers(1, 6, 2).tolist()), tuple(rng.integers(1, 3, 2).tolist())
    elif kind == "strided":
        kernel, stride = (3, 3), tuple(rng.integers(1, 4, 2).tolist())
    elif kind == "wide":
        in_c, kernel = 4 * int(rng.integers(1, 6)), (int(rng.integers(1, 6)), int(rng.integers(3, 9)))
    elif kind == "first":
        in_c, kernel = int(rng.integers(1, 4)), (int(rng.integers(1, 11)), int(rng.integers(1, 8)))
        stride = tuple(rng.integers(1, 3, 2).tolist())
    elif kind == "depthwise":
        in_c = out_c = int(rng.integers(1, 20))
        kernel, stride = (3, 3), (1, 1) if rng.integers(2) else (2, 2)
    elif kind == "taps":
        in_c = int(rng.integers(1, 20))
        out_c = in_c * int(rng.integers(1 if in_c > 3 else 4, 6))
        kernel, stride = tuple(rng.integers(1, 8, 2).tolist()), tuple(rng.integers(1, 4, 2).tolist())
    elif kind in ("dilated", "grouped"):
        kernel, stride = tuple(rng.integers(1, 5, 2).tolist()), tuple(rng.integers(1, 3, 2).tolist())
        more["dilation"] = tuple(rng.integers(1, 5, 2).tolist()) if stride == (1, 1) else (1, 1)
        if kind == "grouped":
            more["groups"] = int(rng.integers(1, 7))
            in_c, out_c = (more["groups"] * int(n) for n in rng.integers(1, 9, 2))
    if padding == vectors.VALID:
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, more.get("dilation", (1, 1)), strict=True)]
        h, w = max(h, reach[0]), max(w, reach[1])
    gain = float(2.0 ** rng.uniform(-16, -1)) if rng.random() < 0.3 else None
    vectors._conv(
        name,
        (1, h, w, in_c),
        out_c,
        kernel,
        stride=stride,
        padding=padding,
        zero_in=zero_in,
        zero_out=zero_out,
        gain=gain,
        depthwise=kind in ("depthwise", "taps"),
        **more,
    )


def _random_cases() -> dict[str, bytes]:
    rng = np.random.default_rng(20)
    found: dict[str, bytes] = {}
    for i in range(_RANDOM_CASES):
        _random_case(rng, f"random_{i}")
        found[f"random_{i}"] = vectors.CASES.pop(f"random_{i}")
    return found


def _functions(content: bytes) -> set[str]:
    return {c.function for low in lower(compiler.read(content).graph, "dsp") for c in low.code.calls}


def _check(cortex: nn_m4.Cortex, name: str, content: bytes, random: int) -> None:
    oracle = runtime.Interpreter.from_bytes(content, arena_size=1 << 18)
    shape = oracle.get_input_details(0)["shape"]
    for i, x in enumerate(vectors.inputs(int(np.prod(shape)), random)):
        oracle.set_input(x.reshape(shape), 0)
        oracle.invoke()
        expected = oracle.get_output(0).reshape(-1)
        np.testing.assert_array_equal(cortex.run(name, x, fill=i * 41), expected, name)


@pytest.mark.parametrize("at_end", [True, False])
def test_kernel_cases_equal_tflm(tmp_path: Path, at_end: bool) -> None:
    cases = {n: c for n, c in vectors.CASES.items() if any("_dsp" in f for f in _functions(c))}
    assert len(cases) > 70
    cortex = nn_m4.build(cases, tmp_path, at_end)
    for name, content in cases.items():
        _check(cortex, name, content, random=4)


@pytest.mark.parametrize("at_end", [True, False])
def test_random_shapes_equal_tflm(tmp_path: Path, at_end: bool) -> None:
    cases = _random_cases()
    cortex = nn_m4.build(cases, tmp_path, at_end)
    for name, content in cases.items():
        _check(cortex, name, content, random=2)


def test_every_dsp_function_has_a_case() -> None:
    there = {f for c in (*vectors.CASES.values(), *_random_cases().values()) for f in _functions(c)}
    header = (nn_m4.paths.firmware_dir() / "kernels/dsp/asc_nn_dsp.h").read_text()
    declared = {w.split("(")[0] for w in header.split() if w.startswith("asc_") and "_dsp(" in w}
    assert declared and declared <= there


def test_every_depthwise_loop_has_a_case() -> None:
    header = (nn_m4.paths.firmware_dir() / "kernels/dsp/asc_nn_dsp.h").read_text()
    found = re.findall(r"^ASC_DWK(_STEPS)?\((\w+)(?:, (\d+))?\);", header, re.M)
    made = [
        f"asc_dwk_{taps}_{s}"
        for many, taps, step in found
        for s in (["11", "12", "21", "22"] if many else [step])
    ]
    low = (low for c in vectors.CASES.values() for low in lower(compiler.read(c).graph, "dsp"))
    there = {p.fields["kernel"] for one in low for p in one.code.params if p.ctype == "asc_dwk"}
    assert there == {f"{name}_{form}" for name in made for form in ("fixed", "linear")}


@pytest.mark.parametrize("name", _MODELS)
def test_models_equal_tflm(models_dir: Path, tmp_path: Path, name: str) -> None:
    content = (models_dir / f"{name}.tflite").read_bytes()
    cortex = nn_m4.build({name: content}, tmp_path)
    oracle = runtime.Interpreter.from_bytes(content)
    shape = oracle.get_input_details(0)["shape"]
    rng = np.random.default_rng(3)
    for i in range(_MODEL_INPUTS):
        x = rng.integers(-128, 128, shape, dtype=np.int8) if i % 2 else _smooth(rng, shape)
        oracle.set_input(x, 0)
        oracle.invoke()
        expected = oracle.get_output(0).reshape(-1)
        np.testing.assert_array_equal(cortex.run(name, x, fill=i * 41), expected)


def _smooth(rng: np.random.Generator, shape: NDArray[np.int32]) -> NDArray[np.int8]:
    return vectors.walk(rng, int(np.prod(shape))).reshape(shape)


# ---- the choice of kernels -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", _MODELS)
def test_no_layer_of_the_models_falls_back(models_dir: Path, name: str) -> None:
    allowed = {"asc_softmax_s8"}
    functions = _functions((models_dir / f"{name}.tflite").read_bytes())
    assert {f for f in functions if f.endswith("_s8")} <= allowed


@pytest.mark.parametrize("name", ["conv_gain_above_one", "conv_grouped_gain_huge", "conv_grouped_uneven"])
def test_what_has_no_kernel_keeps_the_portable_one(name: str) -> None:
    assert _functions(vectors.CASES[name]) <= {"asc_conv2d_s8", "asc_depthwise_s8"}


@pytest.mark.parametrize("name", ["conv_relu6", "winograd_relu6", "dw_relu_n1_to_1", "dw_1x1", "add_relu6"])
def test_a_narrow_clamp_is_a_pass_of_its_own(name: str) -> None:
    functions = _functions(vectors.CASES[name])
    assert "asc_clamp_dsp" in functions and len([f for f in functions if f.endswith("_dsp")]) == 2


# ---- the packing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", range(1, 13))
def test_k_order_holds_each_value_once(run: int) -> None:
    order = k_order(run, 2)
    assert sorted(order[order >= 0].tolist()) == list(range(2 * run))


@pytest.mark.parametrize("run", range(1, 13))
@pytest.mark.parametrize("rows", range(1, 6))
def test_column_order_holds_each_value_once(run: int, rows: int) -> None:
    order = column_order(run, rows)
    assert sorted(order[order >= 0].tolist()) == list(range(run * rows))
    if (run % 2 and rows > 1) or run % 4 == 0:  # no pair of one value but the last
        assert len(order) == -(-run * rows // 2)


def test_rows_of_three_by_hand() -> None:
    assert column_order(3, 3).tolist() == [[0, 2], [3, 5], [1, 4], [6, 8], [7, -1]]


def test_pack_gemm4_by_hand() -> None:
    weights = np.array([[1, 2, 3, 4, 5], [-1, -2, -3, -4, -5], [7, 8, 9, 10, 11]], np.int8)
    packed = conv.pack_gemm4(weights, k_order(5)).view(np.int8).reshape(2, 3, 4)
    assert packed[0].tolist() == [[1, -1, 3, -3], [2, -2, 4, -4], [5, -5, 0, 0]]
    assert packed[1].tolist() == [[7, 0, 9, 0], [8, 0, 10, 0], [11, 0, 0, 0]]


def test_pack_dw3_by_hand() -> None:
    taps = 2 * np.arange(1, 10).reshape(3, 3, 1)
    halves = depthwise.pack_dw3(taps, 1).astype("<u4").view("<i2")[0]
    assert halves.tolist()[:4] == [2, 8, 8, 14]
    halves = depthwise.pack_dw3(taps, 2).astype("<u4").view("<i2")[0]
    assert halves.tolist() == [2, 8, 4, 10, 6, 12, 14, 16, 18, 0, 0, 0]


def test_winograd_passes_give_both_outputs() -> None:
    """In whole numbers: 7 columns are two times three taps and one left over."""
    rng = np.random.default_rng(1)
    w = rng.integers(-127, 128, (1, 1, 7, 1)).astype(np.int8)
    d = rng.integers(-128, 128, 8)
    (p1, p2), (p0, p3) = (p[:, 0] for p in winograd.passes(w))
    main = [(d[t], d[t + 1], d[t + 2], d[t + 3]) for t in (0, 3)]
    m1 = sum(p1[i] * (b + c) for i, (_, b, c, _) in enumerate(main))
    m2 = sum(p2[i] * (c - b) for i, (_, b, c, _) in enumerate(main))
    m0 = sum(p0[i] * (a - c) for i, (a, _, c, _) in enumerate(main)) + p0[2] * d[6]
    m3 = sum(p3[i] * (b - e) for i, (_, b, _, e) in enumerate(main)) + p3[2] * d[7]
    taps = w.ravel().astype(int)
    assert m1 + m2 + m0 == 2 * (taps @ d[:7])
    assert m1 - m2 + m3 == 2 * (taps @ d[1:])


# ---- the fast form ---------------------------------------------------------------------------------------


def test_fast_form_is_exact() -> None:
    """Around every tie of the second rounding, at both ends of the multipliers, for each shift."""
    rng = np.random.default_rng(5)
    for e in range(1, 23):
        for m in (1 << 30, (1 << 30) + 1, (1 << 31) - 1, int(rng.integers(1 << 30, 1 << 31))):
            for zero in (-128, 127, int(rng.integers(-127, 127))):
                ties = [(((2 * k + 1) << (e - 1)) << 31) // m for k in range(-130, 130)]
                values = {t + d for t in ties for d in (-2, -1, 0, 1, 2) if abs(t) < 1 << 28} | {0, 1, -1}
                offset = (1 << (e - 1)) + zero * (1 << e)
                for s in values:
                    expected = fixed.clamp(fixed.multiply(s, m, -e) + zero, -128, 127)
                    product = (2 * s * m + (1 << 31)) >> 32
                    assert fixed.clamp((product + offset - (s < 0)) >> e, -128, 127) == expected
                    if zero == -128:
                        assert fixed.clamp((product + offset) >> e, -128, 127) == expected


def test_a_channel_of_one_value_is_fast_whatever_its_factor() -> None:
    weights = np.array([[1, -1], [0, 0], [100, 100]], np.int8)
    bias = np.array([5, 1 << 30, 7], np.int32)
    factors = [(1 << 30, -6), (1 << 30, -26), (1 << 30, -31)]
    f = fast(factors, -3, (-128, 127), bias, sums(weights, bias))
    assert f is not None
    assert f.multiplier.tolist() == [1 << 30, 0, 0]
    assert [(o >> 1) for o in f.offset.tolist()[1:]] == [fixed.multiply(1 << 30, 1 << 30, -26) - 3, -3]
    assert fast(factors[:1], -3, (-128, 126), bias[:1], sums(weights[:1], bias[:1])) is None


def test_a_left_shift_that_wraps_gives_no_single_value() -> None:
    """Both ends come out as 127, what lies between does not."""
    factor, act = (1 << 30, 24), (-128, 127)
    ends = [fixed.clamp(fixed.multiply(s, *factor), *act) for s in (1, 100, 257)]
    assert ends == [127, 127, 127] and fixed.clamp(fixed.multiply(129, *factor), *act) == -128
    assert only_output(1, 257, factor, 0, act) is None
    assert only_output(1, 100, factor, 0, act) == 127
