"""The model card inside a .tflite file: a metadata entry `mcu_asc`, and the quantisation of both ends.

The file stays a plain .tflite that every interpreter runs; the entry is what our tools know it by.
"""

from __future__ import annotations

from typing import Any

from mcu_asc import config
from mcu_asc.errors import UsageError
from mcu_asc.learn import keras
from mcu_asc.nouns import ModelCard

ENTRY = b"mcu_asc"
IDENTIFIER = b"TFL3"


def _schema() -> Any:
    keras.tensorflow()
    from tensorflow.lite.python import schema_py_generated

    return schema_py_generated


def _unpack(content: bytes, where: str = "model") -> Any:
    schema = _schema()
    if content[4:8] != IDENTIFIER:
        raise UsageError(f"{where} is not a .tflite file", "export one from a run directory")
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))


def embed_card(content: bytes, card: ModelCard) -> bytes:
    """The same model with `card` in its metadata, in place of an earlier one."""
    import flatbuffers

    schema = _schema()
    model = _unpack(content)
    entries = [m for m in model.metadata or [] if m.name != ENTRY]
    buffer = schema.BufferT()
    buffer.data = list(config.card_to_json(card).encode())
    model.buffers = [*model.buffers, buffer]
    entry = schema.MetadataT()
    entry.name, entry.buffer = ENTRY.decode(), len(model.buffers) - 1
    model.metadata = [*entries, entry]
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def read_card(content: bytes, where: str = "model") -> ModelCard:
    """The card of a .tflite file's bytes; UsageError when it has none."""
    model = _unpack(content, where)
    for entry in model.metadata or []:
        if entry.name == ENTRY:
            return config.card_from_json(bytes(model.buffers[entry.buffer].data).decode())
    raise UsageError(f"{where} has no metadata entry 'mcu_asc'", "export it with mcu-asc export")


def _quantisation(content: bytes, which: str) -> tuple[float, int]:
    graph = _unpack(content).subgraphs[0]
    tensor = graph.tensors[getattr(graph, which)[0]]
    return float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])


def input_quantisation(content: bytes) -> tuple[float, int]:
    """Scale and zero point of the first input: real = scale * (q - zero_point)."""
    return _quantisation(content, "inputs")


def output_quantisation(content: bytes) -> tuple[float, int]:
    """Scale and zero point of the first output."""
    return _quantisation(content, "outputs")
