"""mcu-asc boards, doctor, version."""

from __future__ import annotations

import dataclasses

import click

from mcu_asc import __version__, config
from mcu_asc.cli import say
from mcu_asc.cli.options import json_option


@click.command()
@json_option
def boards(as_json: bool) -> None:
    """List the boards."""
    rows = [config.load_board(name) for name in config.board_names()]
    if as_json:
        say.print_json({"boards": [dataclasses.asdict(b) for b in rows]})
        return
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in ("board", "title", "cpu", "MHz", "flash KiB", "RAM KiB", "mic kHz", "sketch"):
        table.add_column(name, no_wrap=True)
    for b in rows:
        numbers = (b.clock_hz / 1e6, b.app_flash_bytes / 1024, b.ram_bytes / 1024)
        mic = ", ".join(f"{r / 1000:g}" for r in b.mic_rates_hz) or "none"
        table.add_row(b.name, b.title, b.cpu, *(f"{n:g}" for n in numbers), mic, "yes" if b.arduino else "no")
    say.out().print(table)


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say which tools, ports and rights are here, and how to get the ones that are not."""
    from mcu_asc.device import ports
    from mcu_asc.results.doctor import MISSING, OK, examine

    findings = examine(ports.findings())
    if as_json:
        say.print_json({"findings": [dataclasses.asdict(f) for f in findings]})
    else:
        for f in findings:
            colour = {OK: "green", MISSING: "red"}.get(f.state, "yellow")
            say.out().print(f"[{colour}]{f.state:7}[/] {f.name}: {f.detail}")
            if f.remedy:
                say.out().print(f"        -> {f.remedy}", markup=False)
    if missing := [f for f in findings if f.state == MISSING]:
        from mcu_asc.errors import ToolMissing

        raise ToolMissing("missing: " + ", ".join(f.name for f in missing), missing[0].remedy)


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Print the version."""
    if as_json:
        say.print_json({"version": __version__})
    else:
        click.echo(f"mcu-asc {__version__}")
