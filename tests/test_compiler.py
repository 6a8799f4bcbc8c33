"""The door (refusals by name, garbage), the memory plan, the counts and the emitted text."""

from __future__ import annotations

import re
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import planrun
import pytest
import vectors
from hypothesis import given, settings
from hypothesis import strategies as st
from tflite_make import File, rim

from mcu_asc import compiler
from mcu_asc.compiler.emit import comment
from mcu_asc.compiler.ops.binary import loops
from mcu_asc.compiler.ops.reduce import groups
from mcu_asc.compiler.ops.take import along, merged, slice_range, strides
from mcu_asc.compiler.plan import ALIGN, Buffer, arena_bytes, live_bytes, place
from mcu_asc.config import card_to_json
from mcu_asc.errors import UsageError
from mcu_asc.nouns import FrontEndConfig, Graph, ModelCard, Schedule

# ---- refusals ------------------------------------------------------------------------------------


def _two(kind: str, table: str = "", dtype: str = "int8", **options: Any) -> bytes:
    """kind(RELU6(x)): the op in question comes second."""
    f = File()
    x = f.activation((1, 8, 8, 2), 0.05, 0)
    m = f.activation((1, 8, 8, 2), 0.05, 0, name="before")
    y = f.tensor((1, 8, 8, 2), dtype, [0.05], [0], name="lstm/out")
    f.op("RELU6", [x], [m])
    f.op(kind, [m], [y], table, **options)
    return f.bytes([x], [y])


def _rim_read_twice() -> bytes:
    f = File()
    x = f.tensor((1, 4), "float32", name="x")
    a, b, y = f.activation((1, 4), 0.05, 0), f.activation((1, 4), 0.02, 0), f.activation((1, 4), 0.05, 0)
    f.op("QUANTIZE", [x], [a], "QuantizeOptions")
    f.op("QUANTIZE", [x], [b], "QuantizeOptions")
    f.op("ADD", [a, b], [y], "AddOptions")
    return f.bytes([x], [y])


def _float_inside() -> bytes:
    f = File()
    x, y = f.activation((1, 4), 0.05, 0), f.activation((1, 4), 0.05, 0)
    a = f.tensor((1, 4), "float32", name="a")
    f.op("DEQUANTIZE", [x], [a], "DequantizeOptions")
    f.op("QUANTIZE", [a], [y], "QuantizeOptions")
    return f.bytes([x], [y])


def _float16_weights() -> bytes:
    f = File()
    x, w, y = f.tensor((1, 4), "float32"), f.tensor((3, 4), "float32"), f.tensor((1, 3), "float32")
    half = f.tensor((3, 4), "float16", data=np.ones((3, 4)))
    f.op("DEQUANTIZE", [half], [w], "DequantizeOptions")
    f.op("FULLY_CONNECTED", [x, w], [y], "FullyConnectedOptions")
    return f.bytes([x], [y])


def _one(
    kind: str,
    x: tuple[int, ...],
    y: tuple[int, ...] | list[tuple[int, ...]],
    constants: tuple[Any, ...] = (),
    table: str = "",
    *,
    last: bool = False,
    outputs: tuple[float, int] = (0.05, 0),
    scale: float = 0.05,
    **options: Any,
) -> bytes:
    """One op on x and int32 constants, x last of them if so wanted."""
    f = File()
    a = f.activation(x, scale, 0)
    found = [f.activation(shape, *outputs) for shape in (y if isinstance(y, list) else [y])]
    feeds = [f.constant(c) for c in constants]
    f.op(kind, [*feeds, a] if last else [a, *feeds], found, table, **options)
    return f.bytes([a], found[:1])


def _pair(
    kind: str,
    a: tuple[int, ...],
    b: tuple[int, ...],
    y: tuple[int, ...],
    table: str = "",
    scale: float = 0.05,
) -> bytes:
    f = File()
    x, out = f.activation(a, 0.05, 0), f.activation(y, scale, 0)
    k = f.tensor(b, "int8", [0.05], [0], data=np.zeros(b))
    f.op(kind, [x, k], [out], table)
    return f.bytes([x], [out])


def _computed_indices() -> bytes:
    f = File()
    x, y = f.activation((1, 4), 0.05, 0), f.activation((1, 2), 0.05, 0)
    indices = f.tensor((2,), "int32", name="where")
    f.op("GATHER", [x, indices], [y], "GatherOptions", axis=1)
    return f.bytes([x], [y])


def _float_model() -> bytes:
    f = File()
    x, y = f.tensor((1, 4), "float32"), f.tensor((1, 3), "float32")
    w = f.constant(np.ones((3, 4)), "float32")
    f.op("FULLY_CONNECTED", [x, w], [y], "FullyConnectedOptions")
    return f.bytes([x], [y])


def _hybrid() -> bytes:
    f = File()
    x, y = f.tensor((1, 4), "float32"), f.tensor((1, 3), "float32")
    f.op("FULLY_CONNECTED", [x, f.weights(np.ones((3, 4)), [0.1])], [y], "FullyConnectedOptions")
    return f.bytes([x], [y])


def _dense(
    x: Callable[[File], int] = lambda f: f.activation((1, 4), 0.05, 0),
    weights: Callable[[File], int] = lambda f: f.weights(np.ones((3, 4)), [0.1]),
    bias: Callable[[File], int] | None = None,
    y: Callable[[File], int] = lambda f: f.activation((1, 3), 0.05, 0),
    **options: Any,
) -> bytes:
    f = File()
    a = x(f)
    feeds = [a, weights(f)] + ([bias(f)] if bias else [])
    out = y(f)
    f.op("FULLY_CONNECTED", feeds, [out], "FullyConnectedOptions", **options)
    return f.bytes([a], [out])


def _custom() -> bytes:
    f = File()
    x, y = f.activation((1, 4), 0.05, 0), f.activation((1, 4), 0.05, 0, name="spec")
    f.op("CUSTOM", [x], [y], custom="TFLite_Detection")
    return f.bytes([x], [y])


def _pool(**options: Any) -> bytes:
    f = File()
    x, y = f.activation((1, 8, 8, 2), 0.05, 0), f.activation((1, 4, 4, 2), 0.05, 0)
    full = {"filterHeight": 2, "filterWidth": 2, "strideH": 2, "strideW": 2, "padding": 1, **options}
    f.op("MAX_POOL_2D", [x], [y], "Pool2DOptions", **full)
    return f.bytes([x], [y])


def _rim_count(inputs: int) -> bytes:
    f = File()
    a, b, y = (f.activation((1, 4), 0.05, 0) for _ in range(3))
    f.op("ADD", [a, b], [y], "AddOptions")
    return f.bytes([a, b][:inputs], [y])


def _broken_order() -> bytes:
    f = File()
    x, m, y = (f.activation((1, 4), 0.05, 0, name=n) for n in "xmy")
    f.op("RELU6", [m], [y])
    f.op("RELU6", [x], [m])
    return f.bytes([x], [y])


def _relu6(n: int = 1) -> bytes:
    f = File()
    x, y = f.activation((1, 4), 0.05, 0), f.activation((1, 4), 0.05, 0)
    f.op("RELU6", [x], [y])
    return f.bytes([x], [y], subgraphs=n)


def _add(a: tuple[int, ...], b: tuple[int, ...], scale: float = 0.05) -> bytes:
    f = File()
    x = f.activation(a, 0.05, 0)
    k = f.tensor(b, "int8", [0.05], [0], data=np.zeros(b))
    y = f.activation(a, scale, 0)
    f.op("ADD", [x, k], [y], "AddOptions")
    return f.bytes([x], [y])


REFUSALS: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "lstm": (
        _two("LSTM"),
        ("op 1 LSTM (output 'lstm/out')", "not supported", "use convolutions over time"),
    ),
    "unknown_op": (_two("FLOOR_DIV"), ("op 1 FLOOR_DIV", "supported: ", "CONV_2D")),
    "dynamic_batch": (_two("SHAPE", dtype="int32"), ("op 1 SHAPE", "batch_size=1")),
    "custom": (_custom(), ("op 0 CUSTOM TFLite_Detection (output 'spec')", "TFLITE_BUILTINS_INT8")),
    "rim_of_16_bits": (rim("int16"), ("input 'serving_default_x' is int16", "16-bit")),
    "rim_read_twice": (_rim_read_twice(), ("input 'x' is float32", "tf.int8")),
    "float_inside": (_float_inside(), ("op 0 DEQUANTIZE (output 'a')", "convert every layer to int8")),
    "float16_weights": (_float16_weights(), ("op 0 DEQUANTIZE", "convert every layer to int8")),
    "relu_n1_to_1": (_two("RELU_N1_TO_1"), ("op 1 RELU_N1_TO_1", "TFLM has no such op")),
    "float": (_float_model(), ("float32", "tf.int8")),
    "hybrid": (_hybrid(), ("input 't0' is float32", "tf.int8")),
    "int16": (
        _dense(x=lambda f: f.tensor((1, 4), "int16", [0.1], [0])),
        ("int16", "16-bit activations are not supported yet"),
    ),
    "int16_inside": (_two("RELU", dtype="int16"), ("'lstm/out' is int16", "16-bit")),
    "no_quantisation": (_dense(y=lambda f: f.tensor((1, 3))), ("op 0", "no quantisation", "representative")),
    "nan_scale": (_dense(x=lambda f: f.activation((1, 4), float("nan"), 0)), ("scale nan",)),
    "zero_scale": (_dense(x=lambda f: f.activation((1, 4), 0.0, 0)), ("scale 0.0",)),
    "zero_point": (_dense(x=lambda f: f.activation((1, 4), 0.1, 200)), ("zero point 200",)),
    "per_channel_activation": (
        _dense(x=lambda f: f.tensor((1, 4), "int8", [0.1] * 4)),
        ("per channel",),
    ),
    "float_weights": (_dense(weights=lambda f: f.constant(np.ones((3, 4)), "float32")), ("are float32",)),
    "computed_weights": (_dense(weights=lambda f: f.activation((3, 4), 0.1, 0)), ("computed in the graph",)),
    "weights_zero_point": (
        _dense(weights=lambda f: f.tensor((3, 4), "int8", [0.1], [3], data=np.ones((3, 4)))),
        ("zero point other than 0",),
    ),
    "weights_scales": (
        _dense(weights=lambda f: f.weights(np.ones((3, 4)), [0.1, 0.2])),
        ("2 scales for 3 channels",),
    ),
    "weights_axis": (
        _dense(weights=lambda f: f.weights(np.ones((3, 4)), [0.1, 0.2, 0.3], axis=1)),
        ("along axis 1, not 0",),
    ),
    "shuffled_weights": (_dense(weightsFormat=1), ("shuffled",)),
    "bias_type": (_dense(bias=lambda f: f.constant([1, 2, 3], "int64")), ("bias", "int64, not int32")),
    "bias_length": (_dense(bias=lambda f: f.constant([1, 2])), ("2 values for 3 channels",)),
    "bias_scale": (
        _dense(bias=lambda f: f.constant([1, 2, 3], "int32", [0.5])),
        ("bias scale 0.5",),
    ),
    "bias_overflow": (
        _dense(bias=lambda f: f.constant([0, 0, (1 << 31) - 1], "int32", [0.005])),
        ("channel 2 can overflow a 32-bit accumulator",),
    ),
    "wrong_shape": (_dense(y=lambda f: f.activation((1, 5), 0.05, 0)), ("[1, 5], not 1 x 3",)),
    "wrong_pool_shape": (_pool(strideH=4), ("[1, 2, 4, 2]",)),
    "pool_stride": (_pool(strideH=0), ("at least 1",)),
    "pool_too_large": (_pool(filterHeight=9), ("does not fit",)),
    "pool_activation": (_pool(fusedActivationFunction=4), ("fused activation 4", "RELU6")),
    "pool_padding": (_pool(padding=3), ("neither SAME nor VALID",)),
    "missing_options": (_two("SOFTMAX"), ("op 1 SOFTMAX",)),
    "options_of_another_op": (_two("MAX_POOL_2D", "SoftmaxOptions"), ("has no options",)),
    "dynamic_shape": (
        _dense(x=lambda f: f.activation((1, 4), 0.05, 0, signature=[1, -1], name="x")),
        ("tensor 0 'x' has a dynamic shape [1, -1]",),
    ),
    "empty_shape": (_dense(x=lambda f: f.activation((1, 0), 0.05, 0)), ("dynamic shape",)),
    "huge": (_dense(x=lambda f: f.activation((1 << 30, 1 << 30), 0.05, 0)), ("is too large",)),
    "rank": (_dense(x=lambda f: f.activation((1,) * 7, 0.05, 0)), ("7 dimensions",)),
    "subgraphs": (_relu6(2), ("2 subgraphs", "one signature")),
    "two_inputs": (_rim_count(2), ("2 inputs",)),
    "no_input": (_rim_count(0), ("0 inputs",)),
    "missing_input": (_rim_count(1), ("op 0 ADD", "before it is written")),
    "order": (_broken_order(), ("op 0 RELU6 (output 'y') reads 'm' before",)),
    "broadcast": (_add((1, 4), (1, 3)), ("[1, 4] and [1, 3] do not broadcast",)),
    "broadcast_up": (_add((1, 1), (1, 3)), ("do not broadcast",)),
    "add_scale": (_add((1, 4), (1, 4), 1e-9), ("too small",)),
    "min_max": (_pair("MAXIMUM", (1, 4), (1, 4), (1, 4), scale=0.1), ("op 0 MAXIMUM", "differently")),
    "prelu_shape": (_pair("PRELU", (1, 4), (1, 3), (1, 4)), ("[1, 4] and [1, 3] do not broadcast",)),
    "matmul_shape": (
        _pair("BATCH_MATMUL", (2, 3, 4), (2, 3, 4), (2, 3, 4), "BatchMatMulOptions"),
        ("[2, 3, 4] and [2, 3, 4] do not multiply to [2, 3, 4]",),
    ),
    "matmul_rank": (
        _pair("BATCH_MATMUL", (4,), (4, 4), (1, 4), "BatchMatMulOptions"),
        ("2 to 5 dimensions",),
    ),
    "matmul_depth": (
        _pair("BATCH_MATMUL", (1, 33026), (33026, 1), (1, 1), "BatchMatMulOptions"),
        ("33026 products can overflow",),
    ),
    "log_softmax_output": (_one("LOG_SOFTMAX", (1, 4), (1, 4)), ("scale 1/16 and zero point 127",)),
    "log_softmax_depth": (
        _one("LOG_SOFTMAX", (1, 4096), (1, 4096), outputs=(1 / 16, 127)),
        ("4096 classes", "4095"),
    ),
    "log_softmax_scale": (
        _one("LOG_SOFTMAX", (1, 4), (1, 4), outputs=(1 / 16, 127), scale=2.0**-26),
        ("too small",),
    ),
    "softmax_depth": (
        _one("SOFTMAX", (1, 512), (1, 512), (), "SoftmaxOptions", outputs=(1 / 256, -128), beta=1.0),
        ("512 classes", "511"),
    ),
    "slice_outside": (
        _one("SLICE", (1, 4), (1, 2), ([0, 3], [1, 2]), "SliceOptions"),
        ("begin [0, 3] and size [1, 2] leave [1, 4]",),
    ),
    "slice_rank": (
        _one("SLICE", (1,) * 6, (1,) * 6, ([0] * 6, [1] * 6), "SliceOptions"),
        ("6 dimensions; TFLM takes 1 to 5",),
    ),
    "strided_slice_rank": (
        _one("STRIDED_SLICE", (1,) * 5, (1,) * 5, ([0] * 5, [1] * 5, [1] * 5), "StridedSliceOptions"),
        ("5 dimensions; TFLM takes 1 to 4",),
    ),
    "stride_of_zero": (
        _one("STRIDED_SLICE", (1, 4), (1, 4), ([0, 0], [1, 4], [1, 0]), "StridedSliceOptions"),
        ("op 0 STRIDED_SLICE", "do not fit"),
    ),
    "strided_slice_of_nothing": (
        _one("STRIDED_SLICE", (1, 4), (1, 1), ([0, 3], [1, 3], [1, 1]), "StridedSliceOptions"),
        ("takes nothing along axis 1",),
    ),
    "strided_slice_ellipsis": (
        _one(
            "STRIDED_SLICE", (1, 4), (1, 4), ([0, 0], [1, 4], [1, 1]), "StridedSliceOptions", ellipsisMask=1
        ),
        ("TFLM ignores them",),
    ),
    "split_axis": (
        _one("SPLIT", (1, 4), [(1, 2), (1, 2)], ([2],), "SplitOptions", last=True, numSplits=2),
        ("axis 2 is not one of 2",),
    ),
    "split_sizes": (
        _one("SPLIT", (1, 4), [(1, 2), (1, 1)], ([1],), "SplitOptions", last=True, numSplits=2),
        ("the outputs take 3 along axis 1, the input has 4",),
    ),
    "unpack_count": (
        _one("UNPACK", (2, 4), [(4,), (4,)], (), "UnpackOptions", num=3),
        ("op 0 UNPACK", "number of outputs"),
    ),
    "pack_count": (_one("PACK", (4,), (1, 4), (), "PackOptions", valuesCount=2), ("op 0 PACK", "number of")),
    "transpose_order": (
        _one("TRANSPOSE", (1, 4), (4, 1), ([1, 1],), "TransposeOptions"),
        ("[1, 1] is no permutation",),
    ),
    "gather_outside": (
        _one("GATHER", (1, 4), (1, 2), ([0, 4],), "GatherOptions", axis=1),
        ("an index lies outside of 4 values",),
    ),
    "gather_computed": (_computed_indices(), ("indices 'where' is computed in the graph",)),
    "gather_batch": (
        _one("GATHER", (2, 4), (2, 2), ([[0, 1]],), "GatherOptions", axis=1, batchDims=1),
        ("1 batch dimensions do not fit",),
    ),
    "mirror_pad_too_wide": (
        _one("MIRROR_PAD", (1, 4), (1, 8), ([[0, 0], [4, 0]],), "MirrorPadOptions", mode=0),
        ("more than there is to mirror",),
    ),
    "resize_shape": (
        _one(
            "RESIZE_NEAREST_NEIGHBOR", (1, 2, 2, 1), (1, 4, 4, 1), ([4, 5],), "ResizeNearestNeighborOptions"
        ),
        ("[1, 4, 4, 1], but [1, 4, 5, 1]",),
    ),
    "table_too_large": (
        _one(
            "RESIZE_NEAREST_NEIGHBOR",
            (1, 2, 1, 1),
            (1, 70000, 1, 1),
            ([70000, 1],),
            "ResizeNearestNeighborOptions",
        ),
        ("70000 along one axis",),
    ),
    "resize_bilinear": (
        _one("RESIZE_BILINEAR", (1, 2, 2, 1), (1, 4, 4, 1), ([4, 4],), "ResizeBilinearOptions"),
        ("op 0 RESIZE_BILINEAR", "not supported", "RESIZE_NEAREST_NEIGHBOR"),
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refused_by_name(name: str) -> None:
    content, expected = REFUSALS[name]
    with pytest.raises(UsageError) as caught:
        compiler.read(content)
    assert all(part in str(caught.value) for part in expected), str(caught.value)
    assert caught.value.hint or "op " in caught.value.message


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("last", ["QUANTIZE", "DEQUANTIZE"])
def test_the_rim_is_left_out(dtype: str, last: str) -> None:
    """What is compiled begins and ends with int8, whatever converts around it."""
    plain = compiler.read(rim("int8")).graph
    for content in (rim(dtype), rim("int8", dtype, last), rim(dtype, dtype, last)):
        graph = compiler.read(content).graph
        assert [(op.index, op.kind) for op in graph.ops] == [(0, "TANH")]
        for name in ("inputs", "outputs"):
            (now,), (then,) = getattr(graph, name), getattr(plain, name)
            assert graph.tensors[now].quant == plain.tensors[then].quant
            assert graph.tensors[now].dtype == "int8"
        assert compiler.plan(graph).arena_bytes == compiler.plan(plain).arena_bytes


def test_a_batch_without_a_size_is_one() -> None:
    """Keras leaves the batch open in the signature; the shape that counts says 1."""
    content = _dense(x=lambda f: f.activation((1, 4), 0.05, 0, signature=[-1, 4]))
    assert compiler.read(content).graph.tensors[0].shape == (1, 4)


def test_not_a_model(tmp_path: Any) -> None:
    for content in (b"", b"TFL3", b"\0" * 64, b"{}" * 40, (b"\0" * 4 + b"TFL3") * 9):
        with pytest.raises(UsageError):
            compiler.read(content)
    with pytest.raises(UsageError, match=r"no\.tflite"):
        compiler.read(tmp_path / "no.tflite")


# ---- garbage -------------------------------------------------------------------------------------

_SEEDS = tuple(
    vectors.CASES[n]
    for n in (
        *("conv_3x3_same", "reshapes", "dense_per_channel", "softmax_10", "mean_global"),
        *("split_v_uneven", "gather_by_batches", "strided_masks", "mirror_pad_reflect", "resize_odd_1"),
        *("matmul_both_ways", "log_softmax_rows", "unpack_rows"),
    )
)


def _accept_or_refuse(content: bytes) -> bool:
    """True when accepted, and then everything downstream must work."""
    try:
        model = compiler.read(content)
    except UsageError:
        return False
    plan = compiler.plan(model.graph)
    compiler.counts(model.graph)
    if plan.arena_bytes < 1 << 24:
        compiler.emit(model, plan)
    return True


def test_every_truncation_is_refused() -> None:
    content = _SEEDS[0]
    for n in range(0, len(content) - 1, 7):
        _accept_or_refuse(content[:n])
    assert not _accept_or_refuse(content[: len(content) // 2])


def test_bit_flips_and_random_words() -> None:
    """A thousand damaged files: each refused as one should be, quickly, in little memory."""
    rng = np.random.default_rng(7)
    tracemalloc.start()
    start, accepted = time.perf_counter(), 0
    for i in range(1000):
        content = bytearray(_SEEDS[i % len(_SEEDS)])
        for _ in range(rng.integers(1, 6)):
            at = int(rng.integers(8, len(content) - 4))
            if i % 2:
                content[at] ^= 1 << int(rng.integers(8))
            else:
                word = rng.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, int(rng.integers(1 << 32))])
                content[at : at + 4] = int(word).to_bytes(4, "little")
        accepted += _accept_or_refuse(bytes(content))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 50 < accepted < 950  # the flips reach both the weights and the structure
    assert peak < 64 << 20
    assert time.perf_counter() - start < 60


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=16, max_size=400))
def test_random_bytes(content: bytes) -> None:
    _accept_or_refuse(content[:4] + b"TFL3" + content[8:])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(_SEEDS), st.lists(st.tuples(st.integers(0), st.binary(min_size=1, max_size=8))))
def test_patched_files(content: bytes, patches: list[tuple[int, bytes]]) -> None:
    data = bytearray(content)
    for at, patch in patches:
        start = 8 + at % (len(data) - 16)
        data[start : start + len(patch)] = patch
    _accept_or_refuse(bytes(data[: len(content)]))


def _many(n: int) -> bytes:
    f = File()
    x = last = f.activation((1, 4), 0.05, 0)
    for _ in range(n):
        y = f.activation((1, 4), 0.05, 0)
        f.op("RELU6", [last], [y])
        last = y
    return f.bytes([x], [last])


def test_many_ops_take_no_eternity() -> None:
    start = time.perf_counter()
    graph = compiler.read(_many(1000)).graph
    assert compiler.plan(graph).arena_bytes == ALIGN  # all in place
    assert time.perf_counter() - start < 10
    with pytest.raises(UsageError, match="5000 operators"):
        compiler.read(_many(5000))


# ---- the card ------------------------------------------------------------------------------------


def _with_card(text: bytes) -> bytes:
    f = File()
    x, y = f.activation((1, 4), 0.05, 0), f.activation((1, 4), 0.05, 0)
    f.op("RELU6", [x], [y])
    f.note("min_runtime_version", b"1.0")
    f.note("mcu_asc", text)
    return f.bytes([x], [y])


def test_card_travels_in_the_metadata() -> None:
    card = ModelCard("esc10", ("rain", "dog"), FrontEndConfig(bands=4, mean=(1.0,) * 4))
    model = compiler.read(_with_card(card_to_json(card).encode()))
    assert model.card == card
    assert model.graph.name == "esc10"
    assert compiler.read(_relu6()).card is None


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[]", b'{"version": 1}', b"[" * 5000])
def test_unusable_card_is_refused(text: bytes) -> None:
    with pytest.raises(UsageError):
        compiler.read(_with_card(text))


# ---- the plan ------------------------------------------------------------------------------------

_BUFFERS = st.lists(
    st.tuples(st.integers(1, 5000), st.integers(0, 12), st.integers(0, 6)).map(
        lambda t: Buffer(t[0], t[1], t[1] + t[2])
    ),
    min_size=1,
    max_size=24,
)


@settings(max_examples=300, deadline=None)
@given(_BUFFERS)
def test_buffers_in_use_together_never_overlap(buffers: list[Buffer]) -> None:
    offsets = place(buffers)
    assert all(o >= 0 and o % ALIGN == 0 for o in offsets)
    for i, (a, start) in enumerate(zip(buffers, offsets, strict=True)):
        for b, other in list(zip(buffers, offsets, strict=True))[:i]:
            if a.first <= b.last and b.first <= a.last:
                assert start + a.size <= other or other + b.size <= start
    live = live_bytes(buffers, 1 + max(b.last for b in buffers))
    assert max(live) <= arena_bytes(buffers, offsets) <= sum(b.size + ALIGN for b in buffers)


def _check_plan(graph: Graph) -> None:
    planrun.run(graph, compiler.plan(graph))
    planrun.run(graph, compiler.plan(graph, schedule=Schedule()))


@pytest.mark.parametrize("name", vectors.CASES)
def test_plan_keeps_what_is_still_read(name: str) -> None:
    _check_plan(compiler.read(vectors.CASES[name]).graph)


def test_plan_of_the_given_models(models_dir: Any) -> None:
    for path in sorted(models_dir.glob("*.tflite")):
        _check_plan(compiler.read(path).graph)


def test_element_wise_ops_work_in_place() -> None:
    f = File()
    x, a, b, y = (f.activation((1, 64), 0.05, 0) for _ in range(4))
    f.op("RELU6", [x], [a])
    f.op("TANH", [a], [f.activation((1, 64), 1 / 128, 0)])  # a dead end: a lives on
    f.op("RELU6", [a], [b])
    f.op("ADD", [a, b], [y], "AddOptions")
    graph = compiler.read(f.bytes([x], [y])).graph
    plan = compiler.plan(graph)
    assert plan.offsets[x] == plan.offsets[a]
    assert plan.offsets[b] != plan.offsets[a]
    assert plan.offsets[y] in (plan.offsets[a], plan.offsets[b])
    assert plan.arena_bytes == 128 == plan.lower_bound_bytes
    assert plan.peak_op == plan.live_bytes.index(128)


# ---- counts --------------------------------------------------------------------------------------


def test_counts_by_hand() -> None:
    f = File()
    x = f.activation((1, 4, 4, 2), 0.05, 0)
    a = f.activation((1, 4, 4, 3), 0.05, 0, name="conv")
    b = f.activation((1, 2, 2, 3), 0.05, 0, name="dw")
    y = f.activation((1, 5), 0.05, 0, name="dense")
    kernel = np.ones((3, 3, 3, 2))
    kernel[0] = 0
    f.op(
        "CONV_2D",
        [x, f.weights(kernel, [0.01]), f.constant([1, 0, 2], "int32", [0.0005])],
        [a],
        "Conv2DOptions",
        strideH=1,
        strideW=1,
    )
    f.op(
        "DEPTHWISE_CONV_2D",
        [a, f.weights(np.ones((1, 3, 3, 3)), [0.01], 3)],
        [b],
        "DepthwiseConv2DOptions",
        strideH=2,
        strideW=2,
        depthMultiplier=1,
    )
    f.op("FULLY_CONNECTED", [b, f.weights(np.ones((5, 12)), [0.01])], [y], "FullyConnectedOptions")
    layers = compiler.counts(compiler.read(f.bytes([x], [y])).graph)
    assert [c.macs for c in layers] == [4 * 4 * 3 * 18, 2 * 2 * 3 * 9, 60]
    assert [c.params for c in layers] == [54 + 3, 27, 60]
    assert [c.zeros for c in layers] == [18 + 1, 0, 0]
    assert [c.param_bytes for c in layers] == [54 + 12, 27, 60]
    assert [c.name for c in layers] == ["conv", "dw", "dense"]
    assert [c.output_shape for c in layers] == [(1, 4, 4, 3), (1, 2, 2, 3), (1, 5)]


def test_every_output_counts_as_moved() -> None:
    (split, _) = compiler.counts(compiler.read(vectors.CASES["split_channels"]).graph)
    assert split.moved_bytes == 4 + 2 * 4 * 3 * 6  # the axis, what is read, what is written


def test_shared_weights_count_once() -> None:
    f = File()
    x, a, y = (f.activation((1, 4), 0.05, 0) for _ in range(3))
    w = f.weights(np.ones((4, 4)), [0.01])
    f.op("FULLY_CONNECTED", [x, w], [a], "FullyConnectedOptions")
    f.op("FULLY_CONNECTED", [a, w], [y], "FullyConnectedOptions")
    graph = compiler.read(f.bytes([x], [y])).graph
    assert [c.params for c in compiler.counts(graph)] == [16, 0]


# ---- loops from shapes ---------------------------------------------------------------------------

_SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@given(_SHAPES, st.data())
def test_loops_walk_as_numpy_broadcasts(shape: list[int], data: st.DataObject) -> None:
    a, b = (tuple(data.draw(st.sampled_from([1, n])) for n in shape) for _ in range(2))
    out = np.broadcast_shapes(a, b)
    found = loops(out, a, b)
    assert found is not None
    sizes, a_steps, b_steps = found
    index = np.indices(sizes).reshape(4, -1)
    for steps, small in ((a_steps, a), (b_steps, b)):
        values = np.arange(np.prod(small)).reshape(small)
        walked = values.reshape(-1)[(np.array(steps) @ index)]
        np.testing.assert_array_equal(walked, np.broadcast_to(values, out).reshape(-1))


@given(_SHAPES, st.data())
def test_groups_alternate_kept_and_reduced(shape: list[int], data: st.DataObject) -> None:
    axes = data.draw(st.sets(st.integers(0, len(shape) - 1)))
    sizes = groups(tuple(shape), axes)
    assert sizes is not None
    x = np.arange(np.prod(shape))
    np.testing.assert_array_equal(
        x.reshape(sizes).sum(axis=(1, 3)).reshape(-1), x.reshape(shape).sum(axis=tuple(axes)).reshape(-1)
    )


@given(_SHAPES, st.data())
def test_walks_take_what_numpy_takes(shape: list[int], data: st.DataObject) -> None:
    """Any indices along any axes, in any order of axes."""
    places = [
        np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=6)), np.int64) for n in shape
    ]
    order = data.draw(st.permutations(range(len(shape))))
    found = [along(places[i], strides(tuple(shape))[i]) for i in order]
    axes = merged([axis for _, axis in found])
    assert len(axes) == 5
    offsets = [np.array(a.offsets or [i * a.step for i in range(a.size)]) for a in axes]
    walked = sum(start for start, _ in found) + sum(np.ix_(*offsets)).reshape(-1)
    x = np.arange(np.prod(shape)).reshape(shape)
    np.testing.assert_array_equal(walked, x[np.ix_(*places)].transpose(order).reshape(-1))


@given(st.integers(-9, 9), st.integers(-9, 9), st.sampled_from([-3, -2, -1, 1, 2, 3]), st.integers(1, 7))
def test_strided_ranges_are_pythons(begin: int, end: int, stride: int, size: int) -> None:
    x = list(range(size))
    assert list(slice_range(begin, end, stride, size, False, False, False)) == x[begin:end:stride]
    assert list(slice_range(begin, end, stride, size, True, False, False)) == x[:end:stride]
    assert list(slice_range(begin, end, stride, size, False, True, False)) == x[begin::stride]


# ---- the text ------------------------------------------------------------------------------------


def test_same_model_same_bytes() -> None:
    """And no path or date in it."""
    content = vectors.CASES["conv_3x3_same"]
    texts = []
    for _ in range(2):
        model = compiler.read(content)
        texts.append(compiler.emit(model, compiler.plan(model.graph))["model.c"])
    assert texts[0] == texts[1]
    assert not re.search(rb"/(home|tmp|work|root)\b|20\d\d-\d\d", texts[0])
    assert not re.search(rb"\b(for|while|do|goto)\b *[({]", texts[0])  # tables and calls, never a loop


def test_kernel_sources_are_those_called() -> None:
    graph = compiler.read(vectors.CASES["reshapes"]).graph
    assert compiler.kernel_sources(graph) == ("asc_add_s8.c", "asc_lut_s8.c")


@given(st.text(max_size=200))
def test_any_name_may_stand_in_a_comment(text: str) -> None:
    safe = comment(text)
    assert safe.isascii() and "*/" not in safe and "/*" not in safe and "\n" not in safe and "\\" not in safe
    assert "??" not in safe  # trigraphs
