"""From the windows of a clip to one answer: the rule that `nouns.Decision` states, in one place.

Training, evaluation and scoring through a device all decide by these functions; the device itself counts
alive rows with the threshold that `alive_level` gives.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mcu_asc.nouns import Decision

FULL_SCALE_LOG2 = 30  # log2 of full scale squared in LSB^2: (2^15)^2
Q9 = 512  # steps per octave of the front end's int16 log2 values


def alive_level(decision: Decision) -> int:
    """The int16 Q9 log2 level (LSB^2) that a row must exceed to be alive.

    Rounded down: `level > alive_level` for whole levels is the same as exceeding `alive_db`.
    """
    level = math.floor(Q9 * (FULL_SCALE_LOG2 + decision.alive_db / (10 * math.log10(2))))
    return max(-32768, min(32767, level))


def count_alive(level_q9: NDArray[np.int16], rows: int, decision: Decision) -> NDArray[np.int64]:
    """Alive rows in each window: levels of shape (n,) -> (windows,), a window every `hop_rows` rows.

    Only whole windows count; fewer than `rows` levels give an empty result.
    """
    sums = np.concatenate([[0], np.cumsum(level_q9 > alive_level(decision))])
    starts = np.arange(0, len(level_q9) - rows + 1, decision.hop_rows)
    counts: NDArray[np.int64] = (sums[starts + rows] - sums[starts]).astype(np.int64)
    return counts


def log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural-log probabilities along the last axis, without overflow."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    out: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return out


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-logits)), without overflow."""
    out: NDArray[np.float64] = np.exp(-np.logaddexp(0.0, -np.asarray(logits, np.float64)))
    return out


def kept(alive: NDArray[np.int64], rows: int, decision: Decision) -> NDArray[np.bool_]:
    """Which windows count, shape (windows,): alive enough, or else those with the most alive rows."""
    enough: NDArray[np.bool_] = alive >= decision.min_alive * rows
    if not enough.any():
        enough = alive == alive.max()
    return enough


def decide(
    logits: NDArray[np.float64],
    alive: NDArray[np.int64],
    rows: int,
    decision: Decision,
    multi_label: bool = False,
) -> NDArray[np.float64]:
    """Class probabilities of one clip, shape (classes,), float64; they sum to 1 where one label holds.

    logits  (windows, classes), dequantised, at least one window
    alive   (windows,) alive rows in each window of `rows` rows

    Windows with fewer than `min_alive * rows` alive rows are left out, unless none is left: then those
    with the most alive rows count.  The answer is the softmax of the mean log-softmax of the rest, with
    `multi_label` the mean of the windows' sigmoids: a label that holds for a while holds for the clip.
    Raises ValueError when the shapes do not agree or there is no window.
    """
    logits = np.asarray(logits, np.float64)
    alive = np.asarray(alive, np.int64)
    if logits.ndim != 2 or not len(logits) or alive.shape != logits.shape[:1]:
        raise ValueError(f"logits of shape {logits.shape} and alive rows of shape {alive.shape} do not agree")
    chosen = logits[kept(alive, rows, decision)]
    if multi_label:
        each: NDArray[np.float64] = sigmoid(chosen).mean(axis=0)
        return each
    mean = log_softmax(chosen).mean(axis=0)
    out: NDArray[np.float64] = np.exp(log_softmax(mean))
    return out
