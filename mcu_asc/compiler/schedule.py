"""Which ops run in bands: the schedule with the smallest arena that is still fast.

Bands cost cycles: a call per piece, rows moved within line buffers, sums fetched again, pixels left over from
groups of four or eight.  `schedule` weighs the estimate of that against the arena:

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
from typing import NamedTuple

from mcu_asc.compiler.bands import Piece, Survey, facts, survey
from mcu_asc.compiler.dsp import depthwise
from mcu_asc.compiler.dsp.forms import turns
from mcu_asc.compiler.dsp.matrix import lines
from mcu_asc.compiler.lower import lower
from mcu_asc.compiler.ops import OPS
from mcu_asc.compiler.ops.base import Lowered
from mcu_asc.compiler.overlap import ahead, in_place
from mcu_asc.nouns import Band, Graph, MemoryPlan, Op, Schedule

MOST_EXTRA = 0.02  # of the cycles
_ROWS = (1, 2, 4, 8, 16)  # a call
_PARTS = (2, 3, 4)  # or so many calls
_MOST_OPS = 300  # beyond these, everything runs whole: planning must end
_MOST_PIECES = 2_000  # of one band
_TRIES = 4

# ---- cycles: what the kernels for a Cortex-M4 take --------------------------------------------------
#
# Measured with the emulator's cycle model on the models of tools/bench.py and the shipped students, whole and
# in bands; their totals come out within 2 %.

_PER_CALL = 140
_PER_BYTE_MOVED = 1.0  # within a line buffer
_PER_SUM = 25.0  # kept from one piece to the next


class _Rate(NamedTuple):
    """Cycles of a kernel: for a multiplication or a cell of a window, a value of the output, of the input."""

    cell: float
    out: float
    read: float


_RATES = {
    "asc_gemv_dsp": _Rate(1.76, 57, 0),
    "asc_max_pool_dsp": _Rate(3.0, 12, 0),
    "asc_average_pool_dsp": _Rate(2.65, 0, 0),
    "asc_sum_dsp": _Rate(0, 58, 1.4),
    "asc_softmax_s8": _Rate(0, 48, 0),
    "asc_min_max_dsp": _Rate(0, 4, 0),
    "asc_clamp_dsp": _Rate(0, 3, 0),
    **dict.fromkeys(("asc_add_linear_dsp", "asc_add_relu_dsp", "asc_subtract_dsp"), _Rate(0, 11.6, 0)),
    **dict.fromkeys(("asc_mul_rows_linear_dsp", "asc_mul_rows_plain_dsp"), _Rate(0, 11.6, 0)),
    **dict.fromkeys(
        ("asc_add_rows_linear_dsp", "asc_add_rows_relu_dsp", "asc_subtract_rows_dsp"), _Rate(0, 15, 0)
    ),
}
_OTHERS = _Rate(6.0, 0, 4.0)


def op_cycles(graph: Graph, op: Op) -> float:
    """An op run whole."""
    if OPS[op.kind].alias:
        return 0.0
    return _PER_CALL + _work(graph, op, facts(graph).turns[op.index])


def plan_cycles(graph: Graph, plan: MemoryPlan) -> float:
    """An inference."""
    return sum(op_cycles(graph, op) for op in graph.ops) + plan.schedule.extra_cycles


def _work(graph: Graph, op: Op, rows: int) -> float:
    """The kernels on `rows` output rows, or rows that they add; the whole op where the output is no image."""
    y, low = graph.tensors[op.outputs[0]], lower(graph, "dsp")[op.index]
    share = rows / facts(graph).turns[op.index]
    functions = list(dict.fromkeys(c.function for c in low.code.calls))
    own = _own_work(graph, op, low, rows)
    cells = OPS[op.kind].macs(graph, op) or y.elements * math.prod(getattr(op.attrs, "size", ()))
    read = sum(graph.tensors[t].bytes for t in facts(graph).feeds[op.index])
    rates = [_RATES.get(f, _OTHERS) for f in (functions if own is None else functions[1:])]
    return (own or 0.0) + share * sum(r.cell * cells + r.out * y.elements + r.read * read for r in rates)


def _own_work(graph: Graph, op: Op, low: Lowered, rows: int) -> float | None:
    """That of a kernel whose cycles depend on more than `_RATES` can say, or None."""
    if low.weights is not None:
        whole, width = lines(graph, op)
        part, form = whole * rows // facts(graph).turns[op.index], low.weights.form
        return low.weights.cycles * turns((part, width), form) / turns((whole, width), form)
    if op.kind == "DEPTHWISE_CONV_2D":
        return depthwise.cycles(graph, op, rows)
    return None


def band_cycles(graph: Graph, found: Survey) -> float:
    """What the pieces of a band cost more than its ops run whole."""
    f = facts(graph)
    extra = _PER_BYTE_MOVED * found.moved
    for (i, rows), n in Counter((p.op, _rows(graph, p)) for p in found.pieces).items():
        extra += n * (_PER_CALL + _work(graph, graph.ops[i], rows))
        r = f.reach[i]
        if r is not None and r.adds:
            extra += n * _PER_SUM * graph.tensors[graph.ops[i].outputs[0]].elements
    whole = sum(op_cycles(graph, graph.ops[i]) for i in {p.op for p in found.pieces})
    return max(0.0, extra - whole)  # less is a rounding of the estimates, no reason to have a band


def _rows(graph: Graph, piece: Piece) -> int:
    """Those that it makes, or adds up."""
    r = facts(graph).reach[piece.op]
    return piece.bottom - piece.top if r is not None and r.adds else piece.end - piece.first


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
    s = survey(graph, band)
    if any(p.bottom <= p.top for p in s.pieces):
        return None
    buffers = sum(n * facts(graph).row_bytes[t] for t, n in s.windows.items())
    live = buffers + lows[band.last].sums + max(low.scratch for low in lows[band.first : band.last + 1])
    live += sum(v.bytes for v in found if v.first < band.first <= v.last)
    live += sum(v.bytes for v in found if band.first <= v.first <= band.last < v.last)
    y = graph.ops[band.last].outputs[0]
    size = graph.tensors[y].bytes
    live += size if found[owner[y]].last <= band.last else 0
    dying = [(found[owner[x]].bytes, n) for x, n in s.ahead.items() if found[owner[x]].last <= band.last]
    live -= max((0, *(saved(x, size, n) for x, n in dying)))
    return _Choice(band.first, band.last, live, band_cycles(graph, s), band.rows, buffers)


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
    return min(fast, _smallest(paths, arena, math.inf), key=arena)


class _Paths:
    """Ways through the graph, by the most bytes that they may use."""

    def __init__(self, graph: Graph, flavour: str, cycles: float, most_extra: float) -> None:
        whole = _whole(graph, flavour)
        banded = _banded(graph, flavour, max(c.live for c in whole), most_extra)
        self.cycles = round(cycles)
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
        return None if end is None else Schedule(end[2], round(end[0]), self.cycles)


def _smallest(paths: _Paths, arena: Callable[[Schedule], int], most_extra: float) -> Schedule:
    """The schedule of the smallest arena for at most `most_extra` cycles."""

    def possible(level: int) -> bool:
        found = paths.cheapest(level)
        return found is not None and found.extra_cycles <= most_extra

    least = bisect_left(paths.levels, True, key=possible)
    near = [s for level in paths.levels[least : least + _TRIES] if (s := paths.cheapest(level))]
    near.append(Schedule((), 0, paths.cycles))  # what lies where decides: plans differ from estimates
    return min(near, key=lambda s: (arena(s), s.extra_cycles))
