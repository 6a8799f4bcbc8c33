"""CONV_2D and FULLY_CONNECTED as products of matrices: asc_gemm4 and what feeds it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcu_asc.compiler.dsp.fast import Fast, fast, is_relu, sums
from mcu_asc.compiler.ops.base import Array, Call, Code, Lowered, Params, per_tensor
from mcu_asc.compiler.ops.conv import bias_of, channel_multipliers, folded_bias
from mcu_asc.nouns import Graph, Op

_GEMM4 = ("asc_gemm4.S", "asc_expand4.S")


def k_order(run: int, runs: int = 1) -> NDArray[np.int64]:
    """Which two values of K each pair of a column holds, as asc_expand4 puts them; -1 = none.  [pairs, 2]

    Each of `runs` runs is paired for itself.
    """
    whole = run // 4 * 4
    pairs = [(k + j, k + j + 2) for k in range(0, whole, 4) for j in (0, 1)]
    k = whole
    pairs += {0: [], 1: [(k, -1)], 2: [(k, k + 1)], 3: [(k, k + 2), (k + 1, -1)]}[run - whole]
    one = np.array(pairs, np.int64).reshape(-1, 2)
    return np.concatenate([np.where(one < 0, -1, one + r * run) for r in range(runs)])


def _even(channels: NDArray[np.int64]) -> NDArray[np.int64]:
    """A channel of zeros after an odd last one."""
    return np.concatenate([channels, np.zeros((len(channels) % 2, *channels.shape[1:]), channels.dtype)])


def pack_gemm4(weights: NDArray[np.int8], order: NDArray[np.int64]) -> NDArray[np.uint32]:
    """[channels, K] -> words, [pairs of channels][pairs of K], bytes {c0 k, c1 k, c0 k', c1 k'}."""
    padded = np.concatenate([weights, np.zeros((len(weights), 1), np.int8)], axis=1)  # index -1
    taken = _even(padded[:, order].astype(np.int64)).astype(np.int8)  # [channels, pairs, 2]
    c, k, _ = taken.shape
    bytes_ = taken.reshape(c // 2, 2, k, 2).transpose(0, 2, 3, 1)
    return np.frombuffer(np.ascontiguousarray(bytes_).tobytes(), "<u4")


def pairs_array(name: str, bias: NDArray[np.int64], f: Fast) -> Array:
    """asc_pair[]: the biases and the fast forms of two channels a row."""
    columns = np.stack([f.multiplier, f.offset, f.right], axis=1)
    two = _even(columns).reshape(-1, 6)
    two[:, 5] += two[:, 5] == 0  # of no channel; shifts are at least 1
    return Array("asc_pair", name, np.concatenate([_even(bias).reshape(-1, 2), two], axis=1))


@dataclass(frozen=True, eq=False)
class _Matrix:
    """One op as a product: weights [channels, K], bias with the input's zero point folded in."""

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    factors: list[tuple[int, int]]
    out_zero: int
    act: tuple[int, int]

    def fast(self) -> Fast | None:
        return fast(self.factors, self.out_zero, self.act, self.bias, sums(self.weights, self.bias))


def _matrix(graph: Graph, op: Op) -> _Matrix:
    x, w, y = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    assert w.data is not None
    weights = np.asarray(w.data, np.int8).reshape(w.shape[0], -1)
    factors = channel_multipliers(x, w, y, len(weights))
    bias = folded_bias(bias_of(graph, op, len(weights)), weights, per_tensor(x)[1])
    return _Matrix(weights, bias, factors, per_tensor(y)[1], op.attrs.act)


def _tables(name: str, m: _Matrix, f: Fast, order: NDArray[np.int64], doubled: bool) -> tuple[Array, Array]:
    bias = f.bias * (2 if doubled else 1)
    return (
        Array("uint32_t", f"{name}_weights", pack_gemm4(m.weights, order)),
        pairs_array(f"{name}_pairs", bias, f),
    )


def _gemm_fields(
    name: str, m: _Matrix, order: NDArray[np.int64], doubled: bool
) -> dict[str, int | str | tuple[int, ...]]:
    n = len(m.weights)
    form = "relu" if is_relu(m.out_zero) else "linear"
    return {
        "shape": (len(order), (n + 1) // 2, n),
        "gemm": f"asc_gemm4_{'doubled_' if doubled else ''}{form}",
        "weights": f"{name}_weights",
        "pairs": f"{name}_pairs",
    }


def _pointwise(graph: Graph, op: Op, pixels: int) -> Lowered | None:
    m = _matrix(graph, op)
    f = m.fast()
    if f is None:
        return None
    n, k = m.weights.shape
    name, order = f"op{op.index}", k_order(k)
    doubled = k < 2 * n  # what costs less: doubling a column, or each output
    scratch = 16 * len(order) + 8 * ((n + 1) // 2)
    fields = {
        "pixels": pixels,
        "in_c": k,
        "out_c": n,
        **_gemm_fields(name, m, order, doubled),
        "expand": "asc_expand4_doubled" if doubled else "asc_expand4",
    }
    code = Code(
        arrays=_tables(name, m, f, order, doubled),
        params=(Params("asc_pointwise", name, fields),),
        calls=(Call("asc_pointwise_dsp", name, (op.inputs[0],), op.outputs[0], scratch=True),),
        checks=(f"ASC_POINTWISE_SCRATCH({len(order)}, {(n + 1) // 2}) <= {scratch}",),
    )
    return Lowered(code, ("asc_pointwise_dsp.c", *_GEMM4), scratch)


def _window(graph: Graph, op: Op) -> Lowered | None:
    m = _matrix(graph, op)
    f = m.fast()
    if f is None:
        return None
    x, y, a = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]], op.attrs
    n, in_c, out_w = len(m.weights), x.shape[3], y.shape[2]
    name, order = f"op{op.index}", k_order(a.size[1] * in_c, a.size[0])
    # Four pixels lie on at most this many output rows more than one.
    rows = a.size[0] + a.stride[0] * ((out_w + 2) // out_w)
    pitch = -(-((out_w - 1) * a.stride[1] + a.size[1]) * in_c // 4) * 4
    scratch = 16 * len(order) + 8 * ((n + 1) // 2) + rows * pitch
    fields = {
        "batches": x.shape[0],
        "in_h": x.shape[1],
        "in_w": x.shape[2],
        "in_c": in_c,
        "out_h": y.shape[1],
        "out_w": out_w,
        "out_c": n,
        "kernel_h": a.size[0],
        "kernel_w": a.size[1],
        "stride_h": a.stride[0],
        "stride_w": a.stride[1],
        "pad_top": a.pad[0],
        "pad_left": a.pad[1],
        "in_zero": per_tensor(x)[1],
        "rows": rows,
        "pitch": pitch,
        **_gemm_fields(name, m, order, doubled=False),
    }
    code = Code(
        arrays=_tables(name, m, f, order, doubled=False),
        params=(Params("asc_window_conv", name, fields),),
        calls=(Call("asc_window_conv_dsp", name, (op.inputs[0],), op.outputs[0], scratch=True),),
        checks=(f"ASC_WINDOW_CONV_SCRATCH({len(order)}, {(n + 1) // 2}, {rows}, {pitch}) <= {scratch}",),
    )
    return Lowered(code, ("asc_window_conv_dsp.c", *_GEMM4), scratch)


def _conv(graph: Graph, op: Op) -> Lowered | None:
    x, w, y, a = (
        graph.tensors[op.inputs[0]],
        graph.tensors[op.inputs[1]],
        graph.tensors[op.outputs[0]],
        op.attrs,
    )
    if w.shape[3] != x.shape[3] or a.dilation != (1, 1):
        return None
    if a.size == (1, 1) and a.stride == (1, 1):
        return _pointwise(graph, op, y.elements // y.shape[3])
    return _window(graph, op)


def _dense(graph: Graph, op: Op) -> Lowered | None:
    return _pointwise(graph, op, op.attrs.rows)


RULES = {"CONV_2D": _conv, "FULLY_CONNECTED": _dense}
