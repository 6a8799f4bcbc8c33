"""What a network's outputs mean: logits of one label that holds, or of several that each may hold.

A student gives logits in either case and so does its int8 file: a softmax or sigmoid costs the device time,
in int8 it loses both ends, and neither changes the order.  Who wants probabilities takes them of the logits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_asc.decide import log_softmax, sigmoid
from mcu_asc.learn import keras

Doubles = NDArray[np.float64]
TINY = 1e-7  # probabilities are clipped here before their logarithm


@dataclass(frozen=True)
class Outputs:
    """NumPy functions on (n, classes), and the loss as a TensorFlow function."""

    probabilities: Callable[[Doubles], Doubles]  # of logits
    logits: Callable[[Doubles], Doubles]  # of probabilities, up to what the probabilities do not change by
    are_probabilities: Callable[[Doubles], bool]  # could these outputs be?
    loss: Callable[[Any, Any], Any]  # (shares, logits) -> mean cross-entropy
    entropy: Callable[[Any], Any]  # shares -> their own, the least that the loss can be


def _softmax(z: Doubles) -> Doubles:
    return np.asarray(np.exp(log_softmax(z)))


def _log(p: Doubles) -> Doubles:
    return np.asarray(np.log(np.maximum(p, TINY)))


def _logit(p: Doubles) -> Doubles:
    return np.asarray(_log(p) - _log(1 - p))


def _one_loss(shares: Any, logits: Any) -> Any:
    tf = keras.tensorflow()
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(shares, logits))


def _one_entropy(shares: Any) -> Any:
    tf = keras.tensorflow()
    return -tf.reduce_mean(tf.reduce_sum(tf.math.xlogy(shares, shares), axis=1))


def _several_loss(shares: Any, logits: Any) -> Any:
    tf = keras.tensorflow()
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(shares, logits))


def _several_entropy(shares: Any) -> Any:
    tf = keras.tensorflow()
    return -tf.reduce_mean(tf.math.xlogy(shares, shares) + tf.math.xlogy(1 - shares, 1 - shares))


ONE = Outputs(
    _softmax,
    _log,
    lambda out: bool((out >= 0).all() and np.allclose(out.sum(1), 1, atol=1e-3)),
    _one_loss,
    _one_entropy,
)
SEVERAL = Outputs(
    sigmoid, _logit, lambda out: bool(((out >= 0) & (out <= 1)).all()), _several_loss, _several_entropy
)


def outputs(multi_label: bool) -> Outputs:
    """The functions for clips with one label, or with several."""
    return SEVERAL if multi_label else ONE
