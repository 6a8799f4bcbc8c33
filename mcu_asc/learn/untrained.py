"""What a student will cost, before anything is trained: counts, and an int8 file to be planned and priced."""

from __future__ import annotations

import dataclasses

import numpy as np

from mcu_asc.errors import OverBudget, UsageError
from mcu_asc.learn import keras
from mcu_asc.learn.card import embed_card, input_quantisation, name_layers
from mcu_asc.learn.convert import to_int8
from mcu_asc.learn.counts import views
from mcu_asc.learn.keras import Keras
from mcu_asc.learn.students import STUDENTS, Shape
from mcu_asc.limits import over_budget
from mcu_asc.nouns import Budget, CountView, FrontEndConfig, ModelCard

WINDOWS = 4  # of noise stand for the calibration


def build(name: str, shape: Shape) -> Keras:
    """The network `name`; UsageError when there is none of that name."""
    if name not in STUDENTS:
        raise UsageError(f"unknown student '{name}'", f"known: {', '.join(STUDENTS)}")
    keras.keras().backend.clear_session()
    keras.keras().utils.set_random_seed(0)
    return STUDENTS[name](shape)


def student_views(name: str, shape: Shape) -> tuple[CountView, ...]:
    """Parameters and MACs by every rule, from the Keras model (counts.py)."""
    return views(build(name, shape))


def untrained(name: str, shape: Shape, front_end: FrontEndConfig) -> bytes:
    """The student as an int8 .tflite with a card, random weights, calibrated on noise.

    Its ops, shapes, memory and speed are those of the trained one.
    """
    model = build(name, shape)
    rng = np.random.default_rng(0)
    for w in model.weights:  # the converter drops biases that are 0
        if "beta" in w.name or "bias" in w.name:
            w.assign(rng.normal(0, 0.1, w.shape))
    noise = rng.normal(0, 1, (WINDOWS, *model.input_shape[1:])).astype(np.float32)
    content = to_int8(model, noise)
    scale, zero_point = input_quantisation(content)
    fitted = dataclasses.replace(
        front_end, rows=shape.rows, bands=shape.bands, mean=(), std=(), scale=scale, zero_point=zero_point
    )
    labels = tuple(f"class{i}" for i in range(shape.classes))
    return embed_card(name_layers(content), ModelCard(name, labels, fitted))


def refuse_over(model: Keras, budget: Budget, name: str) -> None:
    """OverBudget with every limit that the worst of the counts exceeds."""
    if reasons := over_budget(views(model), budget):
        raise OverBudget(
            f"student '{name}' does not fit: " + "; ".join(reasons),
            f"lower its width: mcu-asc fit {name} --budget {budget.name}",
        )
