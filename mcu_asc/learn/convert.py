"""A finished run -> one int8 .tflite file that knows its front end, labels, decision rule and recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_asc.errors import AscError, UsageError
from mcu_asc.learn import keras
from mcu_asc.learn.card import embed_card, input_quantisation, name_layers
from mcu_asc.learn.keras import Keras
from mcu_asc.learn.prune import narrowed
from mcu_asc.learn.quantise import quantised
from mcu_asc.learn.recipe import Recipe, as_dict
from mcu_asc.learn.rundir import RunConfig, RunDir, load_weights, read_config, write_bytes, written
from mcu_asc.learn.students import STUDENTS, Shape
from mcu_asc.learn.windows import real_input
from mcu_asc.nouns import ModelCard


def build_student(recipe: Recipe, classes: int, dropout: bool) -> Keras:
    """The recipe's network, freshly initialised from the recipe's seed."""
    keras.keras().backend.clear_session()  # or names would depend on what was built before
    keras.keras().utils.set_random_seed(recipe.train.seed)
    shape = Shape(
        recipe.front_end.rows,
        recipe.front_end.bands,
        classes,
        recipe.student.width,
        recipe.student.dropout if dropout else 0.0,
        recipe.front_end.channels,
    )
    return STUDENTS[recipe.student.name](shape)


def stages_of(recipe: Recipe) -> tuple[str, ...]:
    """The stages that a recipe goes through, in order."""
    extra = {"prune": recipe.prunes, "qat": recipe.qat.epochs > 0}
    return ("float", *(stage for stage, wanted in extra.items() if wanted))


def load_student(run: RunDir, made: RunConfig) -> Keras:
    """The network that the last stage of a run left, for inference; UsageError when it is not finished."""
    stages = stages_of(made.recipe)
    if missing := [s for s in stages if not run.weights(s).exists()]:
        raise UsageError(f"{run.path}: stage {missing[0]} is not finished", "go on with train --resume")
    model = build_student(made.recipe, len(made.labels), dropout=False)
    plain = [s for s in stages if s != "qat"]
    load_weights(run, plain[-1], model)
    if made.recipe.narrows:
        model = narrowed(model)
    if stages[-1] == "qat":
        model = quantised(model, keep_zeros=made.recipe.prunes)
        load_weights(run, "qat", model)
    return model


def export(run_dir: Path, out: Path | None = None) -> Path:
    """Convert the student of `run_dir`; writes `out` (default: student.tflite in the run) and returns it.

    int8 input and output, weights quantised per channel.  The outputs are logits, also where several labels
    may hold (outputs.py says why); the card says which.  The same run gives the same bytes.
    """
    run = RunDir(Path(run_dir))
    made = read_config(run)
    target = Path(out) if out else run.student
    if target.is_dir():
        target = target / run.student.name
    representative = None if made.recipe.qat.epochs else calibration(run, made)
    content = to_int8(load_student(run, made), representative)
    scale, zero_point = input_quantisation(content)
    front_end = dataclasses.replace(made.front_end, scale=scale, zero_point=zero_point)
    card = ModelCard(
        name=made.recipe.name,
        labels=made.labels,
        front_end=front_end,
        decision=made.recipe.decision,
        recipe=as_dict(made.recipe),
        licence=made.recipe.licence,
        multi_label=made.recipe.multi_label,
    )
    with written(target, "make room, or choose another --out"):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(target, embed_card(name_layers(content), card))
    return target


def calibration(run: RunDir, made: RunConfig) -> NDArray[np.float32]:
    """Standardised training windows of a run, (n, rows, bands, channels)."""
    if not run.calibration.exists():
        raise UsageError(f"{run.calibration} is missing", "train again: quantisation needs it")
    with np.load(run.calibration) as saved:
        return real_input(saved["log2_q9"], made.front_end)


def to_int8(model: Keras, representative: NDArray[np.float32] | None) -> bytes:
    """The converter's int8 file; activations' ranges from QAT, or else from `representative` windows."""
    tf = keras.tensorflow()
    converter = keras.converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    if representative is not None:

        def windows() -> Iterator[list[Any]]:
            for window in representative:
                yield [window[None]]

        converter.representative_dataset = windows
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    try:
        with keras.quiet():
            content: bytes = converter.convert()
    except Exception as error:  # the converter raises what MLIR gives it
        raise AscError(f"TensorFlow Lite cannot convert the student: {error}", "see students.py") from error
    return content
