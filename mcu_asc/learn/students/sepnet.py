"""TF-SepNet: one half of the channels looks along frequency, the other along time."""

from __future__ import annotations

from mcu_asc.learn import keras
from mcu_asc.learn.keras import Keras
from mcu_asc.learn.students.base import (
    Shape,
    channels,
    conv,
    depthwise,
    features,
    logits_then_mean,
    norm_relu,
)

# (times the base of 40 channels, blocks); a 2x2 max-pool before the stages named in POOLED
STAGES = ((1.0, 2), (1.5, 2), (2.0, 2), (2.5, 3))
POOLED = (1, 2)


def tf_sepnet(shape: Shape) -> Keras:
    """Time-frequency separable convolutions (Cai et al. 2023, arXiv 2309.08200), 40 channels at width 1.

    Published: TF-SepNet-40 has 53.4 K parameters and 7.0 MMAC, -80 has 196.7 K and 24.2.  With their adaptive
    residual normalisation (three parameters a channel behind stem and stages: 1,080 at 40) the network here
    has 53,370 and 196,730.  It takes statistics of each window's bands, which int8 kernels do not do, and is
    left out: 52,290 and 194,570, unfolded.

    Their channel shuffle before each block is a fixed permutation.  Before a block with a transition it is
    part of that 1x1 convolution; in the others the halves change branches instead, which takes no time on the
    device: what looked along time looks along frequency next.
    """
    layers = keras.keras().layers
    base = channels(40, shape.width)
    x = inputs = features(shape)
    x = conv(x, base // 2, 2, "stem")
    grouped = layers.DepthwiseConv2D(
        3, 2, "same", depth_multiplier=4, use_bias=False, name="conv1"
    )  # a convolution with as many groups as channels
    x = norm_relu(grouped(x), "conv1")
    halves: tuple[Keras, Keras] | None = None
    block = 0
    for stage, (share, count) in enumerate(STAGES):
        half = channels(base * share / 2, 1.0, 2)
        for place in range(count):
            block += 1
            name = f"block{block}"
            if place == 0:
                x = x if halves is None else layers.Concatenate(name=f"{name}_join")(list(halves))
                if stage in POOLED:
                    x = layers.MaxPooling2D(2, padding="same", name=f"{name}_pool")(x)
                halves = (conv(x, half, 1, f"{name}_left", 1), conv(x, half, 1, f"{name}_right", 1))
            assert halves is not None
            left, right = halves if place == 0 else halves[::-1]
            halves = (_branch(left, (1, 3), f"{name}_bands"), _branch(right, (3, 1), f"{name}_rows"))
    assert halves is not None
    x = layers.Concatenate(name="join")(list(halves))
    return logits_then_mean(inputs, x, shape, bias=True)


def _branch(x: Keras, size: tuple[int, int], name: str) -> Keras:
    """Depthwise along one axis, the mean over that axis, pointwise, and back onto every place."""
    layers = keras.keras().layers
    before = x
    x = depthwise(x, 1, f"{name}_depthwise", size)
    over = (x.shape[1], 1) if size[0] > 1 else (1, x.shape[2])
    x = layers.AveragePooling2D(over, name=f"{name}_mean")(x)
    x = conv(x, before.shape[3], 1, f"{name}_pointwise", 1)
    return layers.Add(name=f"{name}_add")([before, x])
