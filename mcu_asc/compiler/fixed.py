"""The fixed-point arithmetic of TFLite's int8 kernels, exactly, on Python integers.

What a kernel needs only once per model (multipliers, clamps, 256-entry tables) is computed here on the
host; what it needs per value is in firmware/asc/asc_requant.h.  Sources of the definitions:
tensorflow/lite/kernels/internal/{quantization_util.cc,common.cc}, kernels/kernel_util.cc and gemmlowp's
fixedpoint.h.

Scales are float32 in the file; factors are formed from them in double, as TFLM does.  (Its releases of
early 2026 and before formed those of FULLY_CONNECTED, SUB, RELU, LEAKY_RELU and HARD_SWISH in float32, which
moves one output in many thousands by 1; tests/vectors.py has the cases that tell the two apart.)
"""

from __future__ import annotations

import math

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1
INT8_MIN, INT8_MAX = -128, 127


def clamp(value: int, low: int, high: int) -> int:
    return low if value < low else high if value > high else value


def round_half_away(value: float) -> int:
    """C's `round`."""
    return math.floor(abs(value) + 0.5) * (1 if value >= 0 else -1)


def wrap32(value: int) -> int:
    """The value as a 32-bit register holds it."""
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """`real` as (multiplier, shift): real = multiplier / 2**31 * 2**shift; flushed to (0, 0) below 2**-32.

    Raises:
        OverflowError: `real` is not finite.
        ValueError: it is negative.
    """
    if not math.isfinite(real):
        raise OverflowError("multiplier is not finite")
    if real < 0:
        raise ValueError("multiplier is negative")
    if real == 0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = round_half_away(fraction * (1 << 31))
    if multiplier == 1 << 31:
        multiplier, shift = multiplier // 2, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def high_mul(a: int, b: int) -> int:
    """SaturatingRoundingDoublingHighMul: round(a * b / 2**31), ties towards plus infinity."""
    return INT32_MAX if a == b == INT32_MIN else (a * b + (1 << 30)) >> 31


def divide_by_pot(value: int, exponent: int) -> int:
    """RoundingDivideByPOT: round(value / 2**exponent), ties away from zero."""
    mask = (1 << exponent) - 1
    return (value >> exponent) + ((value & mask) > (mask >> 1) + (value < 0))


def multiply(value: int, multiplier: int, shift: int) -> int:
    """MultiplyByQuantizedMultiplier with two roundings."""
    left, right = max(shift, 0), max(-shift, 0)
    return divide_by_pot(high_mul(wrap32(value << left), multiplier), right)


def _saturating_pot(value: int, exponent: int) -> int:
    """SaturatingRoundingMultiplyByPOT: value * 2**exponent."""
    return (
        clamp(value << exponent, INT32_MIN, INT32_MAX) if exponent >= 0 else divide_by_pot(value, -exponent)
    )


def _half_sum(a: int, b: int) -> int:
    """RoundingHalfSum, ties away from zero."""
    total = a + b
    return (total + 1) // 2 if total >= 0 else -((1 - total) // 2)


_BARREL = (  # exp(-2**k) in Q0.31 for k = -2 .. 4
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)


def _exp_below_quarter(a: int) -> int:
    """exp(a) for a in [-1/4, 0), Q0.31 -> Q0.31: a Taylor series around -1/8."""
    x = a + (1 << 28)
    x2 = high_mul(x, x)
    x3 = high_mul(x2, x)
    x4_over_4 = divide_by_pot(high_mul(x2, x2), 2)
    series = divide_by_pot(high_mul(x4_over_4 + x3, 715827883) + x2, 1)
    return 1895147668 + high_mul(1895147668, x + series)


def exp_on_negative(a: int, integer_bits: int) -> int:
    """exp(a) for a <= 0 with `integer_bits` integer bits -> Q0.31."""
    if a == 0:
        return INT32_MAX
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    below = (a & (quarter - 1)) - quarter
    result = _exp_below_quarter(_saturating_pot(below, integer_bits))
    rest = wrap32(below - a)
    for exponent, factor in _BARREL:
        if integer_bits > exponent and rest & (1 << (fraction_bits + exponent)):
            result = high_mul(result, factor)
    return result


def _newton(a: int) -> int:
    """1 / ((1 + a) / 2) for a in [0, 1], Q0.31 -> Q2.29, three Newton steps."""
    half = _half_sum(a, INT32_MAX)
    x = 1515870810 + high_mul(half, -1010580540)
    for _ in range(3):
        x += _saturating_pot(high_mul(x, (1 << 29) - high_mul(half, x)), 2)
    return x


def logistic(a: int, integer_bits: int) -> int:
    """1 / (1 + exp(-a)), Q0.31."""
    if a == 0:
        return 1 << 30
    positive = _saturating_pot(_newton(exp_on_negative(-abs(a), integer_bits)), 1)
    return positive if a > 0 else INT32_MAX - positive


def tanh(a: int, integer_bits: int) -> int:
    """tanh(a), Q0.31."""
    if a == 0:
        return 0
    positive = _saturating_pot(_newton(exp_on_negative(-abs(a), integer_bits + 1)) - (1 << 29), 2)
    return positive if a > 0 else -positive


def input_radius(integer_bits: int, left_shift: int, total_signed_bits: int = 31) -> int:
    """CalculateInputRadius: from there on a saturating function is flat."""
    span = ((1 << integer_bits) - 1) * (1 << (total_signed_bits - integer_bits))
    return math.floor(span / (1 << left_shift)) if left_shift >= 0 else math.floor(span * (1 << -left_shift))
