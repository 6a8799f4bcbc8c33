"""The forms that weights can have in flash, what each costs, and which one pays.

All give the same outputs.  "packed" is int8; "wide" is int16, which saves the unpacking; "winograd" is int16
for asc_winograd.  Each has a kernel that skips zero blocks (sparse.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcu_asc.compiler.dsp.matrix import Image, Matrix, column_order, even, lines
from mcu_asc.compiler.dsp.sparse import GROUP
from mcu_asc.compiler.ops.base import Weights
from mcu_asc.nouns import BLOCK, Graph, Op

CYCLES_PER_BYTE = 3.0  # that a byte of flash must save in an inference


class _Form(NamedTuple):
    """Cycles for `pixels` x 2 channels."""

    pixels: int  # at a time
    pair: float  # a pair of K, dense
    block: float  # a sparse block
    once: float  # bias and outputs, dense
    once_sparse: float
    pair_bytes: int
    code: int  # bytes of a kernel that a model may have only for one layer


_FORMS = {
    "packed": _Form(4, 17.2, 37, 70, 52, 4, 0),
    "wide": _Form(4, 16.2, 35, 52, 40, 8, 1000),
    "winograd": _Form(8, 16.3, 35, 265, 230, 8, 1800),
}
FORMS = (*_FORMS,)
SMALLEST = FORMS[0]
_GROUP_CYCLES, _GROUP_BYTES = 8.0, 12
_SPARSE_CODE = 1300  # bytes
_COLUMN = 5.75  # cycles a value of K, 4 pixels
_ROW = 57.0  # cycles a run of K
_TURN, _WINDOW = 93.0, 155.0  # cycles around the kernel; more where pixels come through a window
_WINOGRAD_CALL, _WINOGRAD_COLUMN = 40.0, 8.9  # cycles a call, a channel of it

Taken = NDArray[np.int64]
"""Weights [pairs of channels, 2, rows, columns, depth], which a kernel takes block by block."""


def price(w: Weights, wait_states: int = 0) -> float:
    """Cycles of an inference, where flash counts as the cycles that it must save.

    wait_states  that each word read from flash costs
    """
    code = _FORMS[w.form].code + _SPARSE_CODE * w.skips
    return w.cycles + wait_states * w.words + CYCLES_PER_BYTE * (w.bytes + code)


def choose(graph: Graph, op: Op, m: Matrix, by_rows: bool = False) -> Weights:
    """The cheapest form among those that `op` leaves open.

    by_rows  the shape is one for Winograd
    """
    shape = graph.tensors[op.inputs[1]].shape
    weights = m.weights.reshape(shape if len(shape) == 4 else (len(m.weights), 1, 1, -1))
    able = FORMS if by_rows else FORMS[:-1]
    names = (op.form if op.form in able else SMALLEST,) if op.form else able
    image = lines(graph, op)
    found = [cost(image, weights, name, False) for name in names]
    if op.skips and weights[0, 0].size % BLOCK.depth == 0:
        found += [cost(image, weights, name, True) for name in names]
    return min(found, key=price)


def turns(image: Image, name: str) -> int:
    """How often a kernel runs for so many rows of so many pixels."""
    rows, width = image
    return -(-rows * (width + width % 2 if name == "winograd" else width) // _FORMS[name].pixels)


def cost(image: Image, weights: NDArray[np.int8], name: str, skips: bool) -> Weights:
    """An estimate for output rows of so many pixels and weights [channels, rows, columns, depth]."""
    f = _FORMS[name]
    n, rows, columns, depth = weights.shape
    taken = even(weights.reshape(n, -1).astype(np.int64)).reshape(-1, 2, rows, columns, depth)
    pairs, times, whole = len(taken), turns(image, name), columns // 3 * 3
    if name == "winograd":
        calls = 4 * rows * (whole // 3 + columns - whole)
        fill = _TURN + _WINDOW + calls * (_WINOGRAD_CALL + _WINOGRAD_COLUMN * depth)
        first, middle, last = (taken[:, :, :, t:whole:3] for t in range(3))
        rest = taken[:, :, :, whole:]
        three = abs(first) + abs(middle) + abs(last)
        lists = [[three], [three], [first, rest], [last, rest]]
        k_pairs = sum(part[0, 0].size // 2 for parts in lists for part in parts)
        blocks = [(three, 3), (rest, 1)]
    else:
        fill = _TURN + _COLUMN * rows * columns * depth
        fill += _WINDOW + _ROW * rows if rows * columns > 1 else 0.0
        lists, k_pairs = [[taken]], len(column_order(columns * depth, rows))
        blocks = [(taken, 1)]
    if not skips:
        per_turn, bytes_ = fill + pairs * (f.pair * k_pairs + f.once), pairs * (f.pair_bytes * k_pairs + 32)
        return Weights(name, False, times * per_turn, bytes_, times * bytes_ / 4)
    used = np.stack(
        [sum((_used(p).sum(axis=1) for p in parts), np.zeros(pairs, np.int64)) for parts in lists]
    )
    many, full = int(used.sum()), int((-(-used // GROUP)).sum())
    per_turn = fill + f.block * many + _GROUP_CYCLES * full + pairs * (f.once_sparse + 4 * len(lists))
    bytes_ = 2 * f.pair_bytes * many + _GROUP_BYTES * full + 40 * pairs
    zeros = [(~_used(part), taps) for part, taps in blocks]
    real = np.full(pairs, BLOCK.channels)
    real[-1] -= n % 2
    return Weights(
        name,
        True,
        times * per_turn,
        bytes_,
        times * bytes_ / 4,
        blocks=sum(z.size for z, _ in zeros),
        zero_blocks=sum(int(z.sum()) for z, _ in zeros),
        zero_weights=sum(BLOCK.depth * taps * int(z.sum(axis=1) @ real) for z, taps in zeros),
    )


def _used(taken: Taken) -> NDArray[np.bool_]:
    """Which blocks are not zero, [pairs of channels, blocks]."""
    flat = taken.any(axis=1).reshape(len(taken), -1, BLOCK.depth)
    return np.asarray(flat.any(axis=2))
