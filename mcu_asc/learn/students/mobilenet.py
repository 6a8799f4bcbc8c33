"""MobileNets and their small relative for keyword spotting."""

from __future__ import annotations

from mcu_asc.learn import keras
from mcu_asc.learn.keras import Keras
from mcu_asc.learn.students.base import (
    Shape,
    channels,
    conv,
    depthwise,
    divisible,
    features,
    mean_then_dense,
    norm,
    plain_conv,
)

# (filters, stride) of each separable block
V1 = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *(((512, 1),) * 5), (1024, 2), (1024, 1))
# (expansion, filters, blocks, stride of the first)
V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
# (expansion, filters, stride): the small one
V3 = (
    (1, 16, 2), (72 / 16, 24, 2), (88 / 24, 24, 1), (4, 40, 2), (6, 40, 1), (6, 40, 1), (3, 48, 1),
    (3, 48, 1), (6, 96, 2), (6, 96, 1), (6, 96, 1),
)  # fmt: skip


def ds_cnn(shape: Shape) -> Keras:
    """Depthwise-separable blocks after a strided stem, as in keyword spotting (Zhang et al. 2017)."""
    x = inputs = features(shape)
    x = conv(x, channels(32, shape.width), 2, "stem")
    for i, (base, stride) in enumerate(((64, 1), (64, 2), (96, 1), (128, 2), (128, 1)), 1):
        x = depthwise(x, stride, f"depthwise{i}")
        x = conv(x, channels(base, shape.width), 1, f"pointwise{i}", 1)
    return mean_then_dense(inputs, x, shape)


def mobilenet_v1(shape: Shape) -> Keras:
    """MobileNet (Howard et al. 2017); `width` is its alpha.

    At width 1 and 1000 classes as many trainable parameters as keras.applications.MobileNet for one channel:
    4,231,400; the published 4.2 M and 569 MMAC are those for 224x224 images with three channels.
    """
    x = inputs = features(shape)
    x = conv(x, channels(32, shape.width), 2, "stem")
    for i, (filters, stride) in enumerate(V1, 1):
        x = depthwise(x, stride, f"depthwise{i}")
        x = conv(x, channels(filters, shape.width), 1, f"pointwise{i}", 1)
    return mean_then_dense(inputs, x, shape)


def mobilenet_v2(shape: Shape) -> Keras:
    """MobileNetV2 (Sandler et al. 2018): inverted residuals; `width` is its alpha.

    As there, the last convolution does not shrink under its 1280 channels where alpha is 1 or more; unlike
    there it does under 1, or no small version would fit a microcontroller.  ReLU in place of ReLU6: int8
    has its own bounds.  Trainable parameters as in keras.applications.MobileNetV2 for one channel: 3,504,296
    with 1000 classes; published 3.4 M, 300 MMAC.
    """
    x = inputs = features(shape)
    x = conv(x, divisible(32 * shape.width), 2, "stem")
    block = 0
    for expansion, base, count, first in V2:
        for place in range(count):
            block += 1
            stride = first if place == 0 else 1
            x = _inverted(x, expansion * x.shape[3], divisible(base * shape.width), stride, f"block{block}")
    x = conv(x, divisible(1280 * shape.width), 1, "last", 1)
    return mean_then_dense(inputs, x, shape)


def mobilenet_v3(shape: Shape) -> Keras:
    """MobileNetV3-Small in its "minimalistic" form (Howard et al. 2019): ReLU, 3x3, no squeeze-and-excite.

    The published variant for hardware on which hard-swish, 5x5 kernels and squeezing are slow, as they are
    here.  Before the mean as many parameters as keras.applications.MobileNetV3Small(minimalistic=True) has
    for one channel; theirs then goes through a dense layer of 1024 units, this one straight to the classes.
    """
    x = inputs = features(shape)
    x = conv(x, divisible(16 * shape.width), 2, "stem")
    for i, (expansion, filters, stride) in enumerate(V3, 1):
        inside = divisible(expansion * x.shape[3])
        x = _inverted(x, inside, divisible(filters * shape.width), stride, f"block{i}")
    x = conv(x, divisible(576 * shape.width), 1, "last", 1)
    return mean_then_dense(inputs, x, shape)


def _inverted(x: Keras, inside: int, filters: int, stride: int, name: str) -> Keras:
    """Expand, depthwise, project; the input is added where the shapes are equal."""
    before = x
    if inside != x.shape[3]:
        x = conv(x, inside, 1, f"{name}_expand", 1)
    x = depthwise(x, stride, f"{name}_depthwise")
    x = norm(plain_conv(x, filters, 1, 1, f"{name}_project"), f"{name}_project")
    if stride == 1 and before.shape[3] == filters:
        x = keras.keras().layers.Add(name=f"{name}_add")([x, before])
    return x
