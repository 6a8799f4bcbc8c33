"""ONNX nodes whose conversion would spoil an int8 model -> nodes that mean the same and do not.

onnx2tf pads a max-pool with the lowest float, which stretches the int8 range around it to nothing, and makes
HardSigmoid an op that no microcontroller's library has.
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
    return out


class _Room:
    """What a rewrite works with."""

    def __init__(self, onnx: ModuleType, graph: Any, shapes: Mapping[str, list[int]], lowest: Lowest) -> None:
        self.onnx, self.graph, self.shapes, self.lowest = onnx, graph, shapes, lowest

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


REWRITES: Mapping[str, Callable[[_Room, Node, Mapping[str, Any]], list[Node]]] = {
    "MaxPool": _max_pool,
    "HardSigmoid": _hard_sigmoid,
}
