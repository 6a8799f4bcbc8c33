"""Where each activation lies in the arena.

Buffers are tensors that share bytes: a reshape's input and output, and an element-wise op's output with
an input that nobody reads afterwards.  Each lives from the op that writes it to the last that reads it;
scratch lives during its op.  Placement is greedy best fit, tried in several orders; the smallest wins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from mcu_asc.compiler.lower import lower
from mcu_asc.compiler.ops import OPS
from mcu_asc.nouns import Graph, MemoryPlan

ALIGN = 16


@dataclass(frozen=True)
class Buffer:
    """Bytes that are in use from op `first` to op `last`, both included."""

    size: int
    first: int
    last: int


def plan(graph: Graph, flavour: str = "ref") -> MemoryPlan:
    """Offsets for every activation and scratch area of `graph`, run by the kernels of `flavour`."""
    owner, buffers = _buffers(graph)
    scratch = {op.index: low.scratch for op, low in zip(graph.ops, lower(graph, flavour), strict=True)}
    areas = [i for i, n in scratch.items() if n > 0]
    buffers += [Buffer(scratch[i], i, i) for i in areas]
    offsets = place(buffers)
    live = live_bytes(buffers, len(graph.ops))
    first_area = len(buffers) - len(areas)
    return MemoryPlan(
        offsets={t: offsets[b] for t, b in sorted(owner.items())},
        scratch={op: (offsets[first_area + i], scratch[op]) for i, op in enumerate(areas)},
        arena_bytes=arena_bytes(buffers, offsets),
        live_bytes=live,
        peak_op=live.index(max(live)),
    )


def _buffers(graph: Graph) -> tuple[dict[int, int], list[Buffer]]:
    """(tensor -> buffer, buffers) with shared bytes merged."""
    last: dict[int, int] = dict.fromkeys(graph.inputs, 0)
    for op in graph.ops:
        for t in op.inputs:
            if t >= 0 and graph.tensors[t].data is None:
                last[t] = op.index
        for t in op.outputs:
            last[t] = op.index
    for t in graph.outputs:
        last[t] = len(graph.ops) - 1
    owner: dict[int, int] = {}
    buffers: list[Buffer] = []

    def own(tensor: int, first: int) -> None:
        owner[tensor] = len(buffers)
        buffers.append(Buffer(graph.tensors[tensor].bytes, first, last[tensor]))

    def join(tensor: int, source: int) -> None:
        b = owner[tensor] = owner[source]
        old = buffers[b]
        buffers[b] = Buffer(old.size, old.first, max(old.last, last[tensor]))

    for t in graph.inputs:
        own(t, 0)
    for op in graph.ops:
        kind, out = OPS[op.kind], op.outputs[0]
        if kind.alias:
            join(out, op.inputs[0])
            continue
        for position in kind.in_place(graph, op):
            source = op.inputs[position]
            # the whole buffer, aliases included, must have no later reader
            if source in owner and buffers[owner[source]].last == op.index and _fits(graph, source, out):
                join(out, source)
                break
        else:
            own(out, op.index)
    return owner, buffers


def _fits(graph: Graph, source: int, out: int) -> bool:
    return graph.tensors[source].bytes == graph.tensors[out].bytes


def _round_up(n: int) -> int:
    return -(-n // ALIGN) * ALIGN


def live_bytes(buffers: Sequence[Buffer], ops: int) -> tuple[int, ...]:
    """Bytes in use during each op."""
    change = [0] * (ops + 1)
    for b in buffers:
        change[b.first] += b.size
        change[b.last + 1] -= b.size
    return tuple(accumulate(change[:ops]))


def arena_bytes(buffers: Sequence[Buffer], offsets: Sequence[int]) -> int:
    return max((o + _round_up(b.size) for b, o in zip(buffers, offsets, strict=True)), default=0)


def place(buffers: Sequence[Buffer]) -> list[int]:
    """An offset per buffer, multiples of 16; buffers in use at the same op never overlap."""
    ops = 1 + max((b.last for b in buffers), default=0)
    live = live_bytes(buffers, ops)
    orders: tuple[Callable[[int], tuple[int, ...]], ...] = (
        lambda i: (-buffers[i].size, buffers[i].first),
        lambda i: (-max(live[buffers[i].first : buffers[i].last + 1]), -buffers[i].size),
        lambda i: (-buffers[i].size * (buffers[i].last - buffers[i].first + 1), buffers[i].first),
        lambda i: (buffers[i].first, -buffers[i].size),
        lambda i: (-buffers[i].last, -buffers[i].size),
    )
    tries = [_greedy(buffers, sorted(range(len(buffers)), key=order)) for order in orders]
    return min(tries, key=lambda offsets: arena_bytes(buffers, offsets))


def _greedy(buffers: Sequence[Buffer], order: Sequence[int]) -> list[int]:
    """Each buffer in the smallest gap that holds it, between those already placed that live with it."""
    offsets = [0] * len(buffers)
    placed: list[int] = []
    for i in order:
        b = buffers[i]
        taken = sorted(
            (offsets[j], offsets[j] + _round_up(buffers[j].size))
            for j in placed
            if buffers[j].first <= b.last and b.first <= buffers[j].last
        )
        best, best_gap, end = None, None, 0
        for low, high in taken:
            gap = low - end
            if gap >= b.size and (best_gap is None or gap < best_gap):
                best, best_gap = end, gap
            end = max(end, high)
        offsets[i] = end if best is None else best
        placed.append(i)
    return offsets
