"""Quantisation-aware training: the student with simulated int8 weights and activations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_asc.errors import UsageError
from mcu_asc.learn import keras
from mcu_asc.learn.keras import Keras

RANGES = ("output", "post_activation")  # the toolkit's names of an activation's range


def quantised(model: Keras, keep_zeros: bool) -> Keras:
    """A copy of a plain student, per-channel int8 weights and per-tensor int8 activations simulated.

    keep_zeros: weights that are 0 now stay 0.  The toolkit knows plain layers only: a model inside a model
    is refused by name.
    """
    k = keras.keras()
    for layer in model.layers:
        if isinstance(layer, k.Model):
            raise UsageError(
                f"layer '{layer.name}' is a model of its own, which QAT cannot take",
                "build it of plain layers",
            )
    toolkit = keras.optimisation()
    scheme = toolkit.quantization.keras.default_8bit.Default8BitQuantizeScheme()
    if keep_zeros:
        scheme = toolkit.experimental.combine.Default8BitPrunePreserveQuantizeScheme()
    annotated = toolkit.quantization.keras.quantize_annotate_model(model)
    return toolkit.quantization.keras.quantize_apply(annotated, scheme)


def set_ranges(quantised_model: Keras, model: Keras, x: NDArray[np.float32]) -> None:
    """Start the activations' ranges from what `model`, the plain student, does on windows `x`.

    The toolkit starts all of them at -6 .. 6 and moves by a thousandth a step: after a few hundred steps
    half of the codes would still be wasted, or the logits clipped.
    """
    k = keras.keras()
    by_name = {layer.name: layer for layer in model.layers}
    wanted: dict[str, tuple[Any, Any]] = {}
    for layer in quantised_model.layers:
        ends = {w.name.split("/")[-1].split(":")[0]: w for w in layer.weights}
        for kind in RANGES:
            if f"{kind}_min" in ends:
                wanted[layer.name.removeprefix("quant_")] = ends[f"{kind}_min"], ends[f"{kind}_max"]
        if "quantize_layer_min" in ends:
            ends["quantize_layer_min"].assign(float(x.min()))
            ends["quantize_layer_max"].assign(float(x.max()))
    watch = k.Model(model.input, [by_name[name].output for name in wanted])
    call = keras.tensorflow().function(lambda v: watch(v, training=False))
    values = call(x)
    for (low, high), value in zip(wanted.values(), values, strict=True):
        low.assign(min(0.0, float(value.numpy().min())))
        high.assign(max(0.0, float(value.numpy().max())))
