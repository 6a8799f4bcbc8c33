"""mcu-asc export."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcu_asc.cli import say
from mcu_asc.cli.options import json_option

if TYPE_CHECKING:
    from mcu_asc.learn.noise import LayerNoise


@click.command()
@click.argument("student", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="[default: STUDENT/student.tflite]")
@click.option("--noise", is_flag=True, help="Also say what quantising after training costs at each layer.")
@json_option
def export(student: Path, out: Path | None, noise: bool, as_json: bool) -> None:
    """Write the int8 .tflite of a trained STUDENT (run directory), front end and labels inside."""
    from mcu_asc import learn

    path = learn.export(student, out)
    rows: tuple[Any, ...] = ()
    if noise:
        from mcu_asc.learn.noise import ptq_noise

        rows = ptq_noise(student)
    if as_json:
        said = {"tflite": str(path), "bytes": path.stat().st_size}
        say.print_json(said | ({"noise": [dataclasses.asdict(r) for r in rows]} if noise else {}))
    else:
        if noise:
            _print_noise(rows)
        say.out().print(f"wrote {path}, {path.stat().st_size:,} bytes; next: mcu-asc check {path}")


def _print_noise(rows: Sequence[LayerNoise]) -> None:
    from rich.table import Table

    from mcu_asc.learn.noise import worst

    table = Table(title="quantised after training: signal to noise", title_justify="left")
    table.add_column("layer")
    for name in ("dB", "lost here, dB"):
        table.add_column(name, justify="right")
    for r in rows:
        table.add_row(r.name, f"{r.snr_db:.1f}", f"{r.loss_db:.1f}")
    say.out().print(table)
    say.out().print(f"the layer that hurts: {worst(rows).name}, {worst(rows).loss_db:.1f} dB")
