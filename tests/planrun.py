"""A plan carried out byte by byte in Python: who reads what must find it there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mcu_asc.compiler import overlap
from mcu_asc.compiler.bands import facts, trace
from mcu_asc.compiler.lower import lower
from mcu_asc.compiler.ops import OPS
from mcu_asc.compiler.ops.base import Lowered
from mcu_asc.nouns import Band, Graph, MemoryPlan, Op

_NOTHING = -1
_SUMS = 1 << 62


class Memory:
    """An arena in which each byte knows whose it is."""

    def __init__(self, graph: Graph, plan: MemoryPlan) -> None:
        self.graph, self.plan = graph, plan
        self.owner: NDArray[np.int64] = np.full(plan.arena_bytes, _NOTHING, np.int64)
        self.moved: dict[int, int] = {}  # tensor -> offset, while it lies elsewhere

    def place(self, tensor: int, first: int, end: int, at: int) -> tuple[slice, NDArray[np.int64]]:
        """Where rows first .. end - 1 lie when the first is the buffer's row `at`, and who they are."""
        f = facts(self.graph)
        start = self.moved.get(tensor, self.plan.offsets[tensor]) + at * f.row_bytes[tensor]
        size = (end - first) * f.row_bytes[tensor]
        assert start >= 0 and start + size <= self.plan.arena_bytes
        same = self.name(tensor)
        return slice(start, start + size), same * (1 << 32) + first * f.row_bytes[tensor] + np.arange(size)

    def name(self, tensor: int) -> int:
        """Reshapes are their source."""
        for op in reversed(self.graph.ops):
            if op.outputs[0] == tensor and OPS[op.kind].alias:
                return self.name(op.inputs[0])
        return tensor

    def write(self, tensor: int, first: int, end: int, at: int) -> slice:
        where, who = self.place(tensor, first, end, at)
        self.owner[where] = who
        return where

    def read(self, tensor: int, first: int, end: int, at: int) -> slice:
        where, who = self.place(tensor, first, end, at)
        assert np.array_equal(self.owner[where], who), f"tensor {tensor} rows {first}..{end} were overwritten"
        return where

    def shift(self, op: int) -> None:
        """What has to make room before the op does."""
        for m in self.plan.moves:
            if m.op == op:
                source = self.read(m.tensor, 0, facts(self.graph).heights[m.tensor], 0)
                assert source.stop - source.start == m.bytes
                self.owner[m.target : m.target + m.bytes] = self.owner[source].copy()
                self.moved[m.tensor] = m.target

    def keep(self, op: int, opens: bool) -> None:
        """The op's sums are there from its first piece on."""
        start, size = self.plan.sums[op]
        assert start >= 0 and start % 16 == 0 and start + size <= self.plan.arena_bytes
        if opens:
            self.owner[start : start + size] = _SUMS + op
        assert np.all(self.owner[start : start + size] == _SUMS + op), f"sums of op {op} were overwritten"

    def spoil(self, op: int) -> None:
        """The op's scratch holds nothing that anybody may want."""
        if op in self.plan.scratch:
            start, size = self.plan.scratch[op]
            assert start >= 0 and start % 16 == 0 and start + size <= self.plan.arena_bytes
            self.owner[start : start + size] = _NOTHING


def apart(a: slice, b: slice) -> bool:
    return bool(a.stop <= b.start or b.stop <= a.start)


def may_overlap(graph: Graph, op: Op, low: Lowered, tensor: int, source: slice, target: slice) -> bool:
    if source == target:
        return (
            tensor in [op.inputs[p] for p in overlap.in_place(graph, op, low)]
            or overlap.ahead(graph, op, low) == 0
        )
    below = overlap.ahead(graph, op, low)
    return tensor == op.inputs[0] and below is not None and source.start - target.start >= below


def run(graph: Graph, plan: MemoryPlan, flavour: str = "ref") -> None:
    """Every op and piece in order; fails where one reads what is no longer there."""
    f, memory, lows = facts(graph), Memory(graph, plan), lower(graph, flavour)
    bands = {b.first: b for b in plan.schedule.bands}
    height = f.heights
    assert all(offset % 16 == 0 for offset in plan.offsets.values())
    for t in graph.inputs:
        memory.write(t, 0, height[t], 0)
    i = 0
    while i < len(graph.ops):
        if i in bands:
            run_band(graph, plan, bands[i], memory)
            i = bands[i].last + 1
            continue
        op = graph.ops[i]
        memory.shift(i)
        memory.spoil(i)
        sources = [(t, memory.read(t, 0, height[t], 0)) for t in f.feeds[i]]
        for out in op.outputs if not OPS[op.kind].alias else ():
            target = memory.place(out, 0, height[out], 0)[0]
            assert all(apart(s, target) or may_overlap(graph, op, lows[i], t, s, target) for t, s in sources)
            memory.write(out, 0, height[out], 0)
        memory.moved.clear()
        i += 1
    for t in graph.outputs:
        memory.read(t, 0, height[t], 0)


def run_band(graph: Graph, plan: MemoryPlan, band: Band, memory: Memory) -> None:
    f = facts(graph)
    memory.shift(band.first)
    for step in trace(graph, band).steps:
        p = step.piece
        out = graph.ops[p.op].outputs[0]
        if step.move:
            first, count = step.move
            size = f.row_bytes[out]
            start = plan.offsets[out]
            rows = memory.owner[start + first * size : start + (first + count) * size].copy()
            memory.owner[start : start + count * size] = rows
        memory.spoil(p.op)
        if p.op in plan.sums:
            memory.keep(p.op, p.opens)
        pairs = zip(f.feeds[p.op], step.inputs, strict=True)
        sources = [memory.read(t, p.top, p.bottom, at) for t, at in pairs]
        target = memory.write(out, p.first, p.end, step.output)
        assert all(apart(s, target) for s in sources)
    memory.moved.clear()
