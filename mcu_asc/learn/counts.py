"""Parameters and MACs of a student by the counting rules in use, from the Keras model itself.

The same rules as compiler/budget.py has for a .tflite, here before anything is trained or converted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mcu_asc.learn import keras
from mcu_asc.learn.keras import Keras
from mcu_asc.nouns import CountView


@dataclass(frozen=True)
class Cost:
    """Counts of the deployed network: batch normalisation folded into weights and biases."""

    params: int
    macs: int  # one window


def cost(model: Keras) -> Cost:
    """Parameters and multiply-accumulates of a student's convolutions and dense layers."""
    params = macs = 0
    for layer in _weighted(model):
        kernel = math.prod(layer.weights[0].shape)
        *places, filters = layer.output_shape[1:]
        params += kernel + filters
        macs += kernel * (places[0] * places[1] if places else 1)
    return Cost(params, macs)


def views(model: Keras) -> tuple[CountView, ...]:
    """One row a rule, the exact count first; parameters are counted as int8, biases as int32.

    "NeSsi Keras" is what that tool does with a Keras model: trainable weights, and half of the operations
    that TensorFlow's profiler finds in the frozen graph of one window.  "NeSsi PyTorch" is torchinfo's rule:
    a convolution's weights times its output places, all other parameters once.
    """
    found = cost(model)
    biases = sum(layer.output_shape[-1] for layer in _weighted(model))
    trainable = sum(math.prod(w.shape) for w in model.trainable_weights)
    return (
        CountView(
            "exact",
            found.params,
            found.params + 3 * biases,
            found.macs,
            "folded weights and biases, zeros included; MACs of convolutions and dense layers",
        ),
        CountView("NeSsi Keras", trainable, trainable, _profiled(model) // 2, "from the Keras model"),
        CountView("NeSsi PyTorch", trainable, trainable, _torchinfo(model), "BatchNorm's and biases once"),
    )


def _weighted(model: Keras) -> list[Keras]:
    k = keras.keras()
    kinds = k.layers.Conv2D | k.layers.DepthwiseConv2D | k.layers.Dense
    return [layer for layer in model.layers if isinstance(layer, kinds)]


def _torchinfo(model: Keras) -> int:
    weighted = {id(layer.weights[0]) for layer in _weighted(model)}
    others = sum(math.prod(w.shape) for w in model.trainable_weights if id(w) not in weighted)
    total: int = cost(model).macs + others
    return total


def _profiled(model: Keras) -> int:
    """Floating-point operations of one window by TensorFlow's profiler."""
    tf = keras.tensorflow()
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    shape = [1, *model.input_shape[1:]]
    concrete = tf.function(lambda x: model(x, training=False)).get_concrete_function(
        tf.TensorSpec(shape, tf.float32)
    )
    frozen = convert_variables_to_constants_v2(concrete)
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
    with keras.quiet(), tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(frozen.graph.as_graph_def(), name="")
        found = profiler.profile(graph=graph, cmd="op", options=options.with_empty_output().build())
    return int(found.total_float_ops)
