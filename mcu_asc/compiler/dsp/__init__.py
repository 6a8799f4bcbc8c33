"""Kernels for cores with DSP instructions (firmware/kernels/dsp): offline packing, and when each applies.

`lower` gives tables and calls for one op, or None where the portable kernel has to do it: a scale outside of
the fast form, a shape without a kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mcu_asc.compiler.dsp import conv, depthwise, elementwise
from mcu_asc.compiler.dsp.clamp import clamped
from mcu_asc.compiler.ops.base import Lowered
from mcu_asc.nouns import Graph, Op

_RULES: Mapping[str, Callable[[Graph, Op], Lowered | None]] = {
    **conv.RULES,
    **depthwise.RULES,
    **elementwise.RULES,
}


def lower(graph: Graph, op: Op) -> Lowered | None:
    rule = _RULES.get(op.kind)
    return (rule(graph, op) or clamped(graph, op, rule)) if rule else None
