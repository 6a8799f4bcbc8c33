"""mcu-asc check."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcu_asc import config
from mcu_asc.cli import say
from mcu_asc.cli.options import (
    board_option,
    budget_option,
    flash_limit_option,
    format_option,
    json_option,
    model_of,
)
from mcu_asc.cli.weights import print_expansion, print_sparsity
from mcu_asc.errors import OverBudget

if TYPE_CHECKING:
    from mcu_asc.nouns import CheckResult


@click.command()
@click.argument("tflite")
@board_option
@budget_option
@format_option
@click.option(
    "--png", type=click.Path(path_type=Path), help="Draw what lies where in the arena, layer by layer."
)
@flash_limit_option
@json_option
def check(
    tflite: str,
    board: str,
    budget: str | None,
    layout: str,
    png: Path | None,
    flash_limit: int | None,
    as_json: bool,
) -> None:
    """Count parameters, MACs and memory of TFLITE (a file or a shipped student) against board and budget."""
    from mcu_asc.results.check import check as run

    the_board = config.load_board(board)
    the_budget = config.load_budget(budget) if budget else None
    model = model_of(tflite)
    result = run(model, the_board, the_budget, layout, flash_limit)
    if png:
        from mcu_asc.results.arena import draw_arena

        draw_arena(model, the_board, png, layout, flash_limit)
    if as_json:
        say.print_json(dataclasses.asdict(result))
    else:
        print_check(result, the_board.title, the_budget.title if the_budget else "no budget")
    if not result.fits:
        raise OverBudget("does not fit: " + "; ".join(result.reasons), "a narrower or shallower student fits")


def print_check(r: CheckResult, board: str, budget: str) -> None:
    from rich.table import Table

    out = say.out()
    table = Table(title=f"{budget}: the worst count decides", title_justify="left")
    for name, justify in (
        ("counted as", "left"),
        ("parameters", "right"),
        ("bytes", "right"),
        ("MACs", "right"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for v in r.views:
        table.add_row(v.rule, f"{v.params:,}", f"{v.param_bytes:,}", f"{v.macs:,}")
    out.print(table)
    out.print(
        f"{board}: arena {r.arena_bytes:,} B (peak at layer '{r.peak_layer}'), RAM {r.ram_bytes:,} of "
        f"{r.ram_limit_bytes:,} B, flash about {r.flash_bytes:,} of {r.flash_limit_bytes:,} B"
    )
    if r.window_s is not None:
        out.print(f"a window spans {r.window_s:.3f} s of sound")
    if r.banded_layers:
        out.print(
            f"{r.banded_layers} layers run a few rows at a time: {r.whole_arena_bytes - r.arena_bytes:,} B "
            f"of arena less, about {100 * r.extra_cycles:.1f} % more cycles"
        )
    print_expansion(r.expansion)
    print_sparsity(r.sparsity)
    for warning in r.warnings:
        out.print(f"note: {warning}")
    if r.fits:
        out.print("fits")
