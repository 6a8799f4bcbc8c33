"""How good answers are: pure functions of NumPy arrays, shared by training and by scoring a device.

Throughout, `p` is (clips, classes) of probabilities, `truth` and `answer` are (clips,) of class numbers, and
a group is what was recorded together: its clips are no independent evidence, so intervals draw groups.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
TINY = 1e-15  # probabilities are clipped here before their logarithm, as scikit-learn once did


# ---- one label a clip --------------------------------------------------------------------------


def confusion(truth: Ints, answer: Ints, classes: int) -> Ints:
    """Counts (classes, classes), rows the truth."""
    out = np.zeros((classes, classes), np.int64)
    np.add.at(out, (truth, answer), 1)
    return out


def accuracy(truth: Ints, answer: Ints) -> float:
    """Share of right answers; NaN without any."""
    return float(np.mean(truth == answer)) if len(truth) else float("nan")


def class_means(values: Floats, truth: Ints, classes: int) -> Floats:
    """The mean of `values` (clips,) over each class, (classes,); NaN for a class without clips."""
    counts = np.bincount(truth, minlength=classes)
    sums = np.bincount(truth, weights=values, minlength=classes)
    means: Floats = np.divide(sums, counts, out=np.full(classes, np.nan), where=counts > 0)
    return means


def class_accuracy(truth: Ints, answer: Ints, classes: int) -> Floats:
    """Accuracy of each class (its recall), (classes,); NaN for a class without clips."""
    return class_means((truth == answer).astype(np.float64), truth, classes)


def macro(values: Floats) -> float:
    """The mean over the classes that have a value; NaN without any."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")


def mean_class_accuracy(truth: Ints, answer: Ints, classes: int) -> float:
    """Class-wise accuracies averaged: DCASE's ranking measure since 2020; absent classes are left out."""
    return macro(class_accuracy(truth, answer, classes))


def losses(p: Floats, truth: Ints) -> Floats:
    """-ln of the true class's probability, (clips,), in nats."""
    return -np.log(np.maximum(p[np.arange(len(p)), truth], TINY))


def log_loss(p: Floats, truth: Ints) -> float:
    """Mean over the clips."""
    return float(losses(p, truth).mean())


def macro_log_loss(p: Floats, truth: Ints) -> float:
    """Class-wise means averaged: DCASE 2021 to 2023."""
    return macro(class_means(losses(p, truth), truth, p.shape[1]))


@dataclass(frozen=True)
class Part:
    """The clips that share a device or a city."""

    clips: int
    accuracy: float
    mean_class_accuracy: float
    log_loss: float


def parts(
    keys: Sequence[Hashable], truth: Ints, answer: Ints, loss: Floats, classes: int
) -> dict[Hashable, Part]:
    """Scores of the clips of each key, by key; `keys` and `loss` are (clips,)."""
    index: dict[Hashable, list[int]] = {}
    for i, key in enumerate(keys):
        index.setdefault(key, []).append(i)
    out = {}
    for key in sorted(index, key=str):
        t, a = truth[index[key]], answer[index[key]]
        out[key] = Part(
            len(t), accuracy(t, a), mean_class_accuracy(t, a, classes), float(loss[index[key]].mean())
        )
    return out


# ---- how sure one may be -----------------------------------------------------------------------


@dataclass(frozen=True)
class Interval:
    low: float
    high: float
    level: float
    groups: int


def bootstrap(
    statistic: Callable[[Ints], float],
    groups: Sequence[Hashable],
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval | None:
    """Percentile interval of `statistic`, which takes clip indices, over groups drawn with replacement.

    `groups` is (clips,).  The same seed gives the same interval.  None for fewer than two groups: one
    recording says nothing about others.  Resamples where the statistic is NaN are left out.
    """
    number: dict[Hashable, int] = {}
    of = np.array([number.setdefault(group, len(number)) for group in groups], np.int64)
    if len(number) < 2:
        return None
    order = np.argsort(of, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(of))[:-1])
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(number), (resamples, len(number)))
    values = np.array([statistic(np.concatenate([members[g] for g in row])) for row in drawn])
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, len(number))


# ---- is it as sure as it is right? -------------------------------------------------------------


@dataclass(frozen=True)
class Bin:
    """Clips whose confidence lies in (low, high]; means are NaN where there is none."""

    low: float
    high: float
    clips: int
    confidence: float
    accuracy: float


def reliability(confidence: Floats, right: NDArray[np.bool_], bins: int = 15) -> tuple[Bin, ...]:
    """Confidence against accuracy in bins of equal width (Guo et al. 2017); both are (clips,)."""
    where = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    mean_confidence = class_means(confidence, where, bins)
    mean_right = class_means(right.astype(np.float64), where, bins)
    counts = np.bincount(where, minlength=bins)
    return tuple(
        Bin(i / bins, (i + 1) / bins, int(counts[i]), float(mean_confidence[i]), float(mean_right[i]))
        for i in range(bins)
    )


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error: |accuracy - confidence| of each bin, weighted by its clips."""
    full = [b for b in bins if b.clips]
    clips = sum(b.clips for b in full)
    if not clips:
        return float("nan")
    return sum(b.clips * abs(b.accuracy - b.confidence) for b in full) / clips


# ---- several labels a clip ---------------------------------------------------------------------


def precision_recall(truth: NDArray[np.bool_], score: Floats) -> tuple[Floats, Floats]:
    """Precision and recall at every threshold, recall ascending from 0; both inputs flat.

    Equal scores fall together.  The first point has recall 0 and the precision of the second.  Raises
    ValueError where nothing is true: recall has no meaning there.
    """
    if not truth.any():
        raise ValueError("no label holds")
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)  # of each run of equal scores
    hits = np.cumsum(truth[order])[last]
    asked = np.flatnonzero(last) + 1
    precision, recall = hits / asked, hits / truth.sum()
    return np.append(precision[0], precision), np.append(0.0, recall)


def _steps(precision: Floats, recall: Floats) -> float:
    return float(np.sum(np.diff(recall) * precision[1:]))


def _trapezoids(precision: Floats, recall: Floats) -> float:
    return float(np.sum(np.diff(recall) * (precision[1:] + precision[:-1]) / 2))


AREAS: Mapping[str, Callable[[Floats, Floats], float]] = {"steps": _steps, "trapezoids": _trapezoids}


def auprc(truth: NDArray[np.bool_], score: Floats, area: str = "steps") -> float:
    """Area under the precision-recall curve of one label, or of flat arrays of all; NaN where none holds.

    "steps" is average precision, without interpolation; "trapezoids" is what DCASE's urban sound tagging
    states, a little optimistic between points.
    """
    if not truth.any():
        return float("nan")
    return AREAS[area](*precision_recall(truth, score))


def micro_auprc(truth: NDArray[np.bool_], score: Floats, area: str = "steps") -> float:
    """Every (clip, label) counts alike; both inputs (clips, labels)."""
    return auprc(truth.ravel(), score.ravel(), area)


def macro_auprc(truth: NDArray[np.bool_], score: Floats, area: str = "steps") -> float:
    """Every label that holds somewhere counts alike; both inputs (clips, labels)."""
    return macro(np.array([auprc(truth[:, i], score[:, i], area) for i in range(truth.shape[1])]))
