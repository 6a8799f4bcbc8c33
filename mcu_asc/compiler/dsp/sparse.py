"""Weights with zero blocks: what asc_gemm4_sparse and asc_winograd_sparse read, and when they pay.

The kernels skip 2 output channels x 4 values of K, two pairs of K as the columns hold them.  That is the
smallest block that costs little to find: its index, a load and an addition take 3 cycles beside the 32
(packed: 34) of its 32 multiplications.  One pair of K would pay 3 on 16; four pairs would save 1.5 on 32 and
leave pruning half of the choice.
Winograd's passes have less to do only when the three taps of a row are zero together; then 75 % zeros leave a
quarter of Winograd's work, which is two thirds of the plain product's.  So what pruning zeroes at once,
nouns.BLOCK, is 2 output channels x 4 input channels x 3 taps of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcu_asc.compiler.dsp.matrix import CYCLES_PER_BYTE, Matrix, even, k_order, pixels, worth_flash
from mcu_asc.nouns import BLOCK, Graph, Op

GROUP = 8  # blocks in a turn of the kernels' loops
_LONGEST_SKIP = 255  # blocks, a byte
_WORDS = 2  # pairs of K in a block: words a channel pair has of it, packed; twice as many wide


# ---- the stream of weights --------------------------------------------------------------------------


def groups(blocks: NDArray[np.int64], end: int) -> list[int]:
    """The blocks [blocks, words] of one list that are not zero -> words, as asc_nn_dsp.h tells.

    end  what follows the last group in place of another one
    """
    positions: list[int] = []
    for p in np.flatnonzero(blocks.any(axis=1)).tolist():
        at = positions[-1] if positions else -1
        positions += range(at + _LONGEST_SKIP + 1, p, _LONGEST_SKIP + 1)  # stepping stones, zeros
        positions.append(p)
    skips = np.diff([-1, *positions]) - 1
    lacks = -len(positions) % GROUP
    found = [lacks if positions else end]
    for first in range(-lacks, len(positions), GROUP):
        there = range(max(first, 0), first + GROUP)
        for i in there:
            found += blocks[positions[i]].tolist()
        found.append(end if there.stop == len(positions) else 0)
        table = bytes(GROUP - len(there)) + bytes(int(skips[i]) for i in there)
        found += np.frombuffer(table, "<u4").tolist()
    return found


def gemm_stream(
    bias: NDArray[np.int64], words: NDArray[np.int64], scales: NDArray[np.int64], packed: bool
) -> NDArray[np.uint32]:
    """What asc_gemm4_sparse reads: of each pair of channels biases, words of all blocks, scales."""
    found: list[int] = []
    block_words = _WORDS if packed else 2 * _WORDS
    for b, w, s in zip(bias, words, scales, strict=True):
        first, *rest = groups(w.reshape(-1, block_words), GROUP)
        found += [first, *b.tolist(), *rest, *s.tolist()]
    return _unsigned(found)


def winograd_stream(
    bias: NDArray[np.int64], passes: Sequence[NDArray[np.int64]], scales: NDArray[np.int64]
) -> NDArray[np.uint32]:
    """What asc_winograd_sparse reads; the words of passes 1, 2, 0 and 3, [pairs, words] each."""
    found: list[int] = []
    for i, (b, s) in enumerate(zip(bias, scales, strict=True)):
        lists = [groups(p[i].reshape(-1, 2 * _WORDS), GROUP + j) for j, p in enumerate(passes)]
        (first, *rest), two, zero, three = lists
        found += [first, *b.tolist(), *rest, *two, *zero, *s.tolist(), *three]
    return _unsigned(found)


def _unsigned(words: list[int]) -> NDArray[np.uint32]:
    return (np.array(words, np.int64) & 0xFFFFFFFF).astype(np.uint32)


# ---- what pays ---------------------------------------------------------------------------------------


class Cost(NamedTuple):
    """Of a layer in one of its forms."""

    cycles: float  # an inference
    bytes: float  # of weights

    @property
    def price(self) -> float:
        """Flash counts as the cycles that it must save."""
        return self.cycles + CYCLES_PER_BYTE * self.bytes


class _Form(NamedTuple):
    """Cycles for 4 pixels (winograd: 8) x 2 channels."""

    pair: float  # a pair of K, dense
    block: float  # a sparse block
    once: float  # bias and outputs
    pair_bytes: int


_FORMS = {
    "packed": _Form(17, 37, 52, 4),
    "wide": _Form(16, 35, 40, 8),
    "winograd": _Form(16, 35, 230, 8),
}
_GROUP_CYCLES, _GROUP_BYTES = 8.0, 12
_KERNEL_BYTES = 1300  # code that a model may have only for one layer
_COLUMN = 5.75  # cycles a value of K, 4 pixels
_ROW = 12.0  # cycles a run of K
_WINOGRAD_CALL, _WINOGRAD_COLUMN = 40.0, 8.9  # cycles a call, a channel of it


def form(graph: Graph, op: Op, m: Matrix, by_rows: bool) -> str:
    """The cheapest sparse form, "packed", "wide" or "winograd", or "" where dense weights are better.

    by_rows  Winograd applies
    """
    w = graph.tensors[op.inputs[1]]
    count, weights = (
        pixels(graph, op),
        m.weights.reshape(w.shape if len(w.shape) == 4 else (len(m.weights), 1, 1, -1)),
    )
    dense = "winograd" if by_rows else "wide" if worth_flash(count / 4, 4) else "packed"
    found = {name: cost(count, weights, name, False) for name in (*_FORMS,)[: 2 + by_rows]}
    sparse = {name: cost(count, weights, name, True) for name in found}
    best = min(sparse, key=lambda name: sparse[name].price)
    return best if sparse[best].price + CYCLES_PER_BYTE * _KERNEL_BYTES < found[dense].price else ""


def cost(count: int, weights: NDArray[np.int8], name: str, sparse: bool) -> Cost:
    """An estimate for `count` pixels and weights [channels, rows, columns, depth]."""
    f = _FORMS[name]
    n, rows, columns, depth = weights.shape
    taken = even(weights.reshape(n, -1).astype(np.int64)).reshape(-1, 2, rows, columns, depth)
    pairs, k = len(taken), rows * columns * depth
    if name == "winograd":
        turns, whole = -(-count // 8), columns // 3 * 3
        calls = 4 * rows * (whole // 3 + columns - whole)
        fill = calls * (_WINOGRAD_CALL + _WINOGRAD_COLUMN * depth)
        first, middle, last = (taken[:, :, :, t:whole:3] for t in range(3))
        rest = taken[:, :, :, whole:]
        three = (first != 0) | (middle != 0) | (last != 0)
        lists = [[three], [three], [first, rest], [last, rest]]
        k_pairs = sum(part[0, 0].size // 2 for parts in lists for part in parts)
    else:
        turns, fill = -(-count // 4), _COLUMN * k + _ROW * rows
        lists, k_pairs = [[taken]], rows * len(k_order(columns * depth))
    if not sparse:
        per_turn = fill + pairs * (f.pair * k_pairs + f.once)
        return Cost(turns * per_turn, pairs * (f.pair_bytes * k_pairs + 32))
    if columns * depth % BLOCK.depth:
        return Cost(float("inf"), 0)
    used = np.stack(
        [sum(map(_blocks, parts), np.zeros(pairs, np.int64)) for parts in lists]
    )  # [lists, pairs]
    blocks, full = int(used.sum()), int((-(-used // GROUP)).sum())
    per_turn = fill + f.block * blocks + _GROUP_CYCLES * full + pairs * (f.once + 4 * len(lists))
    return Cost(turns * per_turn, 2 * f.pair_bytes * blocks + _GROUP_BYTES * full + 40 * pairs)


def _blocks(taken: NDArray[np.int64] | NDArray[np.bool_]) -> NDArray[np.int64]:
    """[pairs of channels, 2, rows, columns, depth] -> blocks that are not zero, of each pair of channels."""
    flat = taken.any(axis=1).reshape(len(taken), -1, BLOCK.depth)
    return np.asarray(flat.any(axis=2).sum(axis=1))
