"""How good a student is on clips it has not seen: accuracy per clip and per window, log loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcu_asc import metrics
from mcu_asc.audio.datasets import Dataset
from mcu_asc.audio.features import features, windows
from mcu_asc.decide import count_alive, decide
from mcu_asc.errors import ToolMissing, UsageError
from mcu_asc.learn import keras
from mcu_asc.learn.card import output_quantisation, read_card
from mcu_asc.learn.keras import Keras
from mcu_asc.learn.windows import TestSet, label_shares
from mcu_asc.nouns import Clip, Decision, ModelCard

Run = Callable[[NDArray[np.int8]], NDArray[np.int8]]
"""int8 windows (n, rows, values) -> int8 logits (n, classes)."""


@dataclass(frozen=True)
class Scores:
    """Over the clips of a test set; log loss in nats per clip."""

    clips: int
    clip_accuracy: float
    window_accuracy: float
    log_loss: float
    mean_class_accuracy: float = float("nan")
    macro_log_loss: float = float("nan")  # the mean of each class's


@dataclass(frozen=True)
class TagScores:
    """Over the clips of a test set where several labels may hold; labels that never hold are left out."""

    clips: int
    micro_auprc: float
    macro_auprc: float
    log_loss: float  # mean over clips and labels


def tag_scores(
    logits: NDArray[np.float64],
    alive: tuple[NDArray[np.int64], ...],
    truth: NDArray[np.int64],
    rows: int,
    rule: Decision,
) -> TagScores:
    """As `scores` for logits (n, labels); truth is (clips, labels) of 0 and 1."""
    p, held = _decided(logits, alive, rows, rule, multi_label=True), truth.astype(bool)
    right = np.where(held, p, 1 - p)
    return TagScores(
        clips=len(p),
        micro_auprc=metrics.micro_auprc(held, p),
        macro_auprc=metrics.macro_auprc(held, p),
        log_loss=float(-np.log(np.maximum(right, metrics.TINY)).mean()),
    )


def _decided(
    logits: NDArray[np.float64],
    alive: tuple[NDArray[np.int64], ...],
    rows: int,
    rule: Decision,
    multi_label: bool,
) -> NDArray[np.float64]:
    """(clips, classes) probabilities."""
    parts = np.split(logits, np.cumsum([len(a) for a in alive])[:-1])
    clips = zip(parts, alive, strict=True)
    return np.stack([decide(part, a, rows, rule, multi_label) for part, a in clips])


def scores(
    logits: NDArray[np.float64],
    alive: tuple[NDArray[np.int64], ...],
    truth: NDArray[np.int64],
    rows: int,
    rule: Decision,
) -> Scores:
    """Scores from the logits of all windows (n, classes), clip after clip, by the decision rule."""
    counts = [len(a) for a in alive]
    p = _decided(logits, alive, rows, rule, multi_label=False)
    answer = p.argmax(1)
    return Scores(
        clips=len(p),
        clip_accuracy=metrics.accuracy(truth, answer),
        window_accuracy=metrics.accuracy(np.repeat(truth, counts), logits.argmax(1)),
        log_loss=metrics.log_loss(p, truth),
        mean_class_accuracy=metrics.mean_class_accuracy(truth, answer, p.shape[1]),
        macro_log_loss=metrics.macro_log_loss(p, truth),
    )


def keras_scores(model: Keras, test: TestSet, rule: Decision, batch: int = 64) -> Scores | TagScores:
    """A Keras student on standardised windows, in float or with its simulated quantisation."""
    logits = model.predict(test.x, batch_size=batch, verbose=0).astype(np.float64)
    return scorer(test.truth)(logits, test.alive, test.truth, test.x.shape[1], rule)


def scorer(truth: NDArray[np.int64]) -> Callable[..., Scores | TagScores]:
    """`scores`, or `tag_scores` where a clip's truth is a row of labels."""
    return tag_scores if truth.ndim > 1 else scores


def _micro(content: bytes) -> Run:
    """The TFLM interpreter: the integers that the device computes."""
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(content)
    shape = tuple(interpreter.get_input_details(0)["shape"])

    def run(x: NDArray[np.int8]) -> NDArray[np.int8]:
        out = []
        for window in x:
            interpreter.set_input(np.ascontiguousarray(window).reshape(shape), 0)
            interpreter.invoke()
            out.append(interpreter.get_output(0)[0].copy())
        return np.stack(out)

    return run


def _lite(content: bytes) -> Run:
    """TensorFlow Lite's optimised kernels: fast, now and then one step off the reference."""
    interpreter = keras.interpreter(content)
    source, shape = (interpreter.get_input_details()[0][name] for name in ("index", "shape"))
    sink = interpreter.get_output_details()[0]["index"]

    def run(x: NDArray[np.int8]) -> NDArray[np.int8]:
        out = []
        for window in x:
            interpreter.set_tensor(source, window.reshape(shape))
            interpreter.invoke()
            out.append(interpreter.get_tensor(sink)[0].copy())
        return np.stack(out)

    return run


INTERPRETERS: Mapping[str, Callable[[bytes], Run]] = {"tflm": _micro, "tflite": _lite}


def tflite_scores(
    path: Path, ds: Dataset, clips: tuple[Clip, ...], interpreter: str = "tflm"
) -> tuple[Scores | TagScores, ModelCard]:
    """An exported student on clips: the C front end's int8 rows through an interpreter of INTERPRETERS.

    Windows that the decision rule leaves out are computed all the same, for the window accuracy.  Raises
    UsageError for a file without a card or with other labels, ToolMissing without the interpreter.
    """
    content = path.read_bytes()
    card = read_card(content, str(path))
    if ds.multi_label != card.multi_label:
        kinds = ("one label a clip", "several labels a clip")
        raise UsageError(
            f"{path} was trained for {kinds[card.multi_label]}, {ds.name} has {kinds[ds.multi_label]}",
            "score the data it was trained for",
        )
    if unknown := {c.label for c in clips if not ds.multi_label} - set(card.labels):
        raise UsageError(
            f"{path} does not know the label '{min(unknown)}'", "score the data it was trained for"
        )
    try:
        run = INTERPRETERS[interpreter](content)
    except ImportError as error:
        raise ToolMissing(f"scoring with TFLM: {error}", "pip install 'mcu-asc[oracle]'") from error
    rows, rule = card.front_end.rows, card.decision
    found = features(ds, clips, card.front_end)
    scale, zero_point = output_quantisation(content)
    q = [run(windows(found[c.id].q, rows, rule.hop_rows)) for c in clips]
    logits = (np.concatenate(q).astype(np.float64) - zero_point) * scale
    alive = tuple(count_alive(found[c.id].level_q9, rows, rule) for c in clips)
    if ds.multi_label:
        truth = label_shares(clips, card.labels).astype(np.int64)
    else:
        truth = np.array([card.labels.index(c.label) for c in clips])
    return scorer(truth)(logits, alive, truth, rows, rule), card
