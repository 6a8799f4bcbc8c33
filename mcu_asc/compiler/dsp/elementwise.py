"""ADD and SUB by a table, and what takes four channels a time: pools, MEAN, SUM."""

from __future__ import annotations

import dataclasses

import numpy as np

from mcu_asc.compiler.dsp.fast import Sums, fast, is_relu
from mcu_asc.compiler.fixed import INT8_MAX, INT8_MIN, multiply, quantize_multiplier
from mcu_asc.compiler.ops import OPS
from mcu_asc.compiler.ops.base import Array, Call, Code, Lowered, Params, per_tensor
from mcu_asc.compiler.ops.binary import LEFT_SHIFT, sum_factors
from mcu_asc.nouns import Graph, Op

_GROUP = 4  # channels at a time
_HALF = (1 << 30, 0)  # multiplier and shift


def _sum(graph: Graph, op: Op) -> Lowered | None:
    a, b, y = (graph.tensors[i] for i in (*op.inputs, op.outputs[0]))
    if a.shape != b.shape or a.elements != y.elements:
        return None
    real = sum_factors(*(per_tensor(t)[0] for t in (a, b, y)))
    fa, fb, fy = (quantize_multiplier(r) for r in real)
    subtract = op.kind == "SUB"
    if fa == _HALF:
        whole, other, factor, sign = a, b, fb, -1 if subtract else 1
    elif fb == _HALF and not subtract:
        whole, other, factor, sign = b, a, fa, 1
    else:
        return None
    most = np.array([1 << (LEFT_SHIFT + 8)], np.int64)  # two terms below 2^27 each
    f = fast([fy], per_tensor(y)[1], op.attrs.act, np.zeros(1, np.int32), Sums(-most, most))
    if f is None:
        return None
    zero = per_tensor(other)[1]
    table = [
        2 * sign * multiply((v - zero) << LEFT_SHIFT, *factor) - (per_tensor(whole)[1] << LEFT_SHIFT)
        for v in (*range(INT8_MAX + 1), *range(INT8_MIN, 0))
    ]
    name = f"op{op.index}"
    fields: dict[str, int | str | tuple[int, ...]] = {
        "n": y.elements,
        "table": f"{name}_table",
        "multiplier": int(f.multiplier[0]),
        "offset": int(f.offset[0]),
        "right": int(f.right[0]),
    }
    function = f"asc_add_{'relu' if is_relu(per_tensor(y)[1]) else 'linear'}_dsp"
    code = Code(
        arrays=(Array("int32_t", f"{name}_table", np.array(table, np.int32)),),
        params=(Params("asc_add_table", name, fields),),
        calls=(Call(function, name, (whole.index, other.index), op.outputs[0]),),
    )
    return Lowered(code, ("asc_add_dsp.c",), 0)


def _renamed(graph: Graph, op: Op, function: str) -> Lowered:
    """The portable kernel's tables, another function."""
    code = OPS[op.kind].code(graph, op)
    calls = tuple(dataclasses.replace(c, function=function) for c in code.calls)
    return Lowered(dataclasses.replace(code, calls=calls), (f"{function}.c",), 0)


def _pool(graph: Graph, op: Op) -> Lowered | None:
    if op.attrs.act != (INT8_MIN, INT8_MAX) or graph.tensors[op.inputs[0]].shape[3] < _GROUP:
        return None
    low = _renamed(graph, op, f"asc_{op.kind.removesuffix('_2D').lower()}_dsp")
    more = ("asc_quarter.S",) if op.kind == "AVERAGE_POOL_2D" else ()
    return dataclasses.replace(low, sources=(*low.sources, *more))


def _over_pixels(graph: Graph, op: Op) -> Lowered | None:
    _, _, channels, inner, last = op.attrs.sizes
    if channels < _GROUP or (inner, last) != (1, 1):
        return None
    return _renamed(graph, op, "asc_sum_dsp")


RULES = {
    "ADD": _sum,
    "SUB": _sum,
    "AVERAGE_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
    "MEAN": _over_pixels,
    "SUM": _over_pixels,
}
