"""What a model costs by counting: multiplications and parameters per op."""

from __future__ import annotations

import numpy as np

from mcu_asc.compiler.ops import OPS
from mcu_asc.nouns import Graph, LayerCount


def counts(graph: Graph) -> tuple[LayerCount, ...]:
    """One `LayerCount` per op, in order; a constant shared by several ops counts with the first."""
    seen: set[int] = set()
    layers = []
    for op in graph.ops:
        kind = OPS[op.kind]
        mine = [
            graph.tensors[op.inputs[p]]
            for p in kind.params
            if p < len(op.inputs) and op.inputs[p] >= 0 and op.inputs[p] not in seen
        ]
        constants = [t for t in mine if t.data is not None]
        seen.update(t.index for t in constants)
        output = graph.tensors[op.outputs[0]]
        layers.append(
            LayerCount(
                index=op.index,
                name=layer_name(output.name),
                kind=op.kind,
                macs=kind.macs(graph, op),
                params=sum(t.elements for t in constants),
                zeros=sum(
                    t.elements - int(np.count_nonzero(t.data)) for t in constants if t.data is not None
                ),
                param_bytes=sum(t.bytes for t in constants),
                output_shape=output.shape,
                moved_bytes=sum(graph.tensors[i].bytes for i in (*op.inputs, *op.outputs) if i >= 0),
            )
        )
    return tuple(layers)


def layer_name(tensor: str) -> str:
    """The Keras layer behind a converted tensor's name, shorter and the same for people and scripts.

    The converter joins the names of all that it fused, "model/relu/Relu;model/conv2d_2/Conv2D"; the last one
    is the layer with the weights, and its second part is the name that the author gave it.
    """
    parts = tensor.rsplit(";", maxsplit=1)[-1].split("/")
    return (parts[1] if len(parts) > 2 else parts[0]) or tensor
