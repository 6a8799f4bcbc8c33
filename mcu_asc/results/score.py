"""Score a classifier clip by clip, keep a journal that survives a cut cable, and compare with oracles."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_asc import metrics
from mcu_asc.audio.datasets import Dataset
from mcu_asc.decide import decide
from mcu_asc.errors import UsageError
from mcu_asc.nouns import Classify, Clip, ClipResult, Model, ModelCard, Quant, Report

Oracle = Callable[[NDArray[np.int16]], tuple[bytes, ...]]
"""int16 mono PCM at the front end's rate -> the output bytes of every window."""


@dataclass(frozen=True)
class ClipScore:
    """One line of the journal."""

    id: str
    label: str
    answer: str
    loss: float  # -ln of the true label's probability
    equal: tuple[str, ...]  # oracles whose bytes all agree
    different: tuple[str, ...]
    frontend_cycles: int  # over the clip; 0 where nobody counts
    model_cycles: int
    windows: int
    confidence: float | None = None  # the answer's probability; None in journals that did not keep it
    windows_right: int | None = None  # windows whose own largest logit is the label's


@dataclass(frozen=True)
class Judge:
    """What turns the logits of a clip's windows into an answer: the model's card and output scale."""

    card: ModelCard
    output: Quant

    @staticmethod
    def of(model: Model) -> Judge:
        """UsageError when the model carries no front end and labels."""
        if model.card is None:
            raise UsageError("the model has no front end and labels inside", "export it with mcu-asc export")
        output = model.graph.tensors[model.graph.outputs[0]].quant
        assert output is not None  # the reader refuses an output without one
        return Judge(model.card, output)

    def logits(self, result: ClipResult) -> NDArray[np.float64]:
        """The windows' logits as real numbers, (windows, classes)."""
        logits = np.array([np.frombuffer(w.logits, np.int8) for w in result.windows], np.float64)
        return (logits - self.output.zero_point[0]) * self.output.scale[0]

    def probabilities(self, result: ClipResult) -> NDArray[np.float64]:
        """Class probabilities of a clip by the card's decision rule."""
        alive = np.array([w.alive_rows for w in result.windows])
        card = self.card
        return decide(self.logits(result), alive, card.front_end.rows, card.decision, card.multi_label)


def score_clip(
    clip: Clip, pcm: NDArray[np.int16], judge: Judge, classify: Classify, oracles: Mapping[str, Oracle]
) -> ClipScore:
    """Classify one clip and compare every logit byte with every oracle."""
    result = classify(pcm)
    p = judge.probabilities(result)
    labels = judge.card.labels
    ours = tuple(w.logits for w in result.windows)
    same = {name: oracle(pcm) == ours for name, oracle in oracles.items()}
    return ClipScore(
        clip.id,
        clip.label,
        labels[int(np.argmax(p))],
        -math.log(max(float(p[labels.index(clip.label)]), 1e-15)),  # clipped as scikit-learn clips it
        tuple(n for n, ok in same.items() if ok),
        tuple(n for n, ok in same.items() if not ok),
        sum(w.frontend_cycles for w in result.windows),
        sum(w.model_cycles for w in result.windows),
        len(ours),
        float(p.max()),
        int(np.sum(judge.logits(result).argmax(1) == labels.index(clip.label))),
    )


class Journal:
    """Append-only JSON lines beside the firmware: what was scored stays scored.

    The first line is the run's identity; resuming a run of another identity is refused.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], resume: bool) -> None:
        self.path = path
        self.done: dict[str, ClipScore] = {}
        if resume and path.exists():
            self._load(dict(identity))
        else:
            if path.exists():  # an earlier run is moved aside, never lost
                path.replace(path.with_suffix(".previous.jsonl"))
            path.write_text(json.dumps(identity, sort_keys=True) + "\n")

    def _load(self, identity: dict[str, Any]) -> None:
        lines = self.path.read_text().splitlines()
        if not lines or json.loads(lines[0]) != identity:
            raise UsageError(
                f"{self.path} is the journal of another run",
                "score without --resume, or with the same options",
            )
        whole = []
        for line in lines[1:]:
            try:
                entry = json.loads(line)
            except ValueError:  # the line that a kill cut short
                continue
            whole.append(line)
            entry = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
            self.done[entry["id"]] = ClipScore(**entry)
        self.path.write_text("\n".join([lines[0], *whole]) + "\n")

    def add(self, score: ClipScore) -> None:
        self.done[score.id] = score
        with self.path.open("a") as f:
            f.write(json.dumps(score.__dict__) + "\n")


def score_all(
    clips: Sequence[Clip],
    ds: Dataset,
    judge: Judge,
    classify: Classify,
    oracles: Mapping[str, Oracle],
    journal: Journal,
    progress: Callable[[int, str], None],
) -> Report:
    """Score the clips that the journal does not hold yet and report on all of them.

    Errors of the device pass through; the journal then holds every clip scored so far.
    """
    labels = judge.card.labels
    if ds.multi_label:
        raise UsageError(
            f"data set {ds.name} has several labels a clip, a score counts answers of one label",
            "metrics.csv of its training run has the AUPRC; bench and features work",
        )
    if judge.card.multi_label:
        raise UsageError(
            f"'{judge.card.name}' tells which of several labels hold, data set {ds.name} has one a clip",
            "score a student that was trained on one label a clip",
        )
    for clip in clips:
        if clip.label not in labels:
            raise UsageError(
                f"clip {clip.id} is labelled '{clip.label}', which the model does not know",
                "score on the data set it was trained for: " + ", ".join(labels),
            )
    for i, clip in enumerate(clips):
        if clip.id not in journal.done:
            pcm = ds.pcm(clip, judge.card.front_end.sample_rate_hz)
            journal.add(score_clip(clip, pcm, judge, classify, oracles))
        progress(i + 1, f"{clip.id}: {journal.done[clip.id].answer}")
    return report([journal.done[c.id] for c in clips], labels)


def summary(result: Report, journal: Journal, oracles: Sequence[str], retries: int) -> dict[str, Any]:
    """What `score --json` prints of a finished run."""
    windows = max(1, sum(s.windows for s in journal.done.values()))
    return {
        "clips": result.clips,
        "correct": result.correct,
        "accuracy": result.accuracy,
        "log_loss": result.log_loss,
        "labels": result.labels,
        "confusion": result.confusion,
        "parity": {"compared": result.compared, "equal": result.equal, "against": list(oracles)},
        "retries": retries,
        "frontend_cycles_per_window": sum(s.frontend_cycles for s in journal.done.values()) // windows,
        "model_cycles_per_window": sum(s.model_cycles for s in journal.done.values()) // windows,
    }


def evaluation(
    clips: Sequence[Clip], scores: Mapping[str, ClipScore], labels: Sequence[str]
) -> dict[str, Any]:
    """What `score --json` adds to accuracy and log loss; see mcu_asc.metrics.

    `scores` holds every clip by its id.  Keys: mean_class_accuracy, class_accuracy, macro_log_loss,
    window_accuracy, interval (95 %, over recordings), devices, cities, calibration; None where the clips or
    an old journal do not say.
    """
    lines = [scores[clip.id] for clip in clips]
    truth = np.array([labels.index(s.label) for s in lines])
    answer = np.array([labels.index(s.answer) for s in lines])
    loss = np.array([s.loss for s in lines])
    n = len(labels)
    groups = [clip.group for clip in clips]

    def interval(statistic: Callable[[NDArray[np.int64]], float]) -> list[float] | None:
        found = metrics.bootstrap(statistic, groups)
        return [found.low, found.high] if found else None

    def by(keys: list[str]) -> dict[str, Any] | None:
        if not any(keys):
            return None
        parts = metrics.parts(keys, truth, answer, loss, n)
        return {str(key): asdict(part) for key, part in parts.items()}

    each = metrics.class_accuracy(truth, answer, n)
    return {
        "mean_class_accuracy": metrics.macro(each),
        "class_accuracy": {
            label: float(a) for label, a in zip(labels, each, strict=True) if not math.isnan(a)
        },
        "macro_log_loss": metrics.macro(metrics.class_means(loss, truth, n)),
        "window_accuracy": _window_accuracy(lines),
        "interval": {
            "level": 0.95,
            "recordings": len(set(groups)),
            "accuracy": interval(lambda i: metrics.accuracy(truth[i], answer[i])),
            "mean_class_accuracy": interval(lambda i: metrics.mean_class_accuracy(truth[i], answer[i], n)),
        },
        "devices": by([clip.device for clip in clips]),
        "cities": by([clip.city for clip in clips]),
        "calibration": _calibration(lines, truth == answer),
    }


def _window_accuracy(lines: Sequence[ClipScore]) -> float | None:
    right = [s.windows_right for s in lines if s.windows_right is not None]
    return sum(right) / sum(s.windows for s in lines) if len(right) == len(lines) else None


def _calibration(lines: Sequence[ClipScore], right: NDArray[np.bool_]) -> dict[str, Any] | None:
    confidence = [s.confidence for s in lines if s.confidence is not None]
    if len(confidence) < len(lines):
        return None
    bins = metrics.reliability(np.array(confidence), right)
    return {"error": metrics.calibration_error(bins), "bins": [asdict(b) for b in bins if b.clips]}


def report(scores: Iterable[ClipScore], labels: tuple[str, ...]) -> Report:
    """Accuracy, log loss, confusion and parity over clip scores."""
    scores = list(scores)
    if not scores:
        raise UsageError("no clips to score", "choose other --folds or a larger --limit")
    n = len(labels)
    confusion = np.zeros((n, n), int)
    for s in scores:
        confusion[labels.index(s.label), labels.index(s.answer)] += 1
    correct = int(np.trace(confusion))
    compared = [s for s in scores if s.equal or s.different]
    return Report(
        clips=len(scores),
        correct=correct,
        accuracy=correct / len(scores),
        log_loss=math.fsum(s.loss for s in scores) / len(scores),
        labels=labels,
        confusion=tuple(tuple(int(v) for v in row) for row in confusion),
        compared=len(compared),
        equal=sum(not s.different for s in compared),
    )


def interpreter_oracle(model: Model) -> Oracle | None:
    """The TFLM interpreter (wheel `tflite-micro`) on the C front end's rows; None where it is missing."""
    try:
        from tflite_micro import runtime
    except ImportError:
        return None
    from mcu_asc.audio.features import windows
    from mcu_asc.audio.frontend import extract

    interpreter = runtime.Interpreter.from_bytes(model.content)
    card = Judge.of(model).card
    fe = card.front_end

    def run(pcm: NDArray[np.int16]) -> tuple[bytes, ...]:
        padded = np.pad(pcm, (0, max(0, fe.samples - len(pcm))))
        out = []
        for window in windows(extract(padded, fe).q, fe.rows, card.decision.hop_rows):
            interpreter.set_input(np.ascontiguousarray(window).reshape(1, fe.rows, fe.bands, fe.channels), 0)
            interpreter.invoke()
            out.append(interpreter.get_output(0).astype(np.int8).tobytes())
        return tuple(out)

    return run
