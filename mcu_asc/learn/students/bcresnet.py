"""BC-ResNet for acoustic scenes: broadcasted residuals."""

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
    norm,
    plain_conv,
    plain_depthwise,
)

# (times the base of 40 channels, blocks); a 2x2 max-pool before the stages named in POOLED
STAGES = ((1.0, 2), (1.5, 2), (2.0, 2), (2.5, 3))
POOLED = (1, 2)


def bc_resnet(shape: Shape) -> Keras:
    """Frequency convolutions on the map, time convolutions on its mean over frequency (Kim et al. 2021).

    A block adds what a depthwise and a pointwise convolution over time make of the mean over all bands to
    every band of the map again.  40 channels at width 1, the stages of BC-ResNet-ASC.

    Published for the width of 80 channels: 315 K parameters (Kim et al., DCASE 2021), with sub-spectral
    normalisation in four groups of bands.  Here a batch normalisation over all bands stands for it, 7,920
    fewer, and the stem has one of its own, 320 more: counted as there, 314,650.

    Published for BC-ResNet-40 (as measured in the TF-SepNet paper): 88.1 K parameters, 17.2 MMAC.  Here,
    unfolded, 81,930 parameters; with four groups (3,960), five adaptive residual normalisations (1,080) and
    without the stem's normalisation (160) it would be 86,810, with a fifth group, or one more normalisation
    in each block (1,320), 88,130.  The 17.2 MMAC are not explained: on 64 rows of 256 bands, where TF-SepNet
    counts as published, the layout of that paper's authors' code has 29.6 as here, 13.1 of them in the first
    block's reduction from 80 channels to 40, and no number of rows gives 17.2.

    The residual normalisation is left out: it takes statistics of the window.  ReLU stands for the swish of
    the time branch.
    """
    layers = keras.keras().layers
    x = inputs = features(shape)
    x = conv(x, channels(80, shape.width), 2, "stem", 5)
    block = 0
    for stage, (share, count) in enumerate(STAGES):
        if stage in POOLED:
            x = layers.MaxPooling2D(2, padding="same", name=f"pool{stage}")(x)
        for _ in range(count):
            block += 1
            x = _block(x, channels(40 * share, shape.width, 4), f"block{block}")
    return logits_then_mean(inputs, x, shape, bias=True)


def _block(x: Keras, filters: int, name: str) -> Keras:
    layers = keras.keras().layers
    same = x.shape[3] == filters
    before = x
    if not same:
        x = conv(x, filters, 1, f"{name}_transition", 1)
    x = norm(plain_depthwise(x, (1, 3), 1, f"{name}_bands"), f"{name}_bands")
    mean = layers.AveragePooling2D((1, x.shape[2]), name=f"{name}_mean")(x)
    time = depthwise(mean, 1, f"{name}_rows", (3, 1))
    time = plain_conv(time, filters, 1, 1, f"{name}_pointwise")
    x = layers.Add(name=f"{name}_broadcast")([x, time])
    if same:
        x = layers.Add(name=f"{name}_add")([x, before])
    return layers.ReLU(name=f"{name}_relu")(x)
