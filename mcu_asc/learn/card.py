"""The model card inside a .tflite file: a metadata entry `mcu_asc`, and the quantisation of both ends.

The file stays a plain .tflite that every interpreter runs; the entry is what our tools know it by.  Reading
needs no TensorFlow, writing does (its schema has the object form that can be packed again).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mcu_asc import config
from mcu_asc.errors import UsageError
from mcu_asc.learn import keras
from mcu_asc.nouns import ModelCard

ENTRY = b"mcu_asc"
IDENTIFIER = b"TFL3"


def embed_card(content: bytes, card: ModelCard) -> bytes:
    """The same model with `card` in its metadata, in place of an earlier one."""
    keras.tensorflow()
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    entries = [m for m in model.metadata or [] if m.name != ENTRY]
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(config.card_to_json(card).encode())
    model.buffers = [*model.buffers, buffer]
    entry.name, entry.buffer = ENTRY, len(model.buffers) - 1
    model.metadata = [*entries, entry]
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def name_layers(content: bytes) -> bytes:
    """The same model, its layers' outputs called as in Keras ("stem") where that says which is meant.

    The converter joins the names of all that it fused: "model/quant_stem_relu/Relu;..;model/quant_stem/Conv".
    The model's output it may call by its own name; then the layer's weights say whose it is.
    """

    def own(names: Sequence[str], kind: str) -> str:
        scopes = (name.rsplit(";", maxsplit=1)[-1].split("/") for name in names)
        return next((s[-2].removeprefix("quant_") for s in scopes if len(s) > 1), "")

    return _renamed(content, own)


def name_kinds(content: bytes) -> bytes:
    """The same model, its layers' outputs called by kind and number ("conv_2d_1")."""
    seen: dict[str, int] = {}

    def numbered(names: Sequence[str], kind: str) -> str:
        seen[kind] = seen.get(kind, 0) + 1
        return f"{kind.lower()}_{seen[kind]}"

    return _renamed(content, numbered)


def _renamed(content: bytes, name_of: Callable[[Sequence[str], str], str]) -> bytes:
    """The same model, each op's output called `name_of(names, kind)` where that is a new name.

    names  of the output and of the op's constants
    """
    keras.tensorflow()
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    kinds = {number: kind for kind, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    graph = model.subgraphs[0]
    taken = {t.name for t in graph.tensors}
    for op in graph.operators:
        tensor = graph.tensors[op.outputs[0]]
        kind = kinds[model.operatorCodes[op.opcodeIndex].builtinCode]
        inputs = [graph.tensors[i] for i in op.inputs if i >= 0]
        constants = [t for t in inputs if model.buffers[t.buffer].data is not None]
        name = name_of([t.name.decode() for t in (tensor, *constants)], kind).encode()
        if name and name not in taken:
            tensor.name = name
            taken.add(name)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _model(content: bytes, where: str = "model") -> Any:
    import tflite

    if content[4:8] != IDENTIFIER:
        raise UsageError(f"{where} is not a .tflite file", "export one from a run directory")
    return tflite.Model.GetRootAs(content, 0)


def read_card(content: bytes, where: str = "model") -> ModelCard:
    """The card of a .tflite file's bytes; UsageError when it has none."""
    model = _model(content, where)
    for i in range(model.MetadataLength()):
        entry = model.Metadata(i)
        if entry.Name() == ENTRY:
            return config.card_from_json(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes().decode())
    raise UsageError(f"{where} has no metadata entry 'mcu_asc'", "export it with mcu-asc export")


def input_quantisation(content: bytes) -> tuple[float, int]:
    """Scale and zero point of the first input: real = scale * (q - zero_point)."""
    graph = _model(content).Subgraphs(0)
    return _quantisation(graph.Tensors(graph.Inputs(0)))


def output_quantisation(content: bytes) -> tuple[float, int]:
    """Scale and zero point of the first output."""
    graph = _model(content).Subgraphs(0)
    return _quantisation(graph.Tensors(graph.Outputs(0)))


def _quantisation(tensor: Any) -> tuple[float, int]:
    q = tensor.Quantization()
    return float(q.Scale(0)), int(q.ZeroPoint(0))
