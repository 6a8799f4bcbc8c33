"""Where each activation lies in the arena.

Time runs in segments: an op run whole, or a band (bands.py).  Buffers are tensors that share bytes: a
reshape's input and output, and an element-wise op's output with an input that nobody reads afterwards; line
buffers, sums and scratch live during their segment.  Each buffer lives from the segment that writes it to
the last that reads it.  A band's output may lie over its input, some bytes below, because its rows come out
after the input's rows have gone in, and so may that of an op whose kernel works in order (overlap.py); an
input that lies too low for that is moved up first, where it pays.  Placement is greedy best fit, tried in
several orders; the smallest wins.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from mcu_asc.compiler import bands, overlap
from mcu_asc.compiler.lower import base, lower, within
from mcu_asc.compiler.ops import OPS
from mcu_asc.compiler.ops.base import Lowered
from mcu_asc.compiler.schedule import lives, saved
from mcu_asc.compiler.schedule import schedule as choose
from mcu_asc.nouns import Band, Graph, MemoryPlan, Move, Op, Schedule

ALIGN = 16
_REPAIRS = 12  # of each order
_SCRATCH = (32_768, 16_384, 8_192, 4_096, 2_048, 1_024)  # limits for a kernel where RAM is short


@dataclass(frozen=True)
class Buffer:
    """Bytes that are in use from segment `first` to segment `last`, both included."""

    size: int
    first: int
    last: int


Overlaps = Mapping[tuple[int, int], int]
"""(buffer y, buffer x) -> bytes: y may lie over x if it starts at least so many bytes below."""


def plan(
    graph: Graph, flavour: str = "ref", ram_limit: int | None = None, schedule: Schedule | None = None
) -> MemoryPlan:
    """Offsets for every activation and scratch area of `graph`, run by the kernels of `flavour`.

    ram_limit  bytes that the arena should fit into; where it does not, kernels that need much scratch are
               left out, and the flavour that remains is the plan's
    schedule   which ops run in bands; by default the smallest arena for at most 2 % more cycles, or what
               `ram_limit` asks for beyond that (schedule.py states the rule); Schedule() runs all ops whole
    """
    if schedule is None:

        def arena(candidate: Schedule) -> int:
            return _plan(graph, flavour, candidate).arena_bytes

        schedule = choose(graph, flavour, ram_limit, arena)
        if ram_limit is not None and arena(schedule) > ram_limit:
            return _frugal(graph, flavour, ram_limit, _plan(graph, flavour, schedule))
    return _plan(graph, flavour, schedule)


def _frugal(graph: Graph, flavour: str, ram_limit: int, best: MemoryPlan) -> MemoryPlan:
    """With kernels that need less and less scratch, until it fits; else the smallest arena."""
    if base(flavour) != flavour:
        return best
    for scratch in _SCRATCH:
        if scratch < max(low.scratch for low in lower(graph, flavour)):
            best = min(best, plan(graph, within(flavour, scratch), ram_limit), key=lambda p: p.arena_bytes)
        if best.arena_bytes <= ram_limit:
            break
    return best


class _Layout:
    """Buffers in the making: what shares bytes, who lives when, who may lie over whom."""

    def __init__(self, graph: Graph, segments: Sequence[int]) -> None:
        self.graph, self.segments = graph, segments
        self.buffers: list[Buffer] = []
        self.owner: dict[int, int] = {}  # tensor -> buffer
        self.scratch: dict[int, tuple[int, int]] = {}  # op -> (buffer, bytes)
        self.sums: dict[int, tuple[int, int]] = {}  # likewise
        self.overlaps: dict[tuple[int, int], int] = {}
        self.movable: dict[int, tuple[int, int]] = {}  # buffer -> (op, tensor) that end it
        self.windows: dict[int, int] = {}  # tensor -> rows
        self._life_of, self._lives = lives(graph)
        self._buffer_of_life: dict[int, int] = {}

    def whole(self, op: Op, low: Lowered) -> None:
        """An op that runs at once."""
        now, out, last = self.segments[op.index], op.outputs[0], self._dying(op)
        for position in overlap.in_place(self.graph, op, low):
            source = op.inputs[position]
            if source in last and self.graph.tensors[source].bytes == self.graph.tensors[out].bytes:
                self._join(out, last.pop(source))
                break
        for t in op.outputs:
            self.own(t)
        self.movable |= {b: (op.index, t) for t, b in last.items()}
        below = overlap.ahead(self.graph, op, low)
        if below is not None and op.inputs[0] in last:
            self._over({op.inputs[0]: below}, out)
        if low.scratch > 0:
            self.scratch[op.index] = (self._add(low.scratch, now, now), low.scratch)

    def band(self, band: Band, flavour: str) -> None:
        """Ops that run in turns."""
        trace, now = bands.trace(self.graph, band), self.segments[band.first]
        last: dict[int, int] = {}
        for op in self.graph.ops[band.first : band.last + 1]:
            last |= {t: b for t, b in self._dying(op).items() if t in trace.ahead}
            out = op.outputs[0]
            if out in trace.windows:
                size = trace.windows[out] * bands.facts(self.graph).row_bytes[out]
                self.windows[out] = trace.windows[out]
                self.owner[out] = self._add(size, now, now)
            else:
                self.own(out)
        self.movable |= {b: (band.first, t) for t, b in last.items()}
        self._over({t: trace.ahead[t] for t in last}, self.graph.ops[band.last].outputs[0])
        pieces = bands.lowered(self.graph, band, flavour)
        most = max(low.scratch for low in pieces.values())
        if most > 0:  # one area for all: they run one after the other
            area = self._add(most, now, now)
            self.scratch |= {shape.op: (area, most) for shape in pieces}
        kept = max(low.sums for low in pieces.values())
        if kept > 0:
            self.sums[band.last] = (self._add(kept, now, now), kept)

    def own(self, t: int) -> None:
        """Give the tensor its buffer: a new one, unless it is a reshape of one that has it."""
        number = self._life_of[t]
        if number not in self._buffer_of_life:
            life = self._lives[number]
            first = self.segments[life.first] if life.first >= 0 else 0
            self._buffer_of_life[number] = self._add(life.bytes, first, self.segments[life.last])
        self.owner[t] = self._buffer_of_life[number]

    def _add(self, size: int, first: int, last: int) -> int:
        self.buffers.append(Buffer(size, first, last))
        return len(self.buffers) - 1

    def _join(self, t: int, b: int) -> None:
        """Let the tensor live on in a buffer that ends."""
        old, number = self.buffers[b], self._life_of[t]
        self._buffer_of_life[number] = b
        self.buffers[b] = Buffer(old.size, old.first, self.segments[self._lives[number].last])

    def _dying(self, op: Op) -> dict[int, int]:
        """Activations whose whole buffer, aliases included, has no later reader -> that buffer."""
        owners = {t: self.owner[t] for t in bands.facts(self.graph).feeds[op.index]}
        return {t: b for t, b in owners.items() if self.buffers[b].last == self.segments[op.index]}

    def _over(self, below: Mapping[int, int], out: int) -> None:
        """Let the output lie over the one of these inputs, so many bytes below it, that saves most by it."""
        y = self.owner[out]
        sizes = {t: self.buffers[self.owner[t]].size for t in below}
        gains = {t: saved(sizes[t], self.buffers[y].size, n) for t, n in below.items()}
        if gains and max(gains.values()) > 0:
            x = max(gains, key=lambda t: gains[t])
            self.overlaps[y, self.owner[x]] = below[x]


@lru_cache(maxsize=64)
def _plan(graph: Graph, flavour: str, schedule: Schedule) -> MemoryPlan:
    segments = _segments(graph, schedule)
    layout = _layout(graph, flavour, schedule, segments)
    live = live_bytes(layout.buffers, 1 + max(segments, default=-1), layout.overlaps)
    buffers, overlaps, moved = _unstick(layout, max(live, default=0))
    offsets = place(buffers, overlaps)
    by_op = tuple(live[s] for s in segments)
    return MemoryPlan(
        offsets={t: offsets[b] for t, b in sorted(layout.owner.items())},
        scratch={op: (offsets[b], size) for op, (b, size) in sorted(layout.scratch.items())},
        sums={op: (offsets[b], size) for op, (b, size) in sorted(layout.sums.items())},
        arena_bytes=arena_bytes(buffers, offsets),
        live_bytes=by_op,
        peak_op=by_op.index(max(by_op)),
        schedule=schedule,
        windows=layout.windows,
        flavour=flavour,
        moves=tuple(
            Move(op, t, offsets[copy], graph.tensors[t].bytes)
            for b, (op, t) in sorted(layout.movable.items())
            if (copy := moved.get(b)) is not None and offsets[copy] != offsets[b]
        ),
    )


def _unstick(layout: _Layout, bound: int) -> tuple[list[Buffer], dict[tuple[int, int], int], dict[int, int]]:
    """Let as few buffers as possible move before they are read last, so that the arena comes near `bound`.

    Returns the buffers, one more for each that moves, what may then overlap, and {buffer: what it moves to}.
    """
    buffers = layout.buffers

    def split(over: Collection[int]) -> tuple[list[Buffer], dict[tuple[int, int], int], dict[int, int]]:
        found, moved = list(buffers), dict[int, int]()
        for x in sorted(over):
            b = buffers[x]
            found[x] = Buffer(b.size, b.first, b.last - 1)
            moved[x] = len(found)
            found.append(Buffer(b.size, b.last, b.last))
        return found, {(y, moved.get(x, x)): n for (y, x), n in layout.overlaps.items()}, moved

    def arena(over: Collection[int]) -> int:
        found, pairs, _ = split(over)
        return arena_bytes(found, place(found, pairs))

    movable = {b for b in layout.movable if buffers[b].first < buffers[b].last}
    best: set[int] = set()
    if arena(best) > 1.02 * bound and (least := arena(movable)) < arena(best):
        best = movable
        for x in sorted(movable, key=lambda b: -buffers[b].size):
            if arena(best - {x}) <= least:
                best = best - {x}
    return split(best)


def _segments(graph: Graph, schedule: Schedule) -> list[int]:
    """The segment of each op."""
    joined = {i for band in schedule.bands for i in range(band.first + 1, band.last + 1)}
    return list(accumulate((op.index not in joined for op in graph.ops[1:]), initial=0))


def _layout(graph: Graph, flavour: str, schedule: Schedule, segments: Sequence[int]) -> _Layout:
    layout = _Layout(graph, segments)
    starts = {band.first: band for band in schedule.bands}
    banded = {i for band in schedule.bands for i in range(band.first, band.last + 1)}
    for t in graph.inputs:
        layout.own(t)
    for op, low in zip(graph.ops, lower(graph, flavour), strict=True):
        if op.index in starts:
            layout.band(starts[op.index], flavour)
        elif OPS[op.kind].alias:
            layout.own(op.outputs[0])
        elif op.index not in banded:
            layout.whole(op, low)
    return layout


def _round_up(n: int) -> int:
    return -(-n // ALIGN) * ALIGN


def live_bytes(buffers: Sequence[Buffer], segments: int, overlaps: Overlaps | None = None) -> tuple[int, ...]:
    """Bytes in use during each segment."""
    change = [0] * (segments + 1)
    for b in buffers:
        change[b.first] += b.size
        change[b.last + 1] -= b.size
    live = list(accumulate(change[:segments]))
    for (y, x), below in (overlaps or {}).items():
        live[buffers[y].first] -= saved(buffers[x].size, buffers[y].size, below)
    return tuple(live)


def arena_bytes(buffers: Sequence[Buffer], offsets: Sequence[int]) -> int:
    return max((o + _round_up(b.size) for b, o in zip(buffers, offsets, strict=True)), default=0)


def place(buffers: Sequence[Buffer], overlaps: Overlaps | None = None) -> list[int]:
    """An offset per buffer, multiples of 16; buffers in use together overlap only as `overlaps` allows."""
    segments = 1 + max((b.last for b in buffers), default=0)
    live = live_bytes(buffers, segments, overlaps)
    pairs = dict(overlaps or {})
    weight = [b.size for b in buffers]
    for y, x in pairs:  # what must lie below goes first
        weight[y] = max(weight[y], weight[x] + 1)
    span = [b.last - b.first + 1 for b in buffers]
    crowd = [max(live[b.first : b.last + 1]) for b in buffers]
    orders: tuple[Callable[[int], tuple[int, ...]], ...] = (
        lambda i: (-weight[i], buffers[i].first),
        lambda i: (-crowd[i], -weight[i]),
        lambda i: (-weight[i] * span[i], buffers[i].first),
        lambda i: (buffers[i].first, -weight[i]),
        lambda i: (-buffers[i].last, -weight[i]),
    )
    found: list[tuple[int, list[int]]] = []
    for key in orders:
        order = sorted(range(len(buffers)), key=key)
        for _ in range(_REPAIRS):
            offsets = _greedy(buffers, order, pairs)
            found.append((arena_bytes(buffers, offsets), offsets))
            if found[-1][0] <= _round_up(max(live, default=0)):
                return offsets
            # What sticks out goes first, and what must lie below it, before that.
            top = {i for i in order if offsets[i] + _round_up(buffers[i].size) == found[-1][0]}
            top |= {y for y, x in pairs if x in top}
            order = sorted(order, key=lambda i: i not in top)
    return min(found, key=lambda pair: pair[0])[1]


def _greedy(buffers: Sequence[Buffer], order: Sequence[int], overlaps: Overlaps) -> list[int]:
    """Each buffer in the smallest gap that holds it, between those already placed that live with it."""
    offsets = [0] * len(buffers)
    placed: list[int] = []
    for i in order:
        b = buffers[i]
        size = _round_up(b.size)
        # Starts from low + 1 to high - 1 are forbidden, for each j that lives with b.
        taken = []
        for j in placed:
            o = buffers[j]
            if not (o.first <= b.last and b.first <= o.last):
                continue
            below, above = size, _round_up(o.size)
            if (i, j) in overlaps:
                below = _round_up(overlaps[i, j])
            elif (j, i) in overlaps:
                above = _round_up(overlaps[j, i])
            taken.append((offsets[j] - below, offsets[j] + above))
        best, best_gap, start = None, None, 0
        for low, high in sorted(taken):
            gap = low - start
            if gap >= 0 and (best_gap is None or gap < best_gap):
                best, best_gap = start, gap
            start = max(start, high)
        offsets[i] = start if best is None else best
        placed.append(i)
    return offsets
