"""SOFTMAX over the last axis; source tensorflow/lite/kernels/internal/reference/softmax.h.

exp() of every possible difference to the row's maximum is a table, so the device only adds, takes one
reciprocal and multiplies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcu_asc.compiler import fixed
from mcu_asc.compiler.ops.base import Array, Call, Code, Kind, Node, Params
from mcu_asc.nouns import Graph, Op

_BITS = 5  # integer bits of the exponent
_MAX_DEPTH = 511  # beyond it TFLM's output shift can leave 31 bits


@dataclass(frozen=True)
class Softmax:
    rows: int
    depth: int
    exp: tuple[int, ...]  # Q0.31 of exp(-d * scale * beta) for d = 0, 1, ...; 0 beyond


def exp_table(scale: float, beta: float) -> tuple[int, ...]:
    """exp of the differences 0, -1, ... that TFLM does not skip.

    Raises:
        ValueError: the factor is too small for TFLM.
    """
    real = min(beta * scale * (1 << (31 - _BITS)), (1 << 31) - 1.0)
    if not real > 1:
        raise ValueError(f"scale {scale:g} times beta {beta:g} is too small")
    multiplier, shift = fixed.quantize_multiplier(real)
    count = min(fixed.input_radius(_BITS, shift), 255) + 1
    return tuple(
        fixed.exp_on_negative(fixed.high_mul(fixed.wrap32(-d << shift), multiplier), _BITS)
        for d in range(count)
    )


def _parse(node: Node) -> Softmax:
    node.arity(1)
    x, y = node.inputs[0], node.outputs[0]
    scale, _ = node.activation(x, "input")
    if node.activation(y, "output") != (1 / 256, -128):
        node.refuse("the output is not quantised with scale 1/256 and zero point -128", "convert again")
    assert x is not None
    if x.shape != y.shape or not x.shape:
        node.refuse(f"cannot make {list(y.shape)} of {list(x.shape)}")
    depth = x.shape[-1]
    if depth > _MAX_DEPTH:
        node.refuse(f"{depth} classes; TFLM's arithmetic holds for {_MAX_DEPTH}")
    options = node.options("SoftmaxOptions")
    if options is None:
        node.refuse("has no options", "the file is damaged")
    try:
        table = exp_table(scale, options.Beta())
    except (ValueError, OverflowError) as error:
        node.refuse(str(error), "use a beta of 1")
    return Softmax(x.elements // depth, depth, table)


def _code(graph: Graph, op: Op) -> Code:
    name, a = f"op{op.index}", op.attrs
    return Code(
        arrays=(Array("int32_t", f"{name}_exp", np.array(a.exp, np.int32)),),
        params=(
            Params(
                "asc_softmax",
                name,
                {"rows": a.rows, "depth": a.depth, "exp": f"{name}_exp", "exp_n": len(a.exp)},
            ),
        ),
        calls=(Call("asc_softmax_s8", name, (op.inputs[0],), op.outputs[0]),),
    )


KINDS = {"SOFTMAX": Kind(_parse, _code, ("asc_softmax_s8.c",))}
