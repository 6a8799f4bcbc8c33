"""What the networks are built of: the shape asked for, rounding of channels, the blocks that all share."""

from __future__ import annotations

from collections.abc import Callable
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
    channels: int = 1  # 2: each band's delta too


Builder = Callable[[Shape], Keras]
Pair = int | tuple[int, int]  # (rows, bands): time is the vertical axis, frequency the horizontal one
MOMENTUM = 0.97  # of batch normalisation: a few hundred steps must be enough for its averages


def channels(base: float, width: float, multiple: int = 8) -> int:
    """`base * width` to the nearest multiple of `multiple`, at least one: what int8 kernels like."""
    return max(1, round(base * width / multiple)) * multiple


def divisible(value: float, divisor: int = 8) -> int:
    """The MobileNets' rounding: the nearest multiple (halves up), never more than 10 % below `value`."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * value else rounded + divisor


def features(shape: Shape) -> Keras:
    """The input: standardised log2 band energies of one window, (rows, bands, channels)."""
    return keras.keras().layers.Input((shape.rows, shape.bands, shape.channels), name="features")


def norm_relu(x: Keras, name: str) -> Keras:
    """Batch normalisation, then ReLU."""
    return keras.keras().layers.ReLU(name=f"{name}_relu")(norm(x, name))


def norm(x: Keras, name: str) -> Keras:
    """Batch normalisation; the converter folds it into the convolution before it."""
    return keras.keras().layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm")(x)


def plain_conv(x: Keras, filters: int, size: Pair, stride: Pair, name: str, padding: str = "same") -> Keras:
    """A convolution without a bias: batch normalisation follows."""
    layer = keras.keras().layers.Conv2D(filters, size, stride, padding, use_bias=False, name=name)
    return layer(x)


def conv(x: Keras, filters: int, stride: Pair, name: str, size: Pair = 3, padding: str = "same") -> Keras:
    """Convolution, batch normalisation, ReLU."""
    return norm_relu(plain_conv(x, filters, size, stride, name, padding), name)


def plain_depthwise(x: Keras, size: Pair, stride: Pair, name: str, padding: str = "same") -> Keras:
    """A depthwise convolution without a bias."""
    # Keras takes one stride for both axes only where they are equal; pairs are always taken.
    pair = stride if isinstance(stride, tuple) else (stride, stride)
    layer = keras.keras().layers.DepthwiseConv2D(size, pair, padding, use_bias=False, name=name)
    return layer(x)


def depthwise(x: Keras, stride: Pair, name: str, size: Pair = 3, padding: str = "same") -> Keras:
    """Depthwise convolution, batch normalisation, ReLU."""
    return norm_relu(plain_depthwise(x, size, stride, name, padding), name)


def drop(x: Keras, shape: Shape) -> Keras:
    """Dropout while training; no layer at all where the shape asks for none."""
    if not shape.dropout:
        return x
    # A generator of its own can be set to a known state, so that a resumed run draws the same.
    layer = keras.keras().layers.Dropout(shape.dropout, rng_type="stateful", seed=0, name="dropout")
    return layer(x)


def mean_then_dense(inputs: Keras, x: Keras, shape: Shape) -> Keras:
    """Mean over the map, dropout while training, logits."""
    k = keras.keras()
    x = k.layers.GlobalAveragePooling2D(name="mean")(x)
    x = drop(x, shape)
    x = k.layers.Dense(shape.classes, name="logits")(x)
    return k.Model(inputs, x)


def logits_then_mean(inputs: Keras, x: Keras, shape: Shape, bias: bool) -> Keras:
    """Logits at each place of the map (bias, or batch normalisation), then their mean."""
    k = keras.keras()
    x = k.layers.Conv2D(shape.classes, 1, use_bias=bias, name="places")(drop(x, shape))
    if not bias:
        x = norm(x, "places")
    x = k.layers.GlobalAveragePooling2D(name="logits")(x)
    return k.Model(inputs, x)


def cut_stride(stride: tuple[int, int], x: Keras) -> tuple[int, int]:
    """The same stride, 1 along an axis that has only one place left."""
    _, rows, bands, _ = x.shape
    return (stride[0] if rows > 1 else 1, stride[1] if bands > 1 else 1)
