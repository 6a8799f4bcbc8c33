"""Which weights take more flash than as int8, for speed, under a limit.

Kernels of the flavour "dsp" read weights as int8 ("packed"), as int16 ("wide"), or as int16 for Winograd.
A knapsack: from the smallest form of every layer, the expansion that saves most cycles for each byte comes
first, as long as it fits and saves at least forms.CYCLES_PER_BYTE.  Every form gives the same outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from mcu_asc.compiler.counts import layer_name
from mcu_asc.compiler.dsp.forms import FORMS, SMALLEST, price
from mcu_asc.compiler.lower import lower
from mcu_asc.nouns import ExpandedLayer, Expansion, Graph


@dataclass(frozen=True)
class _Option:
    layer: ExpandedLayer
    price: float


def formed(graph: Graph, forms: Mapping[int, str] | None = None) -> Graph:
    """The graph with the form of the weights fixed for every op: `forms` by op index, else the smallest."""
    chosen = forms or {}
    return replace(graph, ops=tuple(replace(op, form=chosen.get(op.index, SMALLEST)) for op in graph.ops))


def expansion(graph: Graph, flavour: str, wait_states: int = 0) -> Expansion:
    """What the weights of `graph`, as it would be emitted, cost and save against the smallest forms."""
    layers = tuple(o.layer for o in _against_smallest(graph, graph, flavour, wait_states))
    return Expansion(sum(x.bytes for x in layers), sum(x.cycles_saved for x in layers), layers)


def expand(graph: Graph, flavour: str, spare_bytes: int, wait_states: int = 0) -> Graph:
    """The graph with forms that cost at most `spare_bytes` of flash more than the smallest ones.

    wait_states  that each word read from flash costs: int16 weights are more words
    """
    options = [
        option
        for form in FORMS
        for option in _against_smallest(
            formed(graph, {op.index: form for op in graph.ops}), graph, flavour, wait_states
        )
    ]
    least = lower(formed(graph), flavour)
    taken = {
        op.index: _Option(ExpandedLayer(op.index, "", SMALLEST, 0, 0), price(low.weights, wait_states))
        for op, low in zip(graph.ops, least, strict=True)
        if low.weights
    }

    def rate(o: _Option) -> float:
        now = taken[o.layer.index].layer
        return (o.layer.cycles_saved - now.cycles_saved) / (o.layer.bytes - now.bytes)

    while True:
        now = {i: o.layer.bytes for i, o in taken.items()}
        able = [o for o in options if 0 < o.layer.bytes - now[o.layer.index] <= spare_bytes]
        worth = [o for o in able if o.price < taken[o.layer.index].price]
        if not worth:
            return formed(graph, {i: o.layer.form for i, o in taken.items()})
        best = max(worth, key=lambda o: (rate(o), -o.layer.index))
        spare_bytes -= best.layer.bytes - now[best.layer.index]
        taken[best.layer.index] = best


def _against_smallest(graph: Graph, plain: Graph, flavour: str, wait_states: int) -> Iterator[_Option]:
    """The layers of `graph` whose weights take more bytes than in their smallest form."""
    least = lower(formed(plain), flavour)
    for op, now, small in zip(graph.ops, lower(graph, flavour), least, strict=True):
        more = now.table_bytes - small.table_bytes
        if now.weights and small.weights and more > 0:
            saved = small.weights.cycles - now.weights.cycles
            saved -= wait_states * (now.weights.words - small.weights.words)
            name = layer_name(graph.tensors[op.outputs[0]].name)
            layer = ExpandedLayer(op.index, name, now.weights.form, more, int(saved))
            yield _Option(layer, price(now.weights, wait_states))
