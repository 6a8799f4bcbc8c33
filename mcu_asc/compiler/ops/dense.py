"""FULLY_CONNECTED, per tensor and per channel.

Source CalculateOpDataFullyConnected in tensorflow/lite/micro/kernels/fully_connected_common.cc.
"""

from __future__ import annotations

from dataclasses import dataclass

from mcu_asc.compiler.ops.base import (
    Call,
    Code,
    Kind,
    Node,
    Params,
    check_accumulator,
    per_tensor,
    scales_array,
)
from mcu_asc.compiler.ops.conv import bias_of, channel_multipliers, folded_bias
from mcu_asc.nouns import Graph, Op


@dataclass(frozen=True)
class FullyConnected:
    rows: int  # how many input vectors
    depth: int  # values each
    act: tuple[int, int]


def _parse(node: Node) -> FullyConnected:
    node.arity(2, 3)
    x, y = node.inputs[0], node.outputs[0]
    in_scale, _ = node.activation(x, "input")
    scale, zero = node.activation(y, "output")
    filters = node.inputs[1]
    if filters is None or len(filters.shape) != 2:
        node.refuse("weights are not of shape (values out, values in)")
    out, depth = filters.shape
    weights, scales = node.weights(1, axis=0, channels=out)
    bias = node.bias(2, out)
    options = node.options("FullyConnectedOptions")
    if options is None:
        node.refuse("has no options", "the file is damaged")
    if options.WeightsFormat() != 0:
        node.refuse("has shuffled weights", "convert for TFLite's built-in kernels")
    assert x is not None and weights.data is not None
    if x.elements % depth:
        node.refuse(f"{x.elements} input values are no multiple of {depth}")
    rows = x.elements // depth
    if y.elements != rows * out or y.shape[-1:] != (out,):
        node.refuse(f"'{y.name}' has shape {list(y.shape)}, not {rows} x {out}")
    if len(scales) == 1:
        bias_scale = bias.quant.scale[0] if bias is not None and bias.quant is not None else 0.0
        if bias is not None and abs(in_scale * scales[0] - bias_scale) / scale > 0.02:
            node.refuse(
                f"bias scale {bias_scale:g} is not input scale x weight scale {in_scale * scales[0]:g}",
                "TFLM refuses it too; convert again",
            )
    for s in scales:
        node.multiplier(in_scale * s / scale)
    check_accumulator(node, weights.data, None if bias is None else bias.data)
    return FullyConnected(rows, depth, node.fused(options.FusedActivationFunction(), scale, zero))


def _code(graph: Graph, op: Op) -> Code:
    x, w, y = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    assert w.data is not None
    out = w.shape[0]
    name = f"op{op.index}"
    bias = folded_bias(bias_of(graph, op, out), w.data, per_tensor(x)[1])
    fields: dict[str, int | str | tuple[int, ...]] = {
        "rows": op.attrs.rows,
        "in_n": op.attrs.depth,
        "out_n": out,
        "out_zero": per_tensor(y)[1],
        "act_min": op.attrs.act[0],
        "act_max": op.attrs.act[1],
        "weights": f"w{op.inputs[1]}",
        "channels": f"{name}_channels",
    }
    return Code(
        arrays=(scales_array(f"{name}_channels", channel_multipliers(x, w, y, out), bias),),
        params=(Params("asc_dense", name, fields),),
        calls=(Call("asc_dense_s8", name, (op.inputs[0],), op.outputs[0]),),
    )


def _macs(graph: Graph, op: Op) -> int:
    return graph.tensors[op.outputs[0]].elements * int(op.attrs.depth)


KINDS = {"FULLY_CONNECTED": Kind(_parse, _code, macs=_macs, params=(1, 2))}
