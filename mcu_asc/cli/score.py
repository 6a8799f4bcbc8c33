"""mcu-asc score."""

from __future__ import annotations

import json as jsonlib
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcu_asc import __version__, paths
from mcu_asc.cli import say
from mcu_asc.cli.options import data_root_option, json_option, on_option
from mcu_asc.errors import AscError, DeviceError

if TYPE_CHECKING:
    from mcu_asc.device.session import Session
    from mcu_asc.nouns import Model, Report
    from mcu_asc.results.score import Oracle


@click.command()
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
        update = stack.enter_context(say.progress(len(clips), f"scoring on {kind}"))
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
        summary["cycles_are"] = say.ESTIMATES.get(kind, "measured on the device")
    (project / f"score-{data}-{kind}.json").write_text(jsonlib.dumps(summary, indent=1) + "\n")
    if png:
        from mcu_asc.results.report import draw_confusion

        draw_confusion(result, png)
    if calibration and summary["calibration"]:
        from mcu_asc.results.report import draw_reliability

        draw_reliability(summary["calibration"], calibration)
    if as_json:
        say.print_json(summary)
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

    out = say.out()
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

    out = say.out()
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
