"""A band as generated C: one function per kernel call and shape of piece, and the tables of pieces.

The loop over the tables is firmware/asc/asc_bands.c; asc_bands.h tells what their fields mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mcu_asc.compiler.bands import Shape, Step, facts, lowered, shape_of, trace
from mcu_asc.compiler.ops.base import Array, Call, Code, Lowered
from mcu_asc.nouns import Band, Graph, MemoryPlan

HEADER = "asc_bands.h"
MOVE = "asc_bands_move"
_INPUTS = 2  # places of asc_piece for inputs; the third is the output's
_LONGEST = 4  # pieces of the last op in a sequence that repeats


@dataclass(frozen=True)
class Function:
    """static void NAME(uint8_t *arena, const uint32_t *at): one kernel call."""

    name: str
    op: int
    call: Call


@dataclass(frozen=True)
class Entry:
    """One row of a table: asc_piece."""

    run: str
    at: tuple[int, ...]
    step: tuple[int, ...]
    layer: int


@dataclass(frozen=True)
class Table:
    """Pieces that run `passes` times: asc_band."""

    name: str
    entries: tuple[Entry, ...]
    passes: int


@dataclass(frozen=True, eq=False)
class BandCode:
    band: Band
    code: Code  # of all functions
    functions: tuple[Function, ...]
    tables: tuple[Table, ...]


def band_code(graph: Graph, plan: MemoryPlan, band: Band, flavour: str) -> BandCode:
    """Everything that `band` adds to the generated file."""
    code, functions = _functions(lowered(graph, band, flavour))
    moves = [m for m in plan.moves if m.op == band.first]
    places = _Places(graph, {**plan.offsets, **{m.tensor: m.target for m in moves}}, plan.windows)
    groups: list[_Group] = [()]
    for step in trace(graph, band).steps:
        groups[-1] += tuple(places.entries(step, functions))
        if step.piece.op == band.last:
            groups.append(())
    first = tuple(
        _Row(MOVE, (plan.offsets[m.tensor], m.bytes, m.target), (False,) * 3, band.first) for m in moves
    )
    tables = ([(_still(first), 1)] if first else []) + _fold(groups)
    return BandCode(
        band,
        code,
        tuple(f for of_shape in functions.values() for f in of_shape),
        tuple(Table(f"band{band.first}_{i}", entries, n) for i, (entries, n) in enumerate(tables)),
    )


# ---- functions -------------------------------------------------------------------------------------


def _functions(pieces: Mapping[Shape, Lowered]) -> tuple[Code, dict[Shape, list[Function]]]:
    """All code of the band, and the functions of each shape of piece.

    Arrays that come out the same for several shapes, as weights do, stand once; parameters never do, so
    their names get the shape's number.
    """
    arrays: dict[str, Array] = {}
    params, calls, checks = [], [], dict[str, None]()
    functions: dict[Shape, list[Function]] = {}
    for number, (shape, low) in enumerate(pieces.items()):
        renamed = {}
        for a in low.code.arrays:
            name = a.name
            if name in arrays and not _same(arrays[name], a):
                name = renamed[a.name] = f"{a.name}_{number}"
            arrays[name] = replace(a, name=name)
        for p in low.code.params:
            fields = {k: renamed.get(v, v) if isinstance(v, str) else v for k, v in p.fields.items()}
            params.append(replace(p, name=f"{p.name}_{number}", fields=fields))
        own = [replace(c, params=f"{c.params}_{number}") for c in low.code.calls]
        functions[shape] = [Function(f"run_{c.params}", shape.op, c) for c in own]
        calls += own
        checks |= dict.fromkeys(low.code.checks)
    return Code(tuple(arrays.values()), tuple(params), tuple(calls), tuple(checks)), functions


def _same(a: Array, b: Array) -> bool:
    return a.ctype == b.ctype and np.array_equal(a.values, b.values)


# ---- tables ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Row:
    """An `Entry` before it is known what repeats."""

    run: str
    at: tuple[int, ...]
    advances: tuple[bool, ...]  # which places move on through a whole tensor
    layer: int

    @property
    def key(self) -> tuple[object, ...]:
        """What must be the same in each pass."""
        return (
            self.run,
            self.layer,
            tuple(-1 if a else n for n, a in zip(self.at, self.advances, strict=True)),
        )


@dataclass(frozen=True)
class _Places:
    """Rows -> bytes from the arena's start."""

    graph: Graph
    offsets: Mapping[int, int]
    windows: Mapping[int, int]

    def entries(self, step: Step, functions: Mapping[Shape, Sequence[Function]]) -> Iterator[_Row]:
        op = self.graph.ops[step.piece.op]
        rows = dict(zip(facts(self.graph).feeds[op.index], step.inputs, strict=True))
        y = op.outputs[0]
        if step.move:
            first, count = step.move
            at = (self._byte(y, first), count * facts(self.graph).row_bytes[y], self._byte(y, 0))
            yield _Row(MOVE, at, (False,) * 3, op.index)
        for f in functions[shape_of(step.piece)]:
            moving = [t for t in f.call.inputs if t in rows]
            assert len(moving) <= _INPUTS and f.call.output == y
            at_inputs = [self._byte(t, rows[t]) for t in moving]
            advances = [t not in self.windows for t in moving]
            fill = _INPUTS - len(moving)
            yield _Row(
                f.name,
                (*at_inputs, *(0,) * fill, self._byte(y, step.output) + f.call.output_skip),
                (*advances, *(False,) * fill, y not in self.windows),
                op.index,
            )

    def _byte(self, tensor: int, row: int) -> int:
        return self.offsets[tensor] + row * facts(self.graph).row_bytes[tensor]


_Group = tuple[_Row, ...]


def _fold(groups: Sequence[_Group]) -> list[tuple[tuple[Entry, ...], int]]:
    """(entries, passes): sequences of groups that repeat stand once."""
    keys = [tuple(row.key for row in group) for group in groups]
    tables: list[tuple[tuple[Entry, ...], int]] = []
    once: list[_Row] = []
    k = 0
    while k < len(groups):
        passes, period = max(
            ((_passes(groups, keys, k, p), p) for p in range(1, _LONGEST + 1)),
            key=lambda np: (np[0] - 1) * np[1],
        )
        if passes == 1:
            once += groups[k]
            k += 1
            continue
        if once:
            tables.append((_still(once), 1))
            once = []
        now, then = _flat(groups[k : k + period]), _flat(groups[k + period : k + 2 * period])
        tables.append(
            (tuple(Entry(a.run, a.at, _steps(a, b), a.layer) for a, b in zip(now, then, strict=True)), passes)
        )
        k += passes * period
    return tables + ([(_still(once), 1)] if once else [])


def _passes(groups: Sequence[_Group], keys: Sequence[object], k: int, period: int) -> int:
    """How often `period` groups from the k-th on come one after the other, moving on by the same steps."""
    n = 1
    steps = None
    while k + (n + 1) * period <= len(groups) and all(
        keys[k + i] == keys[k + n * period + i] for i in range(period)
    ):
        before = _flat(groups[k + (n - 1) * period : k + n * period])
        after = _flat(groups[k + n * period : k + (n + 1) * period])
        found = [_steps(a, b) for a, b in zip(before, after, strict=True)]
        if steps is not None and found != steps:
            break
        steps = found
        n += 1
    return n


def _flat(groups: Sequence[_Group]) -> list[_Row]:
    return [row for group in groups for row in group]


def _steps(a: _Row, b: _Row) -> tuple[int, ...]:
    return tuple(y - x for x, y in zip(a.at, b.at, strict=True))


def _still(rows: Sequence[_Row]) -> tuple[Entry, ...]:
    return tuple(Entry(r.run, r.at, (0,) * len(r.at), r.layer) for r in rows)
