"""AVERAGE_POOL_2D and MAX_POOL_2D; source kernels/internal/reference/integer_ops/pooling.h of TFLite."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mcu_asc.compiler.ops.base import Call, Code, Fields, Kind, Node, Params
from mcu_asc.compiler.ops.conv import Window, image, window
from mcu_asc.compiler.ops.reduce import sum_code
from mcu_asc.nouns import Graph, Op


def _parse(node: Node) -> Window:
    node.arity(1)
    x, y = image(node, node.inputs[0], "input"), image(node, node.outputs[0], "output")
    in_scale, in_zero = node.activation(x, "input")
    scale, zero = node.activation(y, "output")
    o = node.options("Pool2DOptions")
    if o is None:
        node.refuse("has no options", "the file is damaged")
    if abs(float(np.float32(in_scale) - np.float32(scale))) > 1e-6 or in_zero != zero:
        node.refuse("input and output are quantised differently", "TFLM refuses it too; convert again")
    attrs, (out_h, out_w) = window(
        node,
        x,
        (o.FilterHeight(), o.FilterWidth()),
        (o.StrideH(), o.StrideW()),
        (1, 1),
        o.Padding(),
        node.fused(o.FusedActivationFunction(), scale, zero),
    )
    node.shape(y, (x.shape[0], out_h, out_w, x.shape[3]))
    return attrs


def covers_image(graph: Graph, op: Op) -> bool:
    """The one window is all of an image of several rows."""
    x, y, a = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]], op.attrs
    ends = (k - p >= n for k, p, n in zip(a.size, a.pad, x.shape[1:3], strict=True))
    return y.shape[1:3] == (1, 1) and x.shape[1] > 1 and all(ends)


def _code_average(graph: Graph, op: Op) -> Code:
    """The mean of a whole image goes by its sums."""
    whole = graph.whole or graph
    if not covers_image(whole, op):
        return _windows("asc_average_pool_s8")(graph, op)
    batches, rows, columns, channels = graph.tensors[op.inputs[0]].shape
    finish: Fields = {
        "start": 0,
        "out_zero": 0,
        "act_min": op.attrs.act[0],
        "act_max": op.attrs.act[1],
        "scale": (0, 0, 0),
        "count": whole.tensors[op.inputs[0]].shape[1] * columns,
    }
    return sum_code(graph, op, (batches, rows * columns, channels, 1, 1), finish)


def _windows(function: str) -> Callable[[Graph, Op], Code]:
    def code(graph: Graph, op: Op) -> Code:
        x, y, a = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]], op.attrs
        fields: Fields = {
            "batches": x.shape[0],
            "in_h": x.shape[1],
            "in_w": x.shape[2],
            "channels": x.shape[3],
            "out_h": y.shape[1],
            "out_w": y.shape[2],
            "kernel_h": a.size[0],
            "kernel_w": a.size[1],
            "stride_h": a.stride[0],
            "stride_w": a.stride[1],
            "pad_top": a.pad[0],
            "pad_left": a.pad[1],
            "act_min": a.act[0],
            "act_max": a.act[1],
        }
        name = f"op{op.index}"
        return Code(
            params=(Params("asc_pool", name, fields),),
            calls=(Call(function, name, (op.inputs[0],), op.outputs[0]),),
        )

    return code


KINDS = {
    "AVERAGE_POOL_2D": Kind(_parse, _code_average),
    "MAX_POOL_2D": Kind(_parse, _windows("asc_max_pool_s8")),
}
