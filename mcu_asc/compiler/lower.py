"""Which kernel runs each op: the portable one, or one for the core at hand where it applies.

A flavour is a set of kernels.  "ref" is portable C and takes every op; "dsp" (Cortex-M4F, M7, M33) has faster
ones for some, chosen here op by op; all give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from mcu_asc.compiler import dsp
from mcu_asc.compiler.ops import OPS
from mcu_asc.compiler.ops.base import Lowered
from mcu_asc.nouns import Graph, Op

FLAVOURS = ("ref", "dsp")
_CORES: Mapping[str, str] = dict.fromkeys(("cortex-m4", "cortex-m7", "cortex-m33"), "dsp")


def flavour_of(cpu: str) -> str:
    """The best flavour for gcc's name of a core."""
    return _CORES.get(cpu, "ref")


@lru_cache(maxsize=4)
def lower(graph: Graph, flavour: str) -> tuple[Lowered, ...]:
    """One `Lowered` per op, in order."""
    assert flavour in FLAVOURS
    return tuple((flavour == "dsp" and dsp.lower(graph, op)) or _reference(graph, op) for op in graph.ops)


def _reference(graph: Graph, op: Op) -> Lowered:
    kind = OPS[op.kind]
    return Lowered(kind.code(graph, op), kind.sources, kind.scratch(graph, op))
