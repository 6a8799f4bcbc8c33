"""Parameters and MACs by every counting rule in use, and a challenge's verdict on the worst of them.

The DCASE complexity tool NeSsi counts differently for each file type it is given.  For a .tflite it uses
tflite-tools: pooling, MEAN and ADD count as MACs and every constant counts by its bytes, biases four.
Its Keras and PyTorch rules see the network before BatchNorm is folded; they are rebuilt here with the
usual assumption, BatchNorm in place of a bias behind every convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mcu_asc.limits import over_budget
from mcu_asc.nouns import CountView, Graph, LayerCount, Op

__all__ = ["over_budget", "views"]

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def views(graph: Graph, counts: Sequence[LayerCount]) -> tuple[CountView, ...]:
    """One row a rule; the exact count first."""
    exact = CountView(
        "exact",
        sum(c.params for c in counts),
        sum(c.param_bytes for c in counts),
        sum(c.macs for c in counts),
        "folded weights and biases, zeros included; MACs of convolutions and dense layers",
    )
    nonzero = CountView(
        "non-zero",
        sum(c.params - c.zeros for c in counts),
        sum(c.param_bytes - c.zeros for c in counts),
        exact.macs,
        "as exact, without parameters that are zero",
    )
    return exact, nonzero, _nessi_tflite(graph, counts), *_nessi_unfolded(graph, counts)


def _extra_mean(graph: Graph, op: Op) -> int:
    return graph.tensors[op.inputs[0]].elements


def _extra_pool(graph: Graph, op: Op) -> int:
    return graph.tensors[op.outputs[0]].elements * int(op.attrs.size[0]) * int(op.attrs.size[1])


def _extra_add(graph: Graph, op: Op) -> int:
    return graph.tensors[op.outputs[0]].elements


_NESSI_EXTRA: dict[str, Callable[[Graph, Op], int]] = {
    "MEAN": _extra_mean,
    "MAX_POOL_2D": _extra_pool,
    "AVERAGE_POOL_2D": _extra_pool,
    "ADD": _extra_add,
}


def _nessi_tflite(graph: Graph, counts: Sequence[LayerCount]) -> CountView:
    constants = [
        t
        for op in graph.ops
        for i in op.inputs
        if i >= 0 and (t := graph.tensors[i]).data is not None and t.shape != (0,)
    ]
    size = sum(t.bytes for t in constants)
    return CountView(
        "NeSsi tflite",
        size,
        size,
        sum(c.macs for c in counts) + _extra(graph),
        "bytes of all constants stand for parameters; pooling, MEAN and ADD count as MACs",
    )


def _extra(graph: Graph) -> int:
    return sum(_NESSI_EXTRA[op.kind](graph, op) for op in graph.ops if op.kind in _NESSI_EXTRA)


def _nessi_unfolded(graph: Graph, counts: Sequence[LayerCount]) -> tuple[CountView, CountView]:
    """The Keras and PyTorch rules on the network as it was before folding, as far as it can be known.

    Keras: trainable weights, and half of the operations that TensorFlow's profiler counts: two a MAC, one an
    element of a pool's window, of a mean's input, of an addition and of a dense layer's bias; BatchNorm none
    (TensorFlow 2.21 on the shipped ESC-10 student gives the same 126,170 and 12,985,845).
    PyTorch: torchinfo multiplies a convolution's weights by its output pixels and takes all other parameters
    once, BatchNorm's and biases among them.
    """
    channels = sum(c.output_shape[-1] for c in counts if c.kind in _CONVOLUTIONS)
    biases = sum(c.output_shape[-1] for c in counts if c.kind == "FULLY_CONNECTED")
    params = sum(c.params for c in counts) + channels
    macs = sum(c.macs for c in counts)
    note = "rebuilt: BatchNorm (gamma, beta) in place of the bias of every convolution"
    return (
        CountView("NeSsi Keras", params, params, macs + (_extra(graph) + biases) // 2, note),
        CountView("NeSsi PyTorch", params, params, macs + biases + 2 * channels, note),
    )
