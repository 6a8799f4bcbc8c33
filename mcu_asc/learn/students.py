"""The networks that can be trained, as a table: name -> function that builds it.

Each takes one window of shape (rows, bands, 1), standardised log2 band energies, and gives logits.  A row
of STUDENTS is all that a new one takes.  Only operations that the compiler knows are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mcu_asc.learn import keras
from mcu_asc.learn.keras import Keras


@dataclass(frozen=True)
class Shape:
    """What a builder needs to know beside its own knobs."""

    rows: int
    bands: int
    classes: int
    width: float = 1.0
    dropout: float = 0.0


Builder = Callable[[Shape], Keras]
MOMENTUM = 0.97  # of batch normalisation: a few hundred steps must be enough for its averages


def channels(base: int, width: float, multiple: int = 8) -> int:
    """`base * width` to the nearest multiple of `multiple`, at least one: what int8 kernels like."""
    return max(1, round(base * width / multiple)) * multiple


def vgg_asc(shape: Shape) -> Keras:
    """Plain 3x3 convolutions: 16 (stride 2), 32, pool, 56, pool, 72, 104 at width 1.12; mean over the map."""
    layers = keras.keras().layers
    width = shape.width
    x = inputs = layers.Input((shape.rows, shape.bands, 1), name="features")
    x = _conv(x, channels(16, width), 2, "stem")
    x = _conv(x, channels(28, width), 1, "conv1")
    x = layers.MaxPooling2D(2, padding="same", name="pool1")(x)
    x = _conv(x, channels(48, width), 1, "conv2")
    x = layers.MaxPooling2D(2, padding="same", name="pool2")(x)
    x = _conv(x, channels(64, width), 1, "conv3")
    x = _conv(x, channels(96, width), 1, "conv4")
    return _head(inputs, x, shape)


def ds_cnn(shape: Shape) -> Keras:
    """Depthwise-separable blocks after a strided stem, as in keyword spotting (Zhang et al. 2017)."""
    layers = keras.keras().layers
    x = inputs = layers.Input((shape.rows, shape.bands, 1), name="features")
    x = _conv(x, channels(32, shape.width), 2, "stem")
    for i, (base, stride) in enumerate(((64, 1), (64, 2), (96, 1), (128, 2), (128, 1)), 1):
        x = layers.DepthwiseConv2D(3, stride, "same", use_bias=False, name=f"depthwise{i}")(x)
        x = _norm_relu(x, f"depthwise{i}")
        x = layers.Conv2D(channels(base, shape.width), 1, use_bias=False, name=f"pointwise{i}")(x)
        x = _norm_relu(x, f"pointwise{i}")
    return _head(inputs, x, shape)


STUDENTS: Mapping[str, Builder] = {"vgg-asc": vgg_asc, "ds-cnn": ds_cnn}


def _norm_relu(x: Keras, name: str) -> Keras:
    layers = keras.keras().layers
    x = layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _conv(x: Keras, filters: int, stride: int, name: str) -> Keras:
    conv = keras.keras().layers.Conv2D(filters, 3, stride, "same", use_bias=False, name=name)
    return _norm_relu(conv(x), name)


def _head(inputs: Keras, x: Keras, shape: Shape) -> Keras:
    """Mean over the map, dropout while training, logits."""
    k = keras.keras()
    x = k.layers.GlobalAveragePooling2D(name="mean")(x)
    if shape.dropout:
        # A generator of its own can be set to a known state, so that a resumed run draws the same.
        x = k.layers.Dropout(shape.dropout, rng_type="stateful", seed=0, name="dropout")(x)
    x = k.layers.Dense(shape.classes, name="logits")(x)
    return k.Model(inputs, x)


@dataclass(frozen=True)
class Cost:
    """Counts of the deployed network: batch normalisation folded into weights and biases."""

    params: int
    macs: int  # one window


def cost(model: Keras) -> Cost:
    """Parameters and multiply-accumulates of a student's convolutions and dense layers."""
    k = keras.keras()
    params = macs = 0
    for layer in model.layers:
        if not isinstance(layer, k.layers.Conv2D | k.layers.DepthwiseConv2D | k.layers.Dense):
            continue
        kernel = int(layer.weights[0].shape.num_elements())
        *places, filters = layer.output_shape[1:]
        params += kernel + filters
        macs += kernel * (places[0] * places[1] if places else 1)
    return Cost(params, macs)
