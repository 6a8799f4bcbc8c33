"""Clamps narrower than int8, as of RELU6 where the output's scale leaves room: a pass over the output.

No kernel here clamps on its way, since values saturate to int8 for nothing, in a shift or in SSAT.  The pass
costs 3.0 cycles a value by the count of its instructions: a word loaded, SSUB8 and SEL twice, stored, a loop
around.  Measured: 2.8 to 2.9; a 1x1 convolution with it takes 29 cycles an output, portable 106.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mcu_asc.compiler.fixed import INT8_MAX, INT8_MIN
from mcu_asc.compiler.ops.base import Call, Lowered, Params
from mcu_asc.nouns import Graph, Op

_FULL = (INT8_MIN, INT8_MAX)
Rule = Callable[[Graph, Op], Lowered | None]


def clamped(graph: Graph, op: Op, rule: Rule) -> Lowered | None:
    """The op by `rule` as if it had no clamp, then the clamp; None where it has none, or no kernel."""
    act = getattr(op.attrs, "act", _FULL)
    low = None if act == _FULL else rule(graph, replace(op, attrs=replace(op.attrs, act=_FULL)))
    if low is None:
        return None
    y, name = graph.tensors[op.outputs[0]], f"op{op.index}_clamp"
    fields: dict[str, int | str | tuple[int, ...]] = {"n": y.elements, "act_min": act[0], "act_max": act[1]}
    code = replace(
        low.code,
        params=(*low.code.params, Params("asc_clamp_bytes", name, fields)),
        calls=(*low.code.calls, Call("asc_clamp_dsp", name, (), y.index)),
    )
    return replace(low, code=code, sources=(*low.sources, "asc_clamp_dsp.c"))
