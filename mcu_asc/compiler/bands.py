"""Bands: ops that run a few rows at a time, so that what lies between them never exists as a whole.

A band is a run of ops whose output rows depend on some neighbouring input rows each: convolutions, pools,
element-wise ops.  `trace` pulls it: each piece of the last op asks its inputs for the rows that it reads,
these ask theirs, and so on, at most `rows` rows a call.  No row is computed twice, so a band does exactly the
work of its ops one by one, and gives the same bytes.

A tensor between two ops of the band keeps a contiguous window of rows, as many as are ever needed at once;
when the next rows do not fit behind the others, those still needed are moved to its start.  A kernel thus
sees an ordinary tensor of a few rows, with its own padding above and none inside.

An op that adds up all rows, a MEAN or a pool over the whole image, ends a band: each of its pieces takes the
rows at hand into sums that it keeps, the last one writes the output.

Rows are axis 1 of (1, rows, columns, channels): time, in what the front end gives.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

from mcu_asc.compiler.lower import lower
from mcu_asc.compiler.ops.base import Lowered
from mcu_asc.compiler.ops.binary import Loops, loops
from mcu_asc.compiler.ops.conv import Window
from mcu_asc.compiler.ops.pool import covers_image
from mcu_asc.compiler.ops.reduce import Reduce
from mcu_asc.nouns import Band, Graph, Op

_NEVER = 1 << 60

# ---- which rows an op reads ------------------------------------------------------------------------


@dataclass(frozen=True)
class Reach:
    """Output row i reads those of input rows i * stride - pad .. i * stride - pad + size - 1 that exist."""

    size: int
    stride: int
    pad: int
    adds: bool = False  # input rows go into sums as they come; after the last one these become the output


_SAME_ROW = Reach(1, 1, 0)
_ADDED = Reach(1, 1, 0, adds=True)


def _window(graph: Graph, op: Op) -> Reach | None:
    a = op.attrs
    return Reach((a.size[0] - 1) * a.dilation[0] + 1, a.stride[0], a.pad[0])


def _pooled(graph: Graph, op: Op) -> Reach | None:
    return _ADDED if covers_image(graph, op) else _window(graph, op)


def _summed(graph: Graph, op: Op) -> Reach | None:
    """Sums over rows, whatever else they go over."""
    return _ADDED if op.attrs.sizes[0] == 1 < graph.tensors[op.inputs[0]].shape[1] else None


def _row_by_row(graph: Graph, op: Op) -> Reach | None:
    """Element-wise ops; a constant may be repeated over the rows, not differ from row to row."""
    shape = graph.tensors[op.outputs[0]].shape
    for t in (graph.tensors[i] for i in op.inputs):
        if t.data is None and t.shape != shape:
            return None
        if t.data is not None and len(t.shape) >= 3 and t.shape[-3] != 1:
            return None
    return _SAME_ROW


def _joined(graph: Graph, op: Op) -> Reach | None:
    """Concatenations within a row."""
    return _SAME_ROW if op.attrs.axis in (2, 3) else None


_REACH: Mapping[str, Callable[[Graph, Op], Reach | None]] = {
    "CONV_2D": _window,
    "DEPTHWISE_CONV_2D": _window,
    "AVERAGE_POOL_2D": _pooled,
    "MAX_POOL_2D": _window,
    "MEAN": _summed,
    "SUM": _summed,
    "CONCATENATION": _joined,
    **dict.fromkeys(
        (
            *("ADD", "SUB", "MUL", "PRELU", "MINIMUM", "MAXIMUM"),
            *("QUANTIZE", "RELU", "RELU6", "LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH"),
        ),
        _row_by_row,
    ),
}


def _reach(graph: Graph, op: Op) -> Reach | None:
    rule = _REACH.get(op.kind)
    moving = [graph.tensors[i] for i in op.inputs if i >= 0 and graph.tensors[i].data is None]
    if rule is None or not moving or any(len(t.shape) != 4 or t.shape[0] != 1 for t in moving):
        return None
    return rule(graph, op)


@dataclass(frozen=True)
class Facts:
    """What is asked of a graph again and again."""

    reach: tuple[Reach | None, ...]  # per op: how its output rows depend on its input's; None: not by rows
    feeds: tuple[tuple[int, ...], ...]  # per op: the activations that it reads, in order, each once
    readers: Mapping[int, tuple[int, ...]]  # tensor -> the ops that read it, in order
    heights: tuple[int, ...]  # per tensor: rows
    row_bytes: tuple[int, ...]  # per tensor
    turns: tuple[int, ...]  # per op: the rows that it makes, or adds up

    def joins(self, first: int, last: int) -> bool:
        """Whether these ops can be a band."""
        reach = self.reach[first : last + 1]
        return None not in reach and not any(r and r.adds for r in reach[:-1])


@lru_cache(maxsize=4)
def facts(graph: Graph) -> Facts:
    feeds = tuple(
        tuple(dict.fromkeys(i for i in op.inputs if i >= 0 and graph.tensors[i].data is None))
        for op in graph.ops
    )
    readers: dict[int, list[int]] = {}
    for op in graph.ops:
        for t in feeds[op.index]:
            readers.setdefault(t, []).append(op.index)
    heights = tuple(t.shape[1] if len(t.shape) == 4 else 1 for t in graph.tensors)
    reach = tuple(_reach(graph, op) for op in graph.ops)
    return Facts(
        reach,
        feeds,
        {t: tuple(ops) for t, ops in readers.items()},
        heights,
        tuple(t.bytes // n for t, n in zip(graph.tensors, heights, strict=True)),
        tuple(
            heights[feeds[op.index][0] if r and r.adds else op.outputs[0]]
            for op, r in zip(graph.ops, reach, strict=True)
        ),
    )


# ---- pulling ---------------------------------------------------------------------------------------


class Piece(NamedTuple):
    """One call: output rows first .. end - 1 of `op`, from input rows top .. bottom - 1."""

    op: int
    first: int
    end: int
    top: int
    bottom: int
    pad: int  # rows of padding above the first input row
    opens: bool = False  # sums begin with these rows; they become the output's row where the piece has one


class Step(NamedTuple):
    """A piece, and where its rows lie.  Rows are counted from the start of each tensor's buffer."""

    piece: Piece
    inputs: tuple[int, ...]  # first input row, one per activation read
    output: int  # first output row
    move: tuple[int, int] | None  # before it, in the output's buffer: (first row, how many) to its start


@dataclass(frozen=True)
class Trace:
    """How a band runs."""

    band: Band
    steps: tuple[Step, ...]
    windows: Mapping[int, int]  # tensor -> rows of its line buffer; the other tensors are whole
    ahead: Mapping[int, int]  # whole input -> bytes by which the output, written over it, must lie below


@lru_cache(maxsize=32)
def trace(graph: Graph, band: Band) -> Trace:
    """The pieces of `band` in order, the sizes of its line buffers, and where rows lie in them."""
    s = survey(graph, band)
    return Trace(band, _lay(graph, band, s.pieces, s.windows), s.windows, s.ahead)


@dataclass(frozen=True)
class Survey:
    """What is needed to choose between bands; `windows` and `ahead` as in a `Trace`."""

    pieces: Sequence[Piece]
    windows: Mapping[int, int]
    ahead: Mapping[int, int]
    moved: int  # bytes of rows that make room in line buffers, at most


def survey(graph: Graph, band: Band) -> Survey:
    """How a band would run, but for where its rows lie."""
    readers = facts(graph).readers
    inside = {op.outputs[0] for op in graph.ops[band.first : band.last]}
    lines = {
        t for t in inside if t not in graph.outputs and all(r <= band.last for r in readers.get(t, (_NEVER,)))
    }
    pieces = _pull(graph, band, keep=inside - lines)
    return Survey(pieces, *_needs(graph, band, pieces, lines))


def _pull(graph: Graph, band: Band, keep: Collection[int]) -> list[Piece]:
    """All pieces in the order in which they run; tensors in `keep` are made to their last row."""
    f = facts(graph)
    ops = graph.ops[band.first : band.last + 1]
    makers = {op.outputs[0]: op.index for op in ops}
    feeds = {op.index: [makers[t] for t in f.feeds[op.index] if t in makers] for op in ops}
    done = [0] * len(graph.ops)
    pieces: list[Piece] = []

    def make(i: int, upto: int) -> None:
        r, height = f.reach[i], f.heights[f.feeds[i][0]]
        assert r is not None
        first = done[i]
        while first < upto:
            end = min(first + band.rows, upto)
            top = first * r.stride - r.pad
            bottom = min((end - 1) * r.stride - r.pad + r.size, height)
            for maker in feeds[i]:
                if done[maker] < bottom:
                    make(maker, bottom)
            if r.adds:
                pieces.append(Piece(i, 0, int(end == height), top, bottom, 0, opens=top == 0))
            else:
                pieces.append(Piece(i, first, end, max(top, 0), bottom, max(-top, 0)))
            done[i] = first = end

    for op in reversed(ops):
        if op.index == band.last or op.outputs[0] in keep:
            make(op.index, f.turns[op.index])
    return pieces


class _Reading:
    """While pieces go by: the first row of each tensor that some op of the band has yet to read."""

    def __init__(self, graph: Graph, band: Band, pieces: Sequence[Piece]) -> None:
        self._next = dict.fromkeys(range(band.first, band.last + 1), _NEVER)  # op -> top of its next piece
        self._after: list[int] = []  # per piece: top of the same op's next one
        for p in reversed(pieces):
            self._after.append(self._next[p.op])
            self._next[p.op] = p.top
        inside = {t for i in self._next for t in (*facts(graph).feeds[i], graph.ops[i].outputs[0])}
        readers = facts(graph).readers
        self._readers = {t: [i for i in readers.get(t, ()) if i in self._next] for t in inside}

    def first(self, tensor: int) -> int:
        """_NEVER where all is read."""
        ops = self._readers[tensor]
        return self._next[ops[0]] if len(ops) == 1 else min((self._next[i] for i in ops), default=_NEVER)

    def done(self, piece: Piece) -> None:
        """The next piece, which this must be, has run."""
        self._next[piece.op] = self._after.pop()


def _needs(
    graph: Graph, band: Band, pieces: Sequence[Piece], lines: Collection[int]
) -> tuple[dict[int, int], dict[int, int], int]:
    """(rows of each line buffer, bytes that the output must lie below each whole input, bytes moved)"""
    f = facts(graph)
    made = [op.outputs[0] for op in graph.ops[band.first : band.last + 1]]
    output = made[-1]
    whole = {t for i in range(band.first, band.last + 1) for t in f.feeds[i]} - set(made)
    windows, ahead = dict.fromkeys(sorted(lines), 0), dict.fromkeys(sorted(whole), 0)
    reading, moved = _Reading(graph, band, pieces), 0
    for p in pieces:
        t = made[p.op - band.first]
        if t in windows:
            needed = min(reading.first(t), p.first)
            windows[t] = max(windows[t], p.end - needed)
            moved += (p.first - needed) * f.row_bytes[t]
        elif t == output:
            for x in ahead:
                below = p.end * f.row_bytes[t] - reading.first(x) * f.row_bytes[x]
                ahead[x] = max(ahead[x], below)
        reading.done(p)
    return windows, ahead, moved


def _lay(graph: Graph, band: Band, pieces: Sequence[Piece], windows: Mapping[int, int]) -> tuple[Step, ...]:
    """Where each piece finds and puts its rows, and what moves before it."""
    feeds = facts(graph).feeds
    start = dict.fromkeys(windows, 0)  # the row at a line buffer's start
    reading = _Reading(graph, band, pieces)
    steps = []
    for p in pieces:
        t, move = graph.ops[p.op].outputs[0], None
        if t in windows and p.end - start[t] > windows[t]:
            base = min(reading.first(t), p.first)
            if base < p.first:
                move = (base - start[t], p.first - base)
            start[t] = base
        steps.append(
            Step(p, tuple(p.top - start.get(x, 0) for x in feeds[p.op]), p.first - start.get(t, 0), move)
        )
        reading.done(p)
    return tuple(steps)


# ---- a piece as an op of its own -------------------------------------------------------------------


def part(graph: Graph, piece: Piece) -> Graph:
    """A graph of one op: the piece's, on tensors of just its rows.  What any flavour's kernels can lower."""
    op, f = graph.ops[piece.op], facts(graph)
    reach, all_rows = f.reach[op.index], f.turns[op.index]
    assert reach is not None
    heights = dict.fromkeys(f.feeds[op.index], piece.bottom - piece.top)
    if not reach.adds:
        heights[op.outputs[0]] = piece.end - piece.first
    tensors = list(graph.tensors)
    for t, rows in heights.items():
        n, _, *rest = tensors[t].shape
        tensors[t] = replace(tensors[t], shape=(n, rows, *rest))
    attrs: Any = op.attrs
    if isinstance(attrs, Loops):
        shapes = (tensors[i].shape for i in (op.outputs[0], *op.inputs))
        nested = loops(*shapes)
        assert nested is not None
        attrs = replace(attrs, sizes=nested[0], a_steps=nested[1], b_steps=nested[2])
    elif isinstance(attrs, Reduce):
        outer, values, *inner = attrs.sizes
        sizes = (outer, values // all_rows * (piece.bottom - piece.top), *inner)
        attrs = replace(attrs, sizes=sizes)
    elif isinstance(attrs, Window) and not reach.adds:
        attrs = replace(attrs, pad=(piece.pad, attrs.pad[1]))
    return replace(
        graph,
        tensors=tuple(tensors),
        ops=(replace(op, attrs=attrs),),
        whole=graph,
        opens=piece.opens or not reach.adds,
        closes=piece.end > piece.first,
    )


class Shape(NamedTuple):
    """What a piece's kernel parameters depend on; pieces of one shape share them."""

    op: int
    rows_in: int
    pad: int
    rows_out: int
    opens: bool


def shape_of(piece: Piece) -> Shape:
    return Shape(piece.op, piece.bottom - piece.top, piece.pad, piece.end - piece.first, piece.opens)


@lru_cache(maxsize=32)
def lowered(graph: Graph, band: Band, flavour: str) -> Mapping[Shape, Lowered]:
    """Every shape of piece in the band as the kernels of `flavour` run it."""
    pieces = {shape_of(s.piece): s.piece for s in trace(graph, band).steps}
    return {shape: lower(part(graph, p), flavour)[0] for shape, p in sorted(pieces.items())}
