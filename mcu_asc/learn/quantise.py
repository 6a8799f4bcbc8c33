"""Quantisation-aware training: the student with simulated int8 weights and activations."""

from __future__ import annotations

from collections.abc import Mapping
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
    q = toolkit.quantization.keras
    scheme = q.default_8bit.Default8BitQuantizeScheme()
    if keep_zeros:
        scheme = toolkit.experimental.combine.Default8BitPrunePreserveQuantizeScheme()
    own = configs()

    def annotated(layer: Keras) -> Keras:
        kind = type(layer).__name__
        return q.quantize_annotate_layer(layer, own[kind]()) if kind in own else layer

    marked = k.models.clone_model(model, clone_function=annotated)
    marked.set_weights(model.get_weights())
    with q.quantize_scope({c.__name__: c for c in own.values()}):
        return q.quantize_apply(q.quantize_annotate_model(marked), scheme)


def configs() -> Mapping[str, Any]:
    """Layer type -> how it is quantised, where the toolkit's own way is not what the device computes.

    TFLite's average pools answer in their input's scale.  The toolkit gives them a range of their own, which
    the converter can only meet by another op behind each: a QUANTIZE, with one more rounding.
    """
    q = keras.optimisation().quantization.keras

    class SameScale(q.QuantizeConfig):  # type: ignore[misc,name-defined]
        """Nothing of its own is quantised: what comes in on the grid goes on as it is."""

        def get_weights_and_quantizers(self, layer: Keras) -> list[Any]:
            return []

        def get_activations_and_quantizers(self, layer: Keras) -> list[Any]:
            return []

        def set_quantize_weights(self, layer: Keras, quantize_weights: list[Any]) -> None:
            pass

        def set_quantize_activations(self, layer: Keras, quantize_activations: list[Any]) -> None:
            pass

        def get_output_quantizers(self, layer: Keras) -> list[Any]:
            return []

        def get_config(self) -> dict[str, Any]:
            return {}

    return {"AveragePooling2D": SameScale}


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
