"""The arena over time as a picture: what lies where while each layer runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mcu_asc import compiler
from mcu_asc.compiler.bands import facts
from mcu_asc.firmware import deployed, fitted, memory_plan
from mcu_asc.nouns import Board, Graph, MemoryPlan, Model, Schedule

_COLOURS = {"tensor": "#7aa6d8", "rows": "#f0a860", "sums": "#8fbf7f", "scratch": "#c9c9c9"}
_LABELS = {
    "tensor": "whole tensor",
    "rows": "line buffer of a few rows",
    "sums": "sums over rows",
    "scratch": "kernel's scratch",
}


@dataclass(frozen=True)
class Area:
    """Bytes in use while layers first .. last run."""

    what: str  # tensor, rows, sums, scratch
    offset: int
    bytes: int
    first: int
    last: int


def areas(graph: Graph, plan: MemoryPlan) -> Iterator[Area]:
    """Everything that the plan puts into the arena."""
    f = facts(graph)
    end = len(graph.ops) - 1
    span = {i: (i, i) for i in range(len(graph.ops))}  # the ops that run together with one
    for b in plan.schedule.bands:
        span |= dict.fromkeys(range(b.first, b.last + 1), (b.first, b.last))
    made = {t: span[op.index][0] for op in graph.ops for t in op.outputs}
    for t, offset in plan.offsets.items():
        readers = f.readers.get(t, ())
        first = made.get(t, 0)
        last = end if t in graph.outputs else max((span[r][1] for r in readers), default=first)
        if t in plan.windows:
            yield Area("rows", offset, plan.windows[t] * f.row_bytes[t], first, last)
            continue
        for m in plan.moves:
            if m.tensor == t:
                yield Area("tensor", m.target, m.bytes, m.op, last)
                last = m.op - 1
        yield Area("tensor", offset, graph.tensors[t].bytes, first, last)
    for op, (offset, size) in plan.sums.items():
        yield Area("sums", offset, size, *span[op])
    for op, (offset, size) in plan.scratch.items():
        yield Area("scratch", offset, size, op, op)


def draw_arena(
    model: Model, board: Board, path: Path, layout: str = "baremetal", flash_limit: int | None = None
) -> None:
    """A PNG: layers from left to right, the arena's bytes upwards.

    Where two tensors overlap, one is written over the other as that is read.
    """
    from matplotlib.artist import Artist
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch, Rectangle

    model = fitted(deployed(model), board, layout, flash_limit)
    graph, plan = model.graph, memory_plan(model, board, layout)
    names = [c.name for c in compiler.counts(graph)]
    n = len(names)
    figure = Figure(figsize=(2.5 + 0.32 * n, 6.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for b in plan.schedule.bands:
        axes.axvspan(b.first, b.last + 1, color="#fff3df", zorder=0)
        axes.text(
            (b.first + b.last + 1) / 2,
            1.005,
            "row by row" if b.rows == 1 else f"{b.rows} rows",
            ha="center",
            va="bottom",
            fontsize=7,
            transform=axes.get_xaxis_transform(),
        )
    for a in areas(graph, plan):
        box = (a.first, a.offset / 1024), a.last - a.first + 1, a.bytes / 1024
        axes.add_patch(
            Rectangle(*box, facecolor=_COLOURS[a.what], edgecolor="black", alpha=0.75, linewidth=0.5)
        )
    steps = [*plan.live_bytes, plan.live_bytes[-1]] if plan.live_bytes else [0, 0]
    axes.step(range(n + 1), [v / 1024 for v in steps], where="post", color="black", linewidth=1.5)
    axes.set_xlim(0, n)
    axes.set_ylim(0, 1.02 * plan.arena_bytes / 1024)
    axes.set_xticks([i + 0.5 for i in range(n)], names, rotation=90, fontsize=7)
    axes.set_ylabel("KiB from the arena's start")
    handles: list[Artist] = [
        Patch(facecolor=_COLOURS[k], edgecolor="black", label=_LABELS[k]) for k in _COLOURS
    ]
    handles.append(Patch(facecolor="#fff3df", label="layers run together, rows at a time"))
    handles += axes.plot([], [], color="black", linewidth=1.5, label="in use at once")
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8)
    whole = compiler.plan(graph, compiler.flavour_of(board.cpu), schedule=Schedule())
    axes.set_title(
        f"arena {plan.arena_bytes:,} B; {whole.arena_bytes:,} B with every layer whole", pad=18, fontsize=10
    )
    figure.savefig(path, dpi=130)
