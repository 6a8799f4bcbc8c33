"""mcu-asc bench."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcu_asc.cli import say
from mcu_asc.cli.options import json_option, on_option
from mcu_asc.cli.weights import print_sparsity

if TYPE_CHECKING:
    from mcu_asc.nouns import BenchResult


@click.command()
@click.argument("project", type=click.Path(path_type=Path))
@on_option
@click.option("--against", type=click.Path(path_type=Path), help="Compare with the output of bench --json.")
@json_option
def bench(project: Path, on: str, against: Path | None, as_json: bool) -> None:
    """Cycles of the front end and of each layer for one window, RAM, deepest stack, flash."""
    from mcu_asc import compiler, firmware
    from mcu_asc.device import build as building
    from mcu_asc.device.targets import open_target
    from mcu_asc.results.bench import bench_result, compare

    manifest = firmware.load_manifest(project)
    model = firmware.deployed(compiler.read(project / "model.tflite"), manifest["engine"])
    counts = compiler.counts(model.graph)
    image = building.compile_project(project, "board")
    with open_target(project, on, cycles=True) as session:
        b = session.bench()
    result = bench_result(
        manifest,
        counts,
        image,
        b.frontend_cycles,
        b.layer_cycles,
        b.stack_bytes,
        estimated=on in say.ESTIMATES,
    )
    moved = compare(result, against) if against else ()
    if as_json:
        say.print_json(dataclasses.asdict(result) | {"moved": [dataclasses.asdict(m) for m in moved]})
    else:
        _print_bench(result, manifest, "ns" if on == "host" else "cycles", say.ESTIMATES.get(on))
        for m in moved:
            say.out().print(f"{m.name}: {m.before:,} -> {m.now:,}, {m.ratio:.3f} times")


def _print_bench(r: BenchResult, manifest: dict[str, Any], unit: str, estimate: str | None) -> None:
    from rich.table import Table

    table = Table(title=f"{manifest['name']} on {manifest['board']}, one window", title_justify="left")
    for name in ("layer", "op"):
        table.add_column(name)
    for name in ("MACs", unit, f"{unit}/MAC", "bytes", "share"):
        table.add_column(name, justify="right")

    def row(name: str, op: str, macs: int, cycles: int, moved: int) -> None:
        table.add_row(
            name,
            op,
            f"{macs:,}" if macs else "",
            f"{cycles:,}",
            f"{cycles / macs:.2f}" if macs else "",
            f"{moved:,}" if moved else "",
            f"{100 * cycles / max(1, r.total_cycles):.1f} %",
        )

    if r.frontend_cycles:
        row("front end", "", 0, r.frontend_cycles, 0)
    for x in r.layers:
        row(x.name, x.op, x.macs, x.cycles, x.moved_bytes)
    row("total", "", sum(x.macs for x in r.layers), r.total_cycles, sum(x.moved_bytes for x in r.layers))
    out = say.out()
    out.print(table)
    print_sparsity(r.sparsity)
    if unit == "cycles":
        mhz = manifest["clock_hz"] / 1e6
        out.print(f"{r.total_cycles / mhz / 1e3:.1f} ms a window at {mhz:g} MHz")
    if estimate:
        out.print(f"cycles: {estimate}")
    out.print(
        f"arena {r.arena_bytes:,} B, RAM {r.ram_bytes:,} B, deepest stack seen {r.stack_bytes:,} B, "
        f"flash {r.flash_bytes:,} B, of it code {r.code_bytes:,} B"
    )
