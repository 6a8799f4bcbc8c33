"""mcu-asc monitor."""

from __future__ import annotations

import json as jsonlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from mcu_asc import config
from mcu_asc.cli import say
from mcu_asc.cli.options import json_option, on_option
from mcu_asc.errors import UsageError


@click.command()
@click.argument("project", type=click.Path(path_type=Path))
@on_option
@click.option("--wav", type=click.Path(path_type=Path), help="What the microphone hears (emulator, host).")
@click.option("--hop", type=float, help="Seconds from one decision to the next. [default: the model's]")
@click.option(
    "--windows",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Decide over the last N windows.",
)
@click.option("--seconds", type=click.FloatRange(min=0.001), help="Stop by itself. [default: Ctrl-C stops]")
@click.option("--settle", type=click.FloatRange(min=0), help="Seconds to ignore. [default: 4; --wav: 0]")
@click.option("--cycles", is_flag=True, help="Count cycles in the emulator (slower).")
@json_option
def monitor(
    project: Path,
    on: str,
    wav: Path | None,
    hop: float | None,
    windows: int,
    seconds: float | None,
    settle: float | None,
    cycles: bool,
    as_json: bool,
) -> None:
    """Let the firmware in PROJECT listen to its microphone and print each decision; Ctrl-C ends it."""
    from mcu_asc import compiler, firmware
    from mcu_asc.audio.pcm import load_pcm
    from mcu_asc.device.session import SETTLE_S
    from mcu_asc.device.targets import open_target
    from mcu_asc.nouns import Board
    from mcu_asc.results import monitor as live
    from mcu_asc.results.score import Judge

    manifest = firmware.load_manifest(project)
    model = compiler.read(project / "model.tflite")
    board = config.build(Board, manifest["target"], str(project))
    fe = model.card.front_end if model.card else None
    if refusal := firmware.live_refusal(fe, board, manifest.get("layout", "baremetal")):
        raise UsageError(f"cannot listen: {refusal}", "mcu-asc score streams clips")
    if wav and on not in ("emulator", "host"):
        raise UsageError(f"--wav cannot be played into {on}", "leave it out, or use --on emulator")
    assert fe
    pcm = load_pcm(wav, fe.sample_rate_hz) if wav else None
    if pcm is not None:
        settle = settle or 0.0
        seconds = min(seconds or 1e9, max(0.001, len(pcm) / fe.sample_rate_hz - settle))
    rows = live.hop_rows(hop, fe)
    describe = live.describe(Judge.of(model), windows, manifest["clock_hz"])

    with ExitStack() as stack:
        session = stack.enter_context(open_target(project, on, cycles=cycles, heard=pcm))
        run = session.live(rows, seconds, SETTLE_S if settle is None else settle)
        seen = 0
        try:
            while (decision := next(run, None)) is not None:
                seen += 1
                line = describe(decision)
                click.echo(jsonlib.dumps(line) if as_json else _heard(line))
        except KeyboardInterrupt:
            pass
        finally:
            run.close()
        end = live.summary(session.stop(), seen)
    if as_json:
        say.print_json(end)
    else:
        say.out().print(
            f"{end['decisions']} decisions in {end['time_s']:.1f} s, {end['skipped']} skipped (no time), "
            f"{end['dropped']:,} samples dropped, {end['lost_on_the_line']} decisions lost on the line"
        )
        if on == "emulator":
            said = say.ESTIMATES[on] if cycles else "this machine's, not the board's: see --cycles"
            say.out().print(f"latency and load: {said}")


def _heard(line: dict[str, Any]) -> str:
    load = f"  load {100 * line['load']:3.0f} %" if line["load"] is not None else ""
    trouble = "".join(f"  {line[k]:,} {k}" for k in ("dropped", "skipped") if line[k])
    return (
        f"{line['time_s']:8.2f} s  {line['probability']:5.2f}  {line['label']:<20} "
        f"latency {line['latency_ms']:.0f} ms{load}{trouble}"
    )
