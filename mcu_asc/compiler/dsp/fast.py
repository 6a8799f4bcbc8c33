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

from mcu_asc.compiler.fixed import INT8_MAX, INT8_MIN, clamp, multiply

FIXED_SHIFT = 12  # ASC_FIXED_SHIFT
_MAX_RIGHT = 22  # zero * 2^e and a product of 31 bits stay within 32
_MAX_SUM = 1 << 29  # doubled, and with the bias doubled, within 32 bits with room for the offset


@dataclass(frozen=True)
class Sums:
    """What each channel's sum can be on any int8 input."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]


@dataclass(frozen=True)
class Fast:
    """Per channel: bias, multiplier, offset, right shift; exact for the sums that can occur."""

    bias: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    offset: NDArray[np.int64]
    right: NDArray[np.int64]
    reach: NDArray[np.int64]  # largest |sum|; 0 where the output does not depend on it

    @property
    def scales(self) -> NDArray[np.int64]:
        """[channels, 3]"""
        return np.stack([self.multiplier, self.offset, self.right], axis=1)


@dataclass(frozen=True)
class Fixed:
    """The same with the shift in the weights: factors of doubled weights, scaled biases."""

    factor: NDArray[np.int64]
    bias: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    offset: NDArray[np.int64]

    @property
    def scales(self) -> NDArray[np.int64]:
        """[channels, 2]"""
        return np.stack([self.multiplier, self.offset], axis=1)


def sums(weights: NDArray[np.int8], bias: NDArray[np.int32]) -> Sums:
    """Of bias + sum(weights * x); weights [channels, taps]."""
    w = weights.astype(np.int64)
    up, down = np.maximum(w, 0).sum(axis=1), np.minimum(w, 0).sum(axis=1)
    base = bias.astype(np.int64)
    return Sums(base + up * INT8_MIN + down * INT8_MAX, base + up * INT8_MAX + down * INT8_MIN)


def only_output(low: int, high: int, factor: tuple[int, int], zero: int, act: tuple[int, int]) -> int | None:
    """The one output of all sums from `low` to `high`, or None.

    A left shift that may leave 32 bits wraps around, in TFLM as here: the ends tell nothing then.
    """
    if max(-low, high) << max(factor[1], 0) >= 1 << 31:
        return None
    least, most = (clamp(multiply(s, *factor) + zero, *act) for s in (low, high))
    return least if least == most else None


def fast(
    factors: Sequence[tuple[int, int]],
    zero: int,
    act: tuple[int, int],
    bias: NDArray[np.int32],
    reach: Sums,
) -> Fast | None:
    """The fast form of (multiplier, shift) per channel, or None where one has none.

    A channel whose output is the same for all its sums, as pruning leaves them, has one whatever its factor.
    """
    if act != (INT8_MIN, INT8_MAX):
        return None
    rows = []
    for (m, shift), b, low, high in zip(
        factors, bias.tolist(), reach.low.tolist(), reach.high.tolist(), strict=True
    ):
        value = only_output(low, high, (m, shift), zero, act)
        if value is not None:
            rows.append((0, 0, 1 + 2 * value, 1, 0))
        elif -_MAX_RIGHT <= shift <= -1 and max(-low, high) < _MAX_SUM:
            rows.append((b, m, (1 << (-shift - 1)) + zero * (1 << -shift), -shift, max(-low, high)))
        else:
            return None
    return Fast(*np.array(rows, np.int64).T)


def is_relu(zero: int) -> bool:
    """Negative sums give the lowest output whatever they are."""
    return zero == INT8_MIN


def fixed(f: Fast, zero: int, largest: NDArray[np.int64]) -> Fixed | None:
    """The form with one shift for all channels, or None.

    With v = sum * m / 2^31, y >= k asks for round(v) >= T = (2k - 1) 2^(e-1), that is v >= T - 1/2.  After d
    more doublings floor(2^d v) >= 2^d T - 2^(d-1) asks for the same, without the first rounding.

    largest  of each channel's doubled weights, magnitudes
    """
    if not is_relu(zero):
        return None
    none = f.multiplier == 0
    d = np.where(none, 1, FIXED_SHIFT - f.right)
    if int(d.min()) < 1 or bool(((largest << d) >= 1 << 15)[~none].any()):
        return None
    if bool(((f.reach << (d + 1)) >= 1 << 31).any()):
        return None
    top = 1 << FIXED_SHIFT
    offset = np.where(none, (f.offset >> 1) * top + top // 2, (1 << (d - 1)) + top // 2 + zero * top)
    return Fixed(np.where(none, 0, 1 << d), f.bias << (d + 1), f.multiplier, offset)
