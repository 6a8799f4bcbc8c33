"""The three-instruction way from a sum to an output: firmware/kernels/dsp/asc_nn_dsp.h tells the formula.

With e = -shift, TFLite's RDPOT(SRDHM(sum, m), e) + zero equals (SRDHM(sum, m) + offset - [sum < 0]) >> e for
offset = 2^(e-1) + zero * 2^e: adding half and shifting rounds ties up, and one less for negative sums rounds
those away from zero.  A sum below zero whose product rounds to zero gives the same either way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcu_asc.compiler.fixed import INT8_MAX, INT8_MIN

_MAX_RIGHT = 22  # zero * 2^e and a product of 31 bits stay within 32
_MAX_SUM = 1 << 29  # doubled, and with the bias doubled, within 32 bits with room for the offset


@dataclass(frozen=True)
class Fast:
    """Per channel: multiplier, offset, right shift; what they say is exact for the sums that can occur."""

    multiplier: NDArray[np.int64]
    offset: NDArray[np.int64]
    right: NDArray[np.int64]


def reach(weights: NDArray[np.int8], bias: NDArray[np.int32]) -> NDArray[np.int64]:
    """The largest |bias + sum(weights * x)| that any int8 x gives on the way; weights [channels, taps]."""
    taps = np.abs(weights.astype(np.int64)).sum(axis=1) * -INT8_MIN
    return np.asarray(np.abs(bias.astype(np.int64)) + taps)


def fast(
    factors: Sequence[tuple[int, int]], zero: int, act: tuple[int, int], sums: NDArray[np.int64]
) -> Fast | None:
    """The fast form of (multiplier, shift) per channel, or None where one has none.

    sums  the largest |sum| of each channel
    """
    if act != (INT8_MIN, INT8_MAX) or int(sums.max(initial=0)) >= _MAX_SUM:
        return None
    m = np.array([f[0] for f in factors], np.int64)
    e = -np.array([f[1] for f in factors], np.int64)
    nothing = (m == 0) | ((e > _MAX_RIGHT) & (sums < (1 << np.maximum(e - 1, 0).astype(np.int64))))
    m, e = np.where(nothing, 0, m), np.where(nothing, 1, e)
    if int(e.min()) < 1 or int(e.max()) > _MAX_RIGHT:
        return None
    return Fast(m, (1 << (e - 1)) + zero * (1 << e), e)


def is_relu(zero: int) -> bool:
    """Negative sums give the lowest output whatever they are."""
    return zero == INT8_MIN
