"""The TFLM interpreter as an int8 network, whatever converts at the model's rim."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tflite_micro import runtime

from mcu_asc import compiler
from mcu_asc.nouns import Tensor


class Oracle:
    """`run(int8 input) -> int8 output`, flat, as the compiled network takes and gives them."""

    def __init__(self, content: bytes, arena_bytes: int = 1 << 20) -> None:
        graph = compiler.read(content).graph
        self.source, self.result = (graph.tensors[i] for i in (*graph.inputs, *graph.outputs))
        self.interpreter = runtime.Interpreter.from_bytes(content, arena_size=arena_bytes)

    def run(self, x: NDArray[np.int8]) -> NDArray[np.int8]:
        details = self.interpreter.get_input_details(0)
        self.interpreter.set_input(_outside(x, self.source, details["dtype"]).reshape(details["shape"]), 0)
        self.interpreter.invoke()
        return _inside(self.interpreter.get_output(0).reshape(-1), self.result)


def _quant(tensor: Tensor) -> tuple[float, int]:
    assert tensor.quant is not None
    return tensor.quant.scale[0], tensor.quant.zero_point[0]


def _outside(q: NDArray[np.int8], tensor: Tensor, dtype: type) -> NDArray[np.generic]:
    if dtype == np.uint8:
        return (q.astype(np.int16) + 128).astype(np.uint8)
    if dtype == np.float32:
        scale, zero = _quant(tensor)
        return (scale * (q.astype(np.float64) - zero)).astype(np.float32)
    return q


def _inside(y: NDArray[np.generic], tensor: Tensor) -> NDArray[np.int8]:
    if y.dtype == np.uint8:
        return (y.astype(np.int16) - 128).astype(np.int8)
    if y.dtype == np.float32:
        scale, zero = _quant(tensor)
        q = np.rint(y.astype(np.float64) / scale) + zero
        np.testing.assert_array_equal((scale * (q - zero)).astype(np.float32), y)
        return q.astype(np.int8)
    return np.asarray(y, np.int8)
