"""What zero blocks of weights save: the time and the flash of layers that skip them."""

from __future__ import annotations

from dataclasses import replace

from mcu_asc.compiler.counts import layer_name
from mcu_asc.compiler.lower import lower
from mcu_asc.compiler.ops import OPS
from mcu_asc.nouns import Graph, SparseLayer, Sparsity


def sparsity(graph: Graph, flavour: str) -> Sparsity:
    """Of the layers of `graph`, as it would be emitted, whose kernels skip zero blocks, groups aside.

    Bytes and cycles are against the same weights without skipping, in the form that would then pay best.
    """
    skip = {
        op.index
        for op, low in zip(graph.ops, lower(graph, flavour), strict=True)
        if low.weights and low.weights.skips and low.weights.blocks
    }
    if not skip:
        return Sparsity()
    dense = replace(
        graph, ops=tuple(replace(op, skips=False) if op.index in skip else op for op in graph.ops)
    )
    layers = []
    for op, now, then in zip(graph.ops, lower(graph, flavour), lower(dense, flavour), strict=True):
        if op.index in skip and now.weights and then.weights:
            macs = OPS[op.kind].macs(graph, op)
            layers.append(
                SparseLayer(
                    index=op.index,
                    name=layer_name(graph.tensors[op.outputs[0]].name),
                    blocks=now.weights.blocks,
                    zero_blocks=now.weights.zero_blocks,
                    macs=macs,
                    macs_skipped=macs * now.weights.zero_weights // graph.tensors[op.inputs[1]].elements,
                    bytes_saved=then.table_bytes - now.table_bytes,
                    cycles_saved=int(then.weights.cycles - now.weights.cycles),
                )
            )
    return Sparsity(
        blocks=sum(x.blocks for x in layers),
        zero_blocks=sum(x.zero_blocks for x in layers),
        macs=sum(x.macs for x in layers),
        macs_skipped=sum(x.macs_skipped for x in layers),
        bytes_saved=sum(x.bytes_saved for x in layers),
        cycles_saved=sum(x.cycles_saved for x in layers),
        layers=tuple(layers),
    )
