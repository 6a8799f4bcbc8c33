"""ADD and SUB by a table, MUL, MINIMUM and MAXIMUM, and what takes four channels a time: pools, MEAN, SUM.

Cycles per element, estimated by counting instructions and as the emulator's cycle model measures:

| op | counted | measured | portable |
|---|---|---|---|
| ADD, equal shapes | 9.5 | 10.3 to 11.7 | 94 |
| ADD, one input repeats over rows or columns | 9.5 + 70 a row | 14.2 to 15.9, 10 to 48 channels | 90 |
| SUB, the second input of the larger scale | 9.5 | 11.3 | 87 |
| MUL, equal shapes | 11 | 12.0 to 12.8 | 52 |
| MUL, one input repeats over rows and columns | 11 + 70 a row | 15.3, 32 channels | 53 |
| MAXIMUM, equal shapes | 3.5 | 3.8 | 22 |

What is above the count is the function's own entry, and in rows the values left over from fours.  Of 10.3
cycles an ADD folded into the convolution before would save two loads and a store for four values, 1.3 a
value: 0.3 % of the cycles of MLPerf Tiny's residual network, where ADDs take 2.5 %.  It is not folded: the
output takes the place of the convolution's anyway, and in a band only some rows of that exist.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from mcu_asc.compiler.dsp.fast import Sums, fast, is_relu
from mcu_asc.compiler.fixed import INT8_MAX, INT8_MIN, multiply, quantize_multiplier
from mcu_asc.compiler.ops import OPS
from mcu_asc.compiler.ops.base import Array, Call, Code, Fields, Lowered, Params, per_tensor
from mcu_asc.compiler.ops.binary import LEFT_SHIFT, Loops, sum_factors
from mcu_asc.compiler.ops.pool import covers_image
from mcu_asc.nouns import Graph, Op

_GROUP = 4  # channels at a time
_SCALE = ("multiplier", "offset", "right")
_HALF = (1 << 30, 0)  # multiplier and shift
_MOST_LEFT = 14  # 255 * 255, doubled and shifted so, is within 32 bits


def _rows(attrs: Loops, swapped: bool = False) -> Fields | None:
    """The three outer loops where the innermost runs through both inputs, or None."""
    a, b = (attrs.b_steps, attrs.a_steps) if swapped else (attrs.a_steps, attrs.b_steps)
    if attrs.sizes[3] > 1 and (a[3], b[3]) != (1, 1):
        return None
    return {"size": attrs.sizes[:3], "a_step": a[:3], "b_step": b[:3]}


def _sum(graph: Graph, op: Op) -> Lowered | None:
    a, b, y = (graph.tensors[i] for i in (*op.inputs, op.outputs[0]))
    real = sum_factors(*(per_tensor(t)[0] for t in (a, b, y)))
    fa, fb, fy = (quantize_multiplier(r) for r in real)
    minus = -1 if op.kind == "SUB" else 1
    if fa == _HALF:
        whole, other, factor, sign, whole_sign = a, b, fb, minus, 1
    elif fb == _HALF:
        whole, other, factor, sign, whole_sign = b, a, fa, 1, minus
    else:
        return None
    rows = _rows(op.attrs, swapped=whole is b)
    most = np.array([1 << (LEFT_SHIFT + 8)], np.int64)  # two terms below 2^27 each
    f = fast([fy], per_tensor(y)[1], op.attrs.act, np.zeros(1, np.int32), Sums(-most, most))
    if f is None or rows is None:
        return None
    zero = per_tensor(other)[1]
    offset = whole_sign * (per_tensor(whole)[1] << LEFT_SHIFT)
    table = [
        2 * sign * multiply((v - zero) << LEFT_SHIFT, *factor) - offset
        for v in (*range(INT8_MAX + 1), *range(INT8_MIN, 0))
    ]
    name, n = f"op{op.index}", op.attrs.sizes[3]
    scale = tuple(int(v[0]) for v in (f.multiplier, f.offset, f.right))
    relu = "relu" if is_relu(per_tensor(y)[1]) else "linear"
    functions = ("asc_subtract{}_dsp", f"asc_add{{}}_{relu}_dsp")
    function = functions[whole_sign > 0]
    if n == y.elements:
        ctype, function = "asc_add_table", function.format("")
        fields: Fields = {"n": n, "table": f"{name}_table"}
        fields |= dict(zip(_SCALE, scale, strict=True))
    else:
        ctype, function = "asc_add_rows", function.format("_rows")
        fields = {**rows, "row": f"{{{n}, {name}_table, {', '.join(map(str, scale))}}}"}
    code = Code(
        arrays=(Array("int32_t", f"{name}_table", np.array(table, np.int32)),),
        params=(Params(ctype, name, fields),),
        calls=(Call(function, name, (whole.index, other.index), op.outputs[0]),),
    )
    return Lowered(code, ("asc_add_dsp.c",), 0)


def _product(graph: Graph, op: Op) -> Lowered | None:
    a, b, y = (graph.tensors[i] for i in (*op.inputs, op.outputs[0]))
    (sa, za), (sb, zb), (sy, zy) = (per_tensor(t) for t in (a, b, y))
    multiplier, shift = quantize_multiplier(sa * sb / sy)
    rows = _rows(op.attrs)
    if rows is None:
        return None
    scale: tuple[int, ...]
    if 0 <= shift <= _MOST_LEFT and op.attrs.act == (INT8_MIN, INT8_MAX):
        plain, scale = True, (multiplier, zy, 0, shift + 1)  # one rounding, which is SMMLAR's own
    else:
        most = np.array([1 << 16], np.int64)
        f = fast([(multiplier, shift)], zy, op.attrs.act, np.zeros(1, np.int32), Sums(-most, most))
        if f is None:
            return None
        plain, scale = is_relu(zy), (*(int(v[0]) for v in (f.multiplier, f.offset, f.right)), 1)
    name = f"op{op.index}"
    fields: Fields = {**rows, "n": op.attrs.sizes[3], "a_zero": za, "b_zero": zb}
    fields |= dict(zip((*_SCALE, "left"), scale, strict=True))
    function = f"asc_mul_rows_{'plain' if plain else 'linear'}_dsp"
    code = Code(
        params=(Params("asc_mul_rows", name, fields),),
        calls=(Call(function, name, op.inputs, op.outputs[0]),),
    )
    return Lowered(code, ("asc_mul_dsp.c",), 0)


def _least_most(graph: Graph, op: Op) -> Lowered | None:
    return None if _rows(op.attrs) is None else _renamed(graph, op, "asc_min_max_dsp")


def _renamed(graph: Graph, op: Op, function: str) -> Lowered:
    """The portable kernel's tables, another function."""
    code = OPS[op.kind].code(graph, op)
    calls = tuple(dataclasses.replace(c, function=function) for c in code.calls)
    return Lowered(dataclasses.replace(code, calls=calls), (f"{function}.c",), 0)


def _pool(graph: Graph, op: Op) -> Lowered | None:
    if op.attrs.act != (INT8_MIN, INT8_MAX) or graph.tensors[op.inputs[0]].shape[3] < _GROUP:
        return None
    return _renamed(graph, op, f"asc_{op.kind.removesuffix('_2D').lower()}_dsp")


def _average_pool(graph: Graph, op: Op) -> Lowered | None:
    if covers_image(graph.whole or graph, op):
        return _over_pixels(graph, op)
    low = _pool(graph, op)
    return low and dataclasses.replace(low, sources=(*low.sources, "asc_quarter.S"))


def _over_pixels(graph: Graph, op: Op) -> Lowered | None:
    low = _renamed(graph, op, "asc_sum_dsp")
    fields = low.code.params[0].fields
    match fields["keep"], fields["reduce"]:
        case (_, int(channels), 1), (_, 1) if channels >= _GROUP:
            return low
    return None


RULES = {
    "ADD": _sum,
    "SUB": _sum,
    "MUL": _product,
    "MINIMUM": _least_most,
    "MAXIMUM": _least_most,
    "AVERAGE_POOL_2D": _average_pool,
    "MAX_POOL_2D": _pool,
    "MEAN": _over_pixels,
    "SUM": _over_pixels,
}
