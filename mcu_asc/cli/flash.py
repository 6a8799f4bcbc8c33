"""mcu-asc flash."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from mcu_asc.cli import say
from mcu_asc.cli.options import json_option


@click.command()
@click.argument("project", type=click.Path(path_type=Path))
@click.option("--port", help="The board's serial port. [default: found by its USB ids]")
@click.option(
    "--via",
    default="serial",
    show_default=True,
    help="serial (nothing to install), pyocd (debug probe), arduino-cli, bossac.",
)
@json_option
def flash(project: Path, port: str | None, via: str, as_json: bool) -> None:
    """Put the firmware in PROJECT on a board, check what was written, and hear from it."""
    flashed = flash_project(project, port, via)
    if as_json:
        say.print_json(flashed)
    else:
        print_flashed(flashed)


def flash_project(project: Path, port: str | None = None, via: str = "serial") -> dict[str, Any]:
    from mcu_asc.device import flash as flashing

    with say.progress(None, f"flashing {project}") as update:
        done = flashing.flash(project, port=port, via=via, progress=update)
    said = dataclasses.asdict(done)
    if done.device:
        said["device"]["fingerprint"] = done.device.fingerprint.hex()
    return said


def print_flashed(said: dict[str, Any]) -> None:
    checked = ", every page checked by CRC" if said["crc_checked"] else ""
    say.out().print(f"flashed {said['bytes']:,} B in {said['seconds']:.1f} s via {said['via']}{checked}")
    if device := said["device"]:
        say.out().print(f"{device['firmware']} on {device['board']} answers on {said['device_port']}")
    if said["note"]:
        say.out().print(f"note: {said['note']}")
