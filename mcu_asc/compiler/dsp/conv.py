"""CONV_2D and FULLY_CONNECTED: asc_gemm4 and what feeds it; Winograd where it applies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mcu_asc.compiler.dsp import depthwise, forms, sparse, winograd
from mcu_asc.compiler.dsp.fast import Fast, fixed
from mcu_asc.compiler.dsp.matrix import (
    THREE,
    Matrix,
    by_pairs,
    column_order,
    even,
    k_order,
    matrix,
    stream,
    wide_words,
)
from mcu_asc.compiler.ops import OPS
from mcu_asc.compiler.ops.base import Array, Call, Code, Lowered, Params, Weights, per_tensor
from mcu_asc.compiler.ops.conv import Depthwise
from mcu_asc.nouns import Graph, Op

_MOST_TAPS = (1 << 15) - 1  # of a kernel's side, and between two of them
_SLOW_MULTIPLIERS = (2, 3)  # asc_depthwise_many makes four outputs of a channel
_GATHERS = {
    "NULL": (),
    "asc_gather_odd": ("asc_gather_odd.c", "asc_im2col4_ends.S"),
    "asc_gather_three": ("asc_gather_three.c", "asc_im2col4_threes.S"),
    "asc_gather_apart": ("asc_gather_apart.c",),
}
_DENSE_GROUPS = 8  # so many products in place of one still beat the portable kernel


def _product(graph: Graph, op: Op) -> tuple[Matrix, Fast] | None:
    """The op as a product, if it has the fast form; weights that no output depends on are zero."""
    m = matrix(graph, op)
    f = m.fast()
    if f is None:
        return None
    return replace(m, weights=np.where(f.multiplier[:, None] == 0, np.int8(0), m.weights)), f


def _taken(weights: NDArray[np.int8], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """[channels, K] -> [channels, pairs of K, 2]."""
    padded = np.concatenate([weights, np.zeros((len(weights), 1), np.int8)], axis=1)  # index -1
    return padded[:, order].astype(np.int64)


def pack_gemm4(weights: NDArray[np.int8], order: NDArray[np.int64]) -> NDArray[np.uint32]:
    """[channels, K] -> words, [pairs of channels, pairs of K], bytes {c0 k, c1 k, c0 k', c1 k'}."""
    taken = even(_taken(weights, order)).astype(np.int8)
    c, k, _ = taken.shape
    bytes_ = taken.reshape(c // 2, 2, k, 2).transpose(0, 2, 3, 1)
    return np.frombuffer(np.ascontiguousarray(bytes_).tobytes(), "<u4").reshape(c // 2, k)


def _gemm(
    op: Op, m: Matrix, f: Fast, order: NDArray[np.int64], chosen: Weights
) -> tuple[Array, dict[str, int | str | tuple[int, ...]], tuple[str, ...]]:
    """The stream of weights, the fields and the sources of asc_gemm4, or of asc_gemm4_sparse.

    Weights of int16 save a cycle a pair of K and two per output, for one byte of flash more a weight.
    """
    n = len(m.weights)
    name = f"op{op.index}_weights"
    two = 2 * _taken(m.weights, order)
    if chosen.form == "packed":
        form = "packed"
        words = pack_gemm4(m.weights, order).astype(np.int64)
        parts = by_pairs(f.bias[:, None]), words, by_pairs(f.scales)
    elif g := fixed(f, m.out_zero, np.abs(two).max(axis=(1, 2))):
        form = "fixed"
        parts = by_pairs(g.bias[:, None]), wide_words(two * g.factor[:, None, None]), by_pairs(g.scales)
    else:
        form = "wide"
        parts = by_pairs(2 * f.bias[:, None]), wide_words(two), by_pairs(f.scales)
    fields: dict[str, int | str | tuple[int, ...]] = {
        "shape": (len(order), (n + 1) // 2, n),
        "gemm": f"asc_gemm4_{'sparse_' if chosen.skips else ''}{form}",
        "weights": name,
    }
    content = sparse.gemm_stream(*parts, form == "packed") if chosen.skips else stream(*parts)
    sources = ("asc_gemm4_sparse.S" if chosen.skips else "asc_gemm4.S", "asc_im2col4.S")
    return Array("uint32_t", name, content), fields, sources


def _pointwise(graph: Graph, op: Op, count: int) -> Lowered | None:
    product = _product(graph, op)
    if product is None:
        return None
    m, f = product
    n, k = m.weights.shape
    name, order = f"op{op.index}", k_order(k)
    chosen = forms.choose(graph, op, m)
    weights, gemm, sources = _gemm(op, m, f, order, chosen)
    scratch = 16 * len(order) + 8 * ((n + 1) // 2)
    fields: dict[str, int | str | tuple[int, ...]] = {
        "pixels": count,
        "in_c": k,
        "out_c": n,
        **gemm,
    }
    code = Code(
        arrays=(weights,),
        params=(Params("asc_pointwise", name, fields),),
        calls=(Call("asc_pointwise_dsp", name, (op.inputs[0],), op.outputs[0], scratch=True),),
        checks=(f"ASC_POINTWISE_SCRATCH({len(order)}, {(n + 1) // 2}) <= {scratch}",),
    )
    return Lowered(code, ("asc_pointwise_dsp.c", *sources), scratch, chosen)


def _window(graph: Graph, op: Op) -> Lowered | None:
    product = _product(graph, op)
    if product is None:
        return None
    m, f = product
    chosen = forms.choose(graph, op, m, winograd.applies(graph, op))
    if chosen.form == "winograd":
        return winograd.lower(graph, op, m, f, chosen)
    x, y, a = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]], op.attrs
    n, in_c, out_w = len(m.weights), x.shape[3], y.shape[2]
    reach = [(k - 1) * d + 1 for k, d in zip(a.size, a.dilation, strict=True)]
    name, run = f"op{op.index}", a.size[1] * in_c
    if a.dilation[1] > 1:
        gather, order = "asc_gather_apart", k_order(in_c, a.size[0] * a.size[1])
    else:
        odd = "asc_gather_three" if run == THREE else "asc_gather_odd"
        gather, order = odd if run % 2 and a.size[0] > 1 else "NULL", column_order(run, a.size[0])
    weights, gemm, sources = _gemm(op, m, f, order, chosen)
    # Four pixels lie on at most this many output rows more than one.
    rows = reach[0] + a.stride[0] * ((out_w + 2) // out_w)
    width = (out_w - 1) * a.stride[1] + reach[1]
    pitch = -(-(width * in_c + (run == THREE)) // 4) * 4  # whose words hold a byte more
    scratch = 16 * len(order) + 8 * ((n + 1) // 2) + rows * pitch
    fields: dict[str, int | str | tuple[int, ...]] = {
        "batches": x.shape[0],
        "window": (x.shape[1], x.shape[2], in_c, a.pad[1], width, rows, pitch, per_tensor(x)[1]),
        "out_h": y.shape[1],
        "out_w": out_w,
        "out_c": n,
        "kernel_h": a.size[0],
        "kernel_w": a.size[1],
        "dilation_h": a.dilation[0],
        "dilation_w": a.dilation[1],
        "stride_h": a.stride[0],
        "stride_w": a.stride[1],
        "pad_top": a.pad[0],
        "gather": gather,
        **gemm,
    }
    code = Code(
        arrays=(weights,),
        params=(Params("asc_window_conv", name, fields),),
        calls=(Call("asc_window_conv_dsp", name, (op.inputs[0],), op.outputs[0], scratch=True),),
        checks=(f"ASC_WINDOW_CONV_SCRATCH({len(order)}, {(n + 1) // 2}, {rows}, {pitch}) <= {scratch}",),
    )
    return Lowered(code, ("asc_window_conv_dsp.c", *_GATHERS[gather], *sources), scratch, chosen)


def _conv(graph: Graph, op: Op) -> Lowered | None:
    x, w, y, a = (
        graph.tensors[op.inputs[0]],
        graph.tensors[op.inputs[1]],
        graph.tensors[op.outputs[0]],
        op.attrs,
    )
    if w.shape[3] != x.shape[3]:
        return _grouped(graph, op, x.shape[3] // w.shape[3])
    if max(*a.size, *a.dilation) > _MOST_TAPS:
        return None
    if a.size == (1, 1) and a.stride == (1, 1):
        return _pointwise(graph, op, y.elements // y.shape[3])
    return _window(graph, op)


def _grouped(graph: Graph, op: Op, groups: int) -> Lowered | None:
    """Groups of one channel are a depthwise convolution; others, blocks on the diagonal of a matrix of zeros.

    The kernels for zero blocks read their input once for all groups, and skip what is not of a group.  One
    product a group would gather columns of its own.
    """
    w, a = graph.tensors[op.inputs[1]], op.attrs
    out_c, rows, columns, depth = w.shape
    assert w.data is not None
    data = np.asarray(w.data, np.int8).reshape(w.shape)
    if depth == 1 and out_c // groups not in _SLOW_MULTIPLIERS:
        attrs = Depthwise(**vars(a), multiplier=out_c // groups)
        taps = _reshaped(graph, op, data.transpose(3, 1, 2, 0))
        if low := depthwise.lower(taps, replace(op, kind="DEPTHWISE_CONV_2D", attrs=attrs)):
            return low
    whole = np.zeros((groups, out_c // groups, rows, columns, groups, depth), np.int8)
    whole[np.arange(groups), :, :, :, np.arange(groups)] = data.reshape(groups, -1, rows, columns, depth)
    low = _conv(_reshaped(graph, op, whole.reshape(out_c, rows, columns, -1)), op)
    if low is None or low.weights is None or not (low.weights.skips or groups <= _DENSE_GROUPS):
        return None
    return replace(low, weights=replace(low.weights, blocks=0, zero_blocks=0, zero_weights=0))


def _reshaped(graph: Graph, op: Op, data: NDArray[np.int8]) -> Graph:
    """The graph with other weights of the op."""
    tensors = list(graph.tensors)
    tensors[op.inputs[1]] = replace(tensors[op.inputs[1]], shape=data.shape, data=data)
    return replace(graph, tensors=tuple(tensors))


def pack_gemv4(weights: NDArray[np.int8]) -> NDArray[np.uint32]:
    """[channels, K] -> words of four values, [channels / 4, K / 4, 4 channels], filled up with zeros."""
    n, k = weights.shape
    padded = np.pad(weights, ((0, -n % 4), (0, -k % 4)))
    blocks = padded.reshape(-(-n // 4), 4, -(-k // 4), 4).transpose(0, 2, 1, 3)
    return np.frombuffer(np.ascontiguousarray(blocks).tobytes(), "<u4")


def _dense(graph: Graph, op: Op) -> Lowered | None:
    if op.attrs.rows >= 4 and (low := _pointwise(graph, op, op.attrs.rows)):
        return low
    code = OPS[op.kind].code(graph, op)  # the portable kernel's channels serve as well
    (params,) = code.params
    m, name = matrix(graph, op), f"op{op.index}_weights"
    packed = Array("uint32_t", name, pack_gemv4(m.weights))
    code = Code(
        arrays=(*code.arrays, packed),
        params=(Params("asc_gemv", params.name, {**params.fields, "weights": name}),),
        calls=(Call("asc_gemv_dsp", params.name, (op.inputs[0],), op.outputs[0]),),
    )
    return Lowered(code, ("asc_gemv_dsp.c", "asc_gemv4.S"), 0)


RULES = {"CONV_2D": _conv, "FULLY_CONNECTED": _dense}
