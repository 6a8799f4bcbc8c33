"""Options and arguments that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcu_asc import paths
from mcu_asc.errors import UsageError

if TYPE_CHECKING:
    from mcu_asc.nouns import Model


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
board_option = click.option("--board", default="nano33", show_default=True, help="Board name or TOML file.")
budget_option = click.option(
    "--budget", default=None, help="Budget name (dcase2021, dcase2022, dcase2024) or TOML file."
)
format_option = click.option(
    "--format",
    "layout",
    type=click.Choice(["baremetal", "arduino"]),
    default="baremetal",
    show_default=True,
    help="Our own start-up and drivers, or a sketch for Arduino's core.",
)
flash_limit_option = click.option(
    "--flash-limit",
    type=click.IntRange(min=0),
    help="Bytes of flash for the firmware; weights are expanded for speed within it. [default: all]",
)
data_root_option = click.option(
    "--data-root",
    type=click.Path(path_type=Path),
    help="Folder that holds the data set. [default: $MCU_ASC_DATA]",
)
on_option = click.option(
    "--on",
    default="emulator",
    show_default=True,
    help="emulator, renode, host, or a port: /dev/ttyACM0, socket://HOST:PORT.",
)


def shipped() -> dict[str, Path]:
    return {p.parent.name: p for p in sorted(paths.students_dir().glob("*/student.tflite"))}


def student_path(name: str) -> Path:
    """The shipped student's .tflite."""
    try:
        return shipped()[name]
    except KeyError:
        raise UsageError(f"no student '{name}' is shipped", "shipped: " + ", ".join(shipped())) from None


def model_of(path: str) -> Model:
    """A model by path, or by the name of a shipped student."""
    from mcu_asc import compiler

    return compiler.read(shipped().get(path, Path(path)))
