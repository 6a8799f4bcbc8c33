"""Where each activation lies in the arena.

Time runs in segments: an op run whole, or a band (bands.py).  Buffers are tensors that share bytes: a
reshape's input and output, and an element-wise op's output with an input that nobody reads afterwards; line
buffers and scratch live during their segment.  Each buffer lives from the segment that writes it to the last
that reads it.  A band's output may lie over its input, some bytes below, because its rows come out after the
input's rows have gone in; an input that lies too low for that is moved up first, where it pays.  Placement
is greedy best fit, tried in several orders; the smallest wins.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from mcu_asc.compiler import bands
from mcu_asc.compiler.lower import lower
from mcu_asc.compiler.ops import OPS
from mcu_asc.compiler.ops.base import Lowered
from mcu_asc.compiler.schedule import lives, saved
from mcu_asc.compiler.schedule import schedule as choose
from mcu_asc.nouns import Graph, MemoryPlan, Move, Op, Schedule

ALIGN = 16


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

    ram_limit  bytes that the arena should fit into
    schedule   which ops run in bands; by default the smallest arena for at most 2 % more cycles, or what
               `ram_limit` asks for beyond that (schedule.py states the rule); Schedule() runs all ops whole
    """
    if schedule is None:
        tried: dict[Schedule, MemoryPlan] = {}

        def arena(candidate: Schedule) -> int:
            tried.setdefault(candidate, _plan(graph, flavour, candidate))
            return tried[candidate].arena_bytes

        schedule = choose(graph, flavour, ram_limit, arena)
        if schedule in tried:
            return tried[schedule]
    return _plan(graph, flavour, schedule)


@dataclass
class _Layout:
    """Buffers in the making."""

    buffers: list[Buffer] = field(default_factory=list)
    owner: dict[int, int] = field(default_factory=dict)  # tensor -> buffer
    scratch: dict[int, tuple[int, int]] = field(default_factory=dict)  # op -> (buffer, bytes)
    overlaps: dict[tuple[int, int], int] = field(default_factory=dict)
    over: dict[int, int] = field(default_factory=dict)  # band's first op -> input that it writes over
    windows: dict[int, int] = field(default_factory=dict)

    def add(self, size: int, first: int, last: int) -> int:
        self.buffers.append(Buffer(size, first, last))
        return len(self.buffers) - 1


def _plan(graph: Graph, flavour: str, schedule: Schedule) -> MemoryPlan:
    segments = _segments(graph, schedule)
    layout = _layout(graph, flavour, schedule, segments)
    live = live_bytes(layout.buffers, 1 + max(segments, default=-1), layout.overlaps)
    buffers, overlaps, moved = _unstick(layout.buffers, layout.overlaps, max(live, default=0))
    offsets = place(buffers, overlaps)
    by_op = tuple(live[s] for s in segments)
    return MemoryPlan(
        offsets={t: offsets[b] for t, b in sorted(layout.owner.items())},
        scratch={op: (offsets[b], size) for op, (b, size) in sorted(layout.scratch.items())},
        arena_bytes=arena_bytes(buffers, offsets),
        live_bytes=by_op,
        peak_op=by_op.index(max(by_op)),
        schedule=schedule,
        windows=layout.windows,
        moves=tuple(
            Move(band, t, offsets[copy], graph.tensors[t].bytes)
            for band, t in sorted(layout.over.items())
            if (copy := moved.get(layout.owner[t])) is not None and offsets[copy] != offsets[layout.owner[t]]
        ),
    )


def _unstick(
    buffers: Sequence[Buffer], overlaps: Overlaps, bound: int
) -> tuple[list[Buffer], dict[tuple[int, int], int], dict[int, int]]:
    """Let as few inputs of bands as possible move, so that the arena comes near `bound`.

    Returns the buffers, one more for each that moves, what may then overlap, and {buffer: what it moves to}.
    """

    def split(over: Collection[int]) -> tuple[list[Buffer], dict[tuple[int, int], int], dict[int, int]]:
        found, pairs, moved = list(buffers), dict[tuple[int, int], int](), dict[int, int]()
        for (y, x), below in overlaps.items():
            if x in over:
                now = buffers[x].last
                found[x] = Buffer(buffers[x].size, buffers[x].first, now - 1)
                moved[x] = len(found)
                found.append(Buffer(buffers[x].size, now, now))
            pairs[y, moved.get(x, x)] = below
        return found, pairs, moved

    def arena(over: Collection[int]) -> int:
        found, pairs, _ = split(over)
        return arena_bytes(found, place(found, pairs))

    movable = {x for _, x in overlaps if buffers[x].first < buffers[x].last}
    best: set[int] = set()
    if arena(best) > 1.02 * bound and (least := arena(movable)) < arena(best):
        best = set(movable)
        for x in sorted(movable, key=lambda b: -buffers[b].size):
            if arena(best - {x}) <= least:
                best.remove(x)
    return split(best)


def _segments(graph: Graph, schedule: Schedule) -> list[int]:
    """The segment of each op."""
    joined = {i for band in schedule.bands for i in range(band.first + 1, band.last + 1)}
    return list(accumulate((op.index not in joined for op in graph.ops[1:]), initial=0))


def _layout(graph: Graph, flavour: str, schedule: Schedule, segments: Sequence[int]) -> _Layout:
    life_of, found = lives(graph)
    layout = _Layout()
    banded = {i: band for band in schedule.bands for i in range(band.first, band.last + 1)}
    scratch = [low.scratch for low in lower(graph, flavour)]
    buffer_of_life: dict[int, int] = {}

    def own(t: int) -> None:
        """Give the tensor its buffer: a new one, unless a reshape of it has one."""
        life = found[life_of[t]]
        if life_of[t] not in buffer_of_life:
            first = segments[life.first] if life.first >= 0 else 0
            buffer_of_life[life_of[t]] = layout.add(life.bytes, first, segments[life.last])
        layout.owner[t] = buffer_of_life[life_of[t]]

    def join(op: Op) -> bool:
        """Let the op write over an input that nobody reads afterwards, if it can."""
        out = op.outputs[0]
        for position in OPS[op.kind].in_place(graph, op):
            source = op.inputs[position]
            b = layout.owner.get(source)
            # the whole buffer, aliases included, must have no later reader
            if b is None or layout.buffers[b].last != segments[op.index] or not _fits(graph, source, out):
                continue
            old = layout.buffers[b]
            layout.buffers[b] = Buffer(old.size, old.first, segments[found[life_of[out]].last])
            buffer_of_life[life_of[out]] = b
            return True
        return False

    for t in graph.inputs:
        own(t)
    for op in graph.ops:
        out, now = op.outputs[0], segments[op.index]
        if op.index not in banded:
            if not OPS[op.kind].alias:
                join(op)
            for t in op.outputs:
                own(t)
            if scratch[op.index] > 0:
                layout.scratch[op.index] = (layout.add(scratch[op.index], now, now), scratch[op.index])
            continue
        band = banded[op.index]
        trace = bands.trace(graph, band)
        if out in trace.windows:
            layout.windows[out] = trace.windows[out]
            layout.owner[out] = layout.add(trace.windows[out] * bands.facts(graph).row_bytes[out], now, now)
        else:
            own(out)
        if op.index == band.last:
            _share_scratch(layout, bands.lowered(graph, band, flavour), now)
            _overlap(layout, trace, out, now)
    return layout


def _share_scratch(layout: _Layout, pieces: Mapping[bands.Shape, Lowered], now: int) -> None:
    """One area for all pieces of a band: they run one after the other."""
    most = max(low.scratch for low in pieces.values())
    if most > 0:
        area = layout.add(most, now, now)
        layout.scratch |= {shape.op: (area, most) for shape in pieces}


def _overlap(layout: _Layout, trace: bands.Trace, out: int, now: int) -> None:
    """Let the band's output lie over the whole input that saves most by it."""
    y = layout.owner[out]
    gains = {
        x: saved(layout.buffers[layout.owner[x]].size, layout.buffers[y].size, below)
        for x, below in trace.ahead.items()
        if layout.buffers[layout.owner[x]].last == now
    }
    if gains and max(gains.values()) > 0:
        x = max(gains, key=lambda t: gains[t])
        layout.overlaps[y, layout.owner[x]] = trace.ahead[x]
        layout.over[trace.band.first] = x


def _fits(graph: Graph, source: int, out: int) -> bool:
    return graph.tensors[source].bytes == graph.tensors[out].bytes


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
    tries = [_greedy(buffers, sorted(range(len(buffers)), key=order), pairs) for order in orders]
    return min(tries, key=lambda offsets: arena_bytes(buffers, offsets))


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
