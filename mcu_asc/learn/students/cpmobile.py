"""CP-Mobile, the network of the DCASE 2023 winners and, without its GRN, of the 2024 and 2025 baselines."""

from __future__ import annotations

from mcu_asc.learn import keras
from mcu_asc.learn.keras import Keras
from mcu_asc.learn.students.base import (
    Shape,
    conv,
    depthwise,
    divisible,
    features,
    logits_then_mean,
    norm,
    plain_conv,
)

BLOCKS = (3, 2, 1)  # of the three stages
GROWTH = 1.8  # channels of a stage against those of the one before
EXPANSION = 2.1  # within a block
STRIDES = {3: (2, 1), 4: (1, 2)}  # (rows, bands) of a block


def cp_mobile(shape: Shape) -> Keras:
    """Inverted bottlenecks after a twice strided stem (Schmid et al., DCASE 2023), 32 channels at width 1.

    The configuration is that of the DCASE 2024 baseline: published for 65 rows of 256 bands and 10 classes,
    61,148 parameters with batch normalisation unfolded and 29.42 MMAC by NeSsi's PyTorch rule; both are met.
    The 2023 submissions (54,182 and 12,310 parameters) have other factors and a global response
    normalisation behind each block, two parameters each: it divides by a norm taken over the window, which
    int8 kernels do not do, and the organisers left it out of their baseline too.  Averages over the map's
    edge leave the padding out, PyTorch's count it as zeros: the same counts.
    """
    layers = keras.keras().layers
    base = divisible(32 * shape.width)
    x = inputs = features(shape)
    x = conv(x, base // 4, 2, "stem")
    x = conv(x, base, 2, "conv1")
    block = 0
    for stage, count in enumerate(BLOCKS):
        filters = divisible(base * GROWTH**stage)
        for _ in range(count):
            block += 1
            name, stride = f"block{block}", STRIDES.get(block, (1, 1))
            before, inside = x, divisible(x.shape[3] * EXPANSION)
            x = conv(x, inside, 1, f"{name}_expand", 1)
            x = depthwise(x, stride, f"{name}_depthwise")
            x = norm(plain_conv(x, filters, 1, 1, f"{name}_project"), f"{name}_project")
            if before.shape[3] == filters:
                if stride != (1, 1):
                    before = layers.AveragePooling2D(3, stride, "same", name=f"{name}_pool")(before)
                x = layers.Add(name=f"{name}_add")([x, before])
            x = layers.ReLU(name=f"{name}_relu")(x)
    return logits_then_mean(inputs, x, shape, bias=False)
