"""The table of students: counts against published ones, and each family through converter, compiler and C."""

from __future__ import annotations

import math
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import nn_host
import numpy as np
import pytest

if not (find_spec("tensorflow") and find_spec("tf_keras")):  # imported by learn/keras.py only
    pytest.skip("needs the extra [train]", allow_module_level=True)

from mcu_asc import compiler
from mcu_asc.compiler import budget
from mcu_asc.learn import keras
from mcu_asc.learn.convert import to_int8
from mcu_asc.learn.counts import views
from mcu_asc.learn.students import STUDENTS, Shape, cost
from mcu_asc.nouns import CountView

# Widths small enough for seconds; the shape has odd and even maps on the way down.
SMALL = {
    "vgg-asc": 0.5, "ds-cnn": 0.25, "dcase2022-baseline": 0.5, "cp-mobile": 0.5, "bc-resnet": 0.2,
    "tf-sepnet": 0.4, "mobilenet-v1": 0.1, "mobilenet-v2": 0.1, "mobilenet-v3": 0.2, "causal-ds": 0.5,
}  # fmt: skip


def build(name: str, rows: int, bands: int, classes: int = 10, width: float = 1.0) -> Any:
    keras.keras().backend.clear_session()
    keras.keras().utils.set_random_seed(1)
    return STUDENTS[name](Shape(rows, bands, classes, width))


def int8(model: Any) -> bytes:
    """The model's .tflite, its statistics and biases made up: the converter drops what is 0."""
    rng = np.random.default_rng(2)
    for w in model.weights:
        if "moving_variance" in w.name or "gamma" in w.name:
            w.assign(rng.uniform(0.5, 1.5, w.shape))
        elif "moving_mean" in w.name or "beta" in w.name or "bias" in w.name:
            w.assign(rng.normal(0, 0.2, w.shape))
        else:  # so that what comes in still tells behind a dozen layers
            taps = math.prod(w.shape[:2] if "depthwise" in w.name else w.shape[:-1])
            w.assign(rng.normal(0, (2 / taps) ** 0.5, w.shape))
    return to_int8(model, sounds(4, *model.input_shape[1:3]))


def sounds(n: int, rows: int, bands: int) -> Any:
    """Windows of different colour and level."""
    rng = np.random.default_rng(3)
    x = (
        rng.normal(0, 0.5, (n, rows, bands, 1))
        + rng.normal(0, 1, (n, 1, bands, 1))
        + rng.normal(0, 1, (n, 1, 1, 1))
    )
    return x.astype(np.float32)


@cache
def small(name: str) -> tuple[Any, bytes]:
    """A narrow network and its int8 file."""
    model = build(name, 39, 32, 4, SMALL[name])
    return model, int8(model)


def by_rule(counted: tuple[CountView, ...]) -> dict[str, CountView]:
    return {v.rule: v for v in counted}


def test_every_row_of_the_table_is_tried() -> None:
    assert set(SMALL) == set(STUDENTS)


# ---- published counts --------------------------------------------------------------------------


def test_the_dcase_2022_baseline_counts_as_published() -> None:
    model = build("dcase2022-baseline", 51, 40)
    assert cost(model).params == 45_990
    graph = compiler.read(int8(model)).graph
    seen = by_rule(budget.views(graph, compiler.counts(graph)))
    assert seen["exact"].params == 45_990
    # What the organisers call parameters, and the shape that a later converter's RESHAPE has as a constant.
    assert seen["NeSsi tflite"].params == 46_512 + 2 * 4
    assert seen["NeSsi tflite"].macs == 29_234_920 + 32 * 100  # see the builder's docstring
    assert seen["exact"].macs == cost(model).macs == seen["NeSsi tflite"].macs - 34_560


def test_cp_mobile_counts_as_the_dcase_2024_baseline() -> None:
    torch = by_rule(views(build("cp-mobile", 65, 256)))["NeSsi PyTorch"]
    assert torch.params == 61_148
    assert torch.macs == 29_419_156  # published: 29.42 MMAC


@pytest.mark.parametrize(
    ("width", "params", "norms", "mmac"), [(1.0, 53_370, 360, 7.0), (2.0, 196_730, 720, 24.2)]
)
def test_tf_sepnet_counts_as_published(width: float, params: int, norms: int, mmac: float) -> None:
    model = build("tf-sepnet", 64, 256, width=width)
    trainable = sum(math.prod(w.shape) for w in model.trainable_weights)
    assert trainable + 3 * norms == params  # 53.4 K and 196.7 K with adaptive residual normalisation
    assert round(cost(model).macs / 1e6, 1) == mmac


def test_bc_resnet_counts_as_its_docstring_says() -> None:
    model = build("bc-resnet", 64, 256)
    assert trainable(model) == 81_930
    assert round(cost(model).macs / 1e6, 1) == 29.6
    wide = build("bc-resnet", 64, 256, width=2.0)
    norms = [w for w in wide.trainable_weights if "_bands_norm" in w.name]
    four_groups = 3 * sum(math.prod(w.shape) for w in norms)
    stem = sum(math.prod(w.shape) for w in wide.get_layer("stem_norm").trainable_weights)
    assert (four_groups, stem) == (7_920, 320)
    assert trainable(wide) + four_groups - stem == 314_650  # published: 315 K


def trainable(model: Any) -> int:
    return sum(math.prod(w.shape) for w in model.trainable_weights)


@pytest.mark.parametrize(
    ("name", "theirs", "options"),
    [
        ("mobilenet-v1", "MobileNet", {}),
        ("mobilenet-v2", "MobileNetV2", {}),
        ("mobilenet-v3", "MobileNetV3Small", {"minimalistic": True, "include_preprocessing": False}),
    ],
)
def test_mobilenets_count_as_the_published_ones(name: str, theirs: str, options: dict[str, Any]) -> None:
    model = build(name, 64, 64, 1000)
    reference = getattr(keras.keras().applications, theirs)(
        input_shape=(64, 64, 1), weights=None, include_top=False, **options
    )
    head = model.get_layer("logits").count_params()
    assert trainable(model) - head == trainable(reference)
    known = {"mobilenet-v1": 4_231_976, "mobilenet-v2": 3_504_872}  # as Keras publishes them, three channels
    if name in known:
        assert trainable(model) == known[name] - 2 * 9 * 32


def test_the_causal_student_counts_as_by_hand() -> None:
    found = cost(build("causal-ds", 50, 64))
    filters, taps = (24, 32, 48, 64, 96, 96), 15
    params = 9 * 24 + 24
    for before, after in pairwise(filters):
        params += before * taps + before + before * after + after
    assert found.params == params + 96 * 10 + 10
    assert found.macs == 4_676_160


# ---- what each family goes through --------------------------------------------------------------


@pytest.mark.parametrize("name", STUDENTS)
def test_counts_of_the_keras_model_and_of_the_file_agree(name: str) -> None:
    model, content = small(name)
    graph = compiler.read(content).graph
    of_file = by_rule(budget.views(graph, compiler.counts(graph)))
    of_model = by_rule(views(model))
    assert of_model["exact"].params == of_file["exact"].params
    assert of_model["exact"].macs == of_file["exact"].macs
    # From a file the unfolded rules are rebuilt: every convolution is taken for one with batch normalisation.
    # The classifier of these two has a bias, and BC-ResNet's pointwise convolutions nothing.
    plain = 4 if name in ("bc-resnet", "tf-sepnet") else 0
    if name == "bc-resnet":
        plain += 2 * sum(la.filters for la in model.layers if la.name.endswith("_pointwise"))
    assert of_model["NeSsi PyTorch"].params == of_file["NeSsi PyTorch"].params - plain
    assert of_model["NeSsi PyTorch"].macs == of_file["NeSsi PyTorch"].macs - plain
    assert of_model["exact"].param_bytes == of_file["exact"].param_bytes
    assert of_model["NeSsi Keras"].params == trainable(model)
    # The profiler counts what the rebuilt rule leaves out: a mean's division, a ReLU's nothing.
    assert abs(of_model["NeSsi Keras"].macs / of_file["NeSsi Keras"].macs - 1) < 0.02


def test_every_family_is_accepted_and_bit_exact(tmp_path: Any) -> None:
    from oracle import Oracle

    models = {name.replace("-", "_"): small(name)[1] for name in STUDENTS}
    nets = nn_host.build(models, tmp_path)
    inputs = np.clip(np.rint(40 * sounds(4, 39, 32)), -128, 127).astype(np.int8)
    for name, content in models.items():
        oracle = Oracle(content)
        answers = set()
        for x in inputs[:, None]:
            expected = oracle.run(x)
            assert np.array_equal(nets[name].run(x), np.asarray(expected).reshape(-1)), name
            answers.add(np.asarray(expected).tobytes())
        assert len(answers) > 1, name  # a network that says the same to everything proves nothing


def test_the_causal_student_does_not_look_ahead() -> None:
    model, _ = small("causal-ds")
    k = keras.keras()
    before_mean = k.Model(model.input, model.get_layer("mean").input)
    x = np.random.default_rng(0).normal(size=(1, 39, 32, 1)).astype(np.float32)
    later = x.copy()
    later[:, 21:] += 1  # map row t sees input rows up to 2 t
    one, two = (before_mean(v, training=False).numpy() for v in (x, later))
    assert np.array_equal(one[:, :11], two[:, :11])
    assert not np.array_equal(one[:, 11], two[:, 11])


def test_the_noise_report_names_the_layer_that_hurts() -> None:
    from mcu_asc.learn.noise import layer_noise, worst

    model = build("ds-cnn", 39, 32, 4, 0.5)
    x = sounds(4, 39, 32)  # those that set the ranges: nothing is clipped
    rows = layer_noise(model, int8(model), x)
    names = [r.name for r in rows]
    assert names[0] == "stem_relu"
    assert {"depthwise3_relu", "pointwise5_relu", "mean", "logits"} <= set(names)
    assert len(set(names)) == len(names) == 13
    assert all(10 < r.snr_db < 60 for r in rows), rows
    # One channel a thousand times larger, undone by the layer after it: exact in float, and in
    # int8 the end of all other channels, which per-channel weights cannot mend.
    first, second = model.get_layer("pointwise2_norm"), model.get_layer("depthwise3")
    factor = np.ones(first.gamma.shape[0], np.float32)
    factor[0] = 1000
    first.gamma.assign(first.gamma * factor)
    first.beta.assign(first.beta * factor)
    second.depthwise_kernel.assign(second.depthwise_kernel / factor[:, None])
    spoilt = layer_noise(model, to_int8(model, sounds(4, 39, 32)), x)
    assert worst(spoilt).name in ("pointwise2_relu", "depthwise3_relu")
    assert spoilt[-1].snr_db < rows[-1].snr_db - 6
