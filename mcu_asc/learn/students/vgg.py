"""The shipped student's family: plain 3x3 convolutions."""

from __future__ import annotations

from mcu_asc.learn import keras
from mcu_asc.learn.keras import Keras
from mcu_asc.learn.students.base import Shape, channels, conv, features, mean_then_dense


def vgg_asc(shape: Shape) -> Keras:
    """Plain 3x3 convolutions: 16 (stride 2), 32, pool, 56, pool, 72, 104 at width 1.12; mean over the map."""
    layers = keras.keras().layers
    width = shape.width
    x = inputs = features(shape)
    x = conv(x, channels(16, width), 2, "stem")
    x = conv(x, channels(28, width), 1, "conv1")
    x = layers.MaxPooling2D(2, padding="same", name="pool1")(x)
    x = conv(x, channels(48, width), 1, "conv2")
    x = layers.MaxPooling2D(2, padding="same", name="pool2")(x)
    x = conv(x, channels(64, width), 1, "conv3")
    x = conv(x, channels(96, width), 1, "conv4")
    return mean_then_dense(inputs, x, shape)
