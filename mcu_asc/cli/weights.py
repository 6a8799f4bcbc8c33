"""Tables of what the weights' forms in flash cost and save, for check and bench."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcu_asc.cli import say

if TYPE_CHECKING:
    from mcu_asc.nouns import Expansion, SparseLayer, Sparsity


def print_expansion(e: Expansion) -> None:
    """Layers that take more flash than as int8, and the price."""
    if not e.layers:
        say.out().print("no weights are expanded for speed")
        return
    _table(
        "weights that take more flash than as int8, for speed",
        ("layer", "form", "bytes more", "cycles saved, about"),
        [
            *((x.name, x.form, f"{x.bytes:,}", f"{x.cycles_saved:,}") for x in e.layers),
            ("total", "", f"{e.bytes:,}", f"{e.cycles_saved:,}"),
        ],
    )


def print_sparsity(s: Sparsity) -> None:
    """Layers that skip zero blocks, and what that saves; nothing where none does."""
    if not s.layers:
        return
    rows: list[tuple[str, SparseLayer | Sparsity]] = [(x.name, x) for x in s.layers]
    rows.append(("total", s))
    _table(
        "zero blocks of weights that are skipped",
        ("layer", "zero blocks", "MACs skipped", "of", "bytes of flash saved", "cycles saved, about"),
        [
            (
                name,
                f"{100 * x.zero_blocks / max(1, x.blocks):.1f} %",
                f"{x.macs_skipped:,}",
                f"{x.macs:,}",
                f"{x.bytes_saved:,}",
                f"{x.cycles_saved:,}",
            )
            for name, x in rows
        ],
    )


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for i, name in enumerate(columns):
        table.add_column(name, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    say.out().print(table)
