"""One int8 value to another: 256-byte tables, filled on the host with TFLM's own arithmetic.

Sources: activations.h, logistic_common.cc, tanh.cc, hard_swish_common.cc, leaky_relu_common.cc and
quantize_common.cc in tensorflow/lite/micro/kernels, and the reference kernels they call.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mcu_asc.compiler import fixed
from mcu_asc.compiler.ops.base import Array, Call, Code, Kind, Node, Params, clamp8, quantize
from mcu_asc.nouns import Graph, Op

_INPUT_BITS = 4  # integer bits of the argument of LOGISTIC and TANH


@dataclass(frozen=True)
class Table:
    values: tuple[int, ...]  # for inputs -128 .. 127


Fill = Callable[[Node, tuple[float, int], tuple[float, int]], Callable[[int], int]]
"""(node, (scale, zero point) in, the same out) -> the function of one int8 value."""


def _requantise(node: Node, x: tuple[float, int], y: tuple[float, int]) -> Callable[[int], int]:
    multiplier, shift = node.multiplier(x[0] / y[0])
    return lambda q: clamp8(fixed.multiply(q - x[1], multiplier, shift) + y[1])


def _relu(node: Node, x: tuple[float, int], y: tuple[float, int]) -> Callable[[int], int]:
    multiplier, shift = node.multiplier(x[0] / y[0])
    low = max(fixed.INT8_MIN, y[1])
    return lambda q: fixed.clamp(fixed.multiply(q - x[1], multiplier, shift) + y[1], low, fixed.INT8_MAX)


def _relu6(node: Node, x: tuple[float, int], y: tuple[float, int]) -> Callable[[int], int]:
    if x != y:  # TFLM would only clamp, and be wrong
        node.refuse("input and output are quantised differently", "fuse the activation into the layer before")
    six = clamp8(quantize(6.0, x[0]) + x[1])
    return lambda q: min(max(q, x[1]), six)


def _leaky_relu(node: Node, x: tuple[float, int], y: tuple[float, int]) -> Callable[[int], int]:
    options = node.options("LeakyReluOptions")
    alpha = options.Alpha() if options else 0.0
    if not (math.isfinite(alpha) and alpha >= 0):
        node.refuse(f"alpha is {alpha}", "use an alpha of 0 or more")
    negative = node.multiplier(x[0] * alpha / y[0])
    positive = node.multiplier(x[0] / y[0])
    return lambda q: clamp8(fixed.multiply(q - x[1], *(positive if q >= x[1] else negative)) + y[1])


def _saturating(
    node: Node, x: tuple[float, int], curve: Callable[[int, int], int], right: int, zero: int
) -> Callable[[int], int]:
    """LOGISTIC or TANH: `curve` in Q0.31, scaled down by 2**right around the output's zero point."""
    fraction, shift = math.frexp(x[0] * (1 << (31 - _INPUT_BITS)))
    if shift < 0:
        node.refuse(f"input scale {x[0]:g} is too small")
    multiplier = fixed.round_half_away(fraction * (1 << 31))
    radius = fixed.input_radius(_INPUT_BITS, shift)

    def value(q: int) -> int:
        d = q - x[1]
        if d <= -radius:
            return fixed.INT8_MIN
        if d >= radius:
            return fixed.INT8_MAX
        return clamp8(
            fixed.divide_by_pot(curve(fixed.multiply(d, multiplier, shift), _INPUT_BITS), right) + zero
        )

    return value


def _logistic(node: Node, x: tuple[float, int], y: tuple[float, int]) -> Callable[[int], int]:
    if y != (1 / 256, -128):
        node.refuse("the output is not quantised with scale 1/256 and zero point -128", "convert again")
    return _saturating(node, x, fixed.logistic, 23, -128)


def _tanh(node: Node, x: tuple[float, int], y: tuple[float, int]) -> Callable[[int], int]:
    if y != (1 / 128, 0):
        node.refuse("the output is not quantised with scale 1/128 and zero point 0", "convert again")
    return _saturating(node, x, fixed.tanh, 24, 0)


def _to16(multiplier: int) -> int:
    """DownScaleInt32ToInt16Multiplier."""
    return (multiplier + (1 << 15)) >> 16 if multiplier < (1 << 31) - (1 << 15) else 32767


def _sat16(value: int) -> int:
    return fixed.clamp(value, -32768, 32767)


def _high_mul16(a: int, b: int) -> int:
    return 32767 if a == b == -32768 else _round_shift15(a * b)


def _round_shift15(product: int) -> int:
    nudge = 1 << 14 if product >= 0 else 1 - (1 << 14)
    total = product + nudge
    return total >> 15 if total >= 0 else -(-total >> 15)


def _hard_swish(node: Node, x: tuple[float, int], y: tuple[float, int]) -> Callable[[int], int]:
    fine = x[0] / 128
    out_multiplier, out_exponent = node.multiplier(fine / y[0])
    relu_multiplier, relu_exponent = node.multiplier(fine / (3 / 32768))
    if out_exponent > 0:
        node.refuse(f"output scale {y[0]:g} is too small for an input of {x[0]:g}")
    out16, relu16 = _to16(out_multiplier), _to16(relu_multiplier)

    def value(q: int) -> int:
        hires = (q - x[1]) * (1 << 7)
        preshift = _high_mul16(hires, out16)
        relu = hires
        if relu_exponent > 0:
            relu = _sat16(relu << (relu_exponent - 1))
        relu = _high_mul16(relu, relu16)
        if relu_exponent > 0:
            relu = _sat16(relu << 1)
        if relu_exponent < 0:
            relu = fixed.divide_by_pot(relu, -relu_exponent)
        relu = (relu + (1 << 15)) >> 1
        product = relu * preshift
        product = product >> 15 if product >= 0 else -(-product >> 15)  # towards zero
        return clamp8(fixed.divide_by_pot(product, -out_exponent) + y[1])

    return value


def _row(fill: Fill) -> Kind:
    def parse(node: Node) -> Table:
        node.arity(1)
        x, y = node.activation(node.inputs[0], "input"), node.activation(node.outputs[0], "output")
        assert node.inputs[0] is not None
        if node.inputs[0].elements != node.outputs[0].elements:
            node.refuse("input and output differ in size", "the file is damaged")
        function = fill(node, x, y)
        return Table(tuple(function(q) for q in range(fixed.INT8_MIN, fixed.INT8_MAX + 1)))

    return Kind(parse, _code, in_place=lambda graph, op: (0,))


def _code(graph: Graph, op: Op) -> Code:
    name = f"op{op.index}"
    return Code(
        arrays=(Array("int8_t", f"{name}_table", np.array(op.attrs.values, np.int8)),),
        params=(
            Params("asc_lut", name, {"n": graph.tensors[op.outputs[0]].elements, "table": f"{name}_table"}),
        ),
        calls=(Call("asc_lut_s8", name, (op.inputs[0],), op.outputs[0]),),
    )


KINDS = {
    "QUANTIZE": _row(_requantise),
    "RELU": _row(_relu),
    "RELU6": _row(_relu6),
    "LEAKY_RELU": _row(_leaky_relu),
    "LOGISTIC": _row(_logistic),
    "TANH": _row(_tanh),
    "HARD_SWISH": _row(_hard_swish),
}
