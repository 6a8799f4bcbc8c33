"""An int8 .tflite file compiled ahead of time to C tables and calls.

    model = read(Path("student.tflite"))
    memory = plan(model.graph)
    files = emit(model, memory)              # {"model.c": ...}, to be compiled with kernel_sources(graph)

Works without TensorFlow and without a toolchain.
"""

from __future__ import annotations

from mcu_asc.compiler.counts import counts
from mcu_asc.compiler.emit import emit, kernel_sources
from mcu_asc.compiler.lower import FLAVOURS, flavour_of
from mcu_asc.compiler.plan import plan
from mcu_asc.compiler.reader import read

__all__ = ["FLAVOURS", "counts", "emit", "flavour_of", "kernel_sources", "plan", "read"]
