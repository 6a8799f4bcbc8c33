"""Which kernels may write over what they read, and how far below.

A property of a kernel's loops, not of an op, so it goes by the kernel's name.  Headers in firmware say it
too; tests run every kernel case with its output over its input.
"""

from __future__ import annotations

from functools import lru_cache

from mcu_asc.compiler.bands import facts, survey
from mcu_asc.compiler.ops import OPS
from mcu_asc.compiler.ops.base import Lowered
from mcu_asc.nouns import Band, Graph, Op

# They write output pixels in order, at most _LAG after the first whose input rows are still being read, and
# never go back to rows above the window of the pixel at hand.
_IN_ORDER = frozenset(
    {
        *("asc_conv2d_s8", "asc_depthwise_s8", "asc_average_pool_s8", "asc_max_pool_s8"),
        *("asc_pointwise_dsp", "asc_window_conv_dsp", "asc_winograd_conv_dsp"),
        *("asc_average_pool_dsp", "asc_max_pool_dsp"),
    }
)
_LAG = 8
_MOST_ROWS = 10_000  # are looked at one by one
# Four channels a time, whose rows (columns, in tall maps) are all read before their places are written.
_LANES = frozenset({"asc_dw3_dsp", "asc_dwk_dsp"})
_LANE_CHANNELS = 4


@lru_cache(maxsize=512)
def ahead(graph: Graph, op: Op, low: Lowered) -> int | None:
    """Bytes that the output, laid over the first input, must start below it; None: they must lie apart."""
    if facts(graph).reach[op.index] is None or not all(c.function in _IN_ORDER for c in low.code.calls):
        return None
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    one_group = op.kind != "CONV_2D" or graph.tensors[op.inputs[1]].shape[3] == x.shape[3]
    if not one_group and any(c.function == "asc_conv2d_s8" for c in low.code.calls):
        return None  # groups one after the other
    if y.shape[1] > _MOST_ROWS:
        return None
    return survey(graph, Band(op.index, op.index, 1)).ahead[x.index] + _LAG * y.shape[3]


def in_place(graph: Graph, op: Op, low: Lowered) -> tuple[int, ...]:
    """The inputs in whose very place the output may be written."""
    if {c.function for c in low.code.calls} <= _LANES and low.code.calls:
        x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
        same = x.shape == y.shape and op.attrs.stride == (1, 1) and x.shape[3] % _LANE_CHANNELS == 0
        return (0,) if same else ()
    return OPS[op.kind].in_place(graph, op)
