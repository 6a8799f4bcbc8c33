"""The table of ops: TFLite builtin name -> how to accept, count and emit it.

Adding an op: one kernel in firmware/kernels, one module (or row in a module) here.
"""

from __future__ import annotations

from collections.abc import Mapping

from mcu_asc.compiler.ops import binary, conv, dense, matmul, pool, reduce, shape, softmax, take, unary
from mcu_asc.compiler.ops.base import Kind

OPS: Mapping[str, Kind] = {
    name: kind
    for module in (conv, dense, matmul, pool, binary, reduce, shape, take, softmax, unary)
    for name, kind in module.KINDS.items()
}

_FIXED_BATCH = "fix the batch size before converting: tf.keras.Input(shape, batch_size=1)"
_UNROLL = "recurrent layers are not supported; use convolutions over time"

HINTS: Mapping[str, str] = {  # what to do about an op that we do not know
    "SHAPE": _FIXED_BATCH,
    "FILL": _FIXED_BATCH,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _UNROLL,
    "LSTM": _UNROLL,
    "WHILE": _UNROLL,
    "DEQUANTIZE": "only at the model's output; convert every layer to int8",
    "RELU_N1_TO_1": "TFLM has no such op; let the converter fuse it into the layer before",
    "CUSTOM": "custom ops have no definition here; export with TFLITE_BUILTINS_INT8 only",
}
