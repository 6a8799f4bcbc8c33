"""ADD, SUB, MUL, PRELU, MINIMUM and MAXIMUM of two tensors, with NumPy's broadcasting.

Sources: add_common.cc, sub_common.cc, mul_common.cc, prelu_common.cc and maximum_minimum.cc in
tensorflow/lite/micro/kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mcu_asc.compiler.fixed import quantize_multiplier
from mcu_asc.compiler.ops.base import Call, Code, Fields, Kind, Node, Params, per_tensor, scale_fields
from mcu_asc.nouns import Graph, Op, Tensor

LEFT_SHIFT = 20  # of both inputs of ADD and SUB
_MAX_DIMS = 4


@dataclass(frozen=True)
class Loops:
    sizes: tuple[int, ...]  # of four nested loops
    a_steps: tuple[int, ...]  # how far input a moves in each
    b_steps: tuple[int, ...]


@dataclass(frozen=True)
class Binary(Loops):
    act: tuple[int, int]


def loops(
    shape: tuple[int, ...], a: tuple[int, ...], b: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None:
    """(sizes, steps of a, steps of b) of at most four nested loops, outermost first, or None.

    Neighbouring dimensions in which the same inputs move become one loop.
    """
    rank = len(shape)
    full = [(1,) * (rank - len(s)) + s for s in (a, b)]
    if any(n not in (1, out) for s in full for n, out in zip(s, shape, strict=True)):
        return None
    merged: list[list[int]] = []  # [size, a moves, b moves]
    for n, na, nb in zip(shape, *full, strict=True):
        if n == 1:
            continue
        moves = [int(na != 1), int(nb != 1)]
        if merged and merged[-1][1:] == moves:
            merged[-1][0] *= n
        else:
            merged.append([n, *moves])
    if len(merged) > _MAX_DIMS:
        return None
    merged = [[1, 0, 0]] * (_MAX_DIMS - len(merged)) + merged
    steps: list[list[int]] = []
    for which in (1, 2):
        step, found = 1, []
        for row in reversed(merged):
            found.append(step if row[which] else 0)
            step *= row[0] if row[which] else 1
        steps.append(found[::-1])
    return tuple(row[0] for row in merged), tuple(steps[0]), tuple(steps[1])


def _operands(node: Node, table: str = "") -> Binary:
    """`table` names the options that hold the fused activation, if the op can have one."""
    node.arity(2)
    a, b, y = node.inputs[0], node.inputs[1], node.outputs[0]
    node.activation(a, "first input")
    node.activation(b, "second input")
    scale, zero = node.activation(y, "output")
    assert a is not None and b is not None
    nested = None
    if len(a.shape) <= len(y.shape) and len(b.shape) <= len(y.shape):
        nested = loops(y.shape, a.shape, b.shape)
    if nested is None:
        node.refuse(f"shapes {list(a.shape)} and {list(b.shape)} do not broadcast to {list(y.shape)}")
    options = node.options(table) if table else None
    return Binary(*nested, node.fused(options.FusedActivationFunction() if options else 0, scale, zero))


def _scales(node: Node) -> list[float]:
    """Of both inputs and the output, once accepted."""
    return [
        t.quant.scale[0] for t in (*node.inputs, node.outputs[0]) if t is not None and t.quant is not None
    ]


def sum_factors(a: float, b: float, y: float) -> tuple[float, float, float]:
    """ADD and SUB: the factors of a, of b and of their sum."""
    twice = 2 * max(a, b)
    return a / twice, b / twice, twice / ((1 << LEFT_SHIFT) * y)


def _parse_sum(node: Node) -> Binary:
    attrs = _operands(node, {"ADD": "AddOptions", "SUB": "SubOptions"}[node.kind])
    scales = _scales(node)
    for real in sum_factors(*scales):
        if node.multiplier(real)[1] > 0 or real == 0:
            node.refuse(
                f"output scale {scales[2]:g} is too small for inputs of {scales[0]:g} and {scales[1]:g}",
                "TFLM refuses it too; the representative data set is probably wrong",
            )
    return attrs


def _parse_mul(node: Node) -> Binary:
    attrs = _operands(node, "MulOptions")
    a, b, y = _scales(node)
    node.multiplier(a * b / y)
    return attrs


def _parse_prelu(node: Node) -> Binary:
    attrs = _operands(node)
    a, b, y = _scales(node)
    node.multiplier(a / y)
    node.multiplier(a * b / y)
    return attrs


def _parse_min_max(node: Node) -> Binary:
    attrs = _operands(node)
    if len({per_tensor(t) for t in (*node.inputs, node.outputs[0]) if t is not None}) != 1:
        node.refuse(
            "inputs and output are quantised differently",
            "TFLM would compare the bytes as they are, and be wrong; convert again",
        )
    return attrs


def _tensors(graph: Graph, op: Op) -> tuple[Tensor, Tensor, Tensor]:
    return graph.tensors[op.inputs[0]], graph.tensors[op.inputs[1]], graph.tensors[op.outputs[0]]


def loop_fields(attrs: Loops) -> Fields:
    return {"size": attrs.sizes, "a_step": attrs.a_steps, "b_step": attrs.b_steps}


def zero_fields(a: Tensor, b: Tensor, y: Tensor) -> Fields:
    return {"a_zero": per_tensor(a)[1], "b_zero": per_tensor(b)[1], "out_zero": per_tensor(y)[1]}


def _fields(graph: Graph, op: Op) -> Fields:
    low, high = op.attrs.act
    return {
        **loop_fields(op.attrs),
        **zero_fields(*_tensors(graph, op)),
        "act_min": low,
        "act_max": high,
    }


def _code(op: Op, kernel: str, fields: Fields) -> Code:
    """One call of asc_KERNEL_s8."""
    name = f"op{op.index}"
    return Code(
        params=(Params(f"asc_{kernel}", name, fields),),
        calls=(Call(f"asc_{kernel}_s8", name, op.inputs, op.outputs[0]),),
    )


def _code_sum(graph: Graph, op: Op) -> Code:
    fa, fb, fy = sum_factors(*(per_tensor(t)[0] for t in _tensors(graph, op)))
    fields = {
        **_fields(graph, op),
        "a": scale_fields(quantize_multiplier(fa)),
        "b": scale_fields(quantize_multiplier(fb)),
        "sum": scale_fields(quantize_multiplier(fy)),
        "subtract": int(op.kind == "SUB"),
    }
    return _code(op, "add", fields)


def _code_mul(graph: Graph, op: Op) -> Code:
    a, b, y = (per_tensor(t)[0] for t in _tensors(graph, op))
    return _code(op, "mul", {**_fields(graph, op), "product": scale_fields(quantize_multiplier(a * b / y))})


def _code_prelu(graph: Graph, op: Op) -> Code:
    a, b, y = (per_tensor(t)[0] for t in _tensors(graph, op))
    fields = {
        **loop_fields(op.attrs),
        **zero_fields(*_tensors(graph, op)),
        "positive": scale_fields(quantize_multiplier(a / y)),
        "negative": scale_fields(quantize_multiplier(a * b / y)),
    }
    return _code(op, "prelu", fields)


def _code_min_max(graph: Graph, op: Op) -> Code:
    return _code(op, "min_max", {**loop_fields(op.attrs), "maximum": int(op.kind == "MAXIMUM")})


def _in_place(graph: Graph, op: Op) -> tuple[int, ...]:
    """An input of the output's shape may be overwritten: each value is read before its place is written."""
    out = graph.tensors[op.outputs[0]].elements
    return tuple(i for i, t in enumerate(op.inputs) if graph.tensors[t].elements == out)


def _row(parse: Callable[[Node], Binary], code: Callable[[Graph, Op], Code], kernel: str) -> Kind:
    return Kind(parse, code, params=(0, 1), in_place=_in_place)


KINDS = {
    "ADD": _row(_parse_sum, _code_sum, "add"),
    "SUB": _row(_parse_sum, _code_sum, "add"),
    "MUL": _row(_parse_mul, _code_mul, "mul"),
    "PRELU": _row(_parse_prelu, _code_prelu, "prelu"),
    "MINIMUM": _row(_parse_min_max, _code_min_max, "min_max"),
    "MAXIMUM": _row(_parse_min_max, _code_min_max, "min_max"),
}
