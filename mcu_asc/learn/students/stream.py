"""A causal student: no layer before the mean over the window looks at rows that come later."""

from __future__ import annotations

from mcu_asc.learn import keras
from mcu_asc.learn.keras import Keras
from mcu_asc.learn.students.base import Shape, channels, conv, depthwise, features, mean_then_dense

# (filters, stride along bands) of each block: time is strided by the stem only
BLOCKS = ((32, 2), (48, 1), (64, 2), (96, 1), (96, 2))
TAPS = 5  # rows that a block's depthwise convolution looks at: the present one and those before it


def causal_ds(shape: Shape) -> Keras:
    """Depthwise-separable blocks over 5 past rows and 3 bands; one row of the map for two of the input.

    Row t of the last map depends on input rows 0 .. 2 t only, so that a device may work it out as rows come
    in and keep the last TAPS - 1 rows of each block in place of a whole window.  Ours; no published counts.
    """
    layers = keras.keras().layers
    x = inputs = features(shape)
    x = _past(x, 3, 2, "stem")
    x = conv(x, channels(24, shape.width), 2, "stem", 3, "valid")
    for i, (filters, stride) in enumerate(BLOCKS, 1):
        name = f"block{i}"
        before = x
        x = _past(x, TAPS, stride, f"{name}_depthwise")
        x = depthwise(x, (1, stride), f"{name}_depthwise", (TAPS, 3), "valid")
        x = conv(x, channels(filters, shape.width), 1, f"{name}_pointwise", 1)
        if before.shape[1:] == x.shape[1:]:
            x = layers.Add(name=f"{name}_add")([x, before])
    return mean_then_dense(inputs, x, shape)


def _past(x: Keras, taps: int, stride: int, name: str) -> Keras:
    """Zeros before the first row, and at both edges of the bands as SAME has them for 3 of them."""
    bands = x.shape[2]
    over = max((-(-bands // stride) - 1) * stride + 3 - bands, 0)
    edges = ((taps - 1, 0), (over // 2, over - over // 2))
    return keras.keras().layers.ZeroPadding2D(edges, name=f"{name}_past")(x)
