"""The kernel cases: one small model each, at the edges of what its kernel accepts.

`CASES` maps a name to the .tflite; `inputs(content)` gives what to feed it.  The answers are TFLM's.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tflite_make import File

SAME, VALID = 0, 1
NONE, RELU, RELU_N1_TO_1, RELU6 = 0, 1, 2, 3

CASES: dict[str, bytes] = {}
CONSTANT = {  # cases at an end where one answer is right for every input
    "conv_gain_tiny",
    "dw_gain_tiny",
    "dense_gain_tiny",
    "mean_gain_tiny",
    "matmul_gain_tiny",
    "log_softmax_1",
    "log_softmax_of_one",
    "softmax_1",
    "softmax_flat",
    "quantize_6",
    "relu_2",
    "relu_6",
    "relu_zero_2",
    "relu_zero_6",
    "relu6_2",
    "relu6_5",
    "leaky_relu_6",
}


def _add(name: str, content: bytes) -> None:
    assert name not in CASES
    CASES[name] = content


def _rng(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def out_size(length: int, kernel: int, stride: int, dilation: int, padding: int) -> int:
    reach = (kernel - 1) * dilation + 1
    return -(-length // stride) if padding == SAME else (length - reach) // stride + 1


# ---- convolutions --------------------------------------------------------------------------------


def _conv(
    name: str,
    x: Sequence[int],
    out_c: int,
    kernel: tuple[int, int],
    *,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    padding: int = SAME,
    act: int = NONE,
    zero_in: int = -5,
    zero_out: int = 3,
    gain: float | None = None,
    per_channel: bool = True,
    bias: bool = True,
    depthwise: bool = False,
    groups: int = 1,
    weight: int | None = None,
) -> None:
    """`gain`: input scale * weight scale / output scale; by default such that outputs just saturate."""
    rng = _rng(name)
    n, h, w, c = x
    shape = (1, *kernel, out_c) if depthwise else (out_c, *kernel, c // groups)
    taps = kernel[0] * kernel[1] * (1 if depthwise else c // groups)
    values = rng.integers(-127, 128, shape) if weight is None else np.full(shape, weight)
    if gain is None:
        gain = 1.2 / (64 * np.sqrt(taps))
    axis = 3 if depthwise else 0
    spread = rng.uniform(0.3, 1.5, out_c) if per_channel else np.ones(1)
    f = File()
    a = f.activation(x, 0.05, zero_in)
    k = f.weights(values, spread * gain, axis)
    feeds = [a, k]
    if bias:
        scale = 0.05 * spread * gain
        limit = int(min(3 / gain, 1 << 28)) * 10 + 10
        feeds.append(f.constant(rng.integers(-limit, limit, out_c), "int32", scale))
    out = [out_size(*v, padding) for v in zip((h, w), kernel, stride, dilation, strict=True)]
    y = f.activation((n, *out, out_c), 0.05, zero_out)
    options = {
        "strideH": stride[0],
        "strideW": stride[1],
        "dilationHFactor": dilation[0],
        "dilationWFactor": dilation[1],
        "padding": padding,
        "fusedActivationFunction": act,
    }
    if depthwise:
        f.op("DEPTHWISE_CONV_2D", feeds, [y], "DepthwiseConv2DOptions", depthMultiplier=out_c // c, **options)
    else:
        f.op("CONV_2D", feeds, [y], "Conv2DOptions", **options)
    _add(name, f.bytes([a], [y]))


_conv("conv_1x1", (1, 5, 7, 6), 9, (1, 1))
_conv("conv_1x1_stride", (1, 6, 7, 5), 4, (1, 1), stride=(2, 3))
_conv("conv_1x1_one_channel", (1, 3, 3, 1), 1, (1, 1))
_conv("conv_3x3_same", (1, 7, 6, 3), 5, (3, 3))
_conv("conv_3x3_valid", (1, 7, 6, 3), 5, (3, 3), padding=VALID)
_conv("conv_stride", (1, 9, 8, 4), 3, (3, 3), stride=(2, 2))
_conv("conv_stride_asymmetric_pad", (1, 8, 9, 2), 6, (4, 2), stride=(3, 2))
_conv("conv_dilated", (1, 9, 10, 2), 4, (3, 3), dilation=(2, 3))
_conv("conv_dilated_valid", (1, 9, 10, 2), 4, (3, 2), dilation=(3, 2), padding=VALID)
_conv("conv_one_wide", (1, 11, 1, 3), 4, (5, 1))
_conv("conv_one_high", (1, 1, 11, 3), 4, (1, 5), stride=(1, 2))
_conv("conv_kernel_larger_than_image", (1, 3, 2, 2), 3, (7, 5))
_conv("conv_whole_image", (1, 4, 5, 3), 7, (4, 5), padding=VALID)
_conv("conv_batches", (3, 4, 3, 2), 3, (3, 3))
_conv("conv_grouped", (1, 5, 4, 6), 9, (3, 3), groups=3)
for _rows in (1, 2, 3, 5):  # of the kernel: three values each, then other odd numbers
    _q = {"stride": (1, 2 - _rows % 2), "zero_in": (-128, 127)[_rows % 2], "zero_out": (-128, 7)[_rows % 2]}
    _conv(f"conv_threes_{_rows}", (1, 7, 9, 1), 5, (_rows, 3), **_q)
    _conv(f"conv_threes_{_rows}_of_one", (2, 9, 3, 3), 4, (_rows, 1), dilation=(2, 1), padding=VALID)
    _conv(f"conv_odd_{_rows}", (1, 7, 6, 3), 6, (_rows, 3), **_q)
    _conv(f"conv_odd_{_rows}_of_one", (1, 7, 1, 1), 3, (_rows, 1), **_q)
    _conv(f"conv_odd_{_rows}_wide", (1, 6, 11, 1), 4, (_rows, 7), weight=-127, **{**_q, "zero_in": 0})
_conv("conv_grouped_1x1", (1, 5, 4, 8), 4, (1, 1), groups=2)
_conv("conv_dilated_rows", (1, 13, 5, 3), 5, (3, 2), dilation=(4, 1), act=RELU)
_conv("conv_dilated_columns", (2, 4, 13, 5), 6, (2, 3), dilation=(1, 5), stride=(1, 2))
_conv("conv_dilated_one_wide", (1, 30, 1, 6), 7, (3, 1), dilation=(8, 1))
_conv("conv_dilated_one_high", (1, 1, 30, 6), 8, (1, 3), dilation=(1, 9), zero_in=127)
_conv("conv_dilated_beyond", (1, 4, 5, 2), 3, (3, 3), dilation=(5, 6))
_conv("conv_dilated_stride", (1, 12, 9, 1), 4, (3, 4), dilation=(2, 2), stride=(3, 2), padding=VALID)
_conv("conv_dilated_relu6", (1, 7, 9, 4), 3, (3, 3), dilation=(2, 2), act=RELU6, zero_out=-50)
_conv("conv_dilated_gain_one", (1, 7, 9, 1), 3, (2, 2), dilation=(2, 3), gain=1.0, weight=1)
_conv("winograd_dilated", (1, 11, 6, 4), 6, (3, 3), dilation=(3, 1), zero_out=-128)
_conv("winograd_dilated_valid", (2, 12, 7, 8), 5, (2, 4), dilation=(5, 1), padding=VALID)
_conv("conv_grouped_4", (1, 5, 4, 12), 12, (3, 3), groups=3, zero_out=-128)
_conv("conv_grouped_odd_out", (1, 6, 5, 16), 12, (3, 3), groups=4, stride=(2, 2))
_conv("conv_grouped_odd_in", (1, 5, 7, 20), 10, (2, 1), groups=5, padding=VALID)
_conv("conv_grouped_many", (1, 4, 5, 64), 64, (1, 1), groups=16)
_conv("conv_grouped_two", (1, 5, 4, 8), 16, (3, 1), groups=4, act=RELU6, zero_out=-50)
_conv("conv_grouped_dilated", (1, 9, 8, 8), 8, (3, 3), groups=2, dilation=(2, 2))
_conv("conv_grouped_uneven", (1, 5, 4, 18), 9, (3, 3), groups=9)
_conv("conv_grouped_of_one", (1, 6, 5, 7), 7, (3, 3), groups=7)
_conv("conv_grouped_of_one_2", (1, 6, 5, 8), 16, (3, 3), groups=8, zero_out=-128)
_conv("conv_grouped_of_one_3", (1, 6, 5, 3), 9, (3, 3), groups=3, dilation=(1, 2))
_conv("conv_grouped_of_one_5", (1, 6, 5, 3), 15, (2, 3), groups=3, stride=(2, 1), bias=False)
_conv("conv_grouped_per_tensor", (1, 5, 4, 8), 8, (3, 3), groups=8, per_channel=False, zero_in=-128)
_conv("conv_grouped_gain_huge", (1, 4, 4, 8), 4, (1, 1), groups=2, gain=3000.0)
_conv("conv_no_bias", (1, 5, 5, 3), 4, (3, 3), bias=False)
_conv("conv_per_tensor", (1, 5, 5, 3), 4, (3, 3), per_channel=False)
_conv("conv_relu", (1, 5, 5, 3), 4, (3, 3), act=RELU)
_conv("conv_relu6", (1, 5, 5, 3), 4, (3, 3), act=RELU6, zero_out=-128)
_conv("conv_relu_n1_to_1", (1, 5, 5, 3), 4, (3, 3), act=RELU_N1_TO_1, zero_out=20)
_conv("conv_zero_points_low", (1, 5, 5, 3), 4, (3, 3), zero_in=-128, zero_out=-128)
_conv("conv_zero_points_high", (1, 5, 5, 3), 4, (3, 3), zero_in=127, zero_out=127)
_conv("conv_gain_above_one", (1, 4, 4, 2), 3, (1, 1), gain=3.7)
_conv("conv_gain_huge", (1, 4, 4, 2), 3, (1, 1), gain=3000.0)
_conv("conv_gain_small", (1, 6, 6, 64), 3, (3, 3), gain=2.0e-6, weight=127)
_conv("conv_gain_tiny", (1, 4, 4, 2), 3, (3, 3), gain=3.0e-10)
_conv("conv_deepest_sums", (1, 2, 2, 512), 2, (3, 3), weight=-127, zero_in=127)
_conv("conv_gain_power_of_two", (1, 4, 4, 4), 4, (1, 1), gain=1 / 64, per_channel=False)
_conv("conv_gain_one", (1, 4, 4, 1), 4, (1, 1), gain=1.0, per_channel=False, weight=1, bias=False)
_conv("conv_gain_half", (1, 4, 4, 1), 4, (1, 1), gain=0.5, per_channel=False, weight=-1, bias=False)
_conv("dw_3x3", (1, 7, 6, 8), 8, (3, 3), depthwise=True)
_conv("dw_odd_channels", (1, 7, 6, 7), 7, (3, 3), depthwise=True)
_conv("dw_one_channel", (1, 7, 6, 1), 1, (3, 3), depthwise=True)
_conv("dw_valid", (1, 7, 6, 5), 5, (3, 3), depthwise=True, padding=VALID)
_conv("dw_stride", (1, 9, 8, 6), 6, (3, 3), depthwise=True, stride=(2, 2))
_conv("dw_stride_asymmetric", (1, 8, 9, 4), 4, (5, 3), depthwise=True, stride=(3, 2), act=RELU)
_conv("dw_dilated", (1, 11, 9, 5), 5, (3, 3), depthwise=True, dilation=(3, 2))
_conv("dw_multiplier", (1, 5, 5, 3), 12, (3, 3), depthwise=True)
_conv("dw_multiplier_of_one_channel", (1, 6, 5, 1), 5, (3, 2), depthwise=True, stride=(2, 1))
for _m in (2, 3, 4, 6, 9):
    _s = {"stride": (1 + _m % 2, 2 - _m % 3 % 2), "depthwise": True}
    _conv(f"dw_multiplier_{_m}", (1, 7, 6, 3), 3 * _m, (3, 3), zero_out=-128 if _m % 2 else 9, **_s)
    _conv(f"dw_multiplier_{_m}_5x2", (2, 6, 5, 2), 2 * _m, (5, 2), padding=VALID, depthwise=True)
_conv("dw_multiplier_dilated", (1, 8, 9, 1), 8, (3, 3), depthwise=True, dilation=(2, 3))
for _act, _name in ((RELU6, "relu6"), (RELU_N1_TO_1, "relu_n1_to_1")):
    _q = {"act": _act, "zero_out": -50}
    _conv(f"conv_1x1_{_name}", (1, 5, 3, 6), 5, (1, 1), **_q)
    _conv(f"winograd_{_name}", (1, 7, 6, 4), 6, (3, 3), **_q)
    _conv(f"dw_{_name}", (1, 7, 5, 7), 7, (3, 3), depthwise=True, **_q)
    _conv(f"dw_multiplier_{_name}", (1, 7, 5, 3), 9, (3, 3), depthwise=True, **_q)
_conv("dw_one_wide", (1, 12, 1, 4), 4, (9, 1), depthwise=True)
_conv("dw_1x1", (1, 4, 4, 4), 4, (1, 1), depthwise=True, act=RELU6)
_conv("dw_batches", (2, 4, 4, 3), 3, (3, 3), depthwise=True)
_conv("dw_no_bias", (1, 4, 4, 4), 4, (3, 3), depthwise=True, bias=False)
_conv("dw_per_tensor", (1, 4, 4, 6), 6, (3, 3), depthwise=True, per_channel=False)
_conv("dw_zero_points_low", (1, 5, 5, 4), 4, (3, 3), depthwise=True, zero_in=-128, zero_out=-128)
_conv("dw_zero_points_high", (1, 5, 5, 4), 4, (3, 3), depthwise=True, zero_in=127, zero_out=127)
_conv("dw_gain_above_one", (1, 5, 5, 5), 5, (3, 3), depthwise=True, gain=2.5)
_conv("dw_gain_tiny", (1, 5, 5, 5), 5, (3, 3), depthwise=True, gain=1e-9)
_conv("dw_kernel_larger_than_image", (1, 2, 3, 4), 4, (5, 7), depthwise=True)
_n = 0
for _k in ((3, 1), (5, 1), (7, 1), (3, 3), (5, 3), (3, 5), (7, 3), (5, 5)):  # an inner loop for each of these
    for _s in ((1, 1), (1, 2), (2, 1), (2, 2)):
        for _z in (-128, 12):
            _c, _n = 4 + _n % 3, _n + 1
            _q = {"padding": _n % 2, "zero_in": (-128, 127, -5)[_n % 3], "zero_out": _z, "depthwise": True}
            _name = f"dw_{_k[0]}x{_k[1]}_stride_{_s[0]}{_s[1]}_{'fixed' if _z == -128 else 'linear'}"
            _m = 2 if _k == (3, 3) else 1  # which with one output a channel has a kernel of its own
            _conv(_name, (1, _k[0] + 2 + _n % 2, 21 - _n % 3, _c), _c * _m, _k, stride=_s, **_q)
for _k in ((1, 3), (1, 5), (1, 7), (3, 5), (5, 3), (3, 7)):  # strips down the columns of a tall map
    _q = {"stride": (1, 1 + _k[1] // 2 % 2), "depthwise": True}
    _conv(f"dw_{_k[0]}x{_k[1]}_tall", (1, 37, _k[1] + 3, 5), 5, _k, padding=_k[0] % 3 % 2, **_q)
for _k in ((1, 2), (2, 2), (4, 1), (2, 4), (6, 3), (4, 5), (1, 1)):  # taps of no weight make them larger
    _conv(f"dw_{_k[0]}x{_k[1]}_even", (1, 8, 9, 6), 6, _k, stride=(1, 1 + _k[0] % 2), depthwise=True)
_q = {"depthwise": True}
_conv("dw_5x3_one_wide", (1, 12, 1, 4), 4, (5, 3), **_q)
_conv("dw_3x5_one_high", (1, 1, 12, 8), 8, (3, 5), **_q)
_conv("dw_5x5_one_pixel", (1, 1, 1, 4), 4, (5, 5), **_q)
_conv("dw_5x3_in_place", (1, 9, 7, 8), 8, (5, 3), zero_out=-128, **_q)
_conv("dw_1x5_in_place", (1, 37, 21, 4), 4, (1, 5), **_q)
_conv("dw_5x1_stride_3", (1, 13, 10, 5), 5, (5, 1), stride=(1, 3), padding=VALID, **_q)
_conv("dw_5x3_dilated", (1, 15, 9, 5), 5, (5, 3), dilation=(2, 1), **_q)
_conv("dw_5x3_batches", (2, 8, 5, 5), 5, (5, 3), **_q)
_conv("dw_5x5_zero_points_high", (1, 6, 7, 5), 5, (5, 5), zero_in=127, zero_out=127, **_q)
_conv("dw_5x5_deepest_sums", (1, 6, 7, 4), 4, (5, 5), weight=-127, zero_in=127, zero_out=-128, **_q)
_conv("dw_5x5_highest_sums", (1, 6, 7, 4), 4, (5, 5), weight=127, zero_in=-128, gain=2.0e-4, **_q)
_conv("dw_1x3_gain_small", (1, 6, 7, 5), 5, (1, 3), gain=3.0e-5, weight=-127, **_q)
_conv("dw_3x1_gain_high", (1, 6, 7, 5), 5, (3, 1), gain=0.49, per_channel=False, **_q)
_conv("dw_5x3_gain_above_one", (1, 6, 7, 5), 5, (5, 3), gain=2.5, **_q)
_conv("dw_5x3_relu6", (1, 7, 6, 5), 5, (5, 3), act=RELU6, zero_out=-50, **_q)
_conv("dw_3x5_no_bias", (1, 7, 6, 5), 5, (3, 5), bias=False, per_channel=False, **_q)
for _c, _m in ((1, 4), (1, 9), (2, 3), (3, 2), (4, 2), (5, 3), (7, 4), (6, 1)):
    _s = {"stride": (1 + _m % 2, 1 + _c % 2), "zero_out": (-128, 7)[_c % 2], **_q}
    _conv(f"dw_5x3_multiplier_{_c}x{_m}", (1, 9, 8, _c), _c * _m, (5, 3), **_s)

# ---- fully connected -----------------------------------------------------------------------------


def _dense(
    name: str,
    x: Sequence[int],
    depth: int,
    out: int,
    *,
    per_channel: bool = False,
    bias: bool = True,
    act: int = NONE,
    zero_in: int = -11,
    zero_out: int = 7,
    gain: float | None = None,
) -> None:
    rng = _rng(name)
    rows = int(np.prod(x)) // depth
    gain = 1.2 / (64 * np.sqrt(depth)) if gain is None else gain
    spread = rng.uniform(0.3, 1.5, out) if per_channel else np.ones(1)
    f = File()
    a = f.activation(x, 0.043, zero_in)
    feeds = [a, f.weights(rng.integers(-127, 128, (out, depth)), spread * gain)]
    if bias:
        limit = int(30 / gain) + 10
        scale = np.float32(0.043) * (spread * gain).astype(np.float32)
        feeds.append(f.constant(rng.integers(-limit, limit, out), "int32", scale))
    y = f.activation((rows, out), 0.043, zero_out)
    f.op("FULLY_CONNECTED", feeds, [y], "FullyConnectedOptions", fusedActivationFunction=act)
    _add(name, f.bytes([a], [y]))


_dense("dense", (1, 33), 33, 10)
_dense("dense_one_by_one", (1, 1), 1, 1)
_dense("dense_odd", (1, 7), 7, 5, act=RELU)
_dense("dense_rows", (3, 9), 9, 4)
_dense("dense_of_image", (1, 2, 3, 4), 24, 6, act=RELU6)
_dense("dense_per_channel", (1, 20), 20, 11, per_channel=True)
_dense("dense_no_bias", (1, 20), 20, 3, bias=False)
_dense("dense_zero_points_low", (1, 16), 16, 4, zero_in=-128, zero_out=-128)
_dense("dense_zero_points_high", (1, 16), 16, 4, zero_in=127, zero_out=127)
_dense("dense_gain_above_one", (1, 5), 5, 4, gain=1.7)
_dense("dense_gain_tiny", (1, 5), 5, 4, gain=1e-9)
_dense("dense_single_output_per_channel", (1, 12), 12, 1, per_channel=True)

# ---- pools ---------------------------------------------------------------------------------------


def _pool(
    name: str,
    kind: str,
    x: Sequence[int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: int = VALID,
    act: int = NONE,
    zero: int = 4,
    scale: float = 0.06,
) -> None:
    f = File()
    a = f.activation(x, scale, zero)
    out = [out_size(n, k, s, 1, padding) for n, k, s in zip(x[1:3], kernel, stride, strict=True)]
    y = f.activation((x[0], *out, x[3]), scale, zero)
    f.op(
        kind,
        [a],
        [y],
        "Pool2DOptions",
        padding=padding,
        filterHeight=kernel[0],
        filterWidth=kernel[1],
        strideH=stride[0],
        strideW=stride[1],
        fusedActivationFunction=act,
    )
    _add(name, f.bytes([a], [y]))


for _kind, _short in (("AVERAGE_POOL_2D", "average"), ("MAX_POOL_2D", "max")):
    _pool(f"{_short}_2x2", _kind, (1, 6, 8, 5), (2, 2), (2, 2))
    _pool(f"{_short}_3x3_same", _kind, (1, 7, 6, 3), (3, 3), (1, 1), SAME)
    _pool(f"{_short}_stride_same", _kind, (1, 7, 6, 4), (3, 2), (2, 3), SAME)
    _pool(f"{_short}_global", _kind, (1, 5, 7, 9), (5, 7), (1, 1))
    _pool(f"{_short}_odd_left_over", _kind, (1, 7, 9, 2), (2, 2), (2, 2))
    _pool(f"{_short}_one_channel", _kind, (1, 6, 1, 1), (3, 1), (3, 1))
    _pool(f"{_short}_relu", _kind, (1, 6, 6, 3), (2, 2), (2, 2), act=RELU, zero=-20)
    _pool(f"{_short}_relu6_batches", _kind, (2, 4, 4, 3), (2, 2), (2, 2), act=RELU6, zero=-90)
    _pool(f"{_short}_larger_than_image", _kind, (1, 2, 2, 3), (5, 5), (1, 1), SAME)
    _pool(f"{_short}_beyond_image", _kind, (1, 4, 3, 6), (7, 5), (4, 3), SAME)
    _pool(f"{_short}_global_relu6", _kind, (1, 6, 5, 7), (6, 5), (1, 1), act=RELU6, zero=-90)
    _pool(f"{_short}_global_few_channels", _kind, (1, 3, 4, 2), (3, 4), (1, 1), zero=-128)
    _pool(f"{_short}_global_batches", _kind, (3, 3, 3, 5), (3, 3), (1, 1), zero=127)

# ---- two inputs ----------------------------------------------------------------------------------


def _binary(
    name: str,
    kind: str,
    a: Sequence[int],
    b: Sequence[int],
    *,
    scales: tuple[float, float, float] = (0.031, 0.047, 0.06),
    zeros: tuple[int, int, int] = (-7, 12, 5),
    act: int = NONE,
    constant: bool = False,
    split: bool = False,
) -> None:
    """One input is the model's; the other a constant, or the first after a RELU, and a MEAN if smaller."""
    rng = _rng(name)
    out = np.broadcast_shapes(tuple(a), tuple(b))
    table = _FUSED_OPTIONS.get(kind, "")
    fused = {"fusedActivationFunction": act} if table else {}
    f = File()
    x = f.activation(a, scales[0], zeros[0])
    if constant:
        values = rng.integers(-128, 128, b)
        second = f.tensor(b, "int8", [scales[1]], [zeros[1]], data=values)
    else:
        flat = f.activation(a, scales[1], zeros[1])
        f.op("RELU", [x], [flat])
        second = flat
        if tuple(a) != tuple(b):
            axes = [i for i, n in enumerate(b) if n == 1 and a[i] != 1]
            second = f.activation(b, scales[1], zeros[1])
            f.op("MEAN", [flat, f.constant(axes)], [second], "ReducerOptions", keepDims=True)
    y = f.activation(out, scales[2], zeros[2])
    feeds = [second, x] if split else [x, second]
    f.op(kind, feeds, [y], table, **fused)
    _add(name, f.bytes([x], [y]))


_FUSED_OPTIONS = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions"}
_IMG = (1, 3, 5, 7)
for _kind, _s, _z in (
    ("ADD", (0.031, 0.047, 0.06), (-7, 12, 5)),
    ("SUB", (0.031, 0.047, 0.06), (-7, 12, 5)),
    ("MUL", (0.031, 0.047, 0.002), (-7, 12, 5)),
    ("PRELU", (0.031, 0.007, 0.029), (-7, 12, 5)),
    ("MINIMUM", (0.05, 0.05, 0.05), (-7, -7, -7)),
    ("MAXIMUM", (0.05, 0.05, 0.05), (-7, -7, -7)),
):
    _n = _kind.lower()
    _q = {"scales": _s, "zeros": _z}
    _binary(f"{_n}_constant", _kind, _IMG, _IMG, constant=True, **_q)
    _binary(f"{_n}_two_activations", _kind, _IMG, _IMG, **_q)
    _binary(f"{_n}_swapped", _kind, _IMG, _IMG, split=True, **_q)
    _binary(f"{_n}_channels", _kind, _IMG, (1, 1, 1, 7), **_q)
    _binary(f"{_n}_channels_first", _kind, _IMG, (1, 1, 1, 7), split=True, **_q)
    _binary(f"{_n}_pixels", _kind, _IMG, (1, 3, 5, 1), **_q)
    _binary(f"{_n}_rows", _kind, _IMG, (1, 3, 1, 1), **_q)
    _binary(f"{_n}_columns", _kind, _IMG, (1, 1, 5, 1), constant=True, **_q)
    _binary(f"{_n}_alternating", _kind, (2, 3, 4, 5), (1, 3, 1, 5), constant=True, **_q)
    _binary(f"{_n}_scalar", _kind, _IMG, (1,), constant=True, **_q)
    _binary(f"{_n}_lower_rank", _kind, _IMG, (5, 7), constant=True, **_q)
    _low, _high = (-128, -128, -128), (127, 127, -128 if _kind in ("MUL", "PRELU") else 127)
    _binary(f"{_n}_zero_points_low", _kind, _IMG, _IMG, constant=True, zeros=_low, scales=_s)
    _binary(f"{_n}_zero_points_high", _kind, _IMG, _IMG, constant=True, zeros=_high, scales=_s)
    if _kind not in ("MINIMUM", "MAXIMUM"):
        _far = {"MUL": (0.9e-3, 0.9, 0.01), "PRELU": (0.9e-3, 0.9, 1e-3)}.get(_kind, (1.0e-6, 0.9, 0.8))
        _binary(f"{_n}_far_scales", _kind, _IMG, _IMG, constant=True, scales=_far)
        _binary(f"{_n}_equal_scales", _kind, _IMG, _IMG, constant=True, scales=(0.05, 0.05, 0.05))
    if _kind in _FUSED_OPTIONS:
        _binary(f"{_n}_relu", _kind, _IMG, _IMG, constant=True, act=RELU, scales=_s)
        _binary(f"{_n}_relu6", _kind, _IMG, _IMG, constant=True, act=RELU6, zeros=(0, 0, -128), scales=_s)
for _kind in ("ADD", "SUB", "MUL"):
    _n, _q = (
        _kind.lower(),
        {"scales": (0.05, 0.05, 0.002 if _kind == "MUL" else 0.06), "zeros": (-7, 12, -128)},
    )
    _binary(f"{_n}_relu_channels", _kind, (1, 4, 3, 13), (1, 1, 1, 13), act=RELU, **_q)
    _binary(f"{_n}_relu_columns", _kind, (1, 4, 3, 13), (1, 4, 1, 13), act=RELU, **_q)
    _binary(f"{_n}_relu_rows_first", _kind, (1, 4, 3, 6), (1, 1, 3, 6), act=RELU, split=True, **_q)
_binary("prelu_gain_above_one", "PRELU", (1, 40), (1, 40), constant=True, scales=(0.5, 0.3, 0.02))
_binary("prelu_gain_huge", "PRELU", (1, 40), (1, 40), constant=True, scales=(5.0, 3.0, 0.0001))
_binary("mul_gain_above_one", "MUL", (1, 40), (1, 40), constant=True, scales=(0.5, 0.3, 0.01))
_binary("mul_gain_huge", "MUL", (1, 40), (1, 40), constant=True, scales=(5.0, 3.0, 0.0001))
# Around every edge of the fast form: 0.5, 1, 2, and the last left shift that fits, 2^14, and one more.
for _i, _gain in enumerate((0.49999, 0.5, 0.75, 1.0, 1.7, 2.0, 9.0, 16000.0, 16384.0, 33000.0)):
    _q = {"scales": (0.5, 0.5, 0.25 / _gain), "zeros": (-20, 30, (-128, 4, 127)[_i % 3])}
    _binary(f"mul_gain_{_i}", "MUL", (1, 260), (1, 260), constant=True, **_q)
    _q["zeros"] = (-20, 30, (-128, 4, -40)[_i % 3])
    _binary(f"mul_gain_{_i}_clamped", "MUL", (3, 9), (1, 9), constant=True, act=RELU6, **_q)
_binary("sub_larger_second_rows", "SUB", (1, 4, 3, 13), (1, 4, 1, 13), scales=(0.05, 0.09, 0.1))
_binary("sub_larger_second_relu", "SUB", (1, 41), (1, 41), scales=(0.05, 0.09, 0.02), act=RELU)
_binary("add_small_output", "ADD", (1, 40), (1, 40), constant=True, scales=(0.9, 0.9, 0.0001))

# ---- MEAN, PAD, CONCATENATION, reshapes ----------------------------------------------------------


def _mean(
    name: str,
    x: Sequence[int],
    axes: Sequence[int],
    keep: bool = False,
    scales: tuple[float, float] = (0.05, 0.03),
    zeros: tuple[int, int] = (-9, 14),
    kind: str = "MEAN",
) -> None:
    f = File()
    a = f.activation(x, scales[0], zeros[0])
    real = {i % len(x) for i in axes}
    shape = [1 if i in real else n for i, n in enumerate(x) if keep or i not in real]
    y = f.activation(shape, scales[1], zeros[1])
    f.op(kind, [a, f.constant(list(axes))], [y], "ReducerOptions", keepDims=keep)
    _add(name, f.bytes([a], [y]))


_mean("mean_global", (1, 5, 7, 6), (1, 2))
_mean("mean_global_kept", (1, 8, 7, 48), (1, 2), keep=True)
_mean("mean_negative_axes", (1, 4, 3, 5), (-2, -3))
_mean("mean_rows", (1, 5, 4, 3), (1,))
_mean("mean_columns", (1, 5, 4, 3), (2,))
_mean("mean_channels", (1, 5, 4, 3), (3,))
_mean("mean_scattered", (1, 5, 4, 3), (1, 3))
_mean("mean_batches_scattered", (2, 5, 4, 3), (0, 2))
_mean("mean_of_one", (1, 1, 1, 9), (1, 2))
_mean("mean_same_quantisation", (1, 4, 4, 8), (1, 2), scales=(0.05, 0.05), zeros=(3, 3))
_mean("mean_gain_above_one", (1, 4, 4, 8), (1, 2), scales=(0.5, 0.01))
_mean("mean_gain_tiny", (1, 4, 4, 8), (1, 2), scales=(1e-9, 1.0))
_mean("mean_zero_points_low", (1, 3, 5, 8), (1, 2), zeros=(-128, -128))
_mean("mean_zero_points_high", (1, 3, 5, 8), (1, 2), zeros=(127, 127))
_mean("mean_vector", (1, 13), (1,), keep=True)
_mean("mean_rows_wide", (1, 6, 5, 6), (1,))
_mean("mean_all", (1, 4, 3, 5), (1, 2, 3))
_mean("mean_many_pixels", (1, 19, 40, 5), (1, 2), zeros=(-128, 90))
_mean("mean_saturates", (1, 5, 3, 7), (1, 2), scales=(0.9, 0.01), zeros=(9, -5))


_mean("sum_global", (1, 5, 7, 6), (1, 2), kind="SUM", scales=(0.05, 0.3))
_mean("sum_saturates", (1, 7, 5, 6), (1, 2), kind="SUM", scales=(0.05, 0.05), zeros=(3, -5))
_mean("sum_rows", (1, 5, 2, 3), (1,), kind="SUM", scales=(0.05, 0.2))
_mean("sum_gain_above_one", (1, 3, 2, 6), (3,), kind="SUM", scales=(0.05, 0.04), zeros=(-128, -128))
_mean("reduce_max_global", (1, 3, 2, 6), (1, 2), kind="REDUCE_MAX", scales=(0.05, 0.05), zeros=(3, 3))
_mean("reduce_max_scattered", (2, 3, 2, 6), (0, 2), kind="REDUCE_MAX", scales=(0.05, 0.05), zeros=(3, 3))
_mean("reduce_max_channels", (1, 3, 2, 6), (-1,), True, kind="REDUCE_MAX", scales=(0.05, 0.05), zeros=(3, 3))


def _pad(name: str, x: Sequence[int], pads: Sequence[Sequence[int]], value: int | None = None) -> None:
    f = File()
    a = f.activation(x, 0.05, -3)
    y = f.activation([n + p + q for n, (p, q) in zip(x, pads, strict=True)], 0.05, -3)
    feeds = [a, f.constant(pads)]
    if value is not None:
        feeds.append(f.tensor((1,), "int8", [0.05], [-3], data=np.array([value])))
    if value is None:
        f.op("PAD", feeds, [y], "PadOptions")
    else:
        f.op("PADV2", feeds, [y], "PadV2Options")
    _add(name, f.bytes([a], [y]))


_pad("pad_image", (1, 4, 5, 3), [(0, 0), (1, 2), (0, 3), (0, 0)])
_pad("pad_all", (2, 3, 4, 2), [(1, 0), (1, 1), (2, 0), (1, 2)])
_pad("pad_none", (1, 3, 4, 2), [(0, 0), (0, 0), (0, 0), (0, 0)])
_pad("pad_vector", (1, 6), [(0, 1), (2, 3)])
_pad("pad_value", (1, 4, 5, 3), [(0, 0), (1, 2), (0, 3), (0, 0)], value=77)


def _concatenation(name: str, shapes: Sequence[Sequence[int]], axis: int) -> None:
    """The parts are the input, requantised by tables, pooled to size where they differ."""
    f = File()
    x = f.activation(shapes[0], 0.05, 2)
    parts = [x]
    for shape in shapes[1:]:
        part = f.activation(shape, 0.05, 2)
        pads = [(0, n - m) for n, m in zip(shape, shapes[0], strict=True)]
        f.op("PAD", [x, f.constant(pads)], [part], "PadOptions")
        parts.append(part)
    total = list(shapes[0])
    total[axis] = sum(s[axis] for s in shapes)
    y = f.activation(total, 0.05, 2)
    f.op("CONCATENATION", parts, [y], "ConcatenationOptions", axis=axis)
    _add(name, f.bytes([x], [y]))


_concatenation("concatenation_channels", [(1, 4, 3, 5), (1, 4, 3, 6), (1, 4, 3, 9)], 3)
_concatenation("concatenation_rows", [(1, 4, 3, 5), (1, 6, 3, 5)], 1)
_concatenation("concatenation_negative_axis", [(1, 4, 3, 5), (1, 4, 4, 5)], -2)
_concatenation("concatenation_twice_the_same", [(1, 2, 2, 3), (1, 2, 2, 3)], 3)

# ---- values at other places ------------------------------------------------------------------------


def _moved(
    name: str,
    kind: str,
    x: Sequence[int],
    y: Sequence[int],
    constants: Sequence[Any] = (),
    table: str = "",
    dtype: str = "int32",
    **options: Any,
) -> None:
    f = File()
    a, b = f.activation(x, 0.05, -3), f.activation(y, 0.05, -3)
    f.op(kind, [a, *(f.constant(c, dtype) for c in constants)], [b], table, **options)
    _add(name, f.bytes([a], [b]))


def _slice(
    name: str, x: Sequence[int], begin: Sequence[int], size: Sequence[int], dtype: str = "int32"
) -> None:
    y = [n - b if s == -1 else s for n, b, s in zip(x, begin, size, strict=True)]
    _moved(name, "SLICE", x, y, (begin, size), "SliceOptions", dtype)


_slice("slice_image", (1, 6, 5, 4), (0, 2, 1, 0), (1, 3, 4, 4))
_slice("slice_channels", (1, 6, 5, 7), (0, 0, 0, 2), (1, 6, 5, 3))
_slice("slice_to_the_end", (2, 6, 5), (1, 2, 3), (-1, -1, -1), "int64")
_slice("slice_one", (1, 9), (0, 8), (1, 1))
_slice("slice_all", (1, 4, 3), (0, 0, 0), (1, 4, 3))
_slice("slice_five_dimensions", (2, 3, 4, 2, 5), (0, 1, 1, 0, 2), (2, 2, 2, 1, 3))


def _strided(
    name: str,
    x: Sequence[int],
    y: Sequence[int],
    bounds: Sequence[Sequence[int]],
    begin: int = 0,
    end: int = 0,
    shrink: int = 0,
) -> None:
    masks = {"beginMask": begin, "endMask": end, "shrinkAxisMask": shrink}
    _moved(name, "STRIDED_SLICE", x, y, bounds, "StridedSliceOptions", **masks)


_strided("strided_every_second", (1, 7, 6, 3), (1, 4, 3, 3), [(0, 0, 0, 0), (1, 7, 6, 3), (1, 2, 2, 1)])
_strided("strided_backwards", (1, 7, 6, 3), (1, 7, 2, 3), [(0, 6, 5, 2), (1, -9, 0, -4), (1, -1, -3, -1)])
_strided("strided_masks", (1, 7, 6), (1, 5, 6), [(3, 2, 4), (9, 3, 2), (1, 1, 1)], begin=0b101, end=0b111)
_strided("strided_backwards_masks", (1, 8, 5), (1, 3, 5), [(0, 1, 2), (1, 1, 3), (1, -3, -1)], 0b110, 0b110)
_strided("strided_negative_bounds", (1, 8, 5), (1, 3, 2), [(0, -4, -3), (1, -1, -1), (1, 1, 1)])
_strided("strided_shrink", (1, 4, 5, 3), (5, 3), [(0, 2, 0, 0), (0, 0, 5, 3), (1, 1, 1, 1)], shrink=0b0011)
_strided("strided_shrink_last", (1, 4, 5), (4,), [(0, 0, -1), (1, 4, 0), (1, 1, 1)], shrink=0b101)


def _parts(name: str, kind: str, x: Sequence[int], axis: int, sizes: Sequence[int], drop: int = -1) -> None:
    """Split, then put together in the opposite order; part `drop` is left unused."""
    f = File()
    a = f.activation(x, 0.05, -3)
    real, keep = axis % len(x), kind != "UNPACK"
    shapes = [[*x[:real], *([n] if keep else []), *x[real + 1 :]] for n in sizes]
    parts = [f.activation(s, 0.05, -3) for s in shapes]
    if kind == "SPLIT":
        f.op(kind, [f.constant([axis]), a], parts, "SplitOptions", numSplits=len(parts))
    elif kind == "SPLIT_V":
        feeds = [a, f.constant(list(sizes)), f.constant(axis)]
        f.op(kind, feeds, parts, "SplitVOptions", numSplits=len(parts))
    else:
        f.op(kind, [a], parts, "UnpackOptions", num=len(parts), axis=axis)
    kept = [p for i, p in enumerate(parts) if i != drop][::-1]
    total = sum(n for i, n in enumerate(sizes) if i != drop)
    y = f.activation([*x[:real], total, *x[real + 1 :]], 0.05, -3)
    if keep:
        f.op("CONCATENATION", kept, [y], "ConcatenationOptions", axis=real)
    else:
        f.op("PACK", kept, [y], "PackOptions", axis=axis, valuesCount=len(kept))
    _add(name, f.bytes([a], [y]))


_parts("split_channels", "SPLIT", (1, 4, 3, 6), 3, (2, 2, 2))
_parts("split_rows", "SPLIT", (1, 4, 3, 5), -3, (2, 2))
_parts("split_with_a_dead_end", "SPLIT", (1, 4, 3, 6), 3, (3, 3), drop=0)
_parts("split_into_one", "SPLIT", (1, 4, 3), 1, (4,))
_parts("split_v_uneven", "SPLIT_V", (1, 4, 3, 7), -1, (1, 4, 2))
_parts("split_v_columns", "SPLIT_V", (1, 4, 7, 2), 2, (5, 2))
_parts("unpack_rows", "UNPACK", (1, 4, 3, 5), 1, (1,) * 4)
_parts("unpack_channels", "UNPACK", (1, 4, 3), -1, (1,) * 3)

for _i, (_shape, _order) in enumerate(
    [
        ((1, 5, 4, 3), (0, 2, 1, 3)),
        ((1, 5, 4, 3), (0, 3, 1, 2)),
        ((2, 5, 4, 3), (3, 2, 1, 0)),
        ((1, 5, 4, 3), (0, 1, 2, 3)),
        ((7, 5), (1, 0)),
        ((2, 3, 2, 4, 3), (4, 3, 2, 1, 0)),
        ((1, 3, 2, 4, 3), (0, 1, 2, 4, 3)),  # a channel shuffle
    ]
):
    _shuffled = [_shape[n] for n in _order]
    _moved(f"transpose_{_i}", "TRANSPOSE", _shape, _shuffled, [_order], "TransposeOptions")


def _gather(name: str, x: Sequence[int], places: Any, axis: int, batch: int = 0) -> None:
    real, chosen = axis % len(x), np.shape(places)
    first = batch % max(1, len(chosen))
    y = [*x[:real], *chosen[first:], *x[real + 1 :]]
    _moved(name, "GATHER", x, y, [places], "GatherOptions", axis=axis, batchDims=batch)


_gather("gather_rows", (1, 6, 4, 3), [5, 0, 0, 2], 1)
_gather("gather_channels", (1, 3, 4, 6), [[1, 5], [4, 0], [2, 2]], -1)
_gather("gather_every_second", (1, 3, 8), [1, 3, 5, 7], 2)
_gather("gather_one", (1, 3, 8), 4, 2)
_gather("gather_by_batches", (2, 3, 5, 2), [[4, 0], [1, 1]], 2, batch=1)
_gather("gather_by_batches_negative", (2, 4, 3), [[3, 0, 1], [1, 1, 2]], 1, batch=-1)


def _mirror(name: str, x: Sequence[int], pads: Sequence[Sequence[int]], mode: int) -> None:
    y = [n + sum(p) for n, p in zip(x, pads, strict=True)]
    _moved(name, "MIRROR_PAD", x, y, [pads], "MirrorPadOptions", mode=mode)


_mirror("mirror_pad_reflect", (1, 4, 5, 3), [(0, 0), (3, 2), (0, 4), (0, 0)], 0)
_mirror("mirror_pad_symmetric", (1, 4, 5, 3), [(0, 0), (4, 2), (0, 5), (0, 0)], 1)
_mirror("mirror_pad_channels", (2, 3, 4), [(1, 1), (0, 0), (3, 2)], 0)
_mirror("mirror_pad_one_wide", (1, 6, 1), [(0, 0), (1, 1), (1, 1)], 1)


def _resize(
    name: str, x: Sequence[int], size: Sequence[int], corners: bool = False, centres: bool = False
) -> None:
    flags = {"alignCorners": corners, "halfPixelCenters": centres}
    table = "ResizeNearestNeighborOptions"
    _moved(name, "RESIZE_NEAREST_NEIGHBOR", x, (x[0], *size, x[3]), [list(size)], table, **flags)


for _i, (_corners, _centres) in enumerate([(False, False), (True, False), (False, True), (True, True)]):
    _resize(f"resize_double_{_i}", (1, 3, 4, 3), (6, 8), _corners, _centres)
    _resize(f"resize_odd_{_i}", (2, 7, 5, 2), (11, 3), _corners, _centres)
    _resize(f"resize_to_one_{_i}", (1, 6, 9, 1), (1, 31), _corners, _centres)

# ---- matrices --------------------------------------------------------------------------------------


def _matmul(
    name: str,
    a: Sequence[int],
    b: Sequence[int],
    *,
    adj: tuple[bool, bool] = (False, False),
    constant: bool = True,
    gain: float | None = None,
    scales: tuple[float, float, float] | None = None,
    zeros: tuple[int, int, int] = (-9, 4, 11),
) -> None:
    """The second factor is a constant, or the first after a RELU and a RESHAPE to `b`."""
    depth = a[-2] if adj[0] else a[-1]
    ends = (a[-1] if adj[0] else a[-2], b[-2] if adj[1] else b[-1])
    gain = 1.2 / (64 * np.sqrt(depth)) if gain is None else gain
    sa, sb, sy = scales or (0.05, gain, 0.05)
    f = File()
    x = f.activation(a, sa, zeros[0])
    if constant:
        second = f.tensor(b, "int8", [sb], [zeros[1]], data=_rng(name).integers(-128, 128, b))
    else:
        flat, second = f.activation(a, sb, zeros[1]), f.activation(b, sb, zeros[1])
        f.op("RELU", [x], [flat])
        f.op("RESHAPE", [flat, f.constant(list(b))], [second], "ReshapeOptions", newShape=list(b))
    y = f.activation((*np.broadcast_shapes(tuple(a[:-2]), tuple(b[:-2])), *ends), sy, zeros[2])
    f.op("BATCH_MATMUL", [x, second], [y], "BatchMatMulOptions", adjX=adj[0], adjY=adj[1])
    _add(name, f.bytes([x], [y]))


for _i, _adj in enumerate([(False, False), (True, False), (False, True), (True, True)]):
    _a = (5, 7) if _adj[0] else (7, 5)
    _b = (4, 5) if _adj[1] else (5, 4)
    _matmul(f"matmul_{_i}", (1, *_a), (1, *_b), adj=_adj)
    _matmul(f"matmul_batches_{_i}", (3, *_a), (3, *_b), adj=_adj)
    _matmul(f"matmul_two_activations_{_i}", (2, 5, 5), (2, 5, 5), adj=_adj, constant=False)
_matmul("matmul_one_for_all", (3, 4, 5), (1, 5, 6))
_matmul("matmul_all_for_one", (1, 4, 5), (3, 5, 6))
_matmul("matmul_both_ways", (2, 1, 4, 5), (3, 5, 6))
_matmul("matmul_five_dimensions", (2, 1, 3, 2, 5), (1, 2, 3, 5, 2))
_matmul("matmul_vectors", (1, 1, 33), (1, 33, 1))
_matmul("matmul_outer", (1, 9, 1), (1, 1, 8), gain=0.03)
_matmul("matmul_plain", (6, 5), (5, 3))
_matmul("matmul_zero_points_low", (2, 4, 16), (2, 16, 3), zeros=(-128, -128, -128))
_matmul("matmul_zero_points_high", (2, 4, 16), (2, 16, 3), zeros=(127, 127, -128))
_matmul("matmul_gain_above_one", (1, 4, 3), (1, 3, 3), gain=1.7)
_matmul("matmul_gain_tiny", (1, 4, 3), (1, 3, 3), gain=1e-9)


def _reshapes() -> None:
    """Every op that only renames bytes, between two that compute."""
    f = File()
    x = f.activation((1, 4, 1, 6), 0.05, 0)
    a = f.activation((1, 4, 1, 6), 0.04, 3)
    b = f.activation((1, 4, 6), 0.04, 3)
    c = f.activation((1, 4, 6, 1), 0.04, 3)
    d = f.activation((1, 24), 0.04, 3)
    e = f.activation((1, 24), 0.03, -3)
    y = f.activation((1, 24), 0.05, 0)
    f.op("QUANTIZE", [x], [a], "QuantizeOptions")
    f.op("SQUEEZE", [a], [b], "SqueezeOptions", squeezeDims=[2])
    f.op("EXPAND_DIMS", [b, f.constant([3])], [c], "ExpandDimsOptions")
    f.op("RESHAPE", [c, f.constant([1, 24])], [d], "ReshapeOptions", newShape=[1, 24])
    f.op("QUANTIZE", [d], [e], "QuantizeOptions")
    f.op("ADD", [d, e], [y], "AddOptions")  # d lives on: nobody may write over its aliases
    _add("reshapes", f.bytes([x], [y]))


_reshapes()

# ---- tables and softmax --------------------------------------------------------------------------


def _unary(
    name: str,
    kind: str,
    scales: tuple[float, float],
    zeros: tuple[int, int],
    table: str = "",
    **options: Any,
) -> None:
    f = File()
    x = f.activation((1, 16, 16), scales[0], zeros[0])
    y = f.activation((1, 16, 16), scales[1], zeros[1])
    f.op(kind, [x], [y], table, **options)
    _add(name, f.bytes([x], [y]))


for _i, (_scale, _zero) in enumerate(
    [(0.05, 0), (0.1, -128), (0.02, 127), (0.0039, 13), (0.7, -40), (20.0, 5), (1e-4, 0), (0.25, -1)]
):
    _unary(f"logistic_{_i}", "LOGISTIC", (_scale, 1 / 256), (_zero, -128))
    _unary(f"tanh_{_i}", "TANH", (_scale, 1 / 128), (_zero, 0))
    _unary(f"quantize_{_i}", "QUANTIZE", (_scale, 0.05), (_zero, 7), "QuantizeOptions")
    _unary(f"relu_{_i}", "RELU", (_scale, 0.04), (_zero, -128))
    _unary(f"relu_zero_{_i}", "RELU", (_scale, 0.04), (_zero, 9))
    _unary(f"leaky_relu_{_i}", "LEAKY_RELU", (_scale, 0.06), (_zero, -30), "LeakyReluOptions", alpha=0.3)
    _unary(f"relu6_{_i}", "RELU6", (_scale, _scale), (_zero, _zero))
for _i, (_x, _y) in enumerate([(0.05, 0.05), (0.1, 0.09), (0.02, 0.013), (0.2, 0.3), (0.004, 0.002)]):
    for _zero in (-128, -3, 127):
        _unary(f"hard_swish_{_i}_{_zero + 128}", "HARD_SWISH", (_x, _y), (_zero, _zero), "HardSwishOptions")


def _softmax(name: str, shape: Sequence[int], scale: float, beta: float | None = 1.0, zero: int = 3) -> None:
    """Without a beta: LOG_SOFTMAX."""
    f = File()
    x = f.activation(shape, scale, zero)
    if beta is None:
        y = f.activation(shape, 1 / 16, 127)
        f.op("LOG_SOFTMAX", [x], [y], "LogSoftmaxOptions")
    else:
        y = f.activation(shape, 1 / 256, -128)
        f.op("SOFTMAX", [x], [y], "SoftmaxOptions", beta=beta)
    _add(name, f.bytes([x], [y]))


_softmax("softmax_10", (1, 10), 0.13)
_softmax("softmax_2", (1, 2), 0.05)
_softmax("softmax_1", (1, 1), 0.05)
_softmax("softmax_wide", (1, 511), 0.02)
_softmax("softmax_rows", (7, 12), 0.3)
_softmax("softmax_image", (1, 3, 4, 5), 0.2)
_softmax("softmax_flat", (1, 20), 1e-4)
_softmax("softmax_steep", (1, 20), 8.0)
_softmax("softmax_saturated_multiplier", (1, 20), 60.0)
_softmax("softmax_beta", (1, 20), 0.1, beta=0.37)
_softmax("softmax_beta_large", (1, 20), 0.1, beta=9.0)
for _i, _scale in enumerate([0.13, 1e-4, 0.0625, 0.02, 0.4, 2.0, 8.0, 60.0]):
    _softmax(f"log_softmax_{_i}", (1, 10), _scale, None)
_softmax("log_softmax_of_one", (1, 1), 0.05, None)
_softmax("log_softmax_two", (33, 2), 0.21, None)
_softmax("log_softmax_wide", (1, 4095), 0.02, None)
_softmax("log_softmax_wide_flat", (1, 2000), 0.002, None)
_softmax("log_softmax_rows", (7, 12), 0.3, None)

# ---- scales for which a factor formed in float32 would round to another output ------------------------

_unary("double_relu", "RELU", (0.05202408879995346, 0.0726490244269371), (-18, -128))
_unary(
    "double_leaky_relu",
    "LEAKY_RELU",
    (0.030125034973025322, 0.011405562981963158),
    (0, 0),
    "LeakyReluOptions",
    alpha=0.3349219858646393,
)
_unary(
    "double_hard_swish",
    "HARD_SWISH",
    (0.012437907978892326, 0.006014304701238871),
    (-3, -20),
    "HardSwishOptions",
)
_unary("double_quantize", "QUANTIZE", (0.103400819003582, 0.16954007744789124), (0, 0), "QuantizeOptions")
_mean(
    "double_mean", (1, 256), (0,), keep=True, scales=(0.05063473433256149, 0.07986291497945786), zeros=(0, 0)
)
_unary("single_relu6", "RELU6", (0.050209205597639084,) * 2, (-128, -128))  # 6 / scale is rounded in float32
_pool(
    "single_fused_relu6",
    "MAX_POOL_2D",
    (1, 16, 16, 1),
    (1, 1),
    (1, 1),
    act=RELU6,
    zero=-128,
    scale=0.050209205597639084,
)


def _one_weight(name: str, x: float, w: float, y: float) -> None:
    f = File()
    a = f.activation((256, 1), x, 0)
    b = f.activation((256, 1), y, 0)
    f.op("FULLY_CONNECTED", [a, f.weights(np.array([[1]]), [w])], [b], "FullyConnectedOptions")
    _add(name, f.bytes([a], [b]))


_one_weight("double_dense", 0.056654930114746094, 0.01560182310640812, 0.0009414534433744848)
_matmul(
    "double_matmul",
    (256, 1),
    (1, 76),
    scales=(0.004851140081882477, 0.07705097645521164, 0.027197979390621185),
    zeros=(0, 0, 0),
)

# ---- what to feed --------------------------------------------------------------------------------

Feed = Callable[[np.random.Generator, int], NDArray[np.int8]]


def walk(rng: np.random.Generator, n: int) -> NDArray[np.int8]:
    """Neighbours alike, as features are."""
    return np.clip(np.cumsum(rng.integers(-9, 10, n)), -128, 127).astype(np.int8)


_EXTREMES: tuple[Feed, ...] = (
    lambda rng, n: np.full(n, -128, np.int8),
    lambda rng, n: np.full(n, 127, np.int8),
    lambda rng, n: np.where(np.arange(n) % 2, -128, 127).astype(np.int8),
    lambda rng, n: (np.arange(n) % 256 - 128).astype(np.int8),  # every value, for tables
    lambda rng, n: rng.choice(np.array([-128, 127], np.int8), n),
    walk,
)


def inputs(n: int, random: int, seed: int = 0) -> Iterator[NDArray[np.int8]]:
    """The extremes, then `random` uniformly random inputs of n bytes."""
    rng = np.random.default_rng(seed)
    for feed in _EXTREMES:
        yield feed(rng, n)
    for _ in range(random):
        yield rng.integers(-128, 128, n, dtype=np.int8)
