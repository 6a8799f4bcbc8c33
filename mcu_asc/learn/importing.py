"""An ONNX student and a data set -> a run-able student.tflite, and a report of what the conversion cost."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_asc import config
from mcu_asc.audio.datasets import Dataset, open_dataset, select
from mcu_asc.audio.features import features, windows
from mcu_asc.audio.frontend import Features, tables
from mcu_asc.decide import count_alive
from mcu_asc.errors import UsageError
from mcu_asc.learn import keras, onnx
from mcu_asc.learn.card import embed_card, input_quantisation, name_kinds, output_quantisation
from mcu_asc.learn.convert import to_int8
from mcu_asc.learn.evaluation import INTERPRETERS, Scores, TagScores, scorer
from mcu_asc.learn.onnx import Layout, OnnxNet, Parity
from mcu_asc.learn.progress import Progress, silent
from mcu_asc.learn.stated import Stated, of_card, stated, with_given
from mcu_asc.learn.windows import calibration_windows, label_shares, real_input, with_statistics
from mcu_asc.nouns import Clip, FrontEndConfig, ModelCard

CALIBRATION_WINDOWS = 300

Accept = Callable[[bytes], Any]
"""Asked about the int8 .tflite before it is written: raises UsageError for what the board cannot run."""


@dataclass(frozen=True)
class Wanted:
    """What the user says about a model; "" and () where it says nothing."""

    model: Path
    data: str  # data set's name
    folds: str = ""  # that calibrate; "" = all
    test_folds: str = ""  # that are scored; "" = those that calibrate
    front_end: str = ""  # see stated.py; "" = the model's metadata
    labels: tuple[str, ...] = ()  # in the order of the outputs
    layout: str = ""  # of teachers.LAYOUTS
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    unit: str = "log2"  # of mean and std: stated.UNITS
    tolerance: float = onnx.TOLERANCE
    licence: str = ""


@dataclass(frozen=True)
class Imported:
    """What came of it; accuracies of `scored` clips, by the decision rule."""

    tflite: Path
    name: str
    opset: int
    layout: str
    rows: int
    bands: int
    labels: tuple[str, ...]
    multi_label: bool  # as the card says it
    front_end: str  # where it was stated
    statistics: str  # where mean and std came from
    dropped: str  # the last op, left out
    parity: Parity
    agreement: float  # share of windows with the same answer, float and int8; of answers, yes or no a label
    error_rms: float  # of int8 logits against float
    scored: str
    heard: bool  # the scored clips are those that calibrated
    float_scores: Scores | TagScores  # as the data set has one label a clip or several
    int8_scores: Scores | TagScores
    notes: tuple[str, ...] = ()


def import_onnx(
    wanted: Wanted,
    data_root: Path | None,
    out: Path,
    accept: Accept | None = None,
    progress: Progress = silent,
) -> Imported:
    """Write OUT/student.tflite and OUT/import.json.

    Raises UsageError for what is wrong with model, front end, labels or data, and where the converted model's
    float outputs differ from onnxruntime's; ToolMissing without the extra `onnx`.
    """
    keras.one_thread()
    net = onnx.load(wanted.model)
    source = _source(wanted, net)
    layout = onnx.layout_of(net, source.front_end, wanted.layout)
    front_end = dataclasses.replace(source.front_end, rows=layout.rows)
    tables(front_end)  # refuses what the C cannot run
    ds = open_dataset(wanted.data, data_root)
    ours = onnx.fixed(net, layout)
    several, head = _head(wanted, ours, ds)
    silence = np.zeros((1, layout.rows, layout.bands, layout.channels), np.float32)
    classes = onnx.run_onnx(ours, layout, silence).shape[1]
    labels, notes = _labels(wanted, source, ds, classes)
    notes += head
    teach, test = (_clips(ds, folds, labels) for folds in (wanted.folds, wanted.test_folds or wanted.folds))

    bare = dataclasses.replace(front_end, mean=(), std=())
    both = {c.id: c for c in (*teach, *test)}
    found = features(ds, tuple(both.values()), bare, lambda n, all: progress("features", n, all, ds.name))
    front_end, statistics = _statistics(wanted, source, front_end, [found[c.id] for c in teach])
    calibration = real_input(
        calibration_windows(
            [found[c.id] for c in teach], front_end.rows, source.decision.hop_rows, CALIBRATION_WINDOWS, 0
        ),
        front_end,
    )

    progress("convert", 0, 3, "onnx2tf")
    model = onnx.to_keras(onnx.convertible(ours, layout, calibration), layout)
    floats = onnx.float_tflite(model)
    onnx.refuse_found_gelu(floats, str(wanted.model))
    same = onnx.parity(
        onnx.run_onnx(ours, layout, calibration), onnx.run_tflite(floats, calibration), wanted.tolerance
    )
    onnx.refuse_different(same, labels, str(wanted.model))
    progress("convert", 1, 3, "int8")
    content = name_kinds(to_int8(model, calibration))
    scale, zero_point = input_quantisation(content)
    card = ModelCard(
        name=wanted.model.stem,
        labels=labels,
        front_end=dataclasses.replace(front_end, scale=scale, zero_point=zero_point),
        decision=source.decision,
        recipe={"imported": wanted.model.name, "opset": net.opset, "layout": layout.axes},
        licence=wanted.licence,
        multi_label=several,
    )
    content = embed_card(content, card)
    if accept:
        accept(content)
    progress("convert", 2, 3, "scoring")
    judged = _judge(ours, layout, content, card, ds, test, found)
    notes += _suspicions(judged.int8, judged.float, classes)
    result = Imported(
        tflite=out / "student.tflite",
        name=card.name,
        opset=net.opset,
        layout=layout.axes,
        rows=layout.rows,
        bands=layout.bands,
        labels=labels,
        multi_label=several,
        front_end=source.origin,
        statistics=statistics,
        dropped=ours.dropped,
        parity=same,
        agreement=judged.agreement,
        error_rms=judged.error_rms,
        scored=f"{ds.name}, folds {wanted.test_folds or wanted.folds or 'all'}",
        heard=bool({c.id for c in teach} & {c.id for c in test}),
        float_scores=judged.float,
        int8_scores=judged.int8,
        notes=notes,
    )
    _write(result, content)
    progress("convert", 3, 3, "")
    return result


def _source(wanted: Wanted, net: OnnxNet) -> Stated:
    """The front end that the user states, or the model's metadata does."""
    if wanted.front_end:
        return stated(wanted.front_end)
    if text := net.metadata.get(onnx.CARD_KEY):
        return of_card(config.card_from_json(text), f"metadata of {net.where}")
    raise UsageError(
        f"{net.where} does not say which front end it was trained with",
        "give --front-end NAME or FILE: best the .npz of mcu-asc features --data that it was trained on",
    )


def _head(wanted: Wanted, net: OnnxNet, ds: Dataset) -> tuple[bool, tuple[str, ...]]:
    """May several labels hold, and what is to be said about it."""
    if ds.multi_label and net.dropped in onnx.ONE_LABEL:
        raise UsageError(
            f"{wanted.model} ends in {net.dropped}: one label holds; {ds.name} has several labels a clip",
            "let the network end in logits, or choose a set with one label a clip",
        )
    if net.dropped not in onnx.SEVERAL_LABELS:
        return ds.multi_label, ()
    note = f"{net.dropped} at the end: the card says that several labels may hold"
    if not ds.multi_label:
        note += "; to score it on one label a clip, export it without"
    return True, (note,)


def _labels(
    wanted: Wanted, source: Stated, ds: Dataset, classes: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The labels in the order of the outputs, and what is to be said about them."""
    given = wanted.labels or source.labels
    labels = given or ds.labels
    if len(labels) != classes or len(set(labels)) != classes:
        raise UsageError(
            f"{wanted.model} has {classes} outputs, the labels are {len(labels)}: {', '.join(labels)}",
            "give --labels in the order of the outputs",
        )
    if not set(labels) & set(ds.labels):
        raise UsageError(f"{ds.name} has none of the labels {', '.join(labels)}", ", ".join(ds.labels))
    note = f"labels in the order of {ds.name}: {', '.join(labels)}; give --labels where training had another"
    return labels, () if given else (note,)


def _clips(ds: Dataset, folds: str, labels: Sequence[str]) -> tuple[Clip, ...]:
    clips = tuple(c for c in select(ds, folds or None) if ds.multi_label or c.label in labels)
    if not clips:
        raise UsageError(f"{ds.name}: folds {folds} have no clip of these labels", "choose other --folds")
    return clips


def _statistics(
    wanted: Wanted, source: Stated, front_end: FrontEndConfig, teach: Sequence[Features]
) -> tuple[FrontEndConfig, str]:
    """The front end with mean and std, and where they came from."""
    if bool(wanted.mean) != bool(wanted.std):
        raise UsageError("--mean and --std belong together", "give both, or none")
    if wanted.mean:
        return with_given(front_end, wanted.mean, wanted.std, wanted.unit), f"given, in {wanted.unit}"
    if front_end.mean:
        return front_end, f"from {source.origin}"
    measured = with_statistics(front_end, teach, source.decision)
    return measured, f"measured on {len(teach)} calibration clips: right only if training did the same"


@dataclass(frozen=True)
class _Judged:
    agreement: float
    error_rms: float
    float: Scores | TagScores
    int8: Scores | TagScores


def _judge(
    net: OnnxNet, layout: Layout, content: bytes, card: ModelCard, ds: Dataset,
    test: Sequence[Clip], found: Mapping[str, Features],
) -> _Judged:  # fmt: skip
    """ONNX on the front end's rows against the int8 file on its int8 rows, window by window."""
    rows, hop = card.front_end.rows, card.decision.hop_rows
    real = np.concatenate([windows(found[c.id].log2_q9, rows, hop) for c in test])
    rounded = features(ds, test, card.front_end)
    q = np.concatenate([windows(rounded[c.id].q, rows, hop) for c in test])
    scale, zero_point = output_quantisation(content)
    exact = onnx.run_onnx(net, layout, real_input(real, card.front_end)).astype(np.float64)
    int8 = (INTERPRETERS["tflite"](content)(q).astype(np.float64) - zero_point) * scale
    alive = tuple(count_alive(found[c.id].level_q9, rows, card.decision) for c in test)
    truth: NDArray[np.int64]
    if ds.multi_label:
        truth = label_shares(test, card.labels).astype(np.int64)
    else:
        truth = np.array([card.labels.index(c.label) for c in test])
    same = (exact > 0) == (int8 > 0) if card.multi_label else exact.argmax(1) == int8.argmax(1)
    count = scorer(truth)
    return _Judged(
        agreement=float(same.mean()),
        error_rms=float(np.sqrt(np.mean((exact - int8) ** 2))),
        float=count(exact, alive, truth, rows, card.decision),
        int8=count(int8, alive, truth, rows, card.decision),
    )


def _suspicions(int8: Scores | TagScores, exact: Scores | TagScores, classes: int) -> tuple[str, ...]:
    """What looks wrong."""
    if isinstance(int8, TagScores) or isinstance(exact, TagScores):
        return ()
    chance = 1 / classes
    found = []
    if exact.clip_accuracy <= 1.5 * chance:
        found.append(
            f"float accuracy {100 * exact.clip_accuracy:.1f} % is near chance: is the order of the labels, "
            "the front end or mean and std another than in training?"
        )
    elif int8.clip_accuracy < exact.clip_accuracy - 0.03:
        found.append("int8 costs more than 3 points: calibrate on more folds, or train quantisation-aware")
    return tuple(found)


def _write(result: Imported, content: bytes) -> None:
    folder = result.tflite.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        new = result.tflite.with_name(result.tflite.name + ".new")
        new.write_bytes(content)
        new.replace(result.tflite)
        (folder / "import.json").write_text(json.dumps(as_dict(result), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write into {folder}: {error.strerror}", "choose another --out") from error


def as_dict(result: Imported) -> dict[str, Any]:
    """The report as JSON types."""
    return dataclasses.asdict(result) | {"tflite": str(result.tflite), "labels": list(result.labels)}
