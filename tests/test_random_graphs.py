"""Random small networks made by Keras and its converter: what we compile gives the interpreter's bytes.

MCU_ASC_GRAPHS=200 tries so many and other ones each time (extra [train]).
"""

from __future__ import annotations

import itertools
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nn_host
import numpy as np
import pytest
import vectors
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from oracle import Oracle

from mcu_asc import compiler
from mcu_asc.errors import ToolMissing, UsageError
from mcu_asc.learn import keras
from mcu_asc.nouns import Schedule

try:
    tf = keras.tensorflow()
except ToolMissing:
    pytest.skip("needs the extra [train]", allow_module_level=True)
layers = tf.keras.layers

pytestmark = pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")
_GRAPHS = int(os.environ.get("MCU_ASC_GRAPHS", "15"))
_INPUTS = 6  # random ones a graph, beside the extremes
_COUNT = itertools.count()

Draw = Callable[[st.SearchStrategy[Any]], Any]
Step = Callable[[Any, Draw], Any]
"""(image, draw) -> image; the values that a step draws fit the image that it gets."""


def _int(draw: Draw, low: int, high: int) -> int:
    return int(draw(st.integers(low, high)))


def _window(x: Any, draw: Draw) -> dict[str, Any]:
    """Kernel, stride and padding of a window that fits."""
    rows, columns = x.shape[1:3]
    return {
        "kernel": (_int(draw, 1, min(4, rows)), _int(draw, 1, min(4, columns))),
        "strides": _int(draw, 1, 2),
        "padding": draw(st.sampled_from(["same", "valid"])),
    }


def _activation(draw: Draw) -> Any:
    return draw(st.sampled_from([None, "relu", tf.nn.relu6, "tanh", "sigmoid", tf.nn.leaky_relu]))


def _conv(x: Any, draw: Draw) -> Any:
    w = _window(x, draw)
    bias = draw(st.booleans())
    y = layers.Conv2D(_int(draw, 1, 9), w["kernel"], w["strides"], w["padding"], use_bias=bias)(x)
    y = layers.BatchNormalization(center=True)(y) if draw(st.booleans()) else y
    return layers.Activation(_activation(draw))(y)


def _dilated(x: Any, draw: Draw) -> Any:
    dilation = (_int(draw, 1, 2), _int(draw, 1, 3))
    return layers.Conv2D(_int(draw, 1, 6), 3, padding="same", dilation_rate=dilation, activation="relu")(x)


def _depthwise(x: Any, draw: Draw) -> Any:
    w = _window(x, draw)
    many = {"depth_multiplier": _int(draw, 1, 2), "activation": _activation(draw)}
    return layers.DepthwiseConv2D(w["kernel"], w["strides"], w["padding"], **many)(x)


def _pool(x: Any, draw: Draw) -> Any:
    w = _window(x, draw)
    kind = draw(st.sampled_from([layers.MaxPooling2D, layers.AveragePooling2D]))
    return kind(w["kernel"], w["strides"], w["padding"])(x)


def _residual(x: Any, draw: Draw) -> Any:
    other = layers.Conv2D(x.shape[3], 3, padding="same", activation=_activation(draw))(x)
    kinds = [layers.Add, layers.Multiply, layers.Subtract, layers.Maximum, layers.Minimum]
    return layers.Activation(draw(st.sampled_from([None, "relu"])))(
        draw(st.sampled_from(kinds))()([x, other])
    )


def _squeeze_excite(x: Any, draw: Draw) -> Any:
    pool = draw(st.sampled_from([layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D]))
    gate = layers.Dense(x.shape[3], activation="sigmoid")(pool(keepdims=True)(x))
    return x * gate


def _prelu(x: Any, draw: Draw) -> Any:
    """Behind a convolution: elsewhere the converter takes it apart and leaves a NEG in float."""
    y = layers.Conv2D(_int(draw, 1, 4), 2, padding="same")(x)
    shared = draw(st.sampled_from([[1, 2], [1], [1, 2, 3]]))
    return layers.PReLU(shared_axes=shared, alpha_initializer="random_normal")(y)


def _shuffle(x: Any, draw: Draw) -> Any:
    """Channels by halves in the other order, each worked on differently."""
    if x.shape[3] % 2:
        return _prelu(x, draw)
    a, b = tf.split(x, 2, axis=3)
    return tf.concat([layers.Activation(_activation(draw))(b), a], axis=3)


def _pad(x: Any, draw: Draw) -> Any:
    sides = tuple((_int(draw, 0, 2), _int(draw, 0, 2)) for _ in range(2))
    if draw(st.booleans()) and all(max(s) < n for s, n in zip(sides, x.shape[1:3], strict=True)):
        return tf.pad(x, [(0, 0), *sides, (0, 0)], draw(st.sampled_from(["REFLECT", "SYMMETRIC"])))
    return layers.ZeroPadding2D(sides)(x)


def _turn(x: Any, draw: Draw) -> Any:
    return layers.Permute(draw(st.permutations([1, 2, 3])))(x)


def _cut(x: Any, draw: Draw) -> Any:
    step = draw(st.sampled_from([1, 2, -1]))
    return x[:, _int(draw, 0, x.shape[1] - 1) :, ::step, :]


def _pick(x: Any, draw: Draw) -> Any:
    n = x.shape[3]
    return tf.gather(x, draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=6)), axis=3)


def _double(x: Any, draw: Draw) -> Any:
    return layers.UpSampling2D((2, _int(draw, 1, 2)))(x) if x.shape[1] * x.shape[2] < 80 else x


def _swish(x: Any, draw: Draw) -> Any:
    return x * tf.nn.relu6(x + 3.0) * (1 / 6)


def _attention(x: Any, draw: Draw) -> Any:
    _, rows, columns, depth = x.shape
    flat = layers.Reshape((rows * columns, depth))(x)
    weights = tf.nn.softmax(tf.matmul(flat, flat, transpose_b=True) * 0.5)
    return layers.Reshape((rows, columns, depth))(tf.matmul(weights, flat))


_STEPS: dict[str, Step] = {
    "conv": _conv,
    "dilated": _dilated,
    "depthwise": _depthwise,
    "pool": _pool,
    "residual": _residual,
    "squeeze": _squeeze_excite,
    "prelu": _prelu,
    "shuffle": _shuffle,
    "pad": _pad,
    "turn": _turn,
    "cut": _cut,
    "pick": _pick,
    "double": _double,
    "swish": _swish,
    "attention": _attention,
}
_HEADS: dict[str, Callable[[Any], Any]] = {
    "mean": layers.GlobalAveragePooling2D(),
    "max": layers.GlobalMaxPooling2D(),
    "flat": layers.Flatten(),
    "sum": lambda x: tf.reduce_sum(x, axis=[1, 2]),
}
_ENDS: dict[str, Callable[[Any], Any]] = {
    "logits": lambda x: x,
    "softmax": tf.nn.softmax,
    "log_softmax": tf.nn.log_softmax,
}


@dataclass(frozen=True)
class Example:
    content: bytes = field(repr=False)
    recipe: str


@st.composite
def networks(draw: Draw) -> Example:
    """A converted network, and in a word how it came to be."""
    seed = _int(draw, 0, 1 << 16)
    tf.keras.utils.set_random_seed(seed)
    shape = (_int(draw, 1, 12), _int(draw, 1, 10), _int(draw, 1, 6))
    names = draw(st.lists(st.sampled_from(sorted(_STEPS)), min_size=3, max_size=6, unique=True))
    head, end = draw(st.sampled_from(sorted(_HEADS))), draw(st.sampled_from(sorted(_ENDS)))
    rims = [draw(st.sampled_from([tf.int8, tf.int8, tf.uint8, tf.float32])) for _ in range(2)]
    x = y = tf.keras.Input(shape, batch_size=1)
    for name in names:
        y = _STEPS[name](y, draw)
    y = layers.Dense(_int(draw, 1, 7), bias_initializer="random_normal")(_HEADS[head](y))
    model = tf.keras.Model(x, _ENDS[end](y))
    recipe = f"{shape} {' '.join(names)} {head} {end} {[r.name for r in rims]} seed {seed}"
    return Example(_converted(model, shape, rims, seed), recipe)


def _converted(model: Any, shape: Sequence[int], rims: Sequence[Any], seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    return _convert(
        model,
        {
            "target_spec.supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8],
            "inference_input_type": rims[0],
            "inference_output_type": rims[1],
            "representative_dataset": lambda: (
                [rng.normal(size=(1, *shape)).astype(np.float32)] for _ in range(8)
            ),
        },
    )


def _convert(model: Any, options: Mapping[str, Any], optimise: bool = True) -> bytes:
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT] * optimise
    for path, value in options.items():
        *owner, name = path.split(".")
        setattr(operator.attrgetter(*owner)(converter) if owner else converter, name, value)
    with keras.quiet():
        return bytes(converter.convert())


@settings(
    max_examples=_GRAPHS,
    derandomize="MCU_ASC_GRAPHS" not in os.environ,
    deadline=None,
    phases=(Phase.reuse, Phase.generate),  # shrinking takes minutes; the recipe says enough
    suppress_health_check=list(HealthCheck),
)
@given(networks())
def test_compiled_as_interpreted(tmp_path_factory: pytest.TempPathFactory, example: Example) -> None:
    graph = compiler.read(example.content).graph
    for op in graph.ops:
        event(op.kind)
    oracle = Oracle(example.content)
    name = f"graph{next(_COUNT)}"
    folder: Path = tmp_path_factory.mktemp(name)
    models = {f"{name}_whole": example.content, f"{name}_bands": example.content}
    nets = nn_host.build(models, folder, {f"{name}_whole": Schedule(), f"{name}_bands": None})
    for i, x in enumerate(vectors.inputs(graph.tensors[graph.inputs[0]].elements, _INPUTS)):
        expected = oracle.run(x)
        for label, net in nets.items():
            np.testing.assert_array_equal(
                net.run(x, fill=i * 41 % 256 - 128), expected, f"{label} {example.recipe}"
            )


# ---- what else the converter can make ----------------------------------------------------------------


def _small(shape: Sequence[int | None] = (8, 6, 2), *body: Any) -> Any:
    x = y = tf.keras.Input(shape, batch_size=1)
    for layer in body or (layers.Conv2D(4, 3, activation="relu"), layers.GlobalAveragePooling2D()):
        y = layer(y)
    return tf.keras.Model(x, layers.Dense(3)(y))


def _samples(*shape: int) -> dict[str, Any]:
    return {"representative_dataset": lambda: ([np.ones((1, *shape), np.float32) * i] for i in range(4))}


_INT8 = {"inference_input_type": tf.int8, "inference_output_type": tf.int8}
_16X8 = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
OTHERS: dict[str, tuple[Callable[[], bytes], tuple[str, ...]]] = {
    "float": (lambda: _convert(_small(), {}, optimise=False), ("is float32, not int8", "tf.int8")),
    "dynamic_range": (lambda: _convert(_small(), {}), ("is float32, not int8", "tf.int8")),
    "float16": (
        lambda: _convert(_small(), {"target_spec.supported_types": [tf.float16]}),
        ("op 0 DEQUANTIZE", "convert every layer to int8"),
    ),
    "16x8": (
        lambda: _convert(_small(), {"target_spec.supported_ops": [_16X8], **_samples(8, 6, 2)}),
        ("is int16, not int8", "16-bit activations are not supported"),
    ),
    "dynamic_shape": (
        lambda: _convert(_small((None, 6, 2)), _INT8 | _samples(8, 6, 2)),
        ("has a dynamic shape", "give every dimension"),
    ),
    "dynamic_batch": (
        lambda: _convert(
            tf.keras.Sequential([tf.keras.Input((8, 6)), layers.Reshape((4, 12)), layers.Dense(3)]),
            _INT8 | _samples(8, 6),
        ),
        ("op 0 SHAPE", "batch_size=1"),
    ),
    "recurrent": (
        lambda: _convert(_small((8, 6), layers.LSTM(4)), _INT8 | _samples(8, 6)),
        ("LSTM", "use convolutions over time"),
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_refused_by_name(name: str) -> None:
    make, expected = OTHERS[name]
    with pytest.raises(UsageError) as caught:
        compiler.read(make())
    assert all(part in str(caught.value) for part in expected), str(caught.value)
