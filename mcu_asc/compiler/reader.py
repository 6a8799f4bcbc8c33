"""A .tflite file -> `Model`, or a refusal that names the op, its place and what to do.

The file is untrusted: every length is checked against the file's size before anything is read, what was
read is bounded, and whatever the flatbuffers library raises on garbage becomes a UsageError.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_asc.compiler.ops import HINTS, OPS
from mcu_asc.compiler.ops.base import INT8_HINT, Node, place
from mcu_asc.config import card_from_json
from mcu_asc.errors import UsageError
from mcu_asc.nouns import Graph, Model, ModelCard, Op, Quant, Tensor

CARD_ENTRY = b"mcu_asc"

_DTYPES = {  # TensorType -> NumPy; what a constant may be
    0: "float32",
    1: "float16",
    2: "int32",
    3: "uint8",
    4: "int64",
    6: "bool",
    7: "int16",
    9: "int8",
    10: "float64",
}
_MAX_RANK = 6
_MAX_ELEMENTS = (1 << 31) - 1  # kernels index with 32 bits
_MAX_OPS = 4096  # far above any network for a microcontroller; bounds the time that planning takes
_DAMAGED = "the file is damaged; export it again"
_Nodes = list[tuple[Node, tuple[int, ...]]]  # with their input indices
_RIM_TYPES = ("float32", "uint8")  # that a rim may have around an int8 network
_RIM_KINDS = ("QUANTIZE", "DEQUANTIZE")
_RIM_HINTS = {
    "float32": "convert with inference_input_type = inference_output_type = tf.int8",
    "uint8": "convert with inference_input_type = inference_output_type = tf.int8",
    "int16": "16-bit activations are not supported yet; convert with 8-bit activations",
}


def read(source: Path | bytes) -> Model:
    """Read and check a model.

    Raises:
        UsageError: the file cannot be read, is no .tflite file, is damaged, or holds something that we do
            not compile (other ops, other types, dynamic shapes, several subgraphs).
    """
    name = str(source) if isinstance(source, Path) else "the model"
    content = _content(source)
    if len(content) < 16 or content[4:8] != b"TFL3":
        raise UsageError(
            f"{name} is not a .tflite file", "export a student, or convert with tf.lite.TFLiteConverter"
        )
    try:
        return _File(content).model()
    except UsageError as error:
        raise UsageError(f"{name}: {error.message}", error.hint) from error
    except (
        struct.error,
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        MemoryError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise UsageError(f"{name} is damaged: {type(error).__name__} while reading it", _DAMAGED) from error


def _content(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        return source.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {source}: {error.strerror}", "check the path") from error


class _File:
    """One pass over a flatbuffer, with an allowance of bytes so that shared or huge vectors end it."""

    def __init__(self, content: bytes) -> None:
        import tflite

        self.schema = tflite
        self.content = content
        self.allowance = 4 * len(content) + (1 << 16)
        self.kinds = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
        self.root = tflite.Model.GetRootAsModel(content, 0)

    # ---- bounded access --------------------------------------------------------------------------

    def take(self, count: int, size: int, what: str) -> int:
        """`count` items of `size` bytes, if the file is large enough and the allowance not used up."""
        if not 0 <= count <= len(self.content) // size:
            raise UsageError(f"{count} {what} cannot be in {len(self.content)} bytes", _DAMAGED)
        self.allowance -= count * size
        if self.allowance < 0:
            raise UsageError(f"{what} overlap", _DAMAGED)
        return count

    def vector(self, length: Callable[[], int], item: Callable[[int], Any], what: str) -> list[Any]:
        return [item(i) for i in range(self.take(length(), 4, what))]

    def text(self, raw: bytes | None) -> str:
        raw = raw or b""
        self.take(len(raw), 1, "characters of names")
        return raw.decode("utf-8", "replace")

    def numbers(
        self, length: Callable[[], int], values: Callable[[], Any], size: int, what: str
    ) -> list[Any]:
        count = self.take(length(), size, what)
        found: list[Any] = values().tolist() if count else []
        if len(found) != count:
            raise UsageError(f"{what} end beyond the file", _DAMAGED)
        return found

    # ---- tables ----------------------------------------------------------------------------------

    def model(self) -> Model:
        root = self.root
        if root.Version() != 3:
            raise UsageError(f"schema version {root.Version()} is not 3", _DAMAGED)
        subgraphs = root.SubgraphsLength()
        if subgraphs != 1:
            raise UsageError(
                f"{subgraphs} subgraphs; only one is supported", "export one signature, without control flow"
            )
        table = root.Subgraphs(0)
        self.buffers = self.take(root.BuffersLength(), 4, "buffers")
        codes = self.vector(root.OperatorCodesLength, root.OperatorCodes, "operator codes")
        if table.OperatorsLength() > _MAX_OPS:
            raise UsageError(f"{table.OperatorsLength()} operators", f"at most {_MAX_OPS} are supported")
        kinds = [
            self.kind(i, table.Operators(i), codes, table)
            for i in range(self.take(table.OperatorsLength(), 4, "operators"))
        ]
        tensors = tuple(
            self.tensor(i, table.Tensors(i)) for i in range(self.take(table.TensorsLength(), 4, "tensors"))
        )
        inputs = tuple(self.numbers(table.InputsLength, table.InputsAsNumpy, 4, "inputs"))
        outputs = tuple(self.numbers(table.OutputsLength, table.OutputsAsNumpy, 4, "outputs"))
        nodes = [self.node(i, kind, table.Operators(i), tensors) for i, kind in enumerate(kinds)]
        card = self.card()
        name = card.name if card else self.text(table.Name()) or "model"
        nodes, inputs, outputs = _without_rim(nodes, tensors, inputs, outputs)
        for node, _ in nodes:
            if node.kind not in OPS:
                raise _unknown(node.place, node.kind)
        _check_rim(tensors, inputs, outputs)
        ops = tuple(
            Op(i, node.kind, indices, tuple(t.index for t in node.outputs), OPS[node.kind].parse(node))
            for i, (node, indices) in enumerate(nodes)
        )
        graph = Graph(name, tensors, ops, inputs, outputs)
        _check_order(graph)
        return Model(graph, card, self.content)

    def tensor(self, index: int, t: Any) -> Tensor:
        name = self.text(t.Name())
        label = f"tensor {index} '{name}'"
        shape = tuple(self.numbers(t.ShapeLength, t.ShapeAsNumpy, 4, f"dimensions of {label}"))
        signature = self.numbers(t.ShapeSignatureLength, t.ShapeSignatureAsNumpy, 4, f"dimensions of {label}")
        if len(shape) > _MAX_RANK:
            raise UsageError(f"{label} has {len(shape)} dimensions", f"at most {_MAX_RANK} are supported")
        if any(n < 1 for n in shape) or any(n < 0 for n in signature[1:]):
            raise UsageError(
                f"{label} has a dynamic shape {signature or list(shape)}",
                "give every dimension of the model's input a size before converting, the batch among them: "
                "tf.keras.Input(shape, batch_size=1)",
            )
        if math.prod(shape) > _MAX_ELEMENTS:
            raise UsageError(f"{label} of shape {list(shape)} is too large", _DAMAGED)
        code = t.Type()
        if t.IsVariable() or t.Sparsity() is not None:
            raise UsageError(
                f"{label} is {'variable' if t.IsVariable() else 'stored as sparse'}",
                "convert without state and without EXPERIMENTAL_SPARSITY",
            )
        dtype = _DTYPES.get(code)
        data = self.data(label, t.Buffer(), shape, dtype)
        return Tensor(index, name, shape, dtype or f"type {code}", self.quant(label, t.Quantization()), data)

    def data(self, label: str, buffer: int, shape: tuple[int, ...], dtype: str | None) -> NDArray[Any] | None:
        """The constant's values, read-only, or None for an activation."""
        if not 0 <= buffer < self.buffers:
            raise UsageError(f"{label} has buffer {buffer} of {self.buffers}", _DAMAGED)
        b = self.root.Buffers(buffer)
        if b.Offset() > 1 or b.Size() > 1:
            raise UsageError(f"{label} lies outside the flatbuffer", "keep models under 2 GB")
        length = b.DataLength()
        if buffer == 0 or length == 0:
            return None
        if dtype is None:
            raise UsageError(f"{label} is a constant of an unsupported type", INT8_HINT)
        raw = b.DataAsNumpy()
        expected = math.prod(shape) * np.dtype(dtype).itemsize
        if len(raw) != expected or length != expected:
            raise UsageError(f"{label} has {length} bytes, its shape {list(shape)} says {expected}", _DAMAGED)
        self.take(expected, 1, "constants")
        return np.frombuffer(raw.tobytes(), np.dtype(dtype).newbyteorder("<")).reshape(shape)

    def quant(self, label: str, q: Any) -> Quant | None:
        if q is None:
            return None
        what = f"scales of {label}"
        scale = self.numbers(q.ScaleLength, q.ScaleAsNumpy, 4, what)
        zero = self.numbers(q.ZeroPointLength, q.ZeroPointAsNumpy, 8, what)
        if not scale or not zero:
            return None
        if q.DetailsType() != 0:
            raise UsageError(f"{label} has custom quantisation", INT8_HINT)
        if len(zero) == 1:
            zero = zero * len(scale)
        if len(zero) != len(scale):
            raise UsageError(f"{label} has {len(scale)} scales and {len(zero)} zero points", _DAMAGED)
        return Quant(tuple(scale), tuple(zero), q.QuantizedDimension())

    def kind(self, index: int, o: Any, codes: list[Any], table: Any) -> str:
        """The op's name.  One that we do not know is refused here, before what only it needs is looked at."""
        code = codes[o.OpcodeIndex()]
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        kind: str = self.kinds.get(number, f"operator {number}")
        if kind == "CUSTOM":
            kind = f"CUSTOM {self.text(code.CustomCode())}".strip()
        if kind not in OPS and kind not in _RIM_KINDS:
            known = o.OutputsLength() > 0 and 0 <= o.Outputs(0) < table.TensorsLength()
            raise _unknown(
                place(index, kind, self.text(table.Tensors(o.Outputs(0)).Name()) if known else ""), kind
            )
        return kind

    def node(
        self, index: int, kind: str, o: Any, tensors: tuple[Tensor, ...]
    ) -> tuple[Node, tuple[int, ...]]:
        inputs = tuple(self.numbers(o.InputsLength, o.InputsAsNumpy, 4, f"inputs of op {index}"))
        outputs = self.numbers(o.OutputsLength, o.OutputsAsNumpy, 4, f"outputs of op {index}")
        if any(not -1 <= i < len(tensors) for i in inputs) or any(not 0 <= i < len(tensors) for i in outputs):
            raise UsageError(f"op {index} {kind} refers to tensors that do not exist", _DAMAGED)
        return (
            Node(
                index,
                kind,
                tuple(None if i < 0 else tensors[i] for i in inputs),
                tuple(tensors[i] for i in outputs),
                o.BuiltinOptions(),
                o.BuiltinOptionsType(),
            ),
            inputs,
        )

    def card(self) -> ModelCard | None:
        """The metadata entry of ours, if there is one."""
        entries = self.vector(self.root.MetadataLength, self.root.Metadata, "metadata entries")
        for entry in entries:
            name = entry.Name()
            self.take(len(name or b""), 1, "characters of names")
            if name == CARD_ENTRY:
                buffer = entry.Buffer()
                if not 0 <= buffer < self.buffers:
                    raise UsageError("the model's card is missing", _DAMAGED)
                b = self.root.Buffers(buffer)
                self.take(b.DataLength(), 1, "characters of the card")
                return card_from_json(b.DataAsNumpy().tobytes().decode("utf-8"))
        return None


def _without_rim(
    nodes: _Nodes, tensors: tuple[Tensor, ...], inputs: tuple[int, ...], outputs: tuple[int, ...]
) -> tuple[_Nodes, tuple[int, ...], tuple[int, ...]]:
    """Leave out the ops that only convert at the model's rim: what is compiled takes and gives int8.

    They are a QUANTIZE that alone reads a float32 or uint8 input, and a DEQUANTIZE or QUANTIZE that gives a
    float32 or uint8 output.  Its neighbour's scale and zero point say what the int8 values mean.
    """

    def outside(indices: tuple[int, ...]) -> bool:
        return len(indices) == 1 and indices[0] < len(tensors) and tensors[indices[0]].dtype in _RIM_TYPES

    if outside(inputs):
        readers = [n for n, read in nodes if inputs[0] in read]
        if len(readers) == 1 and readers[0].kind in _RIM_KINDS and len(readers[0].outputs) == 1:
            nodes = [pair for pair in nodes if pair[0] is not readers[0]]
            inputs = (readers[0].outputs[0].index,)
    if outside(outputs):
        makers = [(n, read) for n, read in nodes if outputs[0] in (t.index for t in n.outputs)]
        if len(makers) == 1 and makers[0][0].kind in _RIM_KINDS and len(makers[0][1]) == 1:
            nodes = [pair for pair in nodes if pair[0] is not makers[0][0]]
            outputs = makers[0][1]
    return nodes, inputs, outputs


def _unknown(where: str, kind: str) -> UsageError:
    hint = HINTS.get(kind.split(" ", maxsplit=1)[0], f"supported: {', '.join(sorted(OPS))}")
    return UsageError(f"{where}: is not supported", hint)


def _check_rim(tensors: tuple[Tensor, ...], inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
    for what, indices in (("input", inputs), ("output", outputs)):
        if len(indices) != 1:
            raise UsageError(f"{len(indices)} {what}s; only models with one are supported", "split the model")
        if not 0 <= indices[0] < len(tensors):
            raise UsageError(f"{what} {indices[0]} does not exist", _DAMAGED)
        tensor = tensors[indices[0]]
        if tensor.dtype != "int8":
            hint = _RIM_HINTS.get(tensor.dtype, INT8_HINT)
            raise UsageError(f"{what} '{tensor.name}' is {tensor.dtype}, not int8", hint)
        if tensor.data is not None:
            raise UsageError(f"{what} '{tensor.name}' is a constant", _DAMAGED)


def _check_order(graph: Graph) -> None:
    """Every tensor is written once, before it is read."""
    written = set(graph.inputs)
    for op in graph.ops:
        label = place(op.index, op.kind, graph.tensors[op.outputs[0]].name)
        for i in op.inputs:
            if i >= 0 and i not in written and graph.tensors[i].data is None:
                raise UsageError(f"{label} reads '{graph.tensors[i].name}' before it is written", _DAMAGED)
        for i in op.outputs:
            if i in written or graph.tensors[i].data is not None:
                raise UsageError(f"{label} writes '{graph.tensors[i].name}' a second time", _DAMAGED)
            written.add(i)
    if not graph.ops or graph.outputs[0] not in written or graph.outputs[0] in graph.inputs:
        raise UsageError("no op computes the output", _DAMAGED)
