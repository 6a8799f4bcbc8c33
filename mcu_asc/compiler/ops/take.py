"""Ops whose output values are input values at other places: one kernel walks them all.

SLICE, STRIDED_SLICE, SPLIT, SPLIT_V, UNPACK, TRANSPOSE, GATHER, MIRROR_PAD and RESIZE_NEAREST_NEIGHBOR.  Each
output axis moves through the input by a constant step or by a table of offsets; axes that move as one are
merged.  Like TFLM, all copy bytes and leave the quantisation alone.

Sources: the kernels of these names in tensorflow/lite/micro/kernels, and strided_slice_logic.h and
resize_nearest_neighbor.h in tensorflow/lite/kernels/internal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mcu_asc.compiler.ops.base import Array, Call, Code, Kind, Node, Params
from mcu_asc.nouns import Graph, Op, Tensor

_MAX_AXES = 5  # loops of the kernel; also the rank that TFLM takes
_MAX_TABLE = 1 << 16

# ---- walking through a tensor ----------------------------------------------------------------------


@dataclass(frozen=True)
class Axis:
    """`size` places, `step` values apart, or at `offsets`."""

    size: int
    step: int = 0
    offsets: tuple[int, ...] = ()


@dataclass(frozen=True)
class Walk:
    """The places that one output takes its values from."""

    start: int
    axes: tuple[Axis, ...]  # five, outermost first


@dataclass(frozen=True)
class Take:
    walks: tuple[Walk, ...]  # one per output


def merged(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """The same walk with as few axes as possible, filled up to five at the front."""
    found: list[Axis] = []
    for axis in axes:
        if axis.size == 1 and not axis.offsets:
            continue
        outer = found[-1] if found else None
        if outer and not outer.offsets and not axis.offsets and outer.step == axis.step * axis.size:
            found[-1] = Axis(outer.size * axis.size, axis.step)
        else:
            found.append(axis)
    return (Axis(1),) * (_MAX_AXES - len(found)) + tuple(found)


def along(places: NDArray[np.int64], stride: int) -> tuple[int, Axis]:
    """(start, axis) of the indices `places` along a dimension of `stride`."""
    offsets = (places - places[0]) * stride
    start, step = int(places[0]) * stride, int(offsets[1]) if len(offsets) > 1 else 0
    if np.array_equal(offsets, step * np.arange(len(offsets))):
        return start, Axis(len(offsets), step)
    return start, Axis(len(offsets), 0, tuple(offsets.tolist()))


def strides(shape: tuple[int, ...]) -> list[int]:
    """Values from one index to the next, per dimension."""
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


def _take(node: Node, *walks: tuple[int, Sequence[Axis]]) -> Take:
    found = [Walk(start, merged(axes)) for start, axes in walks]
    if any(len(w.axes) > _MAX_AXES for w in found):
        node.refuse(f"moves along more than {_MAX_AXES} axes", "do it in two steps")
    return Take(tuple(found))


def _from_tables(node: Node, tables: Sequence[Callable[[], NDArray[np.int64]] | None], x: Tensor) -> Take:
    """Per dimension the input index of each output index, or None where they are the same."""
    y = node.outputs[0]
    start, axes = 0, []
    for n, out, stride, table in zip(x.shape, y.shape, strides(x.shape), tables, strict=True):
        if table is None:
            axes.append(Axis(n, stride))
            continue
        if out > _MAX_TABLE:
            node.refuse(f"'{y.name}' has {out} along one axis; at most {_MAX_TABLE} are supported")
        first, axis = along(table(), stride)
        start += first
        axes.append(axis)
    return _take(node, (start, axes))


def _input(node: Node, position: int = 0, most: int = _MAX_AXES) -> Tensor:
    """Check the types of what is moved, and the rank of the input."""
    x = node.inputs[position] if position < len(node.inputs) else None
    node.activation(x, "input")
    for y in node.outputs:
        node.activation(y, "output")
    assert x is not None
    if x.data is not None:
        node.refuse("works on a constant", "let the converter fold constants")
    if not 1 <= len(x.shape) <= most:
        node.refuse(f"has an input of {len(x.shape)} dimensions; TFLM takes 1 to {most}")
    return x


# ---- slices ----------------------------------------------------------------------------------------


def _parse_slice(node: Node) -> Take:
    node.arity(3)
    x = _input(node)
    begin, size = node.integers(1, "begin"), node.integers(2, "size")
    if not len(begin) == len(size) == len(x.shape):
        node.refuse(f"begin {begin} and size {size} do not fit to {list(x.shape)}")
    size = [n - b if s == -1 else s for n, b, s in zip(x.shape, begin, size, strict=True)]
    if any(b < 0 or s < 1 or b + s > n for n, b, s in zip(x.shape, begin, size, strict=True)):
        node.refuse(f"begin {begin} and size {size} leave {list(x.shape)}")
    node.shape(node.outputs[0], tuple(size))
    step = strides(x.shape)
    return _take(node, (sum(b * s for b, s in zip(begin, step, strict=True)), list(map(Axis, size, step))))


def slice_range(begin: int, end: int, stride: int, size: int, first: bool, last: bool, one: bool) -> range:
    """The indices that one axis of a STRIDED_SLICE takes; `first`, `last`, `one`: its bits in the masks."""
    low, high = (0, size) if stride > 0 else (-1, size - 1)

    def inside(index: int) -> int:
        return min(max(index + size if index < 0 else index, low), high)

    start = (0 if stride > 0 else size - 1) if first else inside(begin)
    stop = (size if stride > 0 else -1) if last else inside(end)
    return range(start, start + 1) if one else range(start, stop, stride)


def _parse_strided_slice(node: Node) -> Take:
    node.arity(4)
    x = _input(node, most=4)
    o = node.options("StridedSliceOptions")
    if o is None:
        node.refuse("has no options", "the file is damaged")
    if o.EllipsisMask() or o.NewAxisMask() or o.Offset():
        node.refuse(
            "uses an ellipsis, a new axis or an offset", "TFLM ignores them; slice and reshape instead"
        )
    bounds = [node.integers(i, w, ("int32",)) for i, w in enumerate(("begin", "end", "strides"), start=1)]
    if any(len(b) != len(x.shape) for b in bounds) or 0 in bounds[2]:
        node.refuse(f"begin, end and strides {bounds} do not fit to {list(x.shape)}")
    start, axes, shape = 0, [], []
    for i, (n, step, b, e, s) in enumerate(zip(x.shape, strides(x.shape), *bounds, strict=True)):
        first, last, one = (bool(m >> i & 1) for m in (o.BeginMask(), o.EndMask(), o.ShrinkAxisMask()))
        taken = slice_range(b, e, s, n, first, last, one)
        if not taken or not 0 <= taken[0] < n:
            node.refuse(f"takes nothing along axis {i}: {b} to {e} by {s} of {n}")
        start += taken[0] * step
        axes.append(Axis(len(taken), taken.step * step))
        if not one:
            shape.append(len(taken))
    node.shape(node.outputs[0], tuple(shape))
    return _take(node, (start, axes))


def _pieces(node: Node, x: Tensor, axis: int, sizes: Sequence[int], keep: bool) -> Take:
    """Consecutive pieces of x along an axis, one per output; without `keep` that axis goes."""
    if sum(sizes) != x.shape[axis]:
        node.refuse(f"the outputs take {sum(sizes)} along axis {axis}, the input has {x.shape[axis]}")
    step, walks, start = strides(x.shape), [], 0
    for y, size in zip(node.outputs, sizes, strict=True):
        node.shape(y, (*x.shape[:axis], *((size,) if keep else ()), *x.shape[axis + 1 :]))
        walks.append((start, [Axis(size if i == axis else n, step[i]) for i, n in enumerate(x.shape)]))
        start += size * step[axis]
    return _take(node, *walks)


def _parse_split(node: Node) -> Take:
    v = node.kind == "SPLIT_V"
    node.arity(3 if v else 2, outputs=None)
    x = _input(node, 0 if v else 1)
    axes = node.integers(2 if v else 0, "axis", ("int32",))
    if len(axes) != 1 or any(len(y.shape) != len(x.shape) for y in node.outputs):
        node.refuse(f"axis {axes} or the outputs do not fit to {list(x.shape)}")
    axis = node.axis(axes[0], len(x.shape))
    return _pieces(node, x, axis, [y.shape[axis] for y in node.outputs], True)


def _parse_unpack(node: Node) -> Take:
    node.arity(1, outputs=None)
    x = _input(node)
    o = node.options("UnpackOptions")
    if o is None or o.Num() != len(node.outputs):
        node.refuse("has no options, or a number of outputs other than they say", "the file is damaged")
    return _pieces(node, x, node.axis(o.Axis(), len(x.shape)), [1] * len(node.outputs), False)


# ---- other places ----------------------------------------------------------------------------------


def _parse_transpose(node: Node) -> Take:
    node.arity(2)
    x = _input(node)
    order = node.integers(1, "permutation", ("int32",))
    if sorted(order) != list(range(len(x.shape))):
        node.refuse(f"{order} is no permutation of the axes of {list(x.shape)}")
    node.shape(node.outputs[0], tuple(x.shape[i] for i in order))
    step = strides(x.shape)
    return _take(node, (0, [Axis(x.shape[i], step[i]) for i in order]))


def _parse_gather(node: Node) -> Take:
    node.arity(2)
    x = _input(node)
    o = node.options("GatherOptions")
    if o is None:
        node.refuse("has no options", "the file is damaged")
    places = np.array(node.integers(1, "indices", ("int32",)), np.int64)
    assert node.inputs[1] is not None
    chosen, rank = node.inputs[1].shape, len(x.shape)
    axis = node.axis(o.Axis(), rank)
    batch = o.BatchDims() + (len(chosen) if o.BatchDims() < 0 else 0)
    if not (0 <= batch <= min(axis, len(chosen)) and x.shape[:batch] == chosen[:batch]):
        node.refuse(f"{o.BatchDims()} batch dimensions do not fit to {list(x.shape)} and {list(chosen)}")
    if not (len(places) and places.min() >= 0 and places.max() < x.shape[axis]):
        node.refuse(f"an index lies outside of {x.shape[axis]} values")
    node.shape(node.outputs[0], (*x.shape[:axis], *chosen[batch:], *x.shape[axis + 1 :]))
    step = strides(x.shape)
    batches, outer = math.prod(x.shape[:batch]), math.prod(x.shape[batch:axis])
    inner = Axis(math.prod(x.shape[axis + 1 :]), 1)
    if batches == 1:
        start, picked = along(places, step[axis])
        return _take(node, (start, [Axis(outer, x.shape[axis] * step[axis]), picked, inner]))
    if len(places) * outer > _MAX_TABLE:
        node.refuse(f"needs a table of {len(places) * outer} places; at most {_MAX_TABLE} are supported")
    first = np.arange(batches * outer).reshape(batches, outer, 1) * x.shape[axis]
    start, picked = along((first + places.reshape(batches, 1, -1)).reshape(-1), step[axis])
    return _take(node, (start, [picked, inner]))


def mirrored(size: int, before: int, after: int, reflect: int) -> NDArray[np.int64]:
    """The input index of each output index; reflect 1: the edge itself is not repeated."""
    i = np.arange(-before, size + after)
    i = np.where(i < 0, reflect - 1 - i, i)
    return np.where(i < size, i, 2 * size - 1 - reflect - i)


def _parse_mirror_pad(node: Node) -> Take:
    node.arity(2)
    x, y = _input(node), node.outputs[0]
    o = node.options("MirrorPadOptions")
    if o is None or o.Mode() not in (0, 1):
        node.refuse("has no options, or a mode other than REFLECT and SYMMETRIC", "the file is damaged")
    pads = node.integers(1, "paddings")
    if len(pads) != 2 * len(x.shape):
        node.refuse(f"pads {len(pads) // 2} of {len(x.shape)} dimensions")
    rows = list(zip(x.shape, pads[::2], pads[1::2], strict=True))
    reflect = int(o.Mode() == 0)
    if any(not 0 <= pad <= n - reflect for n, *pair in rows for pad in pair):
        node.refuse(f"paddings {pads} are negative, or more than there is to mirror in {list(x.shape)}")
    node.shape(y, tuple(sum(row) for row in rows))
    tables = [partial(mirrored, *row, reflect) if row[1] or row[2] else None for row in rows]
    return _from_tables(node, tables, x)


def nearest(size: int, out: int, corners: bool, centres: bool) -> NDArray[np.int64]:
    """The input index of each output index, in TFLM's float32 arithmetic."""
    if corners and out > 1:
        scale = np.float32(size - 1) / np.float32(out - 1)
    else:
        scale = np.float32(size) / np.float32(out)
    place = (np.arange(out, dtype=np.float32) + np.float32(0.5 if centres else 0.0)) * scale
    index = np.floor(place.astype(np.float64) + (0.5 if corners else 0.0))  # round: none is negative
    return np.minimum(index, size - 1).astype(np.int64)


def _parse_resize(node: Node) -> Take:
    node.arity(2)
    x, y = _input(node), node.outputs[0]
    o = node.options("ResizeNearestNeighborOptions")
    if o is None:
        node.refuse("has no options", "the file is damaged")
    size = node.integers(1, "size", ("int32",))
    if len(size) != 2 or len(x.shape) != 4 or min(size) < 1:
        node.refuse(f"cannot resize {list(x.shape)} to {size}: an image and (rows, columns) are needed")
    node.shape(y, (x.shape[0], *size, x.shape[3]))
    corners, centres = bool(o.AlignCorners()), bool(o.HalfPixelCenters())
    rows, columns = (
        partial(nearest, n, m, corners, centres) for n, m in zip(x.shape[1:3], size, strict=True)
    )
    return _from_tables(node, [None, rows, columns, None], x)


# ---- code ------------------------------------------------------------------------------------------


def _code(graph: Graph, op: Op) -> Code:
    arrays, params, calls = [], [], []
    for i, (walk, output) in enumerate(zip(op.attrs.walks, op.outputs, strict=True)):
        name, rows = f"op{op.index}_{i}", []
        for d, axis in enumerate(walk.axes):
            table = f"{name}_axis{d}" if axis.offsets else "NULL"
            if axis.offsets:
                arrays.append(Array("int32_t", table, np.array(axis.offsets, np.int32)))
            rows.append(f"{{{axis.size}, {axis.step}, {table}}}")
        params.append(Params("asc_take", name, {"start": walk.start, "axis": f"{{{', '.join(rows)}}}"}))
        calls.append(Call("asc_take_s8", name, (op.inputs[_SOURCE.get(op.kind, 0)],), output))
    return Code(tuple(arrays), tuple(params), tuple(calls))


_SOURCE = {"SPLIT": 1}  # the position of the input that is moved, where it is not the first

KINDS = {
    name: Kind(parse, _code)
    for name, parse in (
        ("SLICE", _parse_slice),
        ("STRIDED_SLICE", _parse_strided_slice),
        ("SPLIT", _parse_split),
        ("SPLIT_V", _parse_split),
        ("UNPACK", _parse_unpack),
        ("TRANSPOSE", _parse_transpose),
        ("GATHER", _parse_gather),
        ("MIRROR_PAD", _parse_mirror_pad),
        ("RESIZE_NEAREST_NEIGHBOR", _parse_resize),
    )
}
