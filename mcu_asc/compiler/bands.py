"""Bands: ops that run a few rows at a time, so that what lies between them never exists as a whole.

A band is a run of ops whose output rows depend on some neighbouring input rows each: convolutions, pools,
element-wise ops.  `trace` pulls it: each piece of the last op asks its inputs for the rows that it reads,
these ask theirs, and so on, at most `rows` rows a call.  No row is computed twice, so a band does exactly the
work of its ops one by one, and gives the same bytes.

A tensor between two ops of the band keeps a contiguous window of rows, as many as are ever needed at once;
when the next rows do not fit behind the others, those still needed are moved to its start.  A kernel thus
sees an ordinary tensor of a few rows, with its own padding above and none inside.

Rows are axis 1 of (1, rows, columns, channels): time, in what the front end gives.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

from mcu_asc.compiler.lower import lower
from mcu_asc.compiler.ops.base import Lowered
from mcu_asc.compiler.ops.binary import loops
from mcu_asc.nouns import Band, Graph, Op

_NEVER = 1 << 60

# ---- which rows an op reads ------------------------------------------------------------------------


@dataclass(frozen=True)
class Reach:
    """Output row i reads those of input rows i * stride - pad .. i * stride - pad + size - 1 that exist."""

    size: int
    stride: int
    pad: int


_SAME_ROW = Reach(1, 1, 0)


def _window(graph: Graph, op: Op) -> Reach | None:
    a = op.attrs
    return Reach((a.size[0] - 1) * a.dilation[0] + 1, a.stride[0], a.pad[0])


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
    "AVERAGE_POOL_2D": _window,
    "MAX_POOL_2D": _window,
    "CONCATENATION": _joined,
    **dict.fromkeys(
        (
            *("ADD", "SUB", "MUL", "QUANTIZE", "RELU", "RELU6"),
            *("LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH"),
        ),
        _row_by_row,
    ),
}


def reach(graph: Graph, op: Op) -> Reach | None:
    """How the op's output rows depend on its input rows, or None where it cannot run by rows."""
    rule = _REACH.get(op.kind)
    moving = [graph.tensors[i] for i in (*op.inputs, *op.outputs) if i >= 0 and graph.tensors[i].data is None]
    if rule is None or any(len(t.shape) != 4 or t.shape[0] != 1 for t in moving):
        return None
    return rule(graph, op)


def row_bytes(graph: Graph, tensor: int) -> int:
    t = graph.tensors[tensor]
    return t.bytes // t.shape[1]


def fed_by(graph: Graph, op: Op) -> tuple[int, ...]:
    """The activations that the op reads, in order, each once."""
    return tuple(dict.fromkeys(i for i in op.inputs if i >= 0 and graph.tensors[i].data is None))


# ---- pulling ---------------------------------------------------------------------------------------


class Piece(NamedTuple):
    """One call: output rows first .. end - 1 of `op`, from input rows top .. bottom - 1."""

    op: int
    first: int
    end: int
    top: int
    bottom: int
    pad: int  # rows of padding above the first input row


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


@lru_cache(maxsize=4)
def consumers(graph: Graph) -> Mapping[int, tuple[int, ...]]:
    """tensor -> the ops that read it, in order."""
    found: dict[int, list[int]] = {}
    for op in graph.ops:
        for t in fed_by(graph, op):
            found.setdefault(t, []).append(op.index)
    return {t: tuple(ops) for t, ops in found.items()}


@lru_cache(maxsize=32)
def trace(graph: Graph, band: Band) -> Trace:
    """The pieces of `band` in order, the sizes of its line buffers, and where rows lie in them."""
    pieces, windows, ahead = survey(graph, band)
    ops = graph.ops[band.first : band.last + 1]
    return Trace(band, _lay(ops, pieces, windows, _feeds(graph, ops), consumers(graph)), windows, ahead)


def survey(graph: Graph, band: Band) -> tuple[list[Piece], dict[int, int], dict[int, int]]:
    """(pieces, windows, ahead) of a `Trace`: what is needed to choose between bands."""
    readers = consumers(graph)
    ops = graph.ops[band.first : band.last + 1]
    inside = {op.outputs[0] for op in ops if op.index < band.last}
    lines = {
        t for t in inside if t not in graph.outputs and all(r <= band.last for r in readers.get(t, (_NEVER,)))
    }
    pieces = _pull(graph, ops, band.rows, keep=inside - lines)
    return pieces, *_needs(graph, ops, pieces, lines, readers)


def _feeds(graph: Graph, ops: Sequence[Op]) -> dict[int, tuple[int, ...]]:
    return {op.index: fed_by(graph, op) for op in ops}


def _pull(graph: Graph, ops: Sequence[Op], rows: int, keep: Collection[int]) -> list[Piece]:
    """All pieces in the order in which they run; tensors in `keep` are made to their last row."""
    reaches = {op.index: reach(graph, op) for op in ops}
    makers = {op.outputs[0]: op for op in ops}
    feeds = {op.index: [makers[t] for t in fed_by(graph, op) if t in makers] for op in ops}
    heights = {op.index: graph.tensors[fed_by(graph, op)[0]].shape[1] for op in ops}
    done = dict.fromkeys(heights, 0)
    pieces: list[Piece] = []

    def make(op: Op, upto: int) -> None:
        i, r = op.index, reaches[op.index]
        assert r is not None
        while done[i] < upto:
            first = done[i]
            end = min(first + rows, upto)
            top = first * r.stride - r.pad
            bottom = min((end - 1) * r.stride - r.pad + r.size, heights[i])
            for maker in feeds[i]:
                make(maker, bottom)
            pieces.append(Piece(i, first, end, max(top, 0), bottom, max(-top, 0)))
            done[i] = end

    for op in reversed(ops):
        if op is ops[-1] or op.outputs[0] in keep:
            make(op, graph.tensors[op.outputs[0]].shape[1])
    return pieces


class _Reading:
    """While pieces go by: the first row of each tensor that some op of the band has yet to read."""

    def __init__(
        self, ops: Sequence[Op], pieces: Sequence[Piece], readers: Mapping[int, tuple[int, ...]]
    ) -> None:
        self._tops: dict[int, list[int]] = {op.index: [] for op in ops}
        for p in pieces:
            self._tops[p.op].append(p.top)
        self._next = dict.fromkeys(self._tops, 0)
        self._readers = readers

    def first(self, tensor: int) -> int:
        """_NEVER where all is read."""
        ops = [i for i in self._readers.get(tensor, ()) if i in self._tops]
        tops = ((self._tops[i], self._next[i]) for i in ops)
        return min((t[n] for t, n in tops if n < len(t)), default=_NEVER)

    def done(self, piece: Piece) -> None:
        self._next[piece.op] += 1


def _needs(
    graph: Graph,
    ops: Sequence[Op],
    pieces: Sequence[Piece],
    lines: Collection[int],
    readers: Mapping[int, tuple[int, ...]],
) -> tuple[dict[int, int], dict[int, int]]:
    """(rows of each line buffer, bytes that the output must lie below each whole input)"""
    output = ops[-1].outputs[0]
    out_of = {op.index: op.outputs[0] for op in ops}
    whole = {t for op in ops for t in fed_by(graph, op)} - set(out_of.values())
    bytes_of = {t: row_bytes(graph, t) for t in (*whole, output)}
    windows, ahead = dict.fromkeys(sorted(lines), 0), dict.fromkeys(sorted(whole), 0)
    reading = _Reading(ops, pieces, readers)
    for p in pieces:
        t = out_of[p.op]
        if t in windows:
            windows[t] = max(windows[t], p.end - min(reading.first(t), p.first))
        elif t == output:
            for x in ahead:
                ahead[x] = max(ahead[x], p.end * bytes_of[t] - reading.first(x) * bytes_of[x])
        reading.done(p)
    return windows, ahead


def _lay(
    ops: Sequence[Op],
    pieces: Sequence[Piece],
    windows: Mapping[int, int],
    inputs: Mapping[int, tuple[int, ...]],
    readers: Mapping[int, tuple[int, ...]],
) -> tuple[Step, ...]:
    """Where each piece finds and puts its rows, and what moves before it."""
    out_of = {op.index: op.outputs[0] for op in ops}
    start = dict.fromkeys((t for pair in inputs.values() for t in pair), 0)  # the row at a buffer's start
    start |= dict.fromkeys(out_of.values(), 0)
    reading = _Reading(ops, pieces, readers)
    steps = []
    for p in pieces:
        t, move = out_of[p.op], None
        if t in windows and p.end - start[t] > windows[t]:
            base = min(reading.first(t), p.first)
            if base < p.first:
                move = (base - start[t], p.first - base)
            start[t] = base
        steps.append(Step(p, tuple(p.top - start[x] for x in inputs[p.op]), p.first - start[t], move))
        reading.done(p)
    return tuple(steps)


# ---- a piece as an op of its own -------------------------------------------------------------------


def part(graph: Graph, piece: Piece) -> Graph:
    """A graph of one op: the piece's, on tensors of just its rows.  What any flavour's kernels can lower."""
    op = graph.ops[piece.op]
    heights = dict.fromkeys(fed_by(graph, op), piece.bottom - piece.top)
    heights[op.outputs[0]] = piece.end - piece.first
    tensors = list(graph.tensors)
    for t, rows in heights.items():
        n, _, *rest = tensors[t].shape
        tensors[t] = replace(tensors[t], shape=(n, rows, *rest))
    attrs: Any = op.attrs
    if op.kind in ("ADD", "SUB", "MUL"):
        shapes = (tensors[i].shape for i in (op.outputs[0], *op.inputs))
        nested = loops(*shapes)
        assert nested is not None
        attrs = replace(attrs, sizes=nested[0], a_steps=nested[1], b_steps=nested[2])
    elif _REACH[op.kind] is _window:
        attrs = replace(attrs, pad=(piece.pad, attrs.pad[1]))
    return replace(graph, tensors=tuple(tensors), ops=(replace(op, attrs=attrs),), whole=graph)


class Shape(NamedTuple):
    """What a piece's kernel parameters depend on; pieces of one shape share them."""

    op: int
    rows_in: int
    pad: int
    rows_out: int


def shape_of(piece: Piece) -> Shape:
    return Shape(piece.op, piece.bottom - piece.top, piece.pad, piece.end - piece.first)


@lru_cache(maxsize=32)
def lowered(graph: Graph, band: Band, flavour: str) -> Mapping[Shape, Lowered]:
    """Every shape of piece in the band as the kernels of `flavour` run it."""
    pieces = {shape_of(s.piece): s.piece for s in trace(graph, band).steps}
    return {shape: lower(part(graph, p), flavour)[0] for shape, p in sorted(pieces.items())}
