"""An int8 .tflite file compiled ahead of time to C tables and calls.

    model = read(Path("student.tflite"))
    memory = plan(model.graph)
    files = emit(model, memory)              # {"model.c": ...}, to be compiled with kernel_sources(graph)

What is compiled takes and gives int8.  A model converted with float32 or uint8 inputs or outputs is accepted
when that is only a QUANTIZE or DEQUANTIZE at its rim: the rim is left out, and the scale and zero point of
`graph.inputs` and `graph.outputs` say what the int8 values mean.  Every other op that works on float, and
16-bit activations, are refused by name.

Works without TensorFlow and without a toolchain.
"""

from __future__ import annotations

from mcu_asc.compiler.counts import counts
from mcu_asc.compiler.emit import emit, kernel_sources
from mcu_asc.compiler.lower import FLAVOURS, flavour_of
from mcu_asc.compiler.pads import fold_pads
from mcu_asc.compiler.plan import plan
from mcu_asc.compiler.prune import prune
from mcu_asc.compiler.reader import read
from mcu_asc.compiler.simplify import simplify

__all__ = [
    "FLAVOURS",
    "counts",
    "emit",
    "flavour_of",
    "fold_pads",
    "kernel_sources",
    "plan",
    "prune",
    "read",
    "simplify",
]
