"""mcu-asc import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcu_asc import paths
from mcu_asc.cli import say
from mcu_asc.cli.options import data_root_option, json_option
from mcu_asc.errors import UsageError

if TYPE_CHECKING:
    from mcu_asc.learn.evaluation import Scores, TagScores
    from mcu_asc.learn.importing import Imported


def _numbers(text: str | None, option: str) -> tuple[float, ...]:
    """ "1,2.5" or a file of such numbers -> floats."""
    if not text:
        return ()
    if Path(text).is_file():
        text = Path(text).read_text(encoding="utf-8")
    try:
        return tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise UsageError(
            f"{option} '{text[:40]}' are no numbers", "write 10.5, or one a band: 10.5,11,..."
        ) from None


def _names(text: str | None) -> tuple[str, ...]:
    """ "a,b" or a file with one label a line."""
    if not text:
        return ()
    lines = Path(text).read_text(encoding="utf-8").splitlines() if Path(text).is_file() else text.split(",")
    return tuple(name.strip() for name in lines if name.strip())


@click.command("import")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", required=True, help="The data set that it was trained on: calibrates and is scored.")
@click.option("--folds", default="", help="Folds that it was trained on; they calibrate. [default: all]")
@click.option("--test-folds", default="", help="Folds that are scored. [default: those of --folds]")
@data_root_option
@click.option(
    "--front-end",
    default="",
    help="What it was trained on: features .npz, recipe .toml, card .json, .tflite, or a name. "
    "[default: the model's metadata]",
)
@click.option("--labels", help="In the order of the outputs: a,b,c or a file. [default: see --front-end]")
@click.option("--layout", default="", help="ncrb, ncbr, nrbc, nbrc, nrb or nbr. [default: as its shape says]")
@click.option("--mean", help="Of the features in training: one number, or one a band.")
@click.option("--std", help="As --mean.")
@click.option(
    "--unit",
    default="log2",
    show_default=True,
    type=click.Choice(("log2", "ln", "log10", "dB")),
    help="Of --mean and --std; log2 of squared LSB, the others of samples in -1 .. 1.",
)
@click.option(
    "--tolerance", default=1e-3, show_default=True, type=click.FloatRange(min=0), help="Of float outputs."
)
@click.option("--licence", default="", help="Of the weights, for the card.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write. [default: runs/MODEL]")
@json_option
def import_(
    model: Path,
    data: str,
    folds: str,
    test_folds: str,
    data_root: Path | None,
    front_end: str,
    labels: str | None,
    layout: str,
    mean: str | None,
    std: str | None,
    unit: str,
    tolerance: float,
    licence: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Convert MODEL.onnx, a student trained in PyTorch, to an int8 .tflite with its front end inside."""
    from mcu_asc import compiler
    from mcu_asc.learn.importing import Wanted, as_dict, import_onnx

    wanted = Wanted(
        model=model,
        data=data,
        folds=folds,
        test_folds=test_folds,
        front_end=front_end,
        labels=_names(labels),
        layout=layout,
        mean=_numbers(mean, "--mean"),
        std=_numbers(std, "--std"),
        unit=unit,
        tolerance=tolerance,
        licence=licence,
    )
    with say.progress(None, "reading") as update:
        found = import_onnx(
            wanted,
            data_root or paths.data_root(),
            out or Path("runs") / model.stem,
            compiler.read,
            lambda stage, step, total, text: update(step, text, total, stage),
        )
    if as_json:
        say.print_json(as_dict(found))
    else:
        _print(found)


def _figures(s: Scores | TagScores) -> dict[str, str]:
    """Column -> what stands there."""
    from mcu_asc.learn.evaluation import TagScores

    shares = {"clips right": "clip_accuracy", "windows right": "window_accuracy"}
    if isinstance(s, TagScores):
        shares = {"micro AUPRC": "micro_auprc", "macro AUPRC": "macro_auprc"}
    return {k: f"{100 * getattr(s, v):.2f} %" for k, v in shares.items()} | {"log loss": f"{s.log_loss:.3f}"}


def _print(r: Imported) -> None:
    from rich.table import Table

    out = say.out()
    out.print(
        f"{r.name}: ONNX opset {r.opset}, input {r.layout} = {r.rows} rows x {r.bands} bands, "
        f"{len(r.labels)} labels\nfront end: {r.front_end}; mean and std {r.statistics}",
        markup=False,
    )
    if r.dropped:
        out.print(f"left out: {r.dropped} at the end; the decision rule takes logits")
    if r.multi_label:
        out.print("several labels of a clip may hold")
    p = r.parity
    out.print(
        f"float .tflite against onnxruntime: largest difference {p.max_error:.2g} of {p.windows} windows, "
        f"limit {p.limit:.2g}"
    )
    table = Table(title=r.scored, title_justify="left")
    found = [("float, onnxruntime", _figures(r.float_scores)), ("int8", _figures(r.int8_scores))]
    for name in ("", *found[0][1]):
        table.add_column(name, justify="right" if name else "left")
    for name, figures in found:
        table.add_row(name, *figures.values())
    out.print(table)
    what = "labels of windows" if r.multi_label else "windows"
    out.print(
        f"same answer in float and int8: {100 * r.agreement:.2f} % of {what}; "
        f"logits differ by {r.error_rms:.3f} RMS"
    )
    if r.heard:
        out.print("note: these clips also calibrated, training has most likely heard them: give --test-folds")
    for note in r.notes:
        out.print(f"note: {note}", markup=False)
    out.print(f"wrote {r.tflite}; next: mcu-asc check {r.tflite}", markup=False)
