"""DEPTHWISE_CONV_2D: 3x3 on pairs of rows (asc_dw3), most others too (asc_dwk, strips.py).

3x3 with one output a channel keeps asc_dw3, which holds all pairs of a column in registers: stride 2 takes
3.3 to 6.9 cycles/MAC on maps from 50x32 to 4x4, asc_dwk would take 3.9 to 9.0.

What is left runs on pairs of taps (asc_dw_taps): dilation, several images, larger kernels and strides.

Cycles per MAC of those by taps, counted from the instructions, and measured with the emulator's cycle model:

| what | counted | measured | portable |
|---|---|---|---|
| 5x3, 16 channels | 4.3: 8 pairs of 25, 58 for four outputs | 4.9 | |
| 1x3, 20 channels | 9.0: 2 pairs of 25, 58 for four outputs | 9.6 | |
| 3x3, stride 2, 8 channels, multiplier 4 | 4.3: 5 pairs of 19, 58 for four outputs | 4.7 | 30.6 |

What is above the count is the window: padded rows are copied to scratch and slide there.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mcu_asc.compiler.dsp import strips
from mcu_asc.compiler.dsp.fast import Fast, fast, fixed, sums
from mcu_asc.compiler.dsp.strips import GROUP, halfwords
from mcu_asc.compiler.ops.base import Array, Call, Code, Lowered, Params, per_tensor
from mcu_asc.compiler.ops.conv import bias_of, channel_multipliers, folded_bias
from mcu_asc.nouns import Graph, Op

_KERNELS = {  # parameters -> function, sources, scratch by rows and pitch of the window, multiplier, width
    "asc_depthwise_taps": ("asc_depthwise_dsp", ("asc_depthwise_dsp.c", "asc_dw_taps.S"), "{} * {}"),
    "asc_depthwise_many": (
        "asc_depthwise_many_dsp",
        ("asc_depthwise_many_dsp.c", "asc_dw_taps.S"),
        "ASC_DEPTHWISE_MANY_SCRATCH({}, {}, {}, {})",
    ),
}
Fields = dict[str, int | str | tuple[int, ...]]


def pack_dw3(w: NDArray[np.int64], stride: int) -> NDArray[np.int64]:
    """[across, along, channels] -> [channels, 6] words; the order is in asc_nn_dsp.h."""
    none = np.zeros_like(w[0, 0])
    if stride == 1:
        words = [halfwords(w[i, j], w[i + 1, j]) for j in range(3) for i in (0, 1)]
    else:
        words = [halfwords(w[0, j], w[1, j]) for j in range(3)]
        words += [halfwords(w[2, 0], w[2, 1]), halfwords(w[2, 2], none), none]
    return np.stack(words, axis=1)


def _strips(along: int, across: int) -> float:
    """What strips of two rows that run along the first side cost, relatively, with their start."""
    return -(-across // 2) * (along + 2.5)


def _is_three(graph: Graph, op: Op) -> bool:
    a, images = op.attrs, graph.tensors[op.inputs[0]].shape[0]
    shape = a.size == (3, 3) and a.stride in ((1, 1), (2, 2)) and a.dilation == (1, 1)
    return bool(shape and a.multiplier == 1 and images == 1)


def cycles(graph: Graph, op: Op, rows: int) -> float:
    """An estimate for `rows` rows of outputs."""
    (_, _, width, channels), a = graph.tensors[op.outputs[0]].shape, op.attrs
    in_c = channels // a.multiplier
    taps: int = math.prod(a.size)
    if channels < GROUP:
        return 30.0 * rows * width * channels * taps
    if _is_three(graph, op):
        strip = 36 if a.stride[0] == 1 else 53
        return float(channels * (strip * min(_strips(rows, width), _strips(width, rows)) + 70))
    if (way := strips.choose(graph, op)) is not None:
        return strips.cycles(way, a.multiplier, rows)
    pairs = (taps + 1) // 2
    groups = -(-channels // GROUP) if a.multiplier == 1 else in_c * -(-a.multiplier // GROUP)
    window = a.size[0] * width * a.stride[1] * in_c  # bytes, about
    group = 60 + width * (58 + pairs * (25 if a.multiplier == 1 else 19))
    return float(rows * (groups * group + window))


def lower(graph: Graph, op: Op) -> Lowered | None:
    x, w, y = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    a, channels = op.attrs, x.shape[3]
    if a.multiplier == 1 and channels < GROUP:
        return None
    assert w.data is not None
    out_c = channels * a.multiplier
    taps = np.asarray(w.data, np.int8).reshape(*a.size, out_c)
    flat = taps.reshape(-1, out_c).T
    bias = folded_bias(bias_of(graph, op, out_c), flat, per_tensor(x)[1])
    f = fast(channel_multipliers(x, w, y, out_c), per_tensor(y)[1], a.act, bias, sums(flat, bias))
    if f is None:
        return None
    if _is_three(graph, op):
        return _three(graph, op, taps, f)
    if (way := strips.choose(graph, op)) is not None:
        return strips.lower(graph, op, way, taps, f)
    if a.multiplier > 1:
        return _many(graph, op, flat, f)
    return _taps(graph, op, flat, f)


def _groups(channels: int) -> list[int]:
    """First channels of the groups of four; the last one overlaps the one before where it must."""
    return [min(c, channels - GROUP) for c in range(0, channels, GROUP)]


def _window(graph: Graph, op: Op) -> tuple[Fields, int, list[int]]:
    """(what the window in scratch needs to slide, its bytes, offsets in it of an even number of taps)"""
    x, y, a = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]], op.attrs
    channels, (kernel_h, kernel_w), (dilation_h, dilation_w) = x.shape[3], a.size, a.dilation
    width = (y.shape[2] - 1) * a.stride[1] + (kernel_w - 1) * dilation_w + 1
    rows, pitch = (kernel_h - 1) * dilation_h + 1, width * channels
    offsets = [
        i * dilation_h * pitch + j * dilation_w * channels for i in range(kernel_h) for j in range(kernel_w)
    ]
    offsets += [0] * (len(offsets) % 2)  # a tap of no weight
    fields: Fields = {
        "batches": x.shape[0],
        "window": (x.shape[1], x.shape[2], channels, a.pad[1], width, rows, pitch, per_tensor(x)[1]),
        "out_h": y.shape[1],
        "stride_h": a.stride[0],
        "pad_top": a.pad[0],
    }
    return fields, rows * pitch, offsets


def _stream(flat: NDArray[np.int8], f: Fast, groups: list[list[int]]) -> list[NDArray[np.int64]]:
    """Per group of channels: biases, doubled weights of taps in pairs, scales."""
    w = np.pad(2 * flat.astype(np.int64), ((0, 0), (0, flat.shape[1] % 2)))
    words = halfwords(w[:, ::2], w[:, 1::2])  # [channels, pairs]
    return [np.concatenate([2 * f.bias[g], words[g].T.reshape(-1), f.scales[g].reshape(-1)]) for g in groups]


def _taps(graph: Graph, op: Op, flat: NDArray[np.int8], f: Fast) -> Lowered:
    groups = [[*range(g, g + GROUP)] for g in _groups(len(flat))]
    window, scratch, offsets = _window(graph, op)
    return _by_rows(graph, op, "asc_depthwise_taps", window, offsets, _stream(flat, f, groups), scratch)


def _many(graph: Graph, op: Op, flat: NDArray[np.int8], f: Fast) -> Lowered:
    """Four outputs of one input channel; of fewer, the last one again, which is not stored."""
    m = op.attrs.multiplier
    groups = [
        [c + min(k + i, m - 1) for i in range(GROUP)]
        for c in range(0, len(flat), m)
        for k in (_groups(m) if m >= GROUP else [0])
    ]
    window, scratch, offsets = _window(graph, op)
    fields = {**window, "multiplier": m}
    if m < GROUP:
        scratch += GROUP * graph.tensors[op.outputs[0]].shape[2]
    return _by_rows(graph, op, "asc_depthwise_many", fields, offsets, _stream(flat, f, groups), scratch)


def _by_rows(
    graph: Graph, op: Op, ctype: str, fields: Fields, offsets: list[int], stream: list[NDArray[np.int64]],
    scratch: int,
) -> Lowered:  # fmt: skip
    name, (_, _, width, channels) = f"op{op.index}", graph.tensors[op.outputs[0]].shape
    function, sources, check = _KERNELS[ctype]
    x_step = op.attrs.stride[1] * graph.tensors[op.inputs[0]].shape[3]
    row = (width, x_step, channels, f"{name}_offsets", f"{name}_weights", len(offsets) // 2)
    fields = {**fields, "group_words": len(stream[0]), "row": f"{{{', '.join(map(str, row))}}}"}
    window = fields["window"]
    assert isinstance(window, tuple)
    code = Code(
        arrays=(
            Array("int32_t", f"{name}_offsets", np.array(offsets, np.int32)),
            Array("uint32_t", f"{name}_weights", np.concatenate(stream) & 0xFFFFFFFF),
        ),
        params=(Params(ctype, name, fields),),
        calls=(Call(function, name, (op.inputs[0],), op.outputs[0], scratch=True),),
        checks=(f"{check.format(*window[5:7], op.attrs.multiplier, width)} <= {scratch}",),
    )
    return Lowered(code, sources, scratch)


def _three(graph: Graph, op: Op, taps: NDArray[np.int8], f: Fast) -> Lowered:
    x, y, a = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]], op.attrs
    channels, stride = x.shape[3], a.stride[0]
    in_zero, out_zero = per_tensor(x)[1], per_tensor(y)[1]
    (_, in_h, in_w, _), (_, out_h, out_w, _) = x.shape, y.shape
    tall = _strips(out_h, out_w) < _strips(out_w, out_h)
    sides = [
        (in_w, out_w, channels, channels, a.pad[1]),
        (in_h, out_h, in_w * channels, out_w * channels, a.pad[0]),
    ]
    along, across = sides[::-1] if tall else sides
    n = along[1]
    positions = (n - 1) * stride + 3
    taken = min(positions - along[4], along[0])
    per_position = 2 if stride == 1 else 3
    pitch = 4 * per_position * positions
    scratch = 8 * n + GROUP * pitch
    name = f"op{op.index}"
    g = fixed(f, out_zero, 2 * np.abs(taps.astype(np.int64)).max(axis=(0, 1)))
    doubled = 2 * taps.astype(np.int64) * (g.factor if g else 1)
    words = pack_dw3(doubled.transpose(1, 0, 2) if tall else doubled, stride)
    scales = (
        [g.bias, g.multiplier, g.offset, 0 * g.bias] if g else [2 * f.bias, f.multiplier, f.offset, f.right]
    )
    rows = np.column_stack([words, *scales])
    kernel = f"asc_dw3_s{stride}_{'fixed' if g else 'linear'}"
    fields: dict[str, int | str | tuple[int, ...]] = {
        "channels": channels,
        "words": per_position,
        "in_across": across[0],
        "out_across": across[1],
        "out_along": n,
        "in_along_step": along[2],
        "in_across_step": across[2],
        "out_along_step": along[3],
        "out_across_step": across[3],
        "pad_along": along[4],
        "pad_across": across[4],
        "positions": positions,
        "taken": taken,
        "in_zero": in_zero,
        "strip": (pitch, GROUP, pitch, n % 3),
        "pairs": f"asc_dw_pairs_{per_position}",
        "kernel": f"{{{kernel}, {kernel}{'_odd' if stride == 1 else ''}}}",
        "weights": f"{name}_weights",
    }
    code = Code(
        arrays=(Array("asc_dw3_channel", f"{name}_weights", rows),),
        params=(Params("asc_dw3", name, fields),),
        calls=(Call("asc_dw3_dsp", name, (op.inputs[0],), op.outputs[0], scratch=True),),
        checks=(f"ASC_DW3_SCRATCH({n}, {pitch}) <= {scratch}",),
    )
    return Lowered(code, ("asc_dw3_dsp.c", "asc_dw3.S", "asc_dw_lines.S"), scratch)


RULES = {"DEPTHWISE_CONV_2D": lower}
