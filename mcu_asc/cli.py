"""The verbs.  The only module that prints or exits; everything it says comes from results of other rooms."""

from __future__ import annotations

import dataclasses
import json as jsonlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcu_asc import __version__, config, paths
from mcu_asc.errors import AscError, DeviceError, OverBudget, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from mcu_asc.audio.check import DataCheck
    from mcu_asc.device.session import Session
    from mcu_asc.learn.noise import LayerNoise
    from mcu_asc.nouns import BenchResult, CheckResult, Image, Model, Report
    from mcu_asc.results.score import Oracle

# What is no measurement, by where it ran.
ESTIMATES = {
    "emulator": "estimate: Cortex-M4 timing tables on the emulated instructions, not measured on silicon",
    "renode": "instructions at one a cycle, as Renode counts; the core's cycles are more",
}


def _console(stderr: bool) -> Console:
    """Prose is never wrapped; tables get 110 columns where no terminal says how wide it is."""
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 110
    return console


def _out() -> Console:
    return _console(stderr=False)


def _err() -> Console:
    return _console(stderr=True)


def _print_json(value: Any) -> None:
    click.echo(jsonlib.dumps(value, default=list))


@contextmanager
def _progress(total: int | None, text: str) -> Iterator[Callable[..., None]]:
    """A bar on stderr, or a line every 15 s where it is no terminal.

    Yields update(done, note, total, text).
    """
    console = _err()
    if not console.is_terminal:
        yield _lines(total, text)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(text, total=total, note="")

        def update(done: int, note: str = "", total: int | None = None, text: str | None = None) -> None:
            bar.update(task, completed=done, note=note, total=total, description=text)

        yield update


def _lines(total: int | None, text: str) -> Callable[..., None]:
    whole, name, last = total, text, time.monotonic()

    def update(done: int, note: str = "", total: int | None = None, text: str | None = None) -> None:
        nonlocal whole, last
        whole = total or whole
        if time.monotonic() - last > 15:
            last = time.monotonic()
            click.echo(f"{text or name}: {done}{f' of {whole}' if whole else ''} {note}".rstrip(), err=True)

    return update


def _shipped() -> dict[str, Path]:
    return {p.parent.name: p for p in sorted(paths.students_dir().glob("*/student.tflite"))}


def _student(name: str) -> Path:
    """The shipped student's .tflite."""
    try:
        return _shipped()[name]
    except KeyError:
        raise UsageError(f"no student '{name}' is shipped", "shipped: " + ", ".join(_shipped())) from None


def _model(path: str) -> Model:
    """A model by path, or by the name of a shipped student."""
    from mcu_asc import compiler

    return compiler.read(_shipped().get(path, Path(path)))


# ---- options that several verbs share -------------------------------------------------------------

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
board_option = click.option("--board", default="nano33", show_default=True, help="Board name or TOML file.")
format_option = click.option(
    "--format",
    "layout",
    type=click.Choice(["baremetal", "arduino"]),
    default="baremetal",
    show_default=True,
    help="Our own start-up and drivers, or a sketch for Arduino's core.",
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


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error (anywhere on the line).")
def cli(debug: bool) -> None:
    """Acoustic-scene classifiers from training to a microcontroller."""


# ---- learn ---------------------------------------------------------------------------------------


@cli.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@data_root_option
@click.option("--out", type=click.Path(path_type=Path), help="Run directory. [default: runs/RECIPE]")
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped.")
@json_option
def train(recipe: Path, data_root: Path | None, out: Path | None, resume: bool, as_json: bool) -> None:
    """Train the student that RECIPE.toml describes: float, pruned, quantisation-aware."""
    from mcu_asc import learn

    with _progress(None, "reading") as update:
        run = learn.train(
            recipe,
            data_root or paths.data_root(),
            out,
            resume,
            lambda stage, step, total, text: update(step, text, total, stage),
            _gate,
        )
    if as_json:
        _print_json({"run": str(run)})
    else:
        _out().print(f"trained: {run}; next: mcu-asc export {run}")


def _print_noise(rows: Sequence[LayerNoise]) -> None:
    from rich.table import Table

    from mcu_asc.learn.noise import worst

    table = Table(title="quantised after training: signal to noise", title_justify="left")
    table.add_column("layer")
    for name in ("dB", "lost here, dB"):
        table.add_column(name, justify="right")
    for r in rows:
        table.add_row(r.name, f"{r.snr_db:.1f}", f"{r.loss_db:.1f}")
    _out().print(table)
    _out().print(f"the layer that hurts: {worst(rows).name}, {worst(rows).loss_db:.1f} dB")


def _gate(tflite: bytes, board: str, budget: str) -> None:
    from mcu_asc.results import fit as fitting

    fitting.gate(tflite, board, budget)


@cli.command()
@click.argument("student")
@click.option("--budget", default=None, help="Budget name (dcase2021, dcase2022, dcase2024) or TOML file.")
@board_option
@click.option("--front-end", "name", default="nano-live", show_default=True, help="A front end by name.")
@click.option("--classes", type=click.IntRange(min=2), default=10, show_default=True)
@click.option("--latency-ms", type=click.FloatRange(min=0), help="For one inference. [default: its window]")
@json_option
def fit(
    student: str, budget: str | None, board: str, name: str, classes: int, latency_ms: float, as_json: bool
) -> None:
    """Find the widest STUDENT (a network of the recipe's table) that keeps to budget and board."""
    from mcu_asc.audio.presets import preset
    from mcu_asc.results.fit import fit as run

    the_board = config.load_board(board)
    the_budget = config.load_budget(budget) if budget else None
    front_end = preset(name)
    tried: set[float] = set()
    with _progress(None, f"fitting {student}") as update:

        def seen(width: float) -> None:
            tried.add(width)
            update(len(tried), f"width {width:g}")

        result = run(student, classes, front_end, the_board, the_budget, latency_ms or 0.0, seen)
    if as_json:
        _print_json(dataclasses.asdict(result) | {"latency_is": "estimate"})
        return
    _print_check(result.check, the_board.title, the_budget.title if the_budget else "no budget")
    _out().print(
        f"one inference: about {result.latency_ms:.0f} of {result.latency_limit_ms:.0f} ms (estimate, "
        f"without the front end)\nthe next width: {'; '.join(result.stopped_by)}\n"
        f'in the recipe:\n[student]\nname = "{result.student}"\nwidth = {result.width:g}',
        markup=False,
    )


@cli.command()
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
        _print_json(said | ({"noise": [dataclasses.asdict(r) for r in rows]} if noise else {}))
    else:
        if noise:
            _print_noise(rows)
        _out().print(f"wrote {path}, {path.stat().st_size:,} bytes; next: mcu-asc check {path}")


# ---- data ----------------------------------------------------------------------------------------


@cli.group()
def data() -> None:
    """List, fetch and check data sets."""


@data.command("list")
@json_option
def data_list(as_json: bool) -> None:
    """List the data sets: what they are, their licence, size, length and where they come from."""
    from mcu_asc.audio.datasets import DATASETS

    rows = [
        {
            "name": name,
            "title": row.title,
            "licence": row.licence,
            "bytes": row.size,
            "hours": row.hours,
            "multi_label": row.multi_label,
            "where": row.where,
            "files": len(row.remotes),
            "unchecked": [r.name for r in row.remotes if not r.md5],
        }
        for name, row in DATASETS.items()
    ]
    if as_json:
        _print_json({"data": rows})
        return
    from rich.table import Table

    table = Table()
    for column in ("name", "data set", "GB", "hours", "licence"):
        table.add_column(column, justify="right" if column in ("GB", "hours") else "left")
    for name, row in DATASETS.items():
        size = f"{row.size / 1e9:.1f}" if row.size else ""
        hours = f"{row.hours:g}" if row.hours else ""
        title = f"{row.title}\n{row.where}" if row.where else row.title
        table.add_row(name, title, size, hours, row.licence)
    _out().print(table)


@data.command("fetch")
@click.argument("name")
@data_root_option
@click.option("--again", is_flag=True, help="Also what an earlier call has fetched.")
@json_option
def data_fetch(name: str, data_root: Path | None, again: bool, as_json: bool) -> None:
    """Fetch data set NAME from its publisher into --data-root; run it again to go on after a break."""
    from mcu_asc.audio.datasets import row_of
    from mcu_asc.audio.fetch import fetch, remotes_of

    row = row_of(name)
    root = data_root or paths.data_root()
    if root is None:
        raise UsageError("no folder to fetch into", "give --data-root DIR or set MCU_ASC_DATA")
    remotes = remotes_of(name, row.remotes, row.where)
    with _progress(None, f"fetching {name}") as update:

        def megabytes(done: int, total: int, what: str) -> None:
            update(done // 1_000_000, "MB", total // 1_000_000 or None, what)

        fetched = fetch(remotes, root, megabytes, again=again)
    unchecked = [r.name for r in remotes if not r.md5]
    if as_json:
        _print_json({"data": name, "root": str(root), "fetched": fetched, "unchecked": unchecked})
        return
    out = _out()
    out.print(f"{name}: {len(fetched)} of {len(remotes)} files fetched into {root}; licence: {row.licence}")
    if unchecked:
        out.print(f"note: no checksum is published for {', '.join(unchecked)}")
    out.print(f"next: mcu-asc data check {name} --data-root {root}")


@data.command("check")
@click.argument("name")
@data_root_option
@json_option
def data_check(name: str, data_root: Path | None, as_json: bool) -> None:
    """Open data set NAME, count its clips by fold and label, and name what is missing."""
    from mcu_asc.audio.check import check_dataset

    found = check_dataset(name, data_root or paths.data_root())
    if as_json:
        _print_json(dataclasses.asdict(found) | {"missing": [str(p) for p in found.missing]})
    else:
        _print_data(found)
    if not found.whole:
        raise UsageError(
            f"{name} is not the whole release: {len(found.missing)} files are missing, "
            f"{len(found.differences)} counts differ",
            "mcu-asc data fetch gets what is missing, where it can be fetched",
        )


def _print_data(found: DataCheck) -> None:
    from rich.table import Table

    out = _out()
    title = f"{found.name}: {found.clips:,} clips of {found.groups:,} recordings"
    table = Table(title=title, title_justify="left")
    table.add_column("label")
    for fold in found.folds:
        table.add_column(f"fold {fold}", justify="right")
    for label, counts in found.labels.items():
        table.add_row(label, *(f"{counts.get(fold, 0):,}" for fold in found.folds))
    table.add_row("clips", *(f"{n:,}" for n in found.folds.values()))
    out.print(table)
    for what, names in (("devices", found.devices), ("cities", found.cities)):
        if names:
            out.print(f"{what}: {', '.join(names)}")
    for path in found.missing:
        out.print(f"missing: {path}", markup=False)
    for sentence in found.differences:
        out.print(f"differs: {sentence}", markup=False)
    if found.whole:
        out.print("whole")


# ---- check and build -------------------------------------------------------------------------------


@cli.command()
@click.argument("tflite")
@board_option
@click.option("--budget", default=None, help="Budget name (dcase2021, dcase2022, dcase2024) or TOML file.")
@format_option
@click.option(
    "--png", type=click.Path(path_type=Path), help="Draw what lies where in the arena, layer by layer."
)
@json_option
def check(tflite: str, board: str, budget: str | None, layout: str, png: Path | None, as_json: bool) -> None:
    """Count parameters, MACs and memory of TFLITE (a file or a shipped student) against board and budget."""
    from mcu_asc.results.check import check as run

    the_board = config.load_board(board)
    the_budget = config.load_budget(budget) if budget else None
    model = _model(tflite)
    result = run(model, the_board, the_budget, layout)
    if png:
        from mcu_asc.results.arena import draw_arena

        draw_arena(model, the_board, png, layout)
    if as_json:
        _print_json(dataclasses.asdict(result))
    else:
        _print_check(result, the_board.title, the_budget.title if the_budget else "no budget")
    if not result.fits:
        raise OverBudget("does not fit: " + "; ".join(result.reasons), "a narrower or shallower student fits")


def _print_check(r: CheckResult, board: str, budget: str) -> None:
    from rich.table import Table

    out = _out()
    table = Table(title=f"{budget}: the worst count decides", title_justify="left")
    for name, justify in (
        ("counted as", "left"),
        ("parameters", "right"),
        ("bytes", "right"),
        ("MACs", "right"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for v in r.views:
        table.add_row(v.rule, f"{v.params:,}", f"{v.param_bytes:,}", f"{v.macs:,}")
    out.print(table)
    out.print(
        f"{board}: arena {r.arena_bytes:,} B (peak at layer '{r.peak_layer}'), RAM {r.ram_bytes:,} of "
        f"{r.ram_limit_bytes:,} B, flash about {r.flash_bytes:,} of {r.flash_limit_bytes:,} B"
    )
    if r.banded_layers:
        out.print(
            f"{r.banded_layers} layers run a few rows at a time: {r.whole_arena_bytes - r.arena_bytes:,} B "
            f"of arena less, about {100 * r.extra_cycles:.1f} % more cycles"
        )
    for warning in r.warnings:
        out.print(f"note: {warning}")
    if r.fits:
        out.print("fits")


@cli.command()
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
    model = _model(tflite or str(_student(student)))
    fit = run_check(model, the_board, None, layout)
    if not fit.fits:
        raise OverBudget("does not fit: " + "; ".join(fit.reasons), "see mcu-asc check")
    found = tflm.locate(library) if engine == "tflm" else None
    project = firmware.project(model, the_board, engine, layout, found)
    suffix = "" if layout == "baremetal" else f"-{layout}"
    target = out or Path("build") / f"{project.name}-{the_board.name}{suffix}"
    firmware.write(project, target)
    image = None
    if layout == "baremetal" or compile_sketch or then_flash:
        image = building.compile_project(target, "board")
    if as_json:
        sizes = _image(image) if image else _estimate(fit)
        said = {"out": str(target), **sizes, "arena_bytes": project.manifest["arena_bytes"]}
        _print_json(said | ({"flash": _flash(target)} if then_flash else {}))
    else:
        if image and layout == "baremetal":
            _print_image(image, project.manifest, fit, target)
        else:
            _print_sketch(image, fit, target)
        if then_flash:
            _print_flashed(_flash(target))


def _estimate(fit: CheckResult) -> dict[str, Any]:
    return {
        "estimate": True,
        "flash_bytes": fit.flash_bytes,
        "flash_limit_bytes": fit.flash_limit_bytes,
        "ram_bytes": fit.ram_bytes,
        "ram_limit_bytes": fit.ram_limit_bytes,
    }


def _print_sketch(image: Image | None, fit: CheckResult, target: Path) -> None:
    out = _out()
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
    _out().print(table)
    _out().print(
        f"arm-none-eabi-size: text {image.text_bytes:,} data {image.data_bytes:,} bss {image.bss_bytes:,}\n"
        f"wrote {target}/firmware.elf, .hex, .bin; next: mcu-asc score {target} --on emulator"
    )
    for warning in fit.warnings:
        _out().print(f"note: {warning}")


@cli.command()
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
    flashed = _flash(project, port, via)
    if as_json:
        _print_json(flashed)
    else:
        _print_flashed(flashed)


def _flash(project: Path, port: str | None = None, via: str = "serial") -> dict[str, Any]:
    from mcu_asc.device import flash as flashing

    with _progress(None, f"flashing {project}") as update:
        done = flashing.flash(project, port=port, via=via, progress=update)
    said = dataclasses.asdict(done)
    if done.device:
        said["device"]["fingerprint"] = done.device.fingerprint.hex()
    return said


def _print_flashed(said: dict[str, Any]) -> None:
    checked = ", every page checked by CRC" if said["crc_checked"] else ""
    _out().print(f"flashed {said['bytes']:,} B in {said['seconds']:.1f} s via {said['via']}{checked}")
    if device := said["device"]:
        _out().print(f"{device['firmware']} on {device['board']} answers on {said['device_port']}")
    if said["note"]:
        _out().print(f"note: {said['note']}")


# ---- score and bench -------------------------------------------------------------------------------


@cli.command()
@click.argument("project", type=click.Path(path_type=Path))
@on_option
@click.option("--data", default="esc10", show_default=True, help="Data set to score.")
@data_root_option
@click.option("--folds", default="4", show_default=True, help="Folds, e.g. 4 or 1,2,3.")
@click.option("--limit", type=click.IntRange(min=1), help="At most N clips, spread over the classes.")
@click.option("--resume", is_flag=True, help="Go on where a broken run stopped.")
@click.option("--cycles", is_flag=True, help="Count cycles in the emulator (slower).")
@click.option("--png", type=click.Path(path_type=Path), help="Draw the confusion matrix.")
@click.option(
    "--calibration", type=click.Path(path_type=Path), help="Draw confidence against accuracy (PNG)."
)
@json_option
def score(
    project: Path,
    on: str,
    data: str,
    data_root: Path | None,
    folds: str,
    limit: int | None,
    resume: bool,
    cycles: bool,
    png: Path | None,
    calibration: Path | None,
    as_json: bool,
) -> None:
    """Stream test clips to the firmware in PROJECT, score them, compare every logit with the host's."""
    from mcu_asc import compiler, firmware
    from mcu_asc.audio import datasets
    from mcu_asc.results import score as scoring

    manifest = firmware.load_manifest(project)
    model = compiler.read(project / "model.tflite")
    ds = datasets.open_dataset(data, data_root or paths.data_root())
    clips = datasets.select(ds, folds, limit)
    kind = on if on in ("emulator", "renode", "host") else "port"
    identity = {
        "fingerprint": manifest["fingerprint"],
        "data": data,
        "folds": folds,
        "limit": limit,
        "on": kind,
        "version": __version__,
    }
    journal = scoring.Journal(project / f"score-{data}-{kind}.jsonl", identity, resume)

    with ExitStack() as stack:
        session, oracles = _targets(stack, project, on, cycles, model)
        update = stack.enter_context(_progress(len(clips), f"scoring on {kind}"))
        try:
            result = scoring.score_all(
                clips, ds, scoring.Judge.of(model), session.classify, oracles, journal, update
            )
        except DeviceError as e:
            raise DeviceError(
                f"{e.message}; {len(journal.done)} of {len(clips)} clips are kept in {journal.path}",
                f"{e.hint}, then score again with --resume",
            ) from e

    summary = {
        **identity,
        **scoring.summary(result, journal, list(oracles), session.retries),
        **scoring.evaluation(clips, journal.done, result.labels),
    }
    if cycles:
        summary["cycles_are"] = ESTIMATES.get(kind, "measured on the device")
    (project / f"score-{data}-{kind}.json").write_text(jsonlib.dumps(summary, indent=1) + "\n")
    if png:
        from mcu_asc.results.report import draw_confusion

        draw_confusion(result, png)
    if calibration and summary["calibration"]:
        from mcu_asc.results.report import draw_reliability

        draw_reliability(summary["calibration"], calibration)
    if as_json:
        _print_json(summary)
    else:
        _print_score(result, summary, list(oracles), kind)
    if result.equal != result.compared:
        raise AscError(
            f"{result.compared - result.equal} of {result.compared} clips differ from {', '.join(oracles)}",
            f"see 'different' in {journal.path}",
        )


def _targets(
    stack: ExitStack, project: Path, on: str, cycles: bool, model: Model
) -> tuple[Session, dict[str, Oracle]]:
    """The device to score, and what its logits are compared with: the TFLM interpreter and the host's C."""
    from mcu_asc.device.targets import open_target
    from mcu_asc.results.score import interpreter_oracle

    session = stack.enter_context(open_target(project, on, cycles=cycles))
    oracles: dict[str, Oracle] = {}
    if tflm := interpreter_oracle(model):
        oracles["TFLM interpreter"] = tflm
    if on != "host":
        host = stack.enter_context(open_target(project, "host"))
        oracles["host C"] = lambda pcm: tuple(w.logits for w in host.classify(pcm).windows)
    return session, oracles


def _print_score(r: Report, summary: dict[str, Any], oracles: list[str], kind: str) -> None:
    from rich.table import Table

    out = _out()
    short = (
        [f"{chr(97 + i)}" for i in range(len(r.labels))] if len(r.labels) <= 26 else list(map(str, r.labels))
    )
    table = Table(title=f"{summary['data']}, folds {summary['folds']}, on {kind}", title_justify="left")
    table.add_column("truth \\ answer")
    for s in short:
        table.add_column(s, justify="right")
    for s, label, row in zip(short, r.labels, r.confusion, strict=True):
        table.add_row(f"{s} {label}", *(str(v) if v else "·" for v in row))
    out.print(table)
    out.print(
        f"accuracy {100 * r.accuracy:.2f} % ({r.correct} of {r.clips} clips), log loss {r.log_loss:.4f}"
    )
    _print_evaluation(summary)
    if r.compared:
        share = 100 * r.equal / r.compared
        out.print(
            f"parity: {r.equal} of {r.compared} clips ({share:g} %) equal in every logit byte to "
            + " and ".join(oracles)
        )
    if "TFLM interpreter" not in oracles:
        out.print("note: the TFLM interpreter is not installed here: pip install 'mcu-asc[oracle]'")
    if "cycles_are" in summary:
        front, net = summary["frontend_cycles_per_window"], summary["model_cycles_per_window"]
        out.print(f"cycles per window: front end {front:,}, model {net:,} ({summary['cycles_are']})")
    if summary["retries"]:
        out.print(f"note: {summary['retries']} transfers were asked for again")


def _print_evaluation(summary: dict[str, Any]) -> None:
    from rich.table import Table

    out = _out()
    said = f"mean class-wise accuracy {100 * summary['mean_class_accuracy']:.2f} %"
    if bounds := summary["interval"]["accuracy"]:
        low, high = (100 * v for v in bounds)
        said += (
            f"; 95 % interval of the accuracy {low:.1f} to {high:.1f} % "
            f"(bootstrap over {summary['interval']['recordings']} recordings)"
        )
    out.print(said)
    for what, key in (("device", "devices"), ("city", "cities")):
        if not summary[key]:
            continue
        table = Table()
        table.add_column(what)
        for column in ("clips", "accuracy", "log loss"):
            table.add_column(column, justify="right")
        for name, part in summary[key].items():
            row = f"{part['clips']:,}", f"{100 * part['accuracy']:.2f} %", f"{part['log_loss']:.4f}"
            table.add_row(name, *row)
        out.print(table)


@cli.command()
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
        manifest, counts, image, b.frontend_cycles, b.layer_cycles, b.stack_bytes, estimated=on in ESTIMATES
    )
    moved = compare(result, against) if against else ()
    if as_json:
        _print_json(dataclasses.asdict(result) | {"moved": [dataclasses.asdict(m) for m in moved]})
    else:
        _print_bench(result, manifest, "ns" if on == "host" else "cycles", ESTIMATES.get(on))
        for m in moved:
            _out().print(f"{m.name}: {m.before:,} -> {m.now:,}, {m.ratio:.3f} times")


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
    out = _out()
    out.print(table)
    if unit == "cycles":
        mhz = manifest["clock_hz"] / 1e6
        out.print(f"{r.total_cycles / mhz / 1e3:.1f} ms a window at {mhz:g} MHz")
    if estimate:
        out.print(f"cycles: {estimate}")
    out.print(
        f"arena {r.arena_bytes:,} B, RAM {r.ram_bytes:,} B, deepest stack seen {r.stack_bytes:,} B, "
        f"flash {r.flash_bytes:,} B, of it code {r.code_bytes:,} B"
    )


@cli.command()
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
        _print_json({"png": str(png), "front_end": name, **dataclasses.asdict(found)})
        return
    _out().print(
        f"{png}: {found.rows:,} rows of {found.values}; fixed point against float64 {found.rms_db:.4f} dB "
        f"RMS, {found.max_db:.3f} dB at most, {100 * found.equal:.2f} % of int8 values equal"
    )


# ---- monitor -------------------------------------------------------------------------------------------


@cli.command()
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
        _print_json(end)
    else:
        _out().print(
            f"{end['decisions']} decisions in {end['time_s']:.1f} s, {end['skipped']} skipped (no time), "
            f"{end['dropped']:,} samples dropped, {end['lost_on_the_line']} decisions lost on the line"
        )
        if on == "emulator":
            said = ESTIMATES[on] if cycles else "this machine's, not the board's: see --cycles"
            _out().print(f"latency and load: {said}")


def _heard(line: dict[str, Any]) -> str:
    load = f"  load {100 * line['load']:3.0f} %" if line["load"] is not None else ""
    trouble = "".join(f"  {line[k]:,} {k}" for k in ("dropped", "skipped") if line[k])
    return (
        f"{line['time_s']:8.2f} s  {line['probability']:5.2f}  {line['label']:<20} "
        f"latency {line['latency_ms']:.0f} ms{load}{trouble}"
    )


# ---- about -----------------------------------------------------------------------------------------


@cli.command()
@json_option
def boards(as_json: bool) -> None:
    """List the boards."""
    rows = [config.load_board(name) for name in config.board_names()]
    if as_json:
        _print_json({"boards": [dataclasses.asdict(b) for b in rows]})
        return
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in ("board", "title", "cpu", "MHz", "flash KiB", "RAM KiB", "mic kHz", "sketch"):
        table.add_column(name, no_wrap=True)
    for b in rows:
        numbers = (b.clock_hz / 1e6, b.app_flash_bytes / 1024, b.ram_bytes / 1024)
        mic = ", ".join(f"{r / 1000:g}" for r in b.mic_rates_hz) or "none"
        table.add_row(b.name, b.title, b.cpu, *(f"{n:g}" for n in numbers), mic, "yes" if b.arduino else "no")
    _out().print(table)


@cli.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say which tools, ports and rights are here, and how to get the ones that are not."""
    from mcu_asc.device import ports
    from mcu_asc.results.doctor import MISSING, OK, examine

    findings = examine(ports.findings())
    if as_json:
        _print_json({"findings": [dataclasses.asdict(f) for f in findings]})
    else:
        for f in findings:
            colour = {OK: "green", MISSING: "red"}.get(f.state, "yellow")
            _out().print(f"[{colour}]{f.state:7}[/] {f.name}: {f.detail}")
            if f.remedy:
                _out().print(f"        -> {f.remedy}", markup=False)
    if missing := [f for f in findings if f.state == MISSING]:
        from mcu_asc.errors import ToolMissing

        raise ToolMissing("missing: " + ", ".join(f.name for f in missing), missing[0].remedy)


@cli.command()
@json_option
def version(as_json: bool) -> None:
    """Print the version."""
    if as_json:
        _print_json({"version": __version__})
    else:
        click.echo(f"mcu-asc {__version__}")


def main(argv: list[str] | None = None) -> None:
    """The entry point: every error becomes one line and an exit code."""
    args = sys.argv[1:] if argv is None else argv
    debug = "--debug" in args
    try:
        code = cli.main([a for a in args if a != "--debug"], prog_name="mcu-asc", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.NoArgsIsHelpError as e:
        click.echo(e.format_message())
        sys.exit(2)
    except click.ClickException as e:
        where = f" ({e.ctx.command_path} --help)" if isinstance(e, click.UsageError) and e.ctx else ""
        click.echo(f"error: {e.format_message()}{where}", err=True)
        sys.exit(e.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except AscError as e:
        if debug:
            raise
        click.echo(f"error: {e.message}" + (f" -> {e.hint}" if e.hint else ""), err=True)
        sys.exit(e.exit_code)
    except Exception as e:
        if debug:
            raise
        click.echo(
            f"error: {type(e).__name__}: {e} -> a defect of ours; run again with --debug and report it",
            err=True,
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
