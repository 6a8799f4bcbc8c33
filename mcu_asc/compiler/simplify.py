"""The passes that make a graph smaller, in their order; each keeps every output byte."""

from __future__ import annotations

from functools import lru_cache

from mcu_asc.compiler.pads import fold_pads
from mcu_asc.compiler.prune import prune
from mcu_asc.nouns import Model

# Channels are looked through from op to op, and a PAD would stand in between.
PASSES = (fold_pads, prune)


@lru_cache(maxsize=4)
def simplify(model: Model) -> Model:
    """`model` with the graph that the kernels run; the file stays as it is."""
    for step in PASSES:
        model = step(model)
    return model
