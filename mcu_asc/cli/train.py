"""mcu-asc train."""

from __future__ import annotations

from pathlib import Path

import click

from mcu_asc import paths
from mcu_asc.cli import say
from mcu_asc.cli.options import data_root_option, json_option


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@data_root_option
@click.option("--out", type=click.Path(path_type=Path), help="Run directory. [default: runs/RECIPE]")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="In place of the recipe's.")
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped.")
@json_option
def train(
    recipe: Path, data_root: Path | None, out: Path | None, seed: int | None, resume: bool, as_json: bool
) -> None:
    """Train the student that RECIPE.toml describes: float, pruned, quantisation-aware."""
    from mcu_asc import learn

    with say.progress(None, "reading") as update:
        run = learn.train(
            recipe,
            data_root or paths.data_root(),
            out,
            resume,
            lambda stage, step, total, text: update(step, text, total, stage),
            _gate,
            seed,
        )
    if as_json:
        say.print_json({"run": str(run)})
    else:
        say.out().print(f"trained: {run}; next: mcu-asc export {run}")


def _gate(tflite: bytes, board: str, budget: str) -> None:
    from mcu_asc.results import fit as fitting

    fitting.gate(tflite, board, budget)
