"""PAD made part of the padding of what reads it: every output byte stays the same, a tensor and a copy go.

Padding of a convolution counts as its input's zero point, and so does what PAD writes, as a rule.  The window
of a MAX_POOL_2D leaves out what lies outside of the image, which is the same as the lowest value there is.
AVERAGE_POOL_2D divides by the number of values inside, so PAD before it stays.

A PAD goes when all its readers can take it in: same quantisation before and after, rows and columns only, and
no window that lies in the padding alone, which no kernel is made for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from mcu_asc.compiler.fixed import INT8_MIN
from mcu_asc.compiler.ops.base import per_tensor
from mcu_asc.nouns import Graph, Model, Op, Tensor

_PADS = ("PAD", "PADV2")


def _zero_point(padded: Tensor) -> int:
    return per_tensor(padded)[1]


def _lowest(padded: Tensor) -> int:
    return INT8_MIN


_OUTSIDE: Mapping[str, Callable[[Tensor], int]] = {  # what a window sees outside of the image
    "CONV_2D": _zero_point,
    "DEPTHWISE_CONV_2D": _zero_point,
    "MAX_POOL_2D": _lowest,
}


def fold_pads(model: Model) -> Model:
    """`model` with a smaller graph where there are PADs to take in; the file stays as it is."""
    graph = model.graph
    while pad := next((op for op in graph.ops if _folds(graph, op)), None):
        graph = _without(graph, pad)
    return model if graph is model.graph else replace(model, graph=graph)


def _readers(graph: Graph, tensor: int) -> list[Op]:
    return [op for op in graph.ops if tensor in op.inputs]


def _folds(graph: Graph, pad: Op) -> bool:
    if pad.kind not in _PADS:
        return False
    x, y = graph.tensors[pad.inputs[0]], graph.tensors[pad.outputs[0]]
    readers = _readers(graph, y.index)
    return (
        len(x.shape) == 4
        and (x.shape[0], x.shape[3]) == (y.shape[0], y.shape[3])
        and per_tensor(x) == per_tensor(y)
        and y.index not in graph.outputs
        and bool(readers)
        and all(_takes_in(graph, op, pad) for op in readers)
    )


def _takes_in(graph: Graph, op: Op, pad: Op) -> bool:
    x, y = graph.tensors[pad.inputs[0]], graph.tensors[pad.outputs[0]]
    outside = _OUTSIDE.get(op.kind)
    if outside is None or outside(y) != pad.attrs.value or op.inputs.count(y.index) != 1:
        return False
    a, out = op.attrs, graph.tensors[op.outputs[0]].shape[1:3]
    for before, size, stride, dilation, length, n in zip(
        _total(op, pad), a.size, a.stride, a.dilation, x.shape[1:3], out, strict=True
    ):
        if before > (size - 1) * dilation or (n - 1) * stride - before >= length:
            return False
    return True


def _total(op: Op, pad: Op) -> tuple[int, int]:
    """Rows above and columns left of the image, both paddings together."""
    (top, left), (rows, columns) = op.attrs.pad, pad.attrs.before[1:3]
    return top + rows, left + columns


def _without(graph: Graph, pad: Op) -> Graph:
    """Ops behind it move up by one; the tensor stays in the list, and nobody reads it."""
    source, gone = pad.inputs[0], pad.outputs[0]

    def taken_in(op: Op) -> Op:
        inputs = tuple(source if i == gone else i for i in op.inputs)
        return replace(op, inputs=inputs, attrs=replace(op.attrs, pad=_total(op, pad)))

    ops = (taken_in(op) if gone in op.inputs else op for op in graph.ops if op is not pad)
    return replace(graph, ops=tuple(replace(op, index=i) for i, op in enumerate(ops)))
