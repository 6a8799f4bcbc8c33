"""CONV_2D and FULLY_CONNECTED: asc_gemm4 and what feeds it; Winograd where it applies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mcu_asc.compiler.dsp import forms, sparse, winograd
from mcu_asc.compiler.dsp.fast import Fast, fixed
from mcu_asc.compiler.dsp.matrix import (
    Matrix,
    by_pairs,
    even,
    k_order,
    matrix,
    stream,
    wide_words,
)
from mcu_asc.compiler.ops import OPS
from mcu_asc.compiler.ops.base import Array, Call, Code, Lowered, Params, Weights, per_tensor
from mcu_asc.nouns import Graph, Op


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
    sources = ("asc_gemm4_sparse.S" if chosen.skips else "asc_gemm4.S", "asc_expand4.S")
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
    name, order = f"op{op.index}", k_order(a.size[1] * in_c, a.size[0])
    weights, gemm, sources = _gemm(op, m, f, order, chosen)
    # Four pixels lie on at most this many output rows more than one.
    rows = a.size[0] + a.stride[0] * ((out_w + 2) // out_w)
    width = (out_w - 1) * a.stride[1] + a.size[1]
    pitch = -(-width * in_c // 4) * 4
    scratch = 16 * len(order) + 8 * ((n + 1) // 2) + rows * pitch
    fields: dict[str, int | str | tuple[int, ...]] = {
        "batches": x.shape[0],
        "window": (x.shape[1], x.shape[2], in_c, a.pad[1], width, rows, pitch, per_tensor(x)[1]),
        "out_h": y.shape[1],
        "out_w": out_w,
        "out_c": n,
        "kernel_h": a.size[0],
        "kernel_w": a.size[1],
        "stride_h": a.stride[0],
        "stride_w": a.stride[1],
        "pad_top": a.pad[0],
        **gemm,
    }
    code = Code(
        arrays=(weights,),
        params=(Params("asc_window_conv", name, fields),),
        calls=(Call("asc_window_conv_dsp", name, (op.inputs[0],), op.outputs[0], scratch=True),),
        checks=(f"ASC_WINDOW_CONV_SCRATCH({len(order)}, {(n + 1) // 2}, {rows}, {pitch}) <= {scratch}",),
    )
    return Lowered(code, ("asc_window_conv_dsp.c", *sources), scratch, chosen)


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
