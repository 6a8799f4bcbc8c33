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
from mcu_asc.learn.windows import TestSet
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


def scores(
    logits: NDArray[np.float64],
    alive: tuple[NDArray[np.int64], ...],
    truth: NDArray[np.int64],
    rows: int,
    rule: Decision,
) -> Scores:
    """Scores from the logits of all windows (n, classes), clip after clip, by the decision rule."""
    counts = [len(a) for a in alive]
    ends = np.cumsum(counts)
    p = np.stack([
        decide(logits[end - n : end], a, rows, rule) for end, n, a in zip(ends, counts, alive, strict=True)
    ])  # fmt: skip
    answer = p.argmax(1)
    return Scores(
        clips=len(p),
        clip_accuracy=metrics.accuracy(truth, answer),
        window_accuracy=metrics.accuracy(np.repeat(truth, counts), logits.argmax(1)),
        log_loss=metrics.log_loss(p, truth),
        mean_class_accuracy=metrics.mean_class_accuracy(truth, answer, p.shape[1]),
        macro_log_loss=metrics.macro_log_loss(p, truth),
    )


def keras_scores(model: Keras, test: TestSet, rule: Decision, batch: int = 64) -> Scores:
    """A Keras student on standardised windows, in float or with its simulated quantisation."""
    logits = model.predict(test.x, batch_size=batch, verbose=0).astype(np.float64)
    return scores(logits, test.alive, test.truth, test.x.shape[1], rule)


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
    tf = keras.tensorflow()
    import warnings

    with warnings.catch_warnings():  # of its move to another package
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
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
) -> tuple[Scores, ModelCard]:
    """An exported student on clips: the C front end's int8 rows through an interpreter of INTERPRETERS.

    Windows that the decision rule leaves out are computed all the same, for the window accuracy.  Raises
    UsageError for a file without a card or with other labels, ToolMissing without the interpreter.
    """
    content = path.read_bytes()
    card = read_card(content, str(path))
    if unknown := {c.label for c in clips} - set(card.labels):
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
    truth = np.array([card.labels.index(c.label) for c in clips])
    return scores(logits, alive, truth, rows, rule), card
