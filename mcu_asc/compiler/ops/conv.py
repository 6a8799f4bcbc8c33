"""CONV_2D and DEPTHWISE_CONV_2D.

Scales: input * filter / output in double from the float32 scales, one factor per output channel; source
PopulateConvolutionQuantizationParams in tensorflow/lite/kernels/kernel_util.cc.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcu_asc.compiler.fixed import quantize_multiplier
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
from mcu_asc.nouns import Graph, Op, Tensor

_SAME = 0


@dataclass(frozen=True)
class Window:
    """How a kernel slides over an image; (vertical, horizontal) each."""

    stride: tuple[int, int]
    dilation: tuple[int, int]
    pad: tuple[int, int]  # before the first row and column
    size: tuple[int, int]
    act: tuple[int, int]  # lowest and highest output


def window(
    node: Node,
    x: Tensor,
    size: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: int,
    act: tuple[int, int],
) -> tuple[Window, tuple[int, int]]:
    """The window and the output's (rows, columns).

    Source: ComputePaddingHeightWidth in tensorflow/lite/kernels/padding.h.
    """
    if min(stride) < 1 or min(dilation) < 1 or min(size) < 1:
        node.refuse(f"kernel {size}, stride {stride}, dilation {dilation}: each must be at least 1")
    if padding not in (0, 1):
        node.refuse(f"padding {padding} is neither SAME nor VALID")
    out, pad = [], []
    for length, k, s, d in zip(x.shape[1:3], size, stride, dilation, strict=True):
        reach = (k - 1) * d + 1
        n = (length + s - 1) // s if padding == _SAME else (length + s - reach) // s
        if n < 1:
            node.refuse(f"a kernel that spans {reach} does not fit into {length}", "pad or shrink it")
        out.append(n)
        pad.append(max((n - 1) * s + reach - length, 0) // 2)
    return Window(stride, dilation, (pad[0], pad[1]), size, act), (out[0], out[1])


def image(node: Node, tensor: Tensor | None, what: str) -> Tensor:
    """A four-dimensional tensor (batch, rows, columns, channels)."""
    if tensor is None or len(tensor.shape) != 4:
        node.refuse(f"{what} is not an image (batch, rows, columns, channels)")
    return tensor


def _options(node: Node, table: str) -> tuple[tuple[int, int], tuple[int, int], int, int]:
    """(stride, dilation, padding, fused activation)"""
    o = node.options(table)
    if o is None:
        node.refuse("has no options", "the file is damaged")
    return (
        (o.StrideH(), o.StrideW()),
        (o.DilationHFactor(), o.DilationWFactor()),
        o.Padding(),
        (o.FusedActivationFunction()),
    )


def _parse_conv(node: Node) -> Window:
    node.arity(2, 3)
    x, y = image(node, node.inputs[0], "input"), image(node, node.outputs[0], "output")
    in_scale, _ = node.activation(x, "input")
    scale, zero = node.activation(y, "output")
    filters = node.inputs[1]
    if filters is None or len(filters.shape) != 4:
        node.refuse("weights are not of shape (channels out, rows, columns, channels in)")
    out_c, rows, columns, taps_c = filters.shape
    if x.shape[3] % taps_c or out_c % (x.shape[3] // taps_c):
        node.refuse(f"{x.shape[3]} channels in and {out_c} out do not divide into groups of {taps_c}")
    weights, scales = node.weights(1, axis=0, channels=out_c)
    bias = node.bias(2, out_c)
    stride, dilation, padding, fused = _options(node, "Conv2DOptions")
    attrs, (out_h, out_w) = window(
        node, x, (rows, columns), stride, dilation, padding, node.fused(fused, scale, zero)
    )
    node.shape(y, (x.shape[0], out_h, out_w, out_c))
    for s in scales:
        node.multiplier(in_scale * s / scale)
    assert weights.data is not None
    check_accumulator(node, weights.data.reshape(out_c, -1), None if bias is None else bias.data)
    return attrs


@dataclass(frozen=True)
class Depthwise(Window):
    multiplier: int = 1  # output channels per input channel


def _parse_depthwise(node: Node) -> Depthwise:
    node.arity(2, 3)
    x, y = image(node, node.inputs[0], "input"), image(node, node.outputs[0], "output")
    in_scale, _ = node.activation(x, "input")
    scale, zero = node.activation(y, "output")
    filters = node.inputs[1]
    if filters is None or len(filters.shape) != 4 or filters.shape[0] != 1:
        node.refuse("weights are not of shape (1, rows, columns, channels)")
    _, rows, columns, out_c = filters.shape
    weights, scales = node.weights(1, axis=3, channels=out_c)
    bias = node.bias(2, out_c)
    stride, dilation, padding, fused = _options(node, "DepthwiseConv2DOptions")
    multiplier = node.options("DepthwiseConv2DOptions").DepthMultiplier()
    if multiplier < 1 or out_c != x.shape[3] * multiplier:
        node.refuse(f"{x.shape[3]} channels times multiplier {multiplier} is not {out_c}")
    w, (out_h, out_w) = window(
        node, x, (rows, columns), stride, dilation, padding, node.fused(fused, scale, zero)
    )
    node.shape(y, (x.shape[0], out_h, out_w, out_c))
    for s in scales:
        node.multiplier(in_scale * s / scale)
    assert weights.data is not None
    check_accumulator(node, weights.data.reshape(-1, out_c).T, None if bias is None else bias.data)
    return Depthwise(w.stride, w.dilation, w.pad, w.size, w.act, multiplier)


def channel_multipliers(x: Tensor, w: Tensor, y: Tensor, channels: int) -> list[tuple[int, int]]:
    """(multiplier, shift) per output channel."""
    assert w.quant is not None
    scales = w.quant.scale if len(w.quant.scale) > 1 else w.quant.scale * channels
    return [quantize_multiplier(per_tensor(x)[0] * s / per_tensor(y)[0]) for s in scales]


def bias_of(graph: Graph, op: Op, channels: int) -> NDArray[np.int32]:
    if len(op.inputs) < 3 or op.inputs[2] < 0:
        return np.zeros(channels, np.int32)
    data = graph.tensors[op.inputs[2]].data
    assert data is not None
    return np.asarray(data, np.int32).reshape(-1)


def folded_bias(bias: NDArray[np.int32], weights: NDArray[np.int8], zero: int) -> NDArray[np.int32]:
    """bias - zero * sum(weights) per channel; weights [channels, taps]."""
    return np.asarray(bias.astype(np.int64) - zero * weights.astype(np.int64).sum(axis=1), np.int32)


def _fields(graph: Graph, op: Op) -> dict[str, int | str | tuple[int, ...]]:
    x, y, a = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]], op.attrs
    return {
        "batches": x.shape[0],
        "in_h": x.shape[1],
        "in_w": x.shape[2],
        "in_c": x.shape[3],
        "out_h": y.shape[1],
        "out_w": y.shape[2],
        "out_c": y.shape[3],
        "kernel_h": a.size[0],
        "kernel_w": a.size[1],
        "stride_h": a.stride[0],
        "stride_w": a.stride[1],
        "dilation_h": a.dilation[0],
        "dilation_w": a.dilation[1],
        "pad_top": a.pad[0],
        "pad_left": a.pad[1],
        "in_zero": per_tensor(x)[1],
        "out_zero": per_tensor(y)[1],
        "act_min": a.act[0],
        "act_max": a.act[1],
        "weights": f"w{op.inputs[1]}",
        "channels": f"op{op.index}_channels",
    }


def _weights(graph: Graph, op: Op) -> NDArray[np.int8]:
    data = graph.tensors[op.inputs[1]].data
    assert data is not None
    return np.asarray(data, np.int8)


def _code_conv(graph: Graph, op: Op) -> Code:
    x, w, y = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    out_c, _, _, taps_c = w.shape
    bias = folded_bias(bias_of(graph, op, out_c), _weights(graph, op).reshape(out_c, -1), per_tensor(x)[1])
    name = f"op{op.index}"
    a = op.attrs
    return Code(
        arrays=(scales_array(f"{name}_channels", channel_multipliers(x, w, y, out_c), bias),),
        params=(Params("asc_conv2d", name, {**_fields(graph, op), "groups": x.shape[3] // taps_c}),),
        calls=(Call("asc_conv2d_s8", name, (op.inputs[0],), op.outputs[0], scratch=True),),
        checks=(f"ASC_CONV2D_SCRATCH({a.size[0]}, {a.size[1]}, {taps_c}) <= {_scratch_conv(graph, op)}",),
    )


def _code_depthwise(graph: Graph, op: Op) -> Code:
    x, w, y = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    out_c = w.shape[3]
    name = f"op{op.index}"
    channels = scales_array(
        f"{name}_channels", channel_multipliers(x, w, y, out_c), bias_of(graph, op, out_c)
    )
    return Code(
        arrays=(channels,),
        params=(Params("asc_depthwise", name, {**_fields(graph, op), "multiplier": op.attrs.multiplier}),),
        calls=(Call("asc_depthwise_s8", name, (op.inputs[0],), op.outputs[0]),),
    )


def _scratch_conv(graph: Graph, op: Op) -> int:
    """Two columns of taps; ASC_CONV2D_SCRATCH in asc_nn.h is the authority, checked when model.c compiles."""
    _, rows, columns, taps_c = graph.tensors[op.inputs[1]].shape
    return 0 if rows * columns == 1 else 2 * rows * columns * taps_c


def _macs_conv(graph: Graph, op: Op) -> int:
    _, rows, columns, taps_c = graph.tensors[op.inputs[1]].shape
    return graph.tensors[op.outputs[0]].elements * rows * columns * taps_c


def _macs_depthwise(graph: Graph, op: Op) -> int:
    return graph.tensors[op.outputs[0]].elements * int(op.attrs.size[0] * op.attrs.size[1])


KINDS = {
    "CONV_2D": Kind(
        _parse_conv,
        _code_conv,
        macs=_macs_conv,
        scratch=_scratch_conv,
        params=(1, 2),
    ),
    "DEPTHWISE_CONV_2D": Kind(
        _parse_depthwise,
        _code_depthwise,
        macs=_macs_depthwise,
        params=(1, 2),
    ),
}
