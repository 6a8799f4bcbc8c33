"""mcu-asc features."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcu_asc import paths
from mcu_asc.cli import say
from mcu_asc.cli.options import data_root_option, json_option
from mcu_asc.errors import UsageError

if TYPE_CHECKING:
    from mcu_asc.learn.table import Table


@click.command()
@click.argument("audio", type=click.Path(path_type=Path), required=False)
@click.option("--png", type=click.Path(path_type=Path), help="Picture of AUDIO to write.")
@click.option("--data", help="A data set instead of AUDIO: its windows, for training elsewhere.")
@click.option("--folds", default="", help="Of the data set. [default: all]")
@click.option("--npz", type=click.Path(path_type=Path), help="File of the data set's features to write.")
@data_root_option
@click.option(
    "--front-end",
    "name",
    default="nano-live",
    show_default=True,
    help="A front end by name, or a file that states one: recipe .toml, features .npz, card .json, .tflite.",
)
@json_option
def features(
    audio: Path | None,
    png: Path | None,
    data: str | None,
    folds: str,
    npz: Path | None,
    data_root: Path | None,
    name: str,
    as_json: bool,
) -> None:
    """Draw the front end's rows of a recording (AUDIO --png), or write those of a data set (--data --npz)."""
    if audio and png and not data and not npz:
        _draw(audio, png, name, as_json)
    elif data and npz and not audio and not png:
        _table(data, folds, npz, data_root, name, as_json)
    else:
        raise UsageError("features of what?", "give AUDIO --png FILE, or --data NAME --npz FILE")


def _draw(audio: Path, png: Path, name: str, as_json: bool) -> None:
    """The picture: float64, the board's fixed point, their difference."""
    from mcu_asc.audio.pcm import load_pcm
    from mcu_asc.audio.picture import draw
    from mcu_asc.learn.stated import stated

    cfg = stated(name).front_end
    found = draw(load_pcm(audio, cfg.sample_rate_hz), cfg, png, f"{audio.name}, {name}")
    if as_json:
        say.print_json({"png": str(png), "front_end": name, **dataclasses.asdict(found)})
        return
    say.out().print(
        f"{png}: {found.rows:,} rows of {found.values}; fixed point against float64 {found.rms_db:.4f} dB "
        f"RMS, {found.max_db:.3f} dB at most, {100 * found.equal:.2f} % of int8 values equal"
    )


def _table(data: str, folds: str, npz: Path, data_root: Path | None, name: str, as_json: bool) -> None:
    from mcu_asc.audio.datasets import open_dataset, select
    from mcu_asc.learn.stated import stated
    from mcu_asc.learn.table import write_table

    source = stated(name)
    ds = open_dataset(data, data_root or paths.data_root())
    with say.progress(None, f"features of {data}") as update:
        found = write_table(
            npz, ds, select(ds, folds or None), source, lambda done, total: update(done, total=total)
        )
    if as_json:
        say.print_json(dataclasses.asdict(found) | {"npz": str(found.path), "path": str(found.path)})
        return
    say.out().print(_said(found, source.origin), markup=False)


def _said(found: Table, origin: str) -> str:
    statistics = "measured on these clips" if found.measured else f"from {origin}"
    return (
        f"wrote {found.path}: {found.windows:,} windows of {found.rows} rows x {found.bands} bands, "
        f"{found.clips:,} clips; mean and std {statistics}\n"
        f"next: train on x (windows, rows, bands) and y, export to ONNX, then "
        f"mcu-asc import MODEL.onnx --front-end {found.path} --data NAME --folds ..."
    )
