"""Small .tflite files for tests, built from the schema alone: no TensorFlow.

f = File()
x = f.activation((1, 8, 8, 3), 0.02, -5)
y = f.activation((1, 8, 8, 3), 0.02, -5)
f.op("RELU6", [x], [y])
content = f.bytes([x], [y])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

_TYPES = {"int8": 9, "int32": 2, "float32": 0, "float16": 1, "int16": 7, "uint8": 3, "int64": 4}


class File:
    """A model in the making; tensors are known by their index."""

    def __init__(self) -> None:
        self.tensors: list[Any] = []
        self.buffers: list[Any] = [schema.BufferT()]  # buffer 0 is empty by convention
        self.codes: list[Any] = []
        self.ops: list[Any] = []
        self.metadata: list[Any] = []

    def tensor(
        self,
        shape: Sequence[int],
        dtype: str = "int8",
        scale: Sequence[float] = (),
        zero: Sequence[int] = (),
        axis: int = 0,
        data: NDArray[Any] | None = None,
        name: str = "",
        signature: Sequence[int] | None = None,
    ) -> int:
        t = schema.TensorT()
        t.shape, t.type = list(shape), _TYPES[dtype]
        t.name = name or f"t{len(self.tensors)}"
        t.shapeSignature = None if signature is None else list(signature)
        t.buffer = 0
        if data is not None:
            b = schema.BufferT()
            b.data = np.frombuffer(np.ascontiguousarray(data, dtype).tobytes(), np.uint8)
            t.buffer = len(self.buffers)
            self.buffers.append(b)
        if len(scale):
            q = schema.QuantizationParametersT()
            q.scale = np.array(scale, np.float32)
            q.zeroPoint = np.array(zero or [0] * len(scale), np.int64)
            q.quantizedDimension = axis
            t.quantization = q
        self.tensors.append(t)
        return len(self.tensors) - 1

    def activation(self, shape: Sequence[int], scale: float, zero: int, **more: Any) -> int:
        return self.tensor(shape, "int8", [scale], [zero], **more)

    def weights(self, data: NDArray[Any], scale: Sequence[float], axis: int = 0) -> int:
        return self.tensor(data.shape, "int8", scale, axis=axis, data=data)

    def constant(self, data: Any, dtype: str = "int32", scale: Sequence[float] = ()) -> int:
        values = np.asarray(data, dtype)
        return self.tensor(values.shape, dtype, scale, data=values)

    def op(
        self,
        kind: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        table: str = "",
        custom: str = "",
        **options: Any,
    ) -> None:
        """Append an operator; `table` names its options, e.g. "Conv2DOptions"."""
        number = getattr(schema.BuiltinOperator, kind)
        c = schema.OperatorCodeT()
        c.builtinCode, c.deprecatedBuiltinCode, c.version = number, min(number, 127), 1
        c.customCode = custom or None
        self.codes.append(c)
        o = schema.OperatorT()
        o.opcodeIndex = len(self.codes) - 1
        o.inputs, o.outputs = list(inputs), list(outputs)
        if table:
            o.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            o.builtinOptions = getattr(schema, f"{table}T")()
            for key, value in options.items():
                assert hasattr(o.builtinOptions, key), key
                setattr(o.builtinOptions, key, value)
        self.ops.append(o)

    def note(self, name: str, data: bytes) -> None:
        """A metadata entry."""
        b = schema.BufferT()
        b.data = np.frombuffer(data, np.uint8)
        m = schema.MetadataT()
        m.name, m.buffer = name, len(self.buffers)
        self.buffers.append(b)
        self.metadata.append(m)

    def bytes(self, inputs: Sequence[int], outputs: Sequence[int], subgraphs: int = 1) -> bytes:
        g = schema.SubGraphT()
        g.tensors, g.operators = self.tensors, self.ops
        g.inputs, g.outputs, g.name = list(inputs), list(outputs), "main"
        m = schema.ModelT()
        m.version, m.operatorCodes, m.subgraphs = 3, self.codes, [g] * subgraphs
        m.buffers, m.metadata = self.buffers, self.metadata or None
        builder = flatbuffers.Builder(1024)
        builder.Finish(m.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def rim(x: str, y: str = "int8", last: str = "DEQUANTIZE") -> bytes:
    """A TANH between a QUANTIZE from type `x` and `last` to type `y`, without what converts nothing."""
    f = File()
    outer = f.tensor((1, 256), x, [0.05] * (x != "float32"), [128] * (x == "uint8"), name="serving_default_x")
    inner = outer if x == "int8" else f.activation((1, 256), 0.05, 0)
    tanh = f.activation((1, 256), 1 / 128, 0)
    result = (
        tanh if y == "int8" else f.tensor((1, 256), y, [1 / 128] * (y == "uint8"), [128] * (y == "uint8"))
    )
    if inner != outer:
        f.op("QUANTIZE", [outer], [inner], "QuantizeOptions")
    f.op("TANH", [inner], [tanh])
    if result != tanh:
        f.op(last, [tanh], [result], {"QUANTIZE": "QuantizeOptions"}.get(last, "DequantizeOptions"))
    return f.bytes([outer], [result])
