"""Convolutions and dense layers as products of matrices: what their kernels' tables have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcu_asc.compiler.dsp.fast import Fast, fast, sums
from mcu_asc.compiler.ops.base import per_tensor
from mcu_asc.compiler.ops.conv import bias_of, channel_multipliers, folded_bias
from mcu_asc.nouns import Graph, Op

THREE = 3  # values of a kernel's row that have a gather of their own


def k_order(run: int, runs: int = 1) -> NDArray[np.int64]:
    """Which two values of K each pair of a column holds, as asc_im2col4 puts them; -1 = none.  [pairs, 2]

    Each of `runs` runs is paired for itself.
    """
    whole = run // 4 * 4
    pairs = [(k + j, k + j + 2) for k in range(0, whole, 4) for j in (0, 1)]
    k = whole
    pairs += {0: [], 1: [(k, -1)], 2: [(k, k + 1)], 3: [(k, k + 2), (k + 1, -1)]}[run - whole]
    one = np.array(pairs, np.int64).reshape(-1, 2)
    return np.concatenate([np.where(one < 0, -1, one + r * run) for r in range(runs)])


def column_order(run: int, runs: int) -> NDArray[np.int64]:
    """The same of a kernel's rows; of odd ones by two, as asc_gather_odd and asc_gather_three put them."""
    if run % 2 == 0 or runs == 1:
        return k_order(run, runs)
    first = run * np.arange(runs)
    if run == THREE:
        twos = [((a, a + 2), (a + 3, a + 5), (a + 1, a + 4)) for a in first[: runs - runs % 2 : 2]]
        one = [((a, a + 2), (a + 1, -1)) for a in first[runs - runs % 2 :]]
        return np.array([pair for pairs in (*twos, *one) for pair in pairs], np.int64)
    ends = np.concatenate([first + run - 1, np.full(runs % 2, -1)])
    return np.concatenate([*(k_order(run - 1) + f for f in first), ends.reshape(-1, 2)])


def even(channels: NDArray[np.int64]) -> NDArray[np.int64]:
    """A channel of zeros after an odd last one."""
    return np.concatenate([channels, np.zeros((len(channels) % 2, *channels.shape[1:]), channels.dtype)])


def wide_words(taken: NDArray[np.int64]) -> NDArray[np.int64]:
    """[channels, pairs of K, 2] -> [pairs of channels, pairs of K * 2] words of halfwords {k, k'}."""
    words = even((taken[..., 0] & 0xFFFF) | (taken[..., 1] & 0xFFFF) << 16)
    c, k = words.shape
    return words.reshape(c // 2, 2, k).transpose(0, 2, 1).reshape(c // 2, 2 * k)


Image = tuple[int, int]
"""Rows of output, pixels in each."""


def lines(graph: Graph, op: Op) -> Image:
    """Of an inference, all pieces together: what choices between forms of the weights go by."""
    y = (graph.whole or graph).tensors[op.outputs[0]]
    rows = y.shape[0] * y.shape[1] if len(y.shape) == 4 else 1
    return rows, y.elements // y.shape[-1] // rows


def by_pairs(channels: NDArray[np.int64]) -> NDArray[np.int64]:
    """[channels, n] -> [pairs of channels, 2 n]"""
    two = even(channels)
    return two.reshape(len(two) // 2, -1)


def stream(*parts: NDArray[np.int64]) -> NDArray[np.uint32]:
    """[pairs of channels, words] each -> the words, pair of channels by pair of channels."""
    return (np.concatenate(parts, axis=1).reshape(-1) & 0xFFFFFFFF).astype(np.uint32)


@dataclass(frozen=True, eq=False)
class Matrix:
    """One op as a product: weights [channels, K], bias with the input's zero point folded in."""

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    factors: list[tuple[int, int]]
    out_zero: int
    act: tuple[int, int]

    def fast(self) -> Fast | None:
        return fast(self.factors, self.out_zero, self.act, self.bias, sums(self.weights, self.bias))


def matrix(graph: Graph, op: Op) -> Matrix:
    x, w, y = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    assert w.data is not None
    weights = np.asarray(w.data, np.int8).reshape(w.shape[0], -1)
    factors = channel_multipliers(x, w, y, len(weights))
    bias = folded_bias(bias_of(graph, op, len(weights)), weights, per_tensor(x)[1])
    return Matrix(weights, bias, factors, per_tensor(y)[1], op.attrs.act)
