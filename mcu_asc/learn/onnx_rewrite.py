"""ONNX nodes whose conversion would spoil an int8 model -> nodes that mean the same and do not.

onnx2tf pads a max-pool with the lowest float, which stretches the int8 range around it to nothing, makes
HardSigmoid an op that no microcontroller's library has, and turns a map back to channels first before it is
flattened, which costs the device a copy of the map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Proto = Any  # onnx.ModelProto
Node = Any
Lowest = Callable[[str], float]
"""The smallest value of a tensor over the calibration windows."""


def rewritten(onnx: ModuleType, proto: Proto, lowest: Lowest) -> Proto:
    """A copy of a model with known shapes, its nodes of REWRITES replaced."""
    out = type(proto)()
    out.CopyFrom(proto)
    graph = out.graph
    shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*graph.input, *graph.value_info, *graph.output)
    }
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        make = REWRITES.get(node.op_type)
        graph.node.extend(make(_Room(onnx, graph, shapes, lowest), node, attributes) if make else [node])
    _drop_unread(graph)
    return out


def _drop_unread(graph: Any) -> None:
    """Remove the nodes whose outputs nobody reads any more."""
    while True:
        read = {name for n in graph.node for name in n.input} | {o.name for o in graph.output}
        unread = [n for n in graph.node if not read & set(n.output)]
        if not unread:
            return
        for node in unread:
            graph.node.remove(node)


class _Room:
    """What a rewrite works with."""

    def __init__(self, onnx: ModuleType, graph: Any, shapes: Mapping[str, list[int]], lowest: Lowest) -> None:
        self.onnx, self.graph, self.shapes, self.lowest = onnx, graph, shapes, lowest

    def values(self, name: str) -> NDArray[Any] | None:
        """A constant's values."""
        found = [c for c in self.graph.initializer if c.name == name]
        return np.asarray(self.onnx.numpy_helper.to_array(found[0])) if found else None

    def flattened(self, name: str) -> tuple[str, list[int]] | None:
        """The map (1, channels, rows, bands) of which a tensor is all values in order, and its shape."""
        makers = [n for n in self.graph.node if name in n.output and n.op_type in ("Flatten", "Reshape")]
        if not makers:
            return None
        source = makers[0].input[0]
        before, after = self.shapes.get(source, []), self.shapes.get(name, [])
        is_map = len(before) == 4 and before[0] == 1 and after == [1, int(np.prod(before))]
        return (source, before) if is_map else None

    def constant(self, name: str, values: NDArray[Any]) -> str:
        self.graph.initializer.append(self.onnx.numpy_helper.from_array(values, name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, name: str, **attributes: Any) -> Node:
        return self.onnx.helper.make_node(kind, inputs, [output], name=name, **attributes)


def _max_pool(room: _Room, node: Node, attributes: Mapping[str, Any]) -> list[Node]:
    """Pads of its own become a Pad with the smallest value that occurs: equal, and inside the int8 range."""
    x, y = room.shapes.get(node.input[0]), room.shapes.get(node.output[0])
    size = attributes["kernel_shape"]
    n = len(size)
    if not x or not y or len(node.output) > 1 or attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        return [node]
    begin = list(attributes.get("pads", [0] * 2 * n))[:n]
    stride, dilation = attributes.get("strides", [1] * n), attributes.get("dilations", [1] * n)
    end = [
        max(0, (out - 1) * s + d * (k - 1) + 1 - before - b)
        for out, s, d, k, before, b in zip(y[2:], stride, dilation, size, x[2:], begin, strict=True)
    ]
    if not any(begin + end):
        return [node]
    name = node.name or node.output[0]
    low = min(0.0, room.lowest(node.input[0]))
    pads = room.constant(f"{name}/pads", np.array([0, 0, *begin, 0, 0, *end], np.int64))
    value = room.constant(f"{name}/lowest", np.array(low, np.float32))
    padded = f"{name}/padded"
    kept = {k: v for k, v in attributes.items() if k not in ("pads", "ceil_mode", "auto_pad")}
    return [
        room.node("Pad", [node.input[0], pads, value], padded, f"{name}/pad", mode="constant"),
        room.node("MaxPool", [padded], node.output[0], name, **kept),
    ]


def _hard_sigmoid(room: _Room, node: Node, attributes: Mapping[str, Any]) -> list[Node]:
    """clip(alpha x + beta, 0, 1) as clip(x + beta / alpha, 0, 1 / alpha) alpha: a ReLU6 for 1/6."""
    alpha, beta = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
    name = node.name or node.output[0]
    top = 6.0 if abs(alpha * 6 - 1) < 1e-5 else 1 / alpha
    shift, low, high, scale = (
        room.constant(f"{name}/{what}", np.array(value, np.float32))
        for what, value in (("shift", beta * top), ("low", 0.0), ("high", top), ("scale", 1 / top))
    )
    return [
        room.node("Add", [node.input[0], shift], f"{name}/shifted", f"{name}/add"),
        room.node("Clip", [f"{name}/shifted", low, high], f"{name}/clipped", f"{name}/clip"),
        room.node("Mul", [f"{name}/clipped", scale], node.output[0], f"{name}/mul"),
    ]


def _dense(room: _Room, node: Node, attributes: Mapping[str, Any]) -> list[Node]:
    """A layer on a flattened map: the map with its channels last, the weights in that order."""
    found, weights = room.flattened(node.input[0]), room.values(node.input[1])
    if found is None or weights is None or weights.ndim != 2 or attributes.get("transA"):
        return [node]
    source, (_, channels, rows, bands) = found
    if channels == 1 or rows * bands == 1:
        return [node]
    by_row = not attributes.get("transB")
    values = weights if by_row else weights.T
    values = values.reshape(channels, rows, bands, -1).transpose(1, 2, 0, 3).reshape(values.shape)
    name = node.name or node.output[0]
    last = f"{name}/channels_last"
    flat = f"{name}/flat"
    shape = room.constant(f"{name}/shape", np.array([1, channels * rows * bands], np.int64))
    own = room.constant(f"{name}/weights", np.ascontiguousarray(values if by_row else values.T))
    return [
        room.node("Transpose", [source], last, f"{name}/turn", perm=[0, 2, 3, 1]),
        room.node("Reshape", [last, shape], flat, f"{name}/flatten"),
        room.node(node.op_type, [flat, own, *node.input[2:]], node.output[0], name, **attributes),
    ]


REWRITES: Mapping[str, Callable[[_Room, Node, Mapping[str, Any]], list[Node]]] = {
    "MaxPool": _max_pool,
    "HardSigmoid": _hard_sigmoid,
    "Gemm": _dense,
    "MatMul": _dense,
}
