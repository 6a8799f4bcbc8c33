"""mcu-asc fit."""

from __future__ import annotations

import dataclasses

import click

from mcu_asc import config
from mcu_asc.cli import say
from mcu_asc.cli.check import print_check
from mcu_asc.cli.options import board_option, budget_option, json_option


@click.command()
@click.argument("student")
@budget_option
@board_option
@click.option("--front-end", "name", default="nano-live", show_default=True, help="A front end by name.")
@click.option("--classes", type=click.IntRange(min=2), default=10, show_default=True)
@click.option("--latency-ms", type=click.FloatRange(min=0), help="For one inference. [default: its window]")
@json_option
def fit(
    student: str, budget: str | None, board: str, name: str, classes: int, latency_ms: float, as_json: bool
) -> None:
    """Find the widest STUDENT (a network of the recipe's table) that keeps to budget and board."""
    from mcu_asc.audio.presets import preset
    from mcu_asc.results.fit import fit as run

    the_board = config.load_board(board)
    the_budget = config.load_budget(budget) if budget else None
    front_end = preset(name)
    tried: set[float] = set()
    with say.progress(None, f"fitting {student}") as update:

        def seen(width: float) -> None:
            tried.add(width)
            update(len(tried), f"width {width:g}")

        result = run(student, classes, front_end, the_board, the_budget, latency_ms or 0.0, seen)
    if as_json:
        say.print_json(dataclasses.asdict(result) | {"latency_is": "estimate"})
        return
    print_check(result.check, the_board.title, the_budget.title if the_budget else "no budget")
    say.out().print(
        f"one inference: about {result.latency_ms:.0f} of {result.latency_limit_ms:.0f} ms (estimate, "
        f"without the front end)\nthe next width: {'; '.join(result.stopped_by)}\n"
        f'in the recipe:\n[student]\nname = "{result.student}"\nwidth = {result.width:g}',
        markup=False,
    )
