"""Quantisation-aware training of every family: it learns, and its file is what the plain one would be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs the extra [train]")
pytest.importorskip("tensorflow_model_optimization", reason="needs the extra [train]")

from mcu_asc import compiler
from mcu_asc.learn import keras, quantise
from mcu_asc.learn.card import input_quantisation, output_quantisation
from mcu_asc.learn.convert import to_int8
from mcu_asc.learn.evaluation import INTERPRETERS
from mcu_asc.learn.students import STUDENTS, Shape

WIDTHS = {
    "vgg-asc": 0.5, "ds-cnn": 0.25, "dcase2022-baseline": 0.5, "cp-mobile": 0.5, "bc-resnet": 0.2,
    "tf-sepnet": 0.4, "mobilenet-v1": 0.1, "mobilenet-v2": 0.1, "mobilenet-v3": 0.2, "causal-ds": 0.5,
}  # fmt: skip


def test_every_family_is_tried() -> None:
    assert set(WIDTHS) == set(STUDENTS)


@pytest.mark.parametrize("name", WIDTHS)
def test_a_step_of_qat_and_the_same_ops_as_without(name: str) -> None:
    k, tf = keras.keras(), keras.tensorflow()
    k.backend.clear_session()
    k.utils.set_random_seed(0)
    model = STUDENTS[name](Shape(24, 32, 4, WIDTHS[name]))
    x = np.random.default_rng(0).normal(0, 1, (8, 24, 32, 1)).astype(np.float32)
    for layer in model.layers:  # statistics that were never measured let small values die out on the way
        if isinstance(layer, k.layers.BatchNormalization):
            layer.momentum = 0.0
    model(x, training=True)
    plain = [op.kind for op in compiler.read(to_int8(model, x)).graph.ops]

    aware = quantise.quantised(model, keep_zeros=False)
    quantise.set_ranges(aware, model, x)
    optimiser = k.optimizers.SGD(1e-4)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(aware(x, training=True) - 1))
    gradients = tape.gradient(loss, aware.trainable_variables)
    assert all(g is not None and np.isfinite(g.numpy()).all() for g in map(tf.convert_to_tensor, gradients))
    optimiser.apply_gradients(zip(gradients, aware.trainable_variables, strict=True))

    content = to_int8(aware, None)
    assert [op.kind for op in compiler.read(content).graph.ops] == plain
    wanted = aware(x, training=False).numpy()
    assert np.abs(steps_off(content, x, wanted)).mean() < 4, "the file is not what was simulated"


def steps_off(content: bytes, x: Any, wanted: Any) -> Any:
    """Output of the file less what was simulated, in quantisation steps."""
    scale, zero = input_quantisation(content)
    q = np.clip(np.rint(x[..., 0] / scale) + zero, -128, 127).astype(np.int8)
    found = INTERPRETERS["tflite"](content)(q)
    step, offset = output_quantisation(content)
    return found.astype(float) - np.clip(wanted / step + offset, -128, 127)
