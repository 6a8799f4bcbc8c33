"""The MLPerf Tiny models on the emulated board: every output byte equals the TFLM interpreter's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mcu_asc import compiler, config, firmware
from mcu_asc.device.targets import open_target
from mcu_asc.results.check import check

runtime = pytest.importorskip("tflite_micro", reason="needs the TFLM interpreter: mcu-asc[oracle]").runtime
INPUTS = 100


def inputs(size: int) -> Iterator[bytes]:
    """Random inputs; the first three are the extremes and their alternation."""
    rng = np.random.default_rng(7)
    yield np.full(size, -128, np.int8).tobytes()
    yield np.full(size, 127, np.int8).tobytes()
    yield np.resize(np.array([-128, 127], np.int8), size).tobytes()
    for i in range(3, INPUTS):
        # Alternately white, and a walk with long runs as pictures and spectra have them.
        noise = rng.integers(-128, 128, size)
        x = noise if i % 2 else np.clip(np.cumsum(noise // 16), -128, 127)
        yield x.astype(np.int8).tobytes()


@pytest.mark.parametrize("name", ["ad01_int8", "kws_ref_model", "pretrainedResnet_quant", "vww_96_int8"])
def test_outputs_equal_tflm(name: str, models_dir: Path, tmp_path: Path) -> None:
    board = config.load_board("nano33")
    model = compiler.read(models_dir / f"{name}.tflite")
    assert check(model, board, None).fits
    firmware.write(firmware.project(model, board), tmp_path / name)
    interpreter = runtime.Interpreter.from_bytes(model.content)
    tensor = model.graph.tensors[model.graph.inputs[0]]
    with open_target(tmp_path / name, "emulator") as device:
        for x in inputs(tensor.bytes):
            interpreter.set_input(np.frombuffer(x, np.int8).reshape(tensor.shape), 0)
            interpreter.invoke()
            assert device.tensor(x) == interpreter.get_output(0).astype(np.int8).tobytes()
