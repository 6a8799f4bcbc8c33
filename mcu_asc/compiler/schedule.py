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

from mcu_asc.compiler.bands import Piece, consumers, fed_by, reach, row_bytes, survey
from mcu_asc.compiler.lower import lower
from mcu_asc.compiler.ops import OPS
from mcu_asc.nouns import Band, Graph, Op, Schedule

MOST_EXTRA = 0.02  # of the cycles
_ROWS = (1, 2, 4, 8)  # a call
_MOST_OPS = 300  # beyond these, everything runs whole: planning must end
_MOST_PIECES = 2_000  # of one band
_TRIES = 4

# ---- cycles, roughly: what the kernels for a Cortex-M4 take -----------------------------------------

_PER_CALL = 300
_PER_MAC: Mapping[str, float] = {"CONV_2D": 1.3, "FULLY_CONNECTED": 1.3, "DEPTHWISE_CONV_2D": 2.6}
_PER_BYTE = 4.0  # read by other ops
_PER_BYTE_AGAIN = 1.0  # of an input row that a kernel unpacks a second time
_PER_BYTE_MOVED = 0.7


def op_cycles(graph: Graph, op: Op) -> float:
    """An op run whole."""
    kind = OPS[op.kind]
    if kind.alias:
        return 0.0
    macs = kind.macs(graph, op)
    read = sum(graph.tensors[t].bytes for t in fed_by(graph, op))
    return _PER_CALL + (macs * _PER_MAC.get(op.kind, 2.0) if macs else read * _PER_BYTE)


def band_cycles(graph: Graph, pieces: Sequence[Piece], windows: Mapping[int, int]) -> float:
    """What the pieces of a band cost more than its ops run whole, its input's move included."""
    counts = Counter((p.op, p.end - p.first, p.bottom - p.top) for p in pieces)
    band = sorted({i for i, _, _ in counts})
    first = graph.ops[band[0]]
    extra = _PER_BYTE_MOVED * graph.tensors[first.inputs[0]].bytes
    for (i, rows, rows_in), n in counts.items():
        extra += n * _piece_cycles(graph, graph.ops[i], rows, rows_in, windows)
    for i in band:
        op = graph.ops[i]
        extra -= _PER_CALL + _idle_cycles(graph, op, graph.tensors[op.outputs[0]].shape[1])
    return extra


def _piece_cycles(graph: Graph, op: Op, rows: int, rows_in: int, windows: Mapping[int, int]) -> float:
    """What a piece costs beside its share of the op's work."""
    y, r = op.outputs[0], reach(graph, op)
    assert r is not None
    again = max(0, min(r.size - r.stride, rows_in)) * sum(row_bytes(graph, t) for t in fed_by(graph, op))
    kept = max(0, windows.get(y, 0) - rows) * row_bytes(graph, y)  # moved to make room, at most
    return _PER_CALL + _PER_BYTE_AGAIN * again + _PER_BYTE_MOVED * kept + _idle_cycles(graph, op, rows)


def _idle_cycles(graph: Graph, op: Op, rows: int) -> float:
    """Kernels work on four pixels, or two rows, at a time; the last ones may be fewer."""
    y = graph.tensors[op.outputs[0]]
    idle = {"CONV_2D": -rows * y.shape[2] % 4 / y.shape[2], "DEPTHWISE_CONV_2D": rows % 2}.get(op.kind, 0)
    return idle * OPS[op.kind].macs(graph, op) * _PER_MAC.get(op.kind, 0.0) / y.shape[1] if idle else 0.0


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
    readers = consumers(graph)
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
        for position in OPS[op.kind].in_place(graph, op):
            source = owner.get(op.inputs[position])
            if source is not None and found[source].last == op.index and found[source].bytes == out:
                live -= out
                break
        choices.append(_Choice(op.index, op.index, live, 0.0, 0))
    return choices


def _banded(graph: Graph, flavour: str, most: int) -> list[_Choice]:
    """Bands between places where one tensor holds all there is, with fewer than `most` bytes in use."""
    owner, found = lives(graph)
    n = len(graph.ops)
    cuts = {i for i in range(n + 1) if sum(v.first < i <= v.last for v in found) <= 1}
    scratch = [low.scratch for low in lower(graph, flavour)]
    choices = []
    for last in (i - 1 for i in sorted(cuts) if i > 0):
        for rows in _ROWS:
            first, pieces = last, 0
            while first >= 0 and (op := graph.ops[first]) and reach(graph, op) is not None:
                pieces += -(-graph.tensors[op.outputs[0]].shape[1] // rows)
                if pieces > _MOST_PIECES:
                    break
                if first in cuts and pieces > last - first + 1:
                    choice = _band_choice(graph, Band(first, last, rows), owner, found, scratch)
                    if choice is None or choice.lines >= most:
                        break  # line buffers only grow
                    choices.append(choice)
                first -= 1
    return [c for c in choices if c.live < most]


def _band_choice(
    graph: Graph, band: Band, owner: Mapping[int, int], found: Sequence[_Life], scratch: Sequence[int]
) -> _Choice | None:
    pieces, windows, ahead = survey(graph, band)
    if any(p.bottom <= p.top for p in pieces):
        return None
    lines = sum(n * row_bytes(graph, t) for t, n in windows.items())
    live = lines + max(scratch[band.first : band.last + 1])
    live += sum(v.bytes for v in found if v.first < band.first <= v.last)
    live += sum(v.bytes for v in found if band.first <= v.first <= band.last < v.last)
    y = graph.ops[band.last].outputs[0]
    size = graph.tensors[y].bytes
    live += size if found[owner[y]].last <= band.last else 0
    dying = [(found[owner[x]].bytes, n) for x, n in ahead.items() if found[owner[x]].last <= band.last]
    live -= max((0, *(saved(x, size, n) for x, n in dying)))
    return _Choice(band.first, band.last, live, band_cycles(graph, pieces, windows), band.rows, lines)


# ---- the choice ------------------------------------------------------------------------------------


def schedule(graph: Graph, flavour: str, ram_limit: int | None, arena: Callable[[Schedule], int]) -> Schedule:
    """The schedule to run `graph` by, as the head of this module says.

    arena  bytes that a schedule's plan takes: `ram_limit` is held against it
    """
    cycles = sum(op_cycles(graph, op) for op in graph.ops)
    none = Schedule((), 0, round(cycles))
    if len(graph.ops) > _MOST_OPS:
        return none
    whole = _whole(graph, flavour)
    banded = _banded(graph, flavour, max(c.live for c in whole))
    if not banded:
        return none
    ending: list[list[_Choice]] = [[c] for c in whole]
    for c in banded:
        ending[c.last].append(c)
    levels = sorted({c.live for c in (*whole, *banded)})
    paths = {}

    def cheapest(level: int) -> Schedule | None:
        if level not in paths:
            paths[level] = _cheapest(ending, level, round(cycles))
        return paths[level]

    fast = _smallest(levels, cheapest, arena, MOST_EXTRA * cycles)
    if ram_limit is None or arena(fast) <= ram_limit:
        return fast
    fitting = bisect_right(levels, ram_limit)
    for level in reversed(levels[max(0, fitting - 4 * _TRIES) : fitting]):
        found = cheapest(level)
        if found is None:
            break
        if arena(found) <= ram_limit:
            return found
    return _smallest(levels, cheapest, arena, math.inf)


def _smallest(
    levels: Sequence[int],
    cheapest: Callable[[int], Schedule | None],
    arena: Callable[[Schedule], int],
    most_extra: float,
) -> Schedule:
    """The schedule of the smallest arena for at most `most_extra` cycles."""

    def possible(level: int) -> bool:
        found = cheapest(level)
        return found is not None and found.extra_cycles <= most_extra

    least = bisect_left(levels, True, key=possible)
    near = [s for level in levels[least : least + _TRIES] if (s := cheapest(level))]
    return min(near, key=lambda s: (arena(s), s.extra_cycles))


def _cheapest(ending: Sequence[Sequence[_Choice]], level: int, cycles: int) -> Schedule | None:
    """The schedule with the fewest extra cycles, then bands, that never uses more than `level` bytes."""
    best: list[tuple[float, int, tuple[Band, ...]] | None] = [(0.0, 0, ())]
    for choices in ending:
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
    return None if end is None else Schedule(end[2], round(end[0]), cycles)
