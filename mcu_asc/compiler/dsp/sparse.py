"""Weights with zero blocks: what asc_gemm4_sparse and asc_winograd_sparse read; forms.py says when they pay.

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

import numpy as np
from numpy.typing import NDArray

GROUP = 8  # blocks in a turn of the kernels' loops
_LONGEST_SKIP = 255  # blocks, a byte
_WORDS = 2  # pairs of K in a block: words a channel pair has of it, packed; twice as many wide


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
