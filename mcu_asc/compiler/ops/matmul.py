"""BATCH_MATMUL of two activations, or of one and a constant.

Sources batch_matmul.cc and batch_matmul_common.cc in tensorflow/lite/micro/kernels.
"""

from __future__ import annotations

from dataclasses import dataclass

from mcu_asc.compiler.fixed import quantize_multiplier
from mcu_asc.compiler.ops.base import Call, Code, Kind, Node, Params, per_tensor, scale_fields
from mcu_asc.compiler.ops.binary import Loops, loop_fields, loops, zero_fields
from mcu_asc.nouns import Graph, Op

_MAX_DEPTH = ((1 << 31) - 1) // (255 * 255)  # beyond it a sum can leave 32 bits
_MAX_RANK = 5  # TFLM's


@dataclass(frozen=True)
class MatMul(Loops):
    rows: int
    depth: int
    columns: int
    a_within: tuple[int, int]  # steps from row to row and along the depth
    b_within: tuple[int, int]  # along the depth and from column to column


def factor(a: float, b: float, y: float) -> float:
    """Of the sums."""
    return a * b / y


def _parse(node: Node) -> MatMul:
    node.arity(2)
    a, b, y = node.inputs[0], node.inputs[1], node.outputs[0]
    scales = [node.activation(t, w)[0] for t, w in ((a, "first input"), (b, "second input"), (y, "output"))]
    node.multiplier(factor(*scales))
    assert a is not None and b is not None
    if not all(2 <= len(t.shape) <= _MAX_RANK for t in (a, b, y)):
        node.refuse(f"has inputs of 2 to {_MAX_RANK} dimensions, not {list(a.shape)} and {list(b.shape)}")
    options = node.options("BatchMatMulOptions")
    if options is None:
        node.refuse("has no options", "the file is damaged")
    turned_a, turned_b = bool(options.AdjX()), bool(options.AdjY())
    rows, depth = a.shape[-2:][::-1] if turned_a else a.shape[-2:]
    same, columns = b.shape[-2:][::-1] if turned_b else b.shape[-2:]
    batches = y.shape[:-2]
    nested = None
    if depth == same and y.shape[-2:] == (rows, columns) and max(len(a.shape), len(b.shape)) == len(y.shape):
        nested = loops(batches, a.shape[:-2], b.shape[:-2])
    if nested is None:
        node.refuse(f"shapes {list(a.shape)} and {list(b.shape)} do not multiply to {list(y.shape)}")
    if depth > _MAX_DEPTH:
        node.refuse(f"sums of {depth} products can overflow a 32-bit accumulator")
    sizes, a_steps, b_steps = nested
    return MatMul(
        sizes,
        tuple(s * rows * depth for s in a_steps),
        tuple(s * depth * columns for s in b_steps),
        rows,
        depth,
        columns,
        (1, rows) if turned_a else (depth, 1),
        (1, depth) if turned_b else (columns, 1),
    )


def _code(graph: Graph, op: Op) -> Code:
    a, b, y = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    m: MatMul = op.attrs
    real = factor(*(per_tensor(t)[0] for t in (a, b, y)))
    name = f"op{op.index}"
    fields = {
        **loop_fields(m),
        "rows": m.rows,
        "depth": m.depth,
        "columns": m.columns,
        "a_row_step": m.a_within[0],
        "a_depth_step": m.a_within[1],
        "b_depth_step": m.b_within[0],
        "b_column_step": m.b_within[1],
        **zero_fields(a, b, y),
        "scale": scale_fields(quantize_multiplier(real)),
    }
    return Code(
        params=(Params("asc_matmul", name, fields),),
        calls=(Call("asc_matmul_s8", name, op.inputs, op.outputs[0]),),
    )


def _macs(graph: Graph, op: Op) -> int:
    return graph.tensors[op.outputs[0]].elements * int(op.attrs.depth)


KINDS = {"BATCH_MATMUL": Kind(_parse, _code, macs=_macs, params=(0, 1))}
