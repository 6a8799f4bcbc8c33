"""SOFTMAX and LOG_SOFTMAX over the last axis; sources softmax.h and log_softmax.h in
tensorflow/lite/kernels/internal/reference, quantization_util.cc beside it.

exp() of every possible difference to the row's maximum is a table, so the device only adds, takes one
reciprocal and multiplies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_asc.compiler import fixed
from mcu_asc.compiler.ops.base import Array, Call, Code, Kind, Node, Params, scale_fields
from mcu_asc.nouns import Graph, Op

_BITS = 5  # integer bits of the exponent
_MAX_DEPTH = 511  # beyond it TFLM's output shift can leave 31 bits
_MAX_DEPTH_LOG = 4095  # beyond it TFLM's sum can leave 32 bits


@dataclass(frozen=True)
class Softmax:
    rows: int
    depth: int
    exp: tuple[int, ...]  # Q0.31 of exp(-d * scale * beta) for d = 0, 1, ...; 0 beyond


@dataclass(frozen=True)
class LogSoftmax(Softmax):
    scale: tuple[int, int]  # (multiplier, shift) of an input difference to Q5.26
    reverse: tuple[int, int]  # and back


def difference_factor(scale: float, beta: float) -> tuple[int, int]:
    """(multiplier, shift) of a difference of inputs to Q5.26.

    Raises:
        ValueError: the factor is too small for TFLM.
    """
    real = min(beta * scale * (1 << (31 - _BITS)), (1 << 31) - 1.0)
    if not real > 1:
        raise ValueError(f"scale {scale:g} times beta {beta:g} is too small")
    return fixed.quantize_multiplier(real)


def exp_table(scale: float, beta: float) -> tuple[int, ...]:
    """exp of the differences 0, -1, ... that TFLM does not skip; raises as `difference_factor`."""
    multiplier, shift = difference_factor(scale, beta)
    count = min(fixed.input_radius(_BITS, shift), 255) + 1
    return tuple(
        fixed.exp_on_negative(fixed.high_mul(fixed.wrap32(-d << shift), multiplier), _BITS)
        for d in range(count)
    )


def _parse_rows(node: Node, output: tuple[float, int], most: int, beta: float) -> Softmax:
    node.arity(1)
    x, y = node.inputs[0], node.outputs[0]
    scale, _ = node.activation(x, "input")
    if node.activation(y, "output") != output:
        node.refuse(
            f"the output is not quantised with scale 1/{1 / output[0]:g} and zero point {output[1]}",
            "convert again",
        )
    assert x is not None
    if x.shape != y.shape or not x.shape:
        node.refuse(f"cannot make {list(y.shape)} of {list(x.shape)}")
    depth = x.shape[-1]
    if depth > most:
        node.refuse(f"{depth} classes; TFLM's arithmetic holds for {most}")
    try:
        table = exp_table(scale, beta)
    except (ValueError, OverflowError) as error:
        node.refuse(str(error), "use a beta of 1")
    return Softmax(x.elements // depth, depth, table)


def _parse(node: Node) -> Softmax:
    options = node.options("SoftmaxOptions")
    if options is None:
        node.refuse("has no options", "the file is damaged")
    return _parse_rows(node, (1 / 256, -128), _MAX_DEPTH, options.Beta())


def _parse_log(node: Node) -> LogSoftmax:
    a = _parse_rows(node, (1 / 16, 127), _MAX_DEPTH_LOG, 1.0)
    multiplier, shift = difference_factor(node.activation(node.inputs[0], "input")[0], 1.0)
    back = (1 << (31 - shift)) / multiplier  # below 1 as TFLM wants it: the scale is a float32
    return LogSoftmax(a.rows, a.depth, a.exp, (multiplier, shift), fixed.quantize_multiplier(back))


def _call(op: Op, kernel: str, more: dict[str, int | tuple[int, ...]]) -> Code:
    name, a = f"op{op.index}", op.attrs
    table = f"{name}_exp"
    values = np.array((*a.exp, 0)[:256], np.int32)  # all differences of int8, or those before 0 and one 0
    fields = {"rows": a.rows, "depth": a.depth, "exp": table, "exp_n": len(a.exp), **more}
    return Code(
        arrays=(Array("int32_t", table, values),),
        params=(Params(f"asc_{kernel}", name, fields),),
        calls=(Call(f"asc_{kernel}_s8", name, (op.inputs[0],), op.outputs[0]),),
    )


def _code(graph: Graph, op: Op) -> Code:
    return _call(op, "softmax", {})


def _code_log(graph: Graph, op: Op) -> Code:
    multiplier, left = op.attrs.scale
    more = {"multiplier": multiplier, "left": left, "reverse": scale_fields(op.attrs.reverse)}
    return _call(op, "log_softmax", more)


KINDS = {
    "SOFTMAX": Kind(_parse, _code),
    "LOG_SOFTMAX": Kind(_parse_log, _code_log),
}
