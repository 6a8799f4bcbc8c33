"""MEAN, SUM and REDUCE_MAX over any axes; source tensorflow/lite/kernels/internal/reference/reduce.h."""

from __future__ import annotations

from dataclasses import dataclass

from mcu_asc.compiler.fixed import INT8_MAX, INT8_MIN, quantize_multiplier
from mcu_asc.compiler.ops.base import Call, Code, Fields, Kind, Node, Params, per_tensor, scale_fields
from mcu_asc.nouns import Graph, Op


@dataclass(frozen=True)
class Reduce:
    """The input as [keep0, reduce0, keep1, reduce1, keep2]; of a piece, where the op runs in pieces."""

    sizes: tuple[int, ...]


def groups(shape: tuple[int, ...], axes: set[int]) -> tuple[int, ...] | None:
    """`shape` as alternating products of kept and reduced dimensions, five of them, or None."""
    sizes = [1]
    for i, n in enumerate(shape):
        if n == 1:
            continue
        if (i in axes) != (len(sizes) % 2 == 0):
            sizes.append(1)
        sizes[-1] *= n
    return tuple(sizes + [1] * (5 - len(sizes))) if len(sizes) <= 5 else None


def _parse(node: Node) -> Reduce:
    node.arity(2)
    x, y = node.inputs[0], node.outputs[0]
    quant, out_quant = node.activation(x, "input"), node.activation(y, "output")
    node.multiplier(quant[0] / out_quant[0])
    if node.kind == "REDUCE_MAX" and quant != out_quant:
        node.refuse("input and output are quantised differently", "TFLM refuses it too; convert again")
    axis = node.constant(1, "axes", "int32")
    assert x is not None and axis.data is not None
    rank = len(x.shape)
    named = [int(a) for a in axis.data.reshape(-1)]
    if any(not -rank <= a < rank for a in named):
        node.refuse(f"axes {named} are not those of {list(x.shape)}")
    axes = {a % rank for a in named}
    kept = tuple(n for i, n in enumerate(x.shape) if i not in axes)
    keep_dims = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    if y.shape not in (kept, keep_dims, kept or (1,)):
        node.refuse(f"'{y.name}' has shape {list(y.shape)}, but {list(kept)} follows from the axes")
    sizes = groups(x.shape, axes)
    if sizes is None:
        node.refuse(f"axes {named} of {list(x.shape)} are too scattered", "reduce in two steps")
    if 128 * 2 * sizes[1] * sizes[3] > (1 << 31) - 1:
        node.refuse("sums over so many values leave 32 bits")
    return Reduce(sizes)


def mean_multiplier(real: float, count: int) -> tuple[int, int]:
    """The factor of a sum of `count` values: TFLM divides the multiplier, not the sum."""
    multiplier, shift = quantize_multiplier(real)
    extra = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << extra) // count, shift - extra


_SUM_BYTES, _SUMS_AT_ONCE = 4, 4  # ASC_SUMS in asc_nn.h


def sum_code(graph: Graph, op: Op, sizes: tuple[int, ...], finish: Fields) -> Code:
    """asc_sum on `sizes`, those of a piece where `graph` is one; `finish` makes outputs of the sums."""
    n, name = graph.tensors[op.outputs[0]].elements, f"op{op.index}"
    kept = _SUM_BYTES * _SUMS_AT_ONCE * -(-n // _SUMS_AT_ONCE)
    fields = {**_loops(sizes), "opens": int(graph.opens), "closes": int(graph.closes), **finish}
    return Code(
        params=(Params("asc_sum", name, fields),),
        calls=(Call("asc_sum_s8", name, (op.inputs[0],), op.outputs[0], sums=kept),),
        checks=(f"ASC_SUMS({n}) <= {kept}",),
    )


def _loops(sizes: tuple[int, ...]) -> Fields:
    return {"keep": (sizes[0], sizes[2], sizes[4]), "reduce": (sizes[1], sizes[3])}


def _code_sum(graph: Graph, op: Op) -> Code:
    (scale, zero), (out_scale, out_zero) = (
        per_tensor(graph.tensors[i]) for i in (op.inputs[0], op.outputs[0])
    )
    all_ = graph.whole.ops[op.index].attrs.sizes if graph.whole else op.attrs.sizes
    count, real = all_[1] * all_[3], scale / out_scale
    pair = mean_multiplier(real, count) if op.kind == "MEAN" else quantize_multiplier(real)
    finish: Fields = {
        "start": -zero * count,
        "out_zero": out_zero,
        "act_min": INT8_MIN,
        "act_max": INT8_MAX,
        "scale": scale_fields(pair),
        "count": 0,
    }
    return sum_code(graph, op, op.attrs.sizes, finish)


def _code_max(graph: Graph, op: Op) -> Code:
    name = f"op{op.index}"
    return Code(
        params=(Params("asc_reduce_max", name, _loops(op.attrs.sizes)),),
        calls=(Call("asc_reduce_max_s8", name, (op.inputs[0],), op.outputs[0]),),
    )


_SUM = Kind(_parse, _code_sum)

KINDS = {
    "MEAN": _SUM,
    "SUM": _SUM,
    "REDUCE_MAX": Kind(_parse, _code_max),
}
