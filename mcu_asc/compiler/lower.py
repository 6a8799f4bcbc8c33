"""Which kernel runs each op: the portable one, or one for the core at hand where it applies.

A flavour is a set of kernels.  "ref" is portable C and takes every op; "dsp" (Cortex-M4F, M7, M33) has faster
ones for some, chosen here op by op; all give the same bytes.  "dsp<8192" is "dsp" without those that need
more scratch than so many bytes, for where RAM is short.
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


def base(flavour: str) -> str:
    """The flavour without its limit on scratch."""
    return flavour.partition("<")[0]


def within(flavour: str, scratch: int) -> str:
    """The flavour with a limit on the scratch of its kernels, in bytes."""
    return f"{base(flavour)}<{scratch}"


@lru_cache(maxsize=8)
def lower(graph: Graph, flavour: str) -> tuple[Lowered, ...]:
    """One `Lowered` per op, in order."""
    assert base(flavour) in FLAVOURS
    limit = flavour.partition("<")[2]
    return tuple(
        (base(flavour) == "dsp" and _fast(graph, op, int(limit) if limit else None)) or _reference(graph, op)
        for op in graph.ops
    )


def _fast(graph: Graph, op: Op, limit: int | None) -> Lowered | None:
    low = dsp.lower(graph, op)
    return low if low and (limit is None or low.scratch <= limit) else None


def _reference(graph: Graph, op: Op) -> Lowered:
    """Its kernels are one file a function."""
    kind = OPS[op.kind]
    code = kind.code(graph, op)
    return Lowered(code, tuple({f"{c.function}.c": 0 for c in code.calls}), kind.scratch(graph, op))
