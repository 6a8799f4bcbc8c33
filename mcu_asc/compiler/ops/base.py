"""What every op module needs: the door (`Node`), pieces of generated C (`Code`), the table's row (`Kind`).

A module of this folder turns one family of TFLite ops into kernel calls: `parse` accepts a node or
refuses it by name, `code` gives tables and calls, `macs` and `scratch` count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from mcu_asc.compiler.fixed import INT8_MAX, INT8_MIN, clamp, quantize_multiplier, round_half_away
from mcu_asc.errors import UsageError
from mcu_asc.nouns import Graph, Op, Quant, Tensor

INT8_HINT = (
    "convert with full-integer quantisation: a representative data set, "
    "target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8], "
    "inference_input_type = inference_output_type = tf.int8"
)

# ---- the door ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Node:
    """One operator of a .tflite file on its way in."""

    index: int
    kind: str
    inputs: tuple[Tensor | None, ...]  # None: absent optional input
    outputs: tuple[Tensor, ...]
    table: Any = None  # the flatbuffers table of its builtin options
    table_type: int = 0  # which of the schema's tables that is

    @property
    def place(self) -> str:
        return place(self.index, self.kind, self.outputs[0].name if self.outputs else "")

    def refuse(self, why: str, hint: str = "") -> NoReturn:
        raise UsageError(f"{self.place}: {why}", hint)

    def options(self, name: str) -> Any:
        """The node's builtin options, or None where it has none of the schema's table `name`."""
        import tflite

        if self.table is None or self.table_type != getattr(tflite.BuiltinOptions, name):
            return None
        options = getattr(tflite, name)()
        options.Init(self.table.Bytes, self.table.Pos)
        return options

    def arity(self, least: int, most: int | None = None, outputs: int | None = 1) -> None:
        """Check the number of inputs and of outputs; None: any number of outputs from 1."""
        most = least if most is None else most
        wanted = max(1, len(self.outputs)) if outputs is None else outputs
        if not least <= len(self.inputs) <= most or len(self.outputs) != wanted:
            self.refuse(
                f"has {len(self.inputs)} inputs and {len(self.outputs)} outputs",
                "the file is damaged, or made by a converter that we do not know",
            )

    def activation(self, tensor: Tensor | None, what: str) -> tuple[float, int]:
        """Check an int8 tensor with one scale; return (scale, zero point).

        Raises:
            UsageError: absent, another type, or without usable per-tensor quantisation.
        """
        if tensor is None:
            self.refuse(f"{what} is absent")
        if tensor.dtype != "int8":
            hint = {
                "int16": "16-bit activations are not supported yet; convert with 8-bit activations",
                "uint8": "convert with inference_input_type = inference_output_type = tf.int8",
            }.get(tensor.dtype, INT8_HINT)
            self.refuse(f"{what} '{tensor.name}' is {tensor.dtype}, not int8", hint)
        if tensor.quant is None:
            self.refuse(f"{what} '{tensor.name}' has no quantisation", INT8_HINT)
        if len(tensor.quant.scale) != 1:
            self.refuse(f"{what} '{tensor.name}' is quantised per channel, which only weights can be")
        scale, zero = tensor.quant.scale[0], tensor.quant.zero_point[0]
        if not (math.isfinite(scale) and scale > 0 and INT8_MIN <= zero <= INT8_MAX):
            self.refuse(f"{what} '{tensor.name}' has scale {scale} and zero point {zero}", INT8_HINT)
        return scale, zero

    def constant(self, position: int, what: str, dtype: str) -> Tensor:
        """The constant input at `position`, of type `dtype`."""
        tensor = self.inputs[position] if position < len(self.inputs) else None
        if tensor is None:
            self.refuse(f"{what} is absent")
        if tensor.data is None:
            self.refuse(f"{what} '{tensor.name}' is computed in the graph; only constants are supported")
        if tensor.dtype != dtype:
            self.refuse(f"{what} '{tensor.name}' is {tensor.dtype}, not {dtype}", INT8_HINT)
        return tensor

    def integers(self, position: int, what: str, dtypes: tuple[str, ...] = ("int32", "int64")) -> list[int]:
        """The values of a small constant input: axes, sizes, positions."""
        found = self.inputs[position] if position < len(self.inputs) else None
        dtype = found.dtype if found is not None and found.dtype in dtypes else dtypes[0]
        tensor = self.constant(position, what, dtype)
        assert tensor.data is not None
        return [int(v) for v in tensor.data.reshape(-1)]

    def axis(self, axis: int, rank: int) -> int:
        """`axis` counted from the front."""
        if not -rank <= axis < rank:
            self.refuse(f"axis {axis} is not one of {rank}")
        return axis % rank

    def weights(self, position: int, axis: int, channels: int) -> tuple[Tensor, tuple[float, ...]]:
        """Int8 weights and their scales, one per channel along `axis`, or one for all."""
        tensor = self.inputs[position] if position < len(self.inputs) else None
        if tensor is not None and tensor.dtype == "float32":
            self.refuse(f"weights '{tensor.name}' are float32", INT8_HINT)
        tensor = self.constant(position, "weights", "int8")
        quant = tensor.quant
        if quant is None:
            self.refuse(f"weights '{tensor.name}' have no quantisation", INT8_HINT)
        if not all(math.isfinite(s) and s > 0 for s in quant.scale):
            self.refuse(f"weights '{tensor.name}' have a scale that is not positive", INT8_HINT)
        if any(quant.zero_point):
            self.refuse(f"weights '{tensor.name}' have a zero point other than 0", INT8_HINT)
        if len(quant.scale) not in (1, channels):
            self.refuse(f"weights '{tensor.name}' have {len(quant.scale)} scales for {channels} channels")
        if len(quant.scale) > 1 and quant.axis != axis:
            self.refuse(f"weights '{tensor.name}' are quantised along axis {quant.axis}, not {axis}")
        return tensor, quant.scale

    def bias(self, position: int, channels: int) -> Tensor | None:
        """The int32 bias, or None where the op has none."""
        if position >= len(self.inputs) or self.inputs[position] is None:
            return None
        tensor = self.constant(position, "bias", "int32")
        if tensor.elements != channels:
            self.refuse(f"bias '{tensor.name}' has {tensor.elements} values for {channels} channels")
        return tensor

    def shape(self, tensor: Tensor, expected: tuple[int, ...]) -> None:
        if tensor.shape != expected:
            self.refuse(
                f"'{tensor.name}' has shape {list(tensor.shape)}, but {list(expected)} follows from the op"
            )

    def multiplier(self, real: float) -> tuple[int, int]:
        """(multiplier, shift) of a real factor that TFLM can apply too: shift -31 .. 30."""
        try:
            multiplier, shift = quantize_multiplier(real)
        except (OverflowError, ValueError) as error:
            self.refuse(f"the scales give an unusable factor {real}: {error}")
        if shift > 30:
            self.refuse(f"the scales give a factor of {real:g}, beyond 2**30")
        return multiplier, shift

    def fused(self, code: int, scale: float, zero: int) -> tuple[int, int]:
        """(lowest, highest) int8 output of a fused activation function.

        Source: CalculateActivationRangeQuantized in tensorflow/lite/kernels/kernel_util.cc.
        """
        if code not in _FUSED:
            self.refuse(f"fused activation {code} is not supported", "use none, RELU, RELU6 or RELU_N1_TO_1")
        low, high = _FUSED[code]
        least = INT8_MIN if low is None else max(INT8_MIN, zero + quantize(low, scale))
        most = INT8_MAX if high is None else min(INT8_MAX, zero + quantize(high, scale))
        if least > most:
            self.refuse(f"the fused activation leaves no value: {least} .. {most}")
        return least, most


_FUSED: Mapping[int, tuple[float | None, float | None]] = {
    0: (None, None),
    1: (0.0, None),
    2: (-1.0, 1.0),
    3: (0.0, 6.0),
}


def quantize(value: float, scale: float) -> int:
    """round(value / scale) with the division in float32, limited to what an int32 sum can still take."""
    with np.errstate(over="ignore"):
        ratio = float(np.float32(value) / np.float32(scale))
    return round_half_away(clamp_float(ratio, 1 << 30))


def clamp_float(value: float, limit: int) -> float:
    return max(-float(limit), min(float(limit), value))


def place(index: int, kind: str, output: str) -> str:
    """How messages name an op: op 7 LSTM (output 'lstm/out')."""
    return f"op {index} {kind} (output '{output}')"


def per_tensor(tensor: Tensor) -> tuple[float, int]:
    """(scale, zero point) of an accepted activation."""
    quant = tensor.quant
    assert isinstance(quant, Quant)
    return quant.scale[0], quant.zero_point[0]


def check_accumulator(node: Node, weights: NDArray[np.int8], bias: NDArray[np.int32] | None) -> None:
    """Refuse weights [channels, taps] whose sums could leave 32 bits: TFLM's result would be undefined."""
    reach = 256 * np.abs(weights.astype(np.int64)).sum(axis=1)
    if bias is not None:
        reach = reach + np.abs(bias.astype(np.int64))
    if int(reach.max(initial=0)) > (1 << 31) - 1:
        node.refuse(
            f"channel {int(reach.argmax())} can overflow a 32-bit accumulator",
            "its bias or kernel is too large; was the model trained to convergence?",
        )


# ---- the pieces of generated C -----------------------------------------------------------------

Fields = dict[str, int | str | tuple[int, ...]]
"""The members of a parameter struct, in their order."""


@dataclass(frozen=True, eq=False)
class Array:
    """static const CTYPE NAME[] = {...}; rows of several values become nested initialisers."""

    ctype: str
    name: str
    values: NDArray[Any]


@dataclass(frozen=True)
class Params:
    """static const CTYPE NAME = {.field = value, ...};"""

    ctype: str
    name: str
    fields: Mapping[str, int | str | tuple[int, ...]]


@dataclass(frozen=True)
class Call:
    """FUNCTION(&PARAMS, x..., y, scratch or sums)."""

    function: str
    params: str
    inputs: tuple[int, ...]  # tensor indices
    output: int
    output_skip: int = 0  # bytes from the output tensor's start
    scratch: bool = False
    sums: int = 0  # bytes of sums that the op keeps from piece to piece; unused where it runs whole


@dataclass(frozen=True, eq=False)
class Code:
    arrays: tuple[Array, ...] = ()
    params: tuple[Params, ...] = ()
    calls: tuple[Call, ...] = ()
    checks: tuple[str, ...] = ()  # C constant expressions that must hold


@dataclass(frozen=True)
class Weights:
    """The form that weights have in flash, and what it costs: compiler/dsp/forms.py."""

    form: str
    skips: bool  # their zero blocks
    cycles: float  # an inference, an estimate
    bytes: float  # an estimate
    words: float  # read from flash in an inference: what wait states cost
    blocks: int = 0  # of the size that the kernel skips
    zero_blocks: int = 0
    zero_weights: int = 0  # in zero blocks


@dataclass(frozen=True, eq=False)
class Lowered:
    """One op as the kernels of a flavour run it."""

    code: Code
    sources: tuple[str, ...]  # file names in firmware/kernels, unique across flavours
    scratch: int  # bytes
    weights: Weights | None = None  # where there are several forms of them

    @property
    def sums(self) -> int:
        """Bytes that the op keeps from its first piece to its last, in a band."""
        return max((c.sums for c in self.code.calls), default=0)

    @property
    def table_bytes(self) -> int:
        """Of flash."""
        return sum(a.values.nbytes for a in self.code.arrays)


def scales_array(name: str, pairs: list[tuple[int, int]], bias: NDArray[np.int32]) -> Array:
    """asc_channel[]: {bias, multiplier, left, right} per channel."""
    rows = [(int(b), m, max(s, 0), max(-s, 0)) for b, (m, s) in zip(bias, pairs, strict=True)]
    return Array("asc_channel", name, np.array(rows, dtype=np.int64))


def scale_fields(pair: tuple[int, int]) -> tuple[int, ...]:
    """The initialiser of one asc_scale: {multiplier, left, right}."""
    multiplier, shift = pair
    return multiplier, max(shift, 0), max(-shift, 0)


# ---- the table row -----------------------------------------------------------------------------


def _zero(graph: Graph, op: Op) -> int:
    return 0


def _nowhere(graph: Graph, op: Op) -> tuple[int, ...]:
    return ()


@dataclass(frozen=True)
class Kind:
    """One row of the table of ops."""

    parse: Callable[[Node], Any]  # -> attrs; raises UsageError
    code: Callable[[Graph, Op], Code]
    macs: Callable[[Graph, Op], int] = _zero
    scratch: Callable[[Graph, Op], int] = _zero  # bytes
    params: tuple[int, ...] = ()  # input positions that hold parameters when constant
    alias: bool = False  # the output is the first input's bytes
    in_place: Callable[[Graph, Op], tuple[int, ...]] = field(default=_nowhere)  # inputs it may overwrite


def clamp8(value: int) -> int:
    return clamp(value, INT8_MIN, INT8_MAX)
