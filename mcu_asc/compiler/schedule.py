"""Which ops run in bands: the schedule with the smallest arena that is still fast.

Bands cost cycles: a call per piece, rows of overlap that a kernel unpacks again, rows moved within line
buffers, pixels left over from groups of four.  `schedule` weighs the estimate of that against the arena:

- Without a limit, or when that fits it: the smallest arena for at most 2 % more cycles, and among schedules
  of that arena the one with the fewest.
- When that does not fit `ram_limit`: the fastest schedule that fits, whatever it costs.
- When none fits: the smallest arena there is; who asked sees by how much it does not fit.

A RAM limit never makes a plan larger: memory that nobody uses is free for the user's own code.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from mcu_asc.compiler.bands import Piece, facts, survey
from mcu_asc.compiler.dsp.matrix import pixels
from mcu_asc.compiler.lower import lower
from mcu_asc.compiler.ops import OPS
from mcu_asc.compiler.ops.base import Lowered
from mcu_asc.compiler.overlap import ahead, in_place
from mcu_asc.nouns import Band, Graph, Op, Schedule

MOST_EXTRA = 0.02  # of the cycles
_ROWS = (1, 2, 4, 8, 16)  # a call
_PARTS = (2, 3, 4)  # or so many calls
_MOST_OPS = 300  # beyond these, everything runs whole: planning must end
_MOST_PIECES = 2_000  # of one band
_TRIES = 4

# ---- cycles, roughly: what the kernels for a Cortex-M4 take -----------------------------------------

_PER_CALL = 180
_PER_BYTE = 4.0  # read by ops without multiplications
_PER_BYTE_AGAIN = 1.0  # of an input row that a k x k convolution unpacks a second time
_PER_BYTE_MOVED = 1.0


def op_cycles(graph: Graph, op: Op) -> float:
    """An op run whole."""
    if OPS[op.kind].alias:
        return 0.0
    return _PER_CALL + _work(graph, op, facts(graph).turns[op.index])


def _work(graph: Graph, op: Op, rows: int) -> float:
    """The kernel on `rows` output rows, or rows that it adds; the whole op where the output is no image."""
    y = graph.tensors[op.outputs[0]]
    if (each := _skipping(graph).get(op.index)) is not None:
        count = rows * y.shape[2] if len(y.shape) == 4 else y.elements // y.shape[-1]
        return -(-count // 4) * 4 * each
    if op.kind == "CONV_2D" and len(y.shape) == 4:
        _, _, width, channels = y.shape
        taps = OPS[op.kind].macs(graph, op) / y.elements
        pixels = -(-rows * width // 4) * 4
        return pixels * channels * (1.06 * taps + 11)
    if op.kind == "DEPTHWISE_CONV_2D" and op.attrs.size == (3, 3):
        per_channel = 36 if op.attrs.stride[0] == 1 else 53
        return per_channel * y.shape[3] * min(_strips(rows, y.shape[2]), _strips(y.shape[2], rows))
    share = rows / facts(graph).turns[op.index]
    macs = OPS[op.kind].macs(graph, op)
    per_mac = 6.0 if op.kind == "DEPTHWISE_CONV_2D" else 1.3
    read = sum(graph.tensors[t].bytes for t in facts(graph).feeds[op.index])
    return share * (macs * per_mac if macs else read * _PER_BYTE)


@lru_cache(maxsize=4)
def _skipping(graph: Graph) -> Mapping[int, float]:
    """Cycles for each output pixel of ops that skip zero blocks of their weights, by op index."""
    return {
        op.index: low.weights.cycles / pixels(graph, op)
        for op, low in zip(graph.ops, lower(graph, "dsp"), strict=True)
        if low.weights and low.weights.skips
    }


def _strips(along: int, across: int) -> float:
    """Strips of two output rows, and what each costs at its start."""
    return -(-across // 2) * (along + 2.5)


def band_cycles(graph: Graph, pieces: Sequence[Piece], windows: Mapping[int, int]) -> float:
    """What the pieces of a band cost more than its ops run whole, its input's move included."""
    adds = {i for i, r in enumerate(facts(graph).reach) if r and r.adds}
    counts = Counter(
        (p.op, p.bottom - p.top if p.op in adds else p.end - p.first, p.bottom - p.top) for p in pieces
    )
    band = sorted({i for i, _, _ in counts})
    extra = _PER_BYTE_MOVED * graph.tensors[graph.ops[band[0]].inputs[0]].bytes
    for (i, rows, rows_in), n in counts.items():
        extra += n * _piece_cycles(graph, graph.ops[i], rows, rows_in, windows)
    return extra - sum(op_cycles(graph, graph.ops[i]) for i in band)


def _piece_cycles(graph: Graph, op: Op, rows: int, rows_in: int, windows: Mapping[int, int]) -> float:
    f, y = facts(graph), op.outputs[0]
    r = f.reach[op.index]
    assert r is not None
    again = max(0, min(r.size - r.stride, rows_in)) if op.kind == "CONV_2D" else 0
    unpacked = again * f.row_bytes[op.inputs[0]]
    kept = max(0, windows.get(y, 0) - rows) * f.row_bytes[y]  # moved to make room, at most
    return _PER_CALL + _work(graph, op, rows) + _PER_BYTE_AGAIN * unpacked + _PER_BYTE_MOVED * kept


# ---- memory ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Life:
    """Tensors that share bytes by being each other's reshapes."""

    bytes: int
    first: int  # op that writes it; -1: the graph's input
    last: int  # op that reads it last


def lives(graph: Graph) -> tuple[dict[int, int], list[_Life]]:
    """(activation -> its life, lives)"""
    owner: dict[int, int] = {}
    found: list[_Life] = []
    readers = facts(graph).readers
    end = len(graph.ops) - 1

    def last(t: int, least: int) -> int:
        return end if t in graph.outputs else max((*readers.get(t, ()), least))

    for t in graph.inputs:
        owner[t] = len(found)
        found.append(_Life(graph.tensors[t].bytes, -1, last(t, 0)))
    for op in graph.ops:
        for t in op.outputs:
            if OPS[op.kind].alias:
                i = owner[t] = owner[op.inputs[0]]
                found[i] = replace(found[i], last=max(found[i].last, last(t, op.index)))
            else:
                owner[t] = len(found)
                found.append(_Life(graph.tensors[t].bytes, op.index, last(t, op.index)))
    return owner, found


@dataclass(frozen=True)
class _Choice:
    """Ops first .. last as one segment of a schedule."""

    first: int
    last: int
    live: int  # bytes in use meanwhile
    extra: float  # cycles
    rows: int  # 0: one op, whole
    lines: int = 0  # bytes of line buffers


def saved(x: int, y: int, ahead: int) -> int:
    """Bytes that an output of y bytes saves by lying `ahead` bytes below an input of x bytes, over it."""
    return x + y - max(y, x + -(-ahead // 16) * 16)


def _whole(graph: Graph, flavour: str) -> list[_Choice]:
    owner, found = lives(graph)
    choices = []
    for op, low in zip(graph.ops, lower(graph, flavour), strict=True):
        live = low.scratch + sum(v.bytes for v in found if v.first <= op.index <= v.last)
        out = graph.tensors[op.outputs[0]].bytes
        last = {p: found[owner[t]] for p, t in enumerate(op.inputs) if t in owner}
        last = {p: v for p, v in last.items() if v.last == op.index}
        if any(p in last and last[p].bytes == out for p in in_place(graph, op, low)):
            live -= out
        elif 0 in last and (below := ahead(graph, op, low)) is not None:
            live -= max(0, saved(last[0].bytes, out, below))
        choices.append(_Choice(op.index, op.index, live, 0.0, 0))
    return choices


def _banded(graph: Graph, flavour: str, most: int, most_extra: float) -> list[_Choice]:
    """Bands between places where one tensor holds all there is.

    Those with fewer than `most` bytes in use and at most `most_extra` cycles.
    """
    owner, found = lives(graph)
    f, n = facts(graph), len(graph.ops)
    cuts = {i for i in range(n + 1) if sum(v.first < i <= v.last for v in found) <= 1}
    lows = lower(graph, flavour)
    choices = []
    for last in (i - 1 for i in sorted(cuts) if i > 0):
        for rows in sorted({*_ROWS, *(-(-f.turns[last] // n) for n in _PARTS)}):
            first, pieces = last, 0
            while first >= 0 and f.joins(first, last):
                pieces += -(-f.turns[first] // rows)
                if pieces > _MOST_PIECES:
                    break
                if first in cuts and pieces > last - first + 1:
                    choice = _band_choice(graph, Band(first, last, rows), owner, found, lows)
                    if choice is None or choice.lines >= most or choice.extra > most_extra:
                        break  # longer ones are no better
                    choices.append(choice)
                first -= 1
    return [c for c in choices if c.live < most]


def _band_choice(
    graph: Graph, band: Band, owner: Mapping[int, int], found: Sequence[_Life], lows: Sequence[Lowered]
) -> _Choice | None:
    pieces, windows, below = survey(graph, band)
    if any(p.bottom <= p.top for p in pieces):
        return None
    lines = sum(n * facts(graph).row_bytes[t] for t, n in windows.items())
    live = lines + lows[band.last].sums + max(low.scratch for low in lows[band.first : band.last + 1])
    live += sum(v.bytes for v in found if v.first < band.first <= v.last)
    live += sum(v.bytes for v in found if band.first <= v.first <= band.last < v.last)
    y = graph.ops[band.last].outputs[0]
    size = graph.tensors[y].bytes
    live += size if found[owner[y]].last <= band.last else 0
    dying = [(found[owner[x]].bytes, n) for x, n in below.items() if found[owner[x]].last <= band.last]
    live -= max((0, *(saved(x, size, n) for x, n in dying)))
    return _Choice(band.first, band.last, live, band_cycles(graph, pieces, windows), band.rows, lines)


# ---- the choice ------------------------------------------------------------------------------------


def schedule(graph: Graph, flavour: str, ram_limit: int | None, arena: Callable[[Schedule], int]) -> Schedule:
    """The schedule to run `graph` by, as the head of this module says.

    arena  bytes that a schedule's plan takes: `ram_limit` is held against it
    """
    cycles = sum(op_cycles(graph, op) for op in graph.ops)
    if len(graph.ops) > _MOST_OPS:
        return Schedule((), 0, round(cycles))
    paths = _Paths(graph, flavour, cycles, MOST_EXTRA * cycles)
    fast = _smallest(paths, arena, MOST_EXTRA * cycles)
    if ram_limit is None or arena(fast) <= ram_limit:
        return fast
    paths = _Paths(graph, flavour, cycles, math.inf)
    fitting = bisect_right(paths.levels, ram_limit)
    for level in reversed(paths.levels[max(0, fitting - 4 * _TRIES) : fitting]):
        found = paths.cheapest(level)
        if found is None:
            break
        if arena(found) <= ram_limit:
            return found
    return _smallest(paths, arena, math.inf)


class _Paths:
    """Ways through the graph, by the most bytes that they may use."""

    def __init__(self, graph: Graph, flavour: str, cycles: float, most_extra: float) -> None:
        whole = _whole(graph, flavour)
        banded = _banded(graph, flavour, max(c.live for c in whole), most_extra)
        self._cycles = round(cycles)
        self._ending: list[list[_Choice]] = [[c] for c in whole]  # by last op
        for c in banded:
            self._ending[c.last].append(c)
        self.levels = sorted({c.live for c in (*whole, *banded)})
        self._known: dict[int, Schedule | None] = {}

    def cheapest(self, level: int) -> Schedule | None:
        """The schedule with the fewest extra cycles, then bands, that never uses more than `level` bytes."""
        if level not in self._known:
            self._known[level] = self._search(level)
        return self._known[level]

    def _search(self, level: int) -> Schedule | None:
        best: list[tuple[float, int, tuple[Band, ...]] | None] = [(0.0, 0, ())]
        for choices in self._ending:
            paths = [
                (
                    before[0] + c.extra,
                    before[1] + (c.rows > 0),
                    (*before[2], Band(c.first, c.last, c.rows)) if c.rows else before[2],
                )
                for c in choices
                if c.live <= level and (before := best[c.first]) is not None
            ]
            best.append(min(paths, default=None, key=lambda path: path[:2]))
        end = best[-1]
        return None if end is None else Schedule(end[2], round(end[0]), self._cycles)


def _smallest(paths: _Paths, arena: Callable[[Schedule], int], most_extra: float) -> Schedule:
    """The schedule of the smallest arena for at most `most_extra` cycles."""

    def possible(level: int) -> bool:
        found = paths.cheapest(level)
        return found is not None and found.extra_cycles <= most_extra

    least = bisect_left(paths.levels, True, key=possible)
    near = [s for level in paths.levels[least : least + _TRIES] if (s := paths.cheapest(level))]
    return min(near, key=lambda s: (arena(s), s.extra_cycles))
