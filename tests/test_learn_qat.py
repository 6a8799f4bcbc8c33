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
from mcu_asc.learn.students import STUDENTS, Shape, bcresnet, mobilenet, sepnet

WIDTHS = {
    "vgg-asc": 0.5, "ds-cnn": 0.25, "dcase2022-baseline": 0.5, "cp-mobile": 0.5, "bc-resnet": 0.2,
    "tf-sepnet": 0.4, "mobilenet-v1": 0.1, "mobilenet-v2": 0.1, "mobilenet-v3": 0.2, "causal-ds": 0.5,
}  # fmt: skip


SHORTER = {  # tables of blocks without most of the repeated ones, which cost time and show nothing new
    "mobilenet-v1": (mobilenet, "V1", 4),
    "mobilenet-v2": (mobilenet, "V2", 2),
    "mobilenet-v3": (mobilenet, "V3", 4),
    "bc-resnet": (bcresnet, "STAGES", 2),
    "tf-sepnet": (sepnet, "STAGES", 2),
}


def shorten(name: str, patch: pytest.MonkeyPatch) -> None:
    if name in SHORTER:
        module, table, count = SHORTER[name]
        patch.setattr(module, table, getattr(module, table)[:count])


def test_every_family_is_tried() -> None:
    assert set(WIDTHS) == set(STUDENTS)


@pytest.mark.parametrize("name", SHORTER)
def test_what_is_left_of_a_family_has_its_kinds_of_layers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def kinds_of_layers() -> set[tuple[Any, ...]]:
        layers = STUDENTS[name](Shape(24, 32, 4, WIDTHS[name])).layers
        return {(type(la).__name__, getattr(la, "kernel_size", 0), getattr(la, "strides", 0)) for la in layers
                if "AveragePooling2D" not in type(la).__name__}  # fmt: skip

    whole = kinds_of_layers()
    shorten(name, monkeypatch)
    assert kinds_of_layers() == whole


@pytest.mark.parametrize("name", WIDTHS)
def test_a_step_of_qat_and_the_same_ops_as_without(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(name, monkeypatch)
    k, tf = keras.keras(), keras.tensorflow()
    keras.one_thread()
    k.backend.clear_session()
    k.utils.set_random_seed(0)
    model = STUDENTS[name](Shape(24, 32, 4, WIDTHS[name]))
    x = sounds(16, 24, 32)
    for layer in model.layers:  # statistics that were never measured let small values die out on the way
        if isinstance(layer, k.layers.BatchNormalization):
            layer.momentum = 0.0
    model(x, training=True)
    plain = to_int8(model, x)
    wanted_snr = snr_db(plain, x, model(x, training=False).numpy())

    aware = quantise.quantised(model, keep_zeros=False)
    quantise.set_ranges(aware, model, x)
    optimiser = k.optimizers.SGD(1e-5)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(aware(x, training=True) - 1))
    gradients = tape.gradient(loss, aware.trainable_variables)
    assert all(g is not None and np.isfinite(g.numpy()).all() for g in gradients)
    optimiser.apply_gradients(zip(gradients, aware.trainable_variables, strict=True))

    content = to_int8(aware, None)
    assert kinds(content) == kinds(plain)
    assert snr_db(content, x, aware(x, training=False).numpy()) > wanted_snr - 6, "not what was simulated"


def kinds(content: bytes) -> list[str]:
    return [op.kind for op in compiler.read(content).graph.ops]


def sounds(n: int, rows: int, bands: int) -> Any:
    """Windows of different colour and level."""
    rng = np.random.default_rng(3)
    sizes = ((0.5, (n, rows, bands, 1)), (1, (n, 1, bands, 1)), (1, (n, 1, 1, 1)))
    return np.sum([rng.normal(0, s, shape) + np.zeros((n, rows, bands, 1)) for s, shape in sizes], 0).astype(
        np.float32
    )


def snr_db(content: bytes, x: Any, wanted: Any) -> float:
    """Power of `wanted` over that of the file's deviation from it."""
    scale, zero = input_quantisation(content)
    q = np.clip(np.rint(x[..., 0] / scale) + zero, -128, 127).astype(np.int8)
    step, offset = output_quantisation(content)
    off = (INTERPRETERS["tflite"](content)(q).astype(float) - offset) * step - wanted
    return float(10 * np.log10((wanted**2).mean() / (off**2).mean()))
