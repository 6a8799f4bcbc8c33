"""The rule that turns windows into one answer per clip."""

from __future__ import annotations

import numpy as np
import pytest

from mcu_asc.decide import alive_level, count_alive, decide, kept, log_softmax
from mcu_asc.nouns import Decision

RULE = Decision(hop_rows=25, alive_db=-40.0, min_alive=0.5)


def test_probabilities_are_the_renormalised_geometric_mean() -> None:
    logits = np.array([[2.0, 0.0, -1.0], [0.5, 1.0, 0.0]])
    p = decide(logits, np.array([50, 50]), 50, RULE)
    each = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = np.sqrt(each[0] * each[1])
    assert np.allclose(p, expected / expected.sum(), rtol=1e-14, atol=0)
    assert p.sum() == pytest.approx(1.0, abs=1e-15)


def test_silent_windows_are_left_out() -> None:
    logits = np.array([[5.0, 0.0], [0.0, 1.0], [9.0, 0.0]])
    p = decide(logits, np.array([24, 25, 0]), 50, RULE)
    assert np.allclose(p, np.exp(log_softmax(logits[1])), rtol=1e-15)


def test_when_all_are_silent_the_most_alive_windows_count() -> None:
    assert kept(np.array([3, 7, 7, 0]), 50, RULE).tolist() == [False, True, True, False]
    assert kept(np.array([0, 0]), 50, RULE).tolist() == [True, True]


def test_logits_of_any_size_do_not_overflow() -> None:
    p = decide(np.array([[1e4, -1e4], [1e4, 0.0]]), np.array([50, 50]), 50, RULE)
    assert p.tolist() == [1.0, 0.0]


def test_shapes_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match="do not agree"):
        decide(np.zeros((2, 3)), np.array([1]), 50, RULE)
    with pytest.raises(ValueError, match="do not agree"):
        decide(np.zeros((0, 3)), np.zeros(0), 50, RULE)


@pytest.mark.parametrize("alive_db", [-90.0, -40.0, -39.97, -6.0, 0.0])
def test_the_integer_threshold_says_what_the_decibels_say(alive_db: float) -> None:
    rule = Decision(alive_db=alive_db)
    levels = np.arange(0, 16_384, dtype=np.int16)
    decibels = 10 * np.log10(2.0) * (levels / 512 - 30)
    assert np.array_equal(levels > alive_level(rule), decibels > alive_db)


def test_alive_rows_are_counted_in_whole_windows() -> None:
    level = np.zeros(247, np.int16)
    level[30:60] = 30 * 512
    assert count_alive(level, 50, RULE).tolist() == [20, 30, 10, 0, 0, 0, 0, 0]
    assert count_alive(level[:49], 50, RULE).tolist() == []
