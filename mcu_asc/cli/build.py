"""mcu-asc build."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcu_asc import config
from mcu_asc.cli import say
from mcu_asc.cli.flash import flash_project, print_flashed
from mcu_asc.cli.options import (
    board_option,
    flash_limit_option,
    format_option,
    json_option,
    model_of,
    student_path,
)
from mcu_asc.errors import OverBudget

if TYPE_CHECKING:
    from mcu_asc.nouns import CheckResult, Image


@click.command()
@click.argument("tflite", required=False)
@board_option
@click.option(
    "--student", default="esc10", show_default=True, help="Shipped student, where no TFLITE is given."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="[default: build/NAME-BOARD, with -arduino for a sketch]"
)
@click.option("--flash", "then_flash", is_flag=True, help="Then flash it, as mcu-asc flash does.")
@format_option
@flash_limit_option
@click.option("--compile", "compile_sketch", is_flag=True, help="Compile the sketch with arduino-cli.")
@click.option(
    "--engine",
    type=click.Choice(["aot", "tflm"]),
    default="aot",
    show_default=True,
    help="Compiled ahead of time, or TFLite Micro's interpreter.",
)
@click.option(
    "--tflm",
    "library",
    type=click.Path(path_type=Path),
    help="TFLite Micro for --engine tflm: tree, built checkout, or Arduino library. [default: $MCU_ASC_TFLM]",
)
@json_option
def build(
    tflite: str | None,
    board: str,
    student: str,
    out: Path | None,
    then_flash: bool,
    layout: str,
    flash_limit: int | None,
    compile_sketch: bool,
    engine: str,
    library: Path | None,
    as_json: bool,
) -> None:
    """Compile TFLITE to a firmware project and link it: firmware.elf, .hex, .bin, or a sketch for Arduino."""
    from mcu_asc import firmware
    from mcu_asc.compiler import tflm
    from mcu_asc.device import build as building
    from mcu_asc.results.check import check as run_check

    the_board = config.load_board(board)
    model = model_of(tflite or str(student_path(student)))
    fit = run_check(model, the_board, None, layout, flash_limit)
    if not fit.fits:
        raise OverBudget("does not fit: " + "; ".join(fit.reasons), "see mcu-asc check")
    found = tflm.locate(library) if engine == "tflm" else None
    project = firmware.project(model, the_board, engine, layout, found, flash_limit)
    suffix = "" if layout == "baremetal" else f"-{layout}"
    target = out or Path("build") / f"{project.name}-{the_board.name}{suffix}"
    firmware.write(project, target)
    image = None
    if layout == "baremetal" or compile_sketch or then_flash:
        image = building.compile_project(target, "board")
    if as_json:
        sizes = _image(image) if image else _estimate(fit)
        said = {"out": str(target), **sizes, "arena_bytes": project.manifest["arena_bytes"]}
        say.print_json(said | ({"flash": flash_project(target)} if then_flash else {}))
    else:
        if image and layout == "baremetal":
            _print_image(image, project.manifest, fit, target)
        else:
            _print_sketch(image, fit, target)
        if then_flash:
            print_flashed(flash_project(target))


def _estimate(fit: CheckResult) -> dict[str, Any]:
    return {
        "estimate": True,
        "flash_bytes": fit.flash_bytes,
        "flash_limit_bytes": fit.flash_limit_bytes,
        "ram_bytes": fit.ram_bytes,
        "ram_limit_bytes": fit.ram_limit_bytes,
    }


def _print_sketch(image: Image | None, fit: CheckResult, target: Path) -> None:
    out = say.out()
    out.print(
        f"the sketch takes about {fit.flash_bytes:,} of {fit.flash_limit_bytes:,} bytes of flash and "
        f"{fit.ram_bytes:,} of {fit.ram_limit_bytes:,} bytes of RAM that the core leaves"
    )
    if image:
        out.print(
            f"linked, the core included: flash {image.flash_bytes:,}, static RAM {image.ram_bytes:,} bytes"
        )
    out.print(f"wrote {target}; how to compile and upload it: {target / 'README.md'}")


def _image(i: Image) -> dict[str, Any]:
    return {
        "elf": str(i.elf),
        "text_bytes": i.text_bytes,
        "data_bytes": i.data_bytes,
        "bss_bytes": i.bss_bytes,
        "flash_bytes": i.flash_bytes,
        "ram_bytes": i.ram_bytes,
    }


def _print_image(image: Image, manifest: Any, fit: CheckResult, target: Path) -> None:
    from rich.table import Table

    weights, tables = manifest["weight_bytes"], manifest["table_bytes"]
    table = Table(title=f"{manifest['name']} on {manifest['board']}", title_justify="left")
    table.add_column("what")
    table.add_column("bytes", justify="right")
    table.add_column("of", justify="right")
    for what, size, limit in (
        ("flash", image.flash_bytes, fit.flash_limit_bytes),
        ("  weights", weights, None),
        ("  tables", tables, None),
        ("  code", image.flash_bytes - weights - tables, None),
        ("RAM", image.ram_bytes, fit.ram_limit_bytes),
        ("  arena", manifest["arena_bytes"], None),
        ("  stack reserved", image.stack_bytes, None),
    ):
        table.add_row(what, f"{size:,}", f"{limit:,}" if limit else "")
    say.out().print(table)
    say.out().print(
        f"arm-none-eabi-size: text {image.text_bytes:,} data {image.data_bytes:,} bss {image.bss_bytes:,}\n"
        f"wrote {target}/firmware.elf, .hex, .bin; next: mcu-asc score {target} --on emulator"
    )
    for warning in fit.warnings:
        say.out().print(f"note: {warning}")
