"""What quantising after training costs: signal-to-noise of each int8 layer against its float twin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_asc.learn import keras
from mcu_asc.learn.convert import build_student, calibration, stages_of, to_int8
from mcu_asc.learn.keras import Keras
from mcu_asc.learn.rundir import RunDir, load_weights, read_config

WINDOWS = 32
BEST_DB = 120.0  # of a layer without any error


@dataclass(frozen=True)
class LayerNoise:
    """One op of the int8 file whose output a Keras layer has too."""

    name: str  # of the last Keras layer that the op stands for
    snr_db: float  # float output against its difference to the int8 one
    loss_db: float  # how much lower than at the worst of its inputs: what this layer adds


def worst(layers: Sequence[LayerNoise]) -> LayerNoise:
    """The layer that hurts: where the most is lost."""
    return max(layers, key=lambda layer: layer.loss_db)


def ptq_noise(run_dir: Path) -> tuple[LayerNoise, ...]:
    """Quantise the float (or pruned) student of a run after training; a row a layer, in order.

    Half of the run's calibration windows set the ranges, others measure.  A run with quantisation-aware
    training is taken as it was before that: its report says what the training had to mend.
    """
    run = RunDir(Path(run_dir))
    made = read_config(run)
    windows = calibration(run, made)
    model = build_student(made.recipe, len(made.labels), dropout=False)
    load_weights(run, [s for s in stages_of(made.recipe) if s != "qat"][-1], model)
    half = len(windows) // 2
    return layer_noise(model, to_int8(model, windows[:half]), windows[half:][:WINDOWS])


def layer_noise(model: Keras, content: bytes, x: NDArray[np.float32]) -> tuple[LayerNoise, ...]:
    """Rows for an int8 .tflite as `to_int8` gives it, on windows x (n, rows, bands, 1)."""
    import tflite

    graph = tflite.Model.GetRootAs(content, 0).Subgraphs(0)
    order = {layer.name: i for i, layer in enumerate(model.layers)}
    twins: dict[int, str] = {}  # tensor -> Keras layer; ops in order
    inputs: dict[int, list[int]] = {}
    for i in range(graph.OperatorsLength()):
        op = graph.Operators(i)
        out = op.Outputs(0)
        inputs[out] = [op.Inputs(j) for j in range(op.InputsLength())]
        # The converter joins the names of all that it fused; the last of them in the model is what comes out.
        scopes = graph.Tensors(out).Name().decode().replace(";", "/").split("/")
        if known := [s for s in scopes if s in order]:
            twins[out] = max(known, key=order.__getitem__)
    twins.setdefault(graph.Outputs(0), model.layers[-1].name)  # its name is that of the call
    names = list(dict.fromkeys(twins.values()))
    watch = keras.keras().Model(model.input, [model.get_layer(n).output for n in names])
    signal, noise = dict.fromkeys(twins, 0.0), dict.fromkeys(twins, 0.0)
    run = _Interpreter(content)
    first_signal = first_noise = 0.0  # of the input, which is rounded too
    for window in x:
        expected = dict(zip(names, _list(watch(window[None], training=False)), strict=True))
        rounded = run(window)
        first_signal += float((window.astype(np.float64) ** 2).sum())
        first_noise += float(((rounded - window) ** 2).sum())
        for tensor, name in twins.items():
            real = np.asarray(expected[name], np.float64).ravel()
            signal[tensor] += float((real**2).sum())
            noise[tensor] += float(((run.real(tensor) - real) ** 2).sum())
    snr = {t: _db(signal[t], noise[t]) for t in twins}
    rows, heard = [], {graph.Inputs(0): _db(first_signal, first_noise)}
    for out, before in inputs.items():
        known_inputs = [heard[t] for t in before if t in heard]
        lowest = min(known_inputs, default=BEST_DB)
        heard[out] = snr.get(out, lowest)  # an op without a twin passes on what came in
        if out in twins:
            rows.append(LayerNoise(twins[out], snr[out], max(0.0, lowest - snr[out])))
    return tuple(rows)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _db(signal: float, noise: float) -> float:
    if noise <= 0 or signal <= 0:
        return BEST_DB if noise <= 0 else 0.0
    return min(BEST_DB, 10 * math.log10(signal / noise))


class _Interpreter:
    """TensorFlow Lite with every tensor kept."""

    def __init__(self, content: bytes) -> None:
        lite = keras.tensorflow().lite
        self._lite = lite.Interpreter(
            model_content=content,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=lite.experimental.OpResolverType.BUILTIN_REF,
        )
        self._lite.allocate_tensors()
        self._details = {d["index"]: d for d in self._lite.get_tensor_details()}

    def __call__(self, window: NDArray[np.float32]) -> NDArray[np.float64]:
        """Run one window; returns it as the int8 input has it."""
        first = self._lite.get_input_details()[0]
        scale, zero = first["quantization"]
        q = np.clip(np.rint(window / scale) + zero, -128, 127).astype(np.int8)
        self._lite.set_tensor(first["index"], q[None])
        self._lite.invoke()
        rounded: NDArray[np.float64] = scale * (q.astype(np.float64) - zero)
        return rounded

    def real(self, tensor: int) -> NDArray[np.float64]:
        """A tensor's values as real numbers, flat."""
        scale, zero = self._details[tensor]["quantization"]
        out: NDArray[np.float64] = scale * (self._lite.get_tensor(tensor).astype(np.float64) - zero)
        return out.ravel()
