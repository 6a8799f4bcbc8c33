"""CONV_2D with stride 1 by Winograd's F(2, 3) along rows: asc_winograd.

A third fewer multiplications for 2.7 times the weights' flash: they become int16, four values for three taps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mcu_asc.compiler.dsp import sparse
from mcu_asc.compiler.dsp.fast import Fast, fixed
from mcu_asc.compiler.dsp.matrix import Matrix, by_pairs, k_order, stream, wide_words
from mcu_asc.compiler.ops.base import Array, Call, Code, Lowered, Params, Weights, per_tensor
from mcu_asc.nouns import Graph, Op


def passes(weights: NDArray[np.int8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[channels, rows, columns, depth] -> doubled weights of the passes over K.

    Passes 1, 2: [2, channels, K]; passes 0, 3: [2, channels, K and the rest of the taps].
    """
    w = weights.astype(np.int64)
    n, whole = len(w), w.shape[2] // 3 * 3
    g0, g1, g2 = (w[:, :, t:whole:3] for t in range(3))
    rest = 2 * w[:, :, whole:].reshape(n, -1)
    both = [g0 + g1 + g2, g0 - g1 + g2]
    ends = [np.concatenate([g.reshape(n, -1), rest], axis=1) for g in (2 * g0, -2 * g2)]
    return np.stack([g.reshape(n, -1) for g in both]), np.stack(ends)


def applies(graph: Graph, op: Op) -> bool:
    """The shape has such a kernel."""
    depth = graph.tensors[op.inputs[0]].shape[3]
    a = op.attrs
    return a.stride == (1, 1) and a.dilation[1] == 1 and depth % 4 == 0 and a.size[1] >= 3


def lower(graph: Graph, op: Op, m: Matrix, f: Fast, weights: Weights) -> Lowered:
    """`weights`: of the form "winograd"."""
    x, w, y = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    a, in_c, out_w = op.attrs, x.shape[3], y.shape[2]
    kernel_h, kernel_w = a.size
    name, n = f"op{op.index}", len(m.weights)
    twelve, ends = passes(m.weights.reshape(w.shape))
    taken = [p[:, k_order(p.shape[1])] for p in (*twelve, *ends)]
    g = fixed(f, m.out_zero, np.max([np.abs(p).max(axis=(1, 2)) for p in taken], axis=0))
    factor = g.factor[:, None, None] if g else 1
    p1, p2, p0, p3 = (wide_words(p * factor) for p in taken)
    bias, scales = (g.bias, g.scales) if g else (2 * f.bias, f.scales)
    if weights.skips:
        words = sparse.winograd_stream(by_pairs(bias[:, None]), (p1, p2, p0, p3), by_pairs(scales))
    else:
        words = stream(by_pairs(bias[:, None]), p1, p2, p0, by_pairs(scales), p3)
    k_12, k_03, c_pairs = twelve.shape[2] // 2, ends.shape[2] // 2, (n + 1) // 2
    row_pairs = (out_w + 1) // 2
    width = 2 * row_pairs - 1 + kernel_w
    reach = (kernel_h - 1) * a.dilation[0] + 1
    rows = reach + (row_pairs + 2) // row_pairs  # four pairs may lie on so many rows
    pitch = width * in_c
    scratch = 64 * k_03 + 16 * c_pairs + rows * pitch
    fields: dict[str, int | str | tuple[int, ...]] = {
        "batches": x.shape[0],
        "window": (x.shape[1], x.shape[2], in_c, a.pad[1], width, rows, pitch, per_tensor(x)[1]),
        "out_h": y.shape[1],
        "out_w": out_w,
        "out_c": n,
        "kernel_h": kernel_h,
        "dilation_h": a.dilation[0],
        "kernel_w": kernel_w,
        "pad_top": a.pad[0],
        "shape": (k_12, k_03, c_pairs, n),
        "kernel": f"asc_winograd_{'sparse_' if weights.skips else ''}{'fixed' if g else 'linear'}",
        "weights": f"{name}_weights",
    }
    code = Code(
        arrays=(Array("uint32_t", f"{name}_weights", words),),
        params=(Params("asc_winograd_conv", name, fields),),
        calls=(Call("asc_winograd_conv_dsp", name, (op.inputs[0],), op.outputs[0], scratch=True),),
        checks=(f"ASC_WINOGRAD_CONV_SCRATCH({k_03}, {c_pairs}, {rows}, {pitch}) <= {scratch}",),
    )
    sources = (
        "asc_winograd_conv_dsp.c",
        "asc_winograd.S",
        *(("asc_winograd_sparse.S",) if weights.skips else ()),
    )
    return Lowered(code, sources, scratch, weights)
