"""Metrics by hand-made numbers and against formulas written another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcu_asc import metrics as m

TRUTH = np.array([0, 0, 0, 0, 1, 1, 2])
ANSWER = np.array([0, 0, 0, 1, 1, 0, 2])
P = np.array([
    [0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.8, 0.1, 0.1], [0.2, 0.6, 0.2],
    [0.1, 0.9, 0.0], [0.6, 0.4, 0.0], [0.25, 0.25, 0.5],
])  # fmt: skip


def test_by_hand() -> None:
    assert m.accuracy(TRUTH, ANSWER) == 5 / 7
    assert m.confusion(TRUTH, ANSWER, 3).tolist() == [[3, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert m.class_accuracy(TRUTH, ANSWER, 3).tolist() == [0.75, 0.5, 1.0]
    assert m.mean_class_accuracy(TRUTH, ANSWER, 3) == 0.75
    logs = [math.log(v) for v in (0.7, 0.5, 0.8, 0.2, 0.9, 0.4, 0.5)]
    assert m.log_loss(P, TRUTH) == pytest.approx(-sum(logs) / 7)
    by_class = [sum(logs[:4]) / 4, sum(logs[4:6]) / 2, logs[6]]
    assert m.macro_log_loss(P, TRUTH) == pytest.approx(-sum(by_class) / 3)


def test_an_absent_class_is_left_out_and_none_is_nan() -> None:
    assert m.mean_class_accuracy(TRUTH, ANSWER, 4) == 0.75
    assert np.isnan(m.class_accuracy(TRUTH, ANSWER, 4)[3])
    none = np.array([], np.int64)
    assert math.isnan(m.accuracy(none, none))
    assert math.isnan(m.mean_class_accuracy(none, none, 3))


def test_a_probability_of_zero_has_a_finite_loss() -> None:
    assert m.log_loss(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-math.log(m.TINY))


def test_parts_by_hand() -> None:
    found = m.parts(list("aabbabb"), TRUTH, ANSWER, m.losses(P, TRUTH), 3)
    assert list(found) == ["a", "b"]
    assert found["a"].clips == 3
    assert found["a"].accuracy == found["a"].mean_class_accuracy == 1.0
    assert found["b"].accuracy == 0.5  # clips 2, 3, 5, 6: right, wrong, wrong, right
    assert found["b"].mean_class_accuracy == pytest.approx((0.5 + 0 + 1) / 3)
    assert found["b"].log_loss == pytest.approx(-sum(map(math.log, (0.8, 0.2, 0.4, 0.5))) / 4)


def test_bootstrap_of_independent_clips_is_the_binomials() -> None:
    right = np.arange(400) < 300
    found = m.bootstrap(lambda i: float(right[i].mean()), list(range(400)), resamples=4000)
    assert found is not None
    half = 1.96 * math.sqrt(0.75 * 0.25 / 400)
    assert found.low == pytest.approx(0.75 - half, abs=0.005)
    assert found.high == pytest.approx(0.75 + half, abs=0.005)
    assert (found.level, found.groups) == (0.95, 400)


def test_bootstrap_draws_recordings_not_clips() -> None:
    """Ten clips of each recording are right or wrong together: as wide as 40 clips, not 400."""
    right = np.repeat(np.arange(40) < 30, 10)
    groups = [f"g{i // 10}" for i in range(400)]
    found = m.bootstrap(lambda i: float(right[i].mean()), groups, resamples=4000)
    assert found is not None
    half = 1.96 * math.sqrt(0.75 * 0.25 / 40)
    assert found.low == pytest.approx(0.75 - half, abs=0.02)
    assert found.high == pytest.approx(0.75 + half, abs=0.02)
    assert found == m.bootstrap(lambda i: float(right[i].mean()), groups, resamples=4000)


def test_bootstrap_keeps_groups_whole() -> None:
    groups = ["a", "b", "a", "c", "c", "c"]

    def whole(index: np.ndarray) -> float:
        counts = np.bincount(index, minlength=6)
        assert counts[0] == counts[2]
        assert counts[3] == counts[4] == counts[5]
        return 0.0

    m.bootstrap(whole, groups, resamples=50)
    assert m.bootstrap(whole, ["a"] * 6) is None
    assert m.bootstrap(lambda _: math.nan, groups, resamples=5) is None


def test_calibration_by_hand() -> None:
    bins = m.reliability(np.array([0.95, 0.85, 0.9, 0.35, 1.0]), np.array([1, 1, 0, 0, 1], bool), bins=10)
    assert [b.clips for b in bins] == [0, 0, 0, 1, 0, 0, 0, 0, 2, 2]
    assert bins[8].confidence == pytest.approx(0.875)
    assert bins[8].accuracy == 0.5
    error = (1 * 0.35 + 2 * 0.375 + 2 * abs(1 - 0.975)) / 5
    assert m.calibration_error(bins) == pytest.approx(error)
    assert math.isnan(m.calibration_error(m.reliability(np.array([]), np.array([], bool))))


def test_a_calibrated_judge_has_no_error() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.1, 1, 200_000)
    right = rng.random(200_000) < confidence
    assert m.calibration_error(m.reliability(confidence, right)) < 0.01
    assert m.calibration_error(m.reliability(confidence**0.5, right)) > 0.1


def test_precision_and_recall_by_hand() -> None:
    truth = np.array([1, 0, 1, 1, 0], bool)
    precision, recall = m.precision_recall(truth, np.array([0.9, 0.8, 0.7, 0.2, 0.2]))
    assert precision == pytest.approx([1, 1, 1 / 2, 2 / 3, 3 / 5])
    assert recall == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 1])
    scores = np.array([0.9, 0.8, 0.7, 0.2, 0.2])
    assert m.auprc(truth, scores) == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    trapezoids = (1 + (1 / 2 + 2 / 3) / 2 + (2 / 3 + 3 / 5) / 2) / 3
    assert m.auprc(truth, scores, "trapezoids") == pytest.approx(trapezoids)
    with pytest.raises(ValueError, match="no label holds"):
        m.precision_recall(np.zeros(3, bool), np.zeros(3))


def average_precision(truth: np.ndarray, score: np.ndarray) -> float:
    """By its definition: the precision among all that score at least as much as a true item, averaged."""
    return float(np.mean([truth[score >= s].mean() for s in score[truth]]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=40))
def test_auprc_is_average_precision(pairs: list[tuple[bool, int]]) -> None:
    truth, score = np.array([t for t, _ in pairs]), np.array([s for _, s in pairs]) / 6
    if truth.any():
        assert m.auprc(truth, score) == pytest.approx(average_precision(truth, score))
        _, recall = m.precision_recall(truth, score)
        assert recall[0] == 0
        assert recall[-1] == 1
        assert (np.diff(recall) >= 0).all()
    else:
        assert math.isnan(m.auprc(truth, score))


def test_micro_and_macro() -> None:
    rng = np.random.default_rng(2)
    truth, score = rng.random((50, 4)) < 0.3, rng.random((50, 4))
    truth[:, 3] = False
    each = [average_precision(truth[:, i], score[:, i]) for i in range(3)]
    assert m.macro_auprc(truth, score) == pytest.approx(np.mean(each))
    assert m.micro_auprc(truth, score) == pytest.approx(average_precision(truth.ravel(), score.ravel()))
    perfect = truth.astype(float)
    assert m.micro_auprc(truth, perfect) == m.macro_auprc(truth, perfect) == 1.0
    assert m.micro_auprc(truth, np.zeros((50, 4))) == pytest.approx(truth.mean())  # no skill: the base rate
