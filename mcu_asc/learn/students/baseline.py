"""The baseline network of DCASE 2022 and 2023 task 1."""

from __future__ import annotations

from mcu_asc.learn import keras
from mcu_asc.learn.keras import Keras
from mcu_asc.learn.students.base import Shape, channels, conv, drop, features


def dcase2022_baseline(shape: Shape) -> Keras:
    """Three 7x7 convolutions, two max-pools and two dense layers (Martin-Morato et al., DCASE 2022).

    Published for 51 rows of 40 bands and 10 classes: 29,234,920 MACs and 46,512 "parameters" by NeSsi on the
    .tflite, which are its bytes: 45,990 parameters folded, of them 174 biases of four bytes.  Both are met,
    but for 3,200 MACs: its 34,560 "MACs" of pooling are counted here by that rule too, while NeSsi
    took the first dense layer for 32 x 100, the last dimension of a map of 2 x 32, and it is 64 x 100.
    Dropout is the recipe's, before the last layer; theirs is 0.3 behind each pool as well.  Pools larger than
    the map that is left shrink to it; at width w, 16, 16 and 32 filters and 100 units are multiplied.
    """
    k = keras.keras()
    x = inputs = features(shape)
    x = conv(x, channels(16, shape.width), 1, "stem", 7)
    x = conv(x, channels(16, shape.width), 1, "conv1", 7)
    x = _pool(x, (5, 5), "pool1")
    x = conv(x, channels(32, shape.width), 1, "conv2", 7)
    x = _pool(x, (10, 4), "pool2")
    x = k.layers.Flatten(name="flat")(x)
    x = k.layers.Dense(channels(100, shape.width, 4), activation="relu", name="dense")(x)
    x = k.layers.Dense(shape.classes, name="logits")(drop(x, shape))
    return k.Model(inputs, x)


def _pool(x: Keras, size: tuple[int, int], name: str) -> Keras:
    fits = (min(size[0], x.shape[1]), min(size[1], x.shape[2]))
    return keras.keras().layers.MaxPooling2D(fits, name=name)(x)
