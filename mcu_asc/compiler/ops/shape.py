"""Ops that move bytes: RESHAPE and its kin (no code at all), PAD, CONCATENATION and PACK."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mcu_asc.compiler.ops.base import Call, Code, Kind, Node, Params
from mcu_asc.nouns import Graph, Op, Tensor

_MAX_DIMS = 4

# ---- the same bytes under another shape ----------------------------------------------------------


@dataclass(frozen=True)
class Reshape:
    shape: tuple[int, ...]


def _parse_reshape(node: Node) -> Reshape:
    node.arity(1, 2)
    x, y = node.inputs[0], node.outputs[0]
    node.activation(x, "input")
    node.activation(y, "output")
    assert x is not None
    if x.data is not None:
        node.refuse("reshapes a constant", "let the converter fold constants")
    if x.elements != y.elements:
        node.refuse(f"cannot make {list(y.shape)} of {list(x.shape)}")
    return Reshape(y.shape)


def _no_code(graph: Graph, op: Op) -> Code:
    return Code()


# ---- PAD -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pad:
    before: tuple[int, ...]  # of four dimensions
    value: int


def _four(shape: tuple[int, ...], fill: int = 1) -> tuple[int, ...]:
    return (fill,) * (_MAX_DIMS - len(shape)) + shape


def _parse_pad(node: Node) -> Pad:
    node.arity(2, 3)
    x, y = node.inputs[0], node.outputs[0]
    node.activation(x, "input")
    scale, zero = node.activation(y, "output")
    pads = node.constant(1, "paddings", "int32")
    assert x is not None and pads.data is not None
    rank = len(x.shape)
    if rank > _MAX_DIMS or pads.elements != 2 * rank:
        node.refuse(f"pads {pads.elements // 2} of {rank} dimensions; at most {_MAX_DIMS} are supported")
    table = [(int(a), int(b)) for a, b in pads.data.reshape(-1, 2)]
    if any(a < 0 or b < 0 for a, b in table):
        node.refuse(f"paddings {table} are negative")
    node.shape(y, tuple(n + a + b for n, (a, b) in zip(x.shape, table, strict=True)))
    value = zero
    if len(node.inputs) == 3:
        constant = node.constant(2, "padding value", "int8")
        if node.activation(constant, "padding value") != (scale, zero) or constant.elements != 1:
            node.refuse("the padding value is quantised differently", "TFLM refuses it too; convert again")
        assert constant.data is not None
        value = int(constant.data.reshape(-1)[0])
    return Pad(_four(tuple(a for a, _ in table), 0), value)


def _code_pad(graph: Graph, op: Op) -> Code:
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    name = f"op{op.index}"
    fields: dict[str, int | str | tuple[int, ...]] = {
        "in": _four(x.shape),
        "before": op.attrs.before,
        "out": _four(y.shape),
        "value": op.attrs.value,
    }
    return Code(
        params=(Params("asc_pad", name, fields),),
        calls=(Call("asc_pad_s8", name, (op.inputs[0],), op.outputs[0]),),
    )


# ---- CONCATENATION and PACK ----------------------------------------------------------------------


@dataclass(frozen=True)
class Concatenation:
    axis: int


def _parts(node: Node) -> list[Tensor]:
    """The inputs, all quantised as the output is."""
    node.arity(1, 64)
    quant = node.activation(node.outputs[0], "output")
    for i, x in enumerate(node.inputs):
        if node.activation(x, f"input {i}") != quant:
            node.refuse(f"input {i} is quantised differently from the output", "convert again")
    return [x for x in node.inputs if x is not None]


def _parse_concatenation(node: Node) -> Concatenation:
    parts, y = _parts(node), node.outputs[0]
    options = node.options("ConcatenationOptions")
    if options is None:
        node.refuse("has no options", "the file is damaged")
    rank = len(y.shape)
    axis = node.axis(options.Axis(), rank)
    if options.FusedActivationFunction() != 0:
        node.refuse("has a fused activation", "put the activation into its own layer")
    for i, x in enumerate(parts):
        if (
            len(x.shape) != rank
            or x.shape[:axis] + x.shape[axis + 1 :] != y.shape[:axis] + y.shape[axis + 1 :]
        ):
            node.refuse(f"input {i} of shape {list(x.shape)} does not fit into {list(y.shape)}")
    total = sum(x.shape[axis] for x in parts)
    if total != y.shape[axis]:
        node.refuse(f"the inputs make {total} along axis {axis}, the output has {y.shape[axis]}")
    return Concatenation(axis)


def _parse_pack(node: Node) -> Concatenation:
    parts, y = _parts(node), node.outputs[0]
    options = node.options("PackOptions")
    if options is None or options.ValuesCount() != len(parts):
        node.refuse("has no options, or a number of inputs other than they say", "the file is damaged")
    axis = node.axis(options.Axis(), len(parts[0].shape) + 1)
    for x in parts:
        node.shape(y, (*x.shape[:axis], len(parts), *x.shape[axis:]))
    return Concatenation(axis)


def _code_concatenation(graph: Graph, op: Op) -> Code:
    y, axis = graph.tensors[op.outputs[0]], op.attrs.axis
    rows, row = math.prod(y.shape[:axis]), math.prod(y.shape[axis:])
    params, calls, skip = [], [], 0
    for i, t in enumerate(op.inputs):
        part = math.prod(graph.tensors[t].shape[axis:])
        name = f"op{op.index}_{i}"
        params.append(
            Params("asc_copy", name, {"rows": rows, "bytes": part, "in_step": part, "out_step": row})
        )
        calls.append(Call("asc_copy_s8", name, (t,), op.outputs[0], output_skip=skip))
        skip += part
    return Code(params=tuple(params), calls=tuple(calls))


_RESHAPE = Kind(_parse_reshape, _no_code, alias=True)
_PAD = Kind(_parse_pad, _code_pad)

KINDS = {
    "RESHAPE": _RESHAPE,
    "SQUEEZE": _RESHAPE,
    "EXPAND_DIMS": _RESHAPE,
    "PAD": _PAD,
    "PADV2": _PAD,
    "CONCATENATION": Kind(_parse_concatenation, _code_concatenation),
    "PACK": Kind(_parse_pack, _code_concatenation),
}
