"""Channels that nobody needs are left out of the graph: every output byte stays the same.

Pruning leaves channels whose output is one value whatever comes in, and channels whose readers weigh them
with zeros.  Ops that work channel by channel (depthwise, pools, means, sums) tie the channels of their
tensors together: such a group loses a channel everywhere or nowhere, and what reads it last, a convolution or
a dense layer, must not miss it:

- its weights on that channel are zero, or
- the channel has one value c, and c is the zero point, which adds nothing, or
- the channel has one value c, and no tap ever falls on padding, where a channel of c would be the zero point:
  the bias takes sum(w) * (c - zero point).

A number of channels that was a multiple of 4 stays one: the kernels for a Cortex-M4 read four at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mcu_asc.compiler.dsp.fast import only_output, sums
from mcu_asc.compiler.fixed import multiply
from mcu_asc.compiler.ops.base import clamp8, per_tensor
from mcu_asc.compiler.ops.binary import loops
from mcu_asc.compiler.ops.conv import bias_of, channel_multipliers, folded_bias
from mcu_asc.compiler.ops.reduce import groups, mean_multiplier
from mcu_asc.nouns import Graph, Model, Op, Tensor

UNKNOWN = -1000  # no int8 value
Values = NDArray[np.int64]
"""[channels]: the value that a channel has at all places for every input, or UNKNOWN."""


def prune(model: Model) -> Model:
    """`model` with a smaller graph where there are channels to leave out; the file stays as it is."""
    graph = model.graph
    while (smaller := _without_some(graph)) is not graph:
        graph = smaller
    return model if graph is model.graph else replace(model, graph=graph)


# ---- what is known ---------------------------------------------------------------------------------


def _product(graph: Graph, op: Op) -> tuple[Tensor, Tensor, Tensor, NDArray[np.int8], NDArray[np.int32]]:
    """Input, weights, output; weights as [channels out, taps], bias with the input's zero point folded in."""
    x, w, y = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    assert w.data is not None
    data = np.asarray(w.data, np.int8)
    flat = (
        data.reshape(-1, data.shape[-1]).T if op.kind == "DEPTHWISE_CONV_2D" else data.reshape(len(data), -1)
    )
    bias = bias_of(graph, op, len(flat))
    return x, w, y, flat, folded_bias(bias, flat, per_tensor(x)[1])


def _outputs(graph: Graph, op: Op, low: Values, high: Values) -> Values:
    """Of sums between `low` and `high`."""
    x, w, y = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    zero, act = per_tensor(y)[1], op.attrs.act
    factors = channel_multipliers(x, w, y, len(low))
    found = [
        only_output(a, b, factor, zero, act)
        for a, b, factor in zip(low.tolist(), high.tolist(), factors, strict=True)
    ]
    return np.array([UNKNOWN if v is None else v for v in found], np.int64)


def _weighted(graph: Graph, op: Op, before: Values) -> Values:
    *_, weights, bias = _product(graph, op)
    reach = sums(weights, bias)
    return _outputs(graph, op, reach.low, reach.high)


def _depthwise(graph: Graph, op: Op, before: Values) -> Values:
    x, _, _, weights, bias = _product(graph, op)
    found = _weighted(graph, op, before)
    known = (before != UNKNOWN) & ((before == per_tensor(x)[1]) | (not _padded(graph, op)))
    if op.attrs.multiplier > 1 or not known.any():
        return found
    total = bias + weights.astype(np.int64).sum(axis=1) * np.where(known, before, 0)
    return np.where(known, _outputs(graph, op, total, total), found)


def _pool(graph: Graph, op: Op, before: Values) -> Values:
    return np.where(before == UNKNOWN, UNKNOWN, np.clip(before, *op.attrs.act))


def _mean(graph: Graph, op: Op, before: Values) -> Values:
    (scale, zero), (out_scale, out_zero) = (
        per_tensor(graph.tensors[i]) for i in (op.inputs[0], op.outputs[0])
    )
    count = op.attrs.sizes[1] * op.attrs.sizes[3]
    m, shift = mean_multiplier(scale / out_scale, count)
    return np.array(
        [
            v if v == UNKNOWN else clamp8(multiply(count * (v - zero), m, shift) + out_zero)
            for v in before.tolist()
        ],
        np.int64,
    )


def _same(graph: Graph, op: Op, before: Values) -> Values:
    return before


def _unknown(graph: Graph, op: Op, before: Values) -> Values:
    return np.full_like(before, UNKNOWN)


_KNOWN: Mapping[str, Callable[[Graph, Op, Values], Values]] = {
    "CONV_2D": _weighted,
    "FULLY_CONNECTED": _weighted,
    "DEPTHWISE_CONV_2D": _depthwise,
    "AVERAGE_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
    "MEAN": _mean,
    "RESHAPE": _same,
    "ADD": _unknown,
}
_HEADS = ("CONV_2D", "FULLY_CONNECTED")  # may lose any channel, of input or output


def constants(graph: Graph) -> dict[int, Values]:
    """What is known of each activation's channels, the last axis."""
    found = {t: np.full(graph.tensors[t].shape[-1:] or (1,), UNKNOWN, np.int64) for t in graph.inputs}
    for op in graph.ops:
        for out in op.outputs:
            channels = graph.tensors[out].shape[-1:] or (1,)
            found[out] = np.full(channels, UNKNOWN, np.int64)
        if op.kind in _HEADS or _tied(graph, op):
            found[op.outputs[0]] = _KNOWN[op.kind](graph, op, found[op.inputs[0]])
    return found


def _padded(graph: Graph, op: Op) -> bool:
    """Whether a tap may fall outside of the image."""
    if op.kind == "FULLY_CONNECTED":
        return False
    a, x, y = op.attrs, graph.tensors[op.inputs[0]].shape, graph.tensors[op.outputs[0]].shape
    return any(
        a.pad[i] > 0 or (y[1 + i] - 1) * a.stride[i] - a.pad[i] + (a.size[i] - 1) * a.dilation[i] >= x[1 + i]
        for i in (0, 1)
    )


def _tied(graph: Graph, op: Op) -> bool:
    """The op's output channel j is made of its inputs' channels j."""
    moving = [graph.tensors[i] for i in _feeds(graph, op)]
    out = graph.tensors[op.outputs[0]]
    if op.kind not in _KNOWN or op.kind in _HEADS or len(op.outputs) != 1:
        return False
    if op.kind == "DEPTHWISE_CONV_2D":
        return int(op.attrs.multiplier) == 1
    if op.kind == "ADD":
        return len(moving) == len(op.inputs) and all(t.shape == out.shape for t in moving)
    if op.kind == "MEAN":
        return (
            len(out.shape) > 0
            and out.shape[-1] == moving[0].shape[-1]
            and not _axes(graph, op) & {len(moving[0].shape) - 1}
        )
    return bool(out.shape) and bool(moving[0].shape) and out.shape[-1] == moving[0].shape[-1]


def _feeds(graph: Graph, op: Op) -> list[int]:
    return [i for i in op.inputs if i >= 0 and graph.tensors[i].data is None]


def _axes(graph: Graph, op: Op) -> set[int]:
    data = graph.tensors[op.inputs[1]].data
    assert data is not None
    rank = len(graph.tensors[op.inputs[0]].shape)
    return {int(a) % rank for a in data.reshape(-1)}


def _head(graph: Graph, op: Op) -> bool:
    """May lose input channels."""
    if op.kind not in _HEADS:
        return False
    return graph.tensors[op.inputs[1]].shape[-1] == graph.tensors[op.inputs[0]].shape[-1]


# ---- what goes -------------------------------------------------------------------------------------


def _without_some(graph: Graph) -> Graph:
    """The graph without the channels that can go now; `graph` itself when there is none."""
    known = constants(graph)
    goes: dict[int, NDArray[np.int64]] = {}  # tensor -> its channels
    for group in _groups(graph, known):
        free = _free(graph, group, known)
        if len(lost := _chosen(free)):
            goes |= dict.fromkeys(group, lost)
    return _Without(graph, known, goes).graph() if goes else graph


def _groups(graph: Graph, known: Mapping[int, Values]) -> list[set[int]]:
    """Activations whose channels are tied together."""
    of = {t: {t} for t in known}
    for op in graph.ops:
        if _tied(graph, op):
            joined = set().union(*(of[t] for t in (*_feeds(graph, op), op.outputs[0])))
            of |= dict.fromkeys(joined, joined)
    return list({id(g): g for g in of.values()}.values())


def _free(graph: Graph, group: set[int], known: Mapping[int, Values]) -> NDArray[np.bool_]:
    """Which channels of a group nobody would miss."""
    channels = len(known[min(group)])
    none, free = np.zeros(channels, bool), np.ones(channels, bool)
    if group & {*graph.inputs, *graph.outputs}:
        return none
    for op in graph.ops:
        if group & {*op.outputs} and not (
            _tied(graph, op) or (op.kind in _HEADS and (op.kind != "CONV_2D" or _head(graph, op)))
        ):
            return none
        read = group & {*_feeds(graph, op)}
        if not read or _tied(graph, op):
            continue
        if not _head(graph, op):
            return none
        (t,) = read
        x, w = graph.tensors[t], graph.tensors[op.inputs[1]]
        assert w.data is not None
        unused = ~w.data.reshape(-1, channels).any(axis=0)
        exact = known[t] != UNKNOWN
        if _padded(graph, op):
            exact &= known[t] == per_tensor(x)[1]
        free &= unused | exact
    return free


def _chosen(free: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Those of the free channels that go: at least one channel stays."""
    step = next(s for s in (4, 2, 1) if len(free) % s == 0)
    stay = max(step, -(-int((~free).sum()) // step) * step)
    return np.flatnonzero(free)[: max(0, len(free) - stay)]


@dataclass
class _Without:
    """A graph in the making."""

    old: Graph
    known: Mapping[int, Values]
    goes: Mapping[int, NDArray[np.int64]]

    def graph(self) -> Graph:
        tensors = [self.tensor(t) for t in self.old.tensors]
        ops = [self.op(op, tensors) for op in self.old.ops]
        return replace(self.old, tensors=tuple(tensors), ops=tuple(ops))

    def tensor(self, t: Tensor) -> Tensor:
        lost = self.goes.get(t.index)
        return t if lost is None else replace(t, shape=(*t.shape[:-1], t.shape[-1] - len(lost)))

    def op(self, op: Op, tensors: list[Tensor]) -> Op:
        """The op on the smaller tensors; its constants, where they change, are appended to `tensors`."""
        source, out = op.inputs[0], op.outputs[0]
        if source not in self.goes and out not in self.goes:
            return op
        attrs, inputs = op.attrs, list(op.inputs)
        if op.kind == "RESHAPE":
            attrs = replace(attrs, shape=tensors[out].shape)
        elif op.kind == "MEAN":
            sizes = groups(tensors[source].shape, _axes(self.old, op))
            assert sizes is not None
            attrs = replace(attrs, sizes=sizes)
        elif op.kind == "ADD":
            nested = loops(*(tensors[i].shape for i in (out, *op.inputs)))
            assert nested is not None
            attrs = replace(attrs, sizes=nested[0], a_steps=nested[1], b_steps=nested[2])
        elif op.kind in (*_HEADS, "DEPTHWISE_CONV_2D"):
            inputs[1:] = self.parameters(op, tensors)
            if op.kind == "FULLY_CONNECTED":
                attrs = replace(attrs, depth=tensors[source].shape[-1])
        return replace(op, inputs=tuple(inputs), attrs=attrs)

    def parameters(self, op: Op, tensors: list[Tensor]) -> list[int]:
        """The weights and the bias without what goes."""
        x, w = self.old.tensors[op.inputs[0]], self.old.tensors[op.inputs[1]]
        data = np.asarray(w.data, np.int8)
        deep = op.kind == "DEPTHWISE_CONV_2D"
        bias = bias_of(self.old, op, data.shape[-1] if deep else len(data)).astype(np.int64)
        into, out = self.goes.get(op.inputs[0]), self.goes.get(op.outputs[0])
        if into is not None and not deep:
            part = data[..., into].astype(np.int64).reshape(len(data), -1, len(into)).sum(axis=1)
            value = self.known[op.inputs[0]][into]
            bias += part @ np.where(value == UNKNOWN, 0, value - per_tensor(x)[1])  # UNKNOWN: weights are 0
            data = np.delete(data, into, axis=-1)
        quant = w.quant
        assert quant is not None
        if out is not None:
            data = np.delete(data, out, axis=-1 if deep else 0)
            bias = np.delete(bias, out)
            if len(quant.scale) > 1:
                stay = np.delete(np.arange(len(quant.scale)), out)
                quant = replace(
                    quant,
                    scale=tuple(quant.scale[i] for i in stay),
                    zero_point=tuple(quant.zero_point[i] for i in stay),
                )
        old_bias = self.old.tensors[op.inputs[2]] if len(op.inputs) > 2 and op.inputs[2] >= 0 else None
        made = [replace(w, index=len(tensors), shape=data.shape, quant=quant, data=data)]
        tensors += made
        name = old_bias.name if old_bias else f"{w.name}/bias"
        tensors.append(Tensor(len(tensors), name, bias.shape, "int32", None, bias.astype(np.int32)))
        return [made[0].index, tensors[-1].index]
