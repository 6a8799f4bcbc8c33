"""mcu-asc features."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from mcu_asc.cli import say
from mcu_asc.cli.options import json_option


@click.command()
@click.argument("audio", type=click.Path(path_type=Path))
@click.option("--png", type=click.Path(path_type=Path), required=True, help="Picture to write.")
@click.option("--front-end", "name", default="nano-live", show_default=True, help="A front end by name.")
@json_option
def features(audio: Path, png: Path, name: str, as_json: bool) -> None:
    """Draw the front end's rows of a recording: float64, the board's fixed point, their difference."""
    from mcu_asc.audio.pcm import load_pcm
    from mcu_asc.audio.picture import draw
    from mcu_asc.audio.presets import preset

    cfg = preset(name)
    found = draw(load_pcm(audio, cfg.sample_rate_hz), cfg, png, f"{audio.name}, {name}")
    if as_json:
        say.print_json({"png": str(png), "front_end": name, **dataclasses.asdict(found)})
        return
    say.out().print(
        f"{png}: {found.rows:,} rows of {found.values}; fixed point against float64 {found.rms_db:.4f} dB "
        f"RMS, {found.max_db:.3f} dB at most, {100 * found.equal:.2f} % of int8 values equal"
    )
