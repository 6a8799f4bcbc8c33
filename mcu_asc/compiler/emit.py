"""Graph + plan -> a C file of tables and calls, no loop.  The same model always gives the same bytes."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_asc import __version__, paths
from mcu_asc.compiler import bandcode
from mcu_asc.compiler.lower import base, lower
from mcu_asc.compiler.ops.base import Array, Call, Code, Params
from mcu_asc.nouns import Graph, MemoryPlan, Model

_FILES: Mapping[str, tuple[str, tuple[str, ...]]] = {  # by flavour: the file's name, what it includes
    "ref": ("model.c", ("asc_nn.h",)),
    "dsp": ("model_dsp.c", ("asc_nn.h", "asc_nn_dsp.h")),
}
_CTYPES = {"int8": "int8_t", "int32": "int32_t"}
_PER_LINE = 24
_PLACES = ("ASC_BANDS_IN", "ASC_BANDS_IN2")


def emit(model: Model, plan: MemoryPlan, flavour: str = "ref") -> dict[str, bytes]:
    """{"model.c": text} that defines `const asc_model asc_net` (firmware/asc/asc_model.h).

    `plan` is that of the same flavour; the file is called model_FLAVOUR.c where that is not "ref".
    """
    graph = model.graph
    bands = {b.first: bandcode.band_code(graph, plan, b, flavour) for b in plan.schedule.bands}
    banded = {i for b in plan.schedule.bands for i in range(b.first, b.last + 1)}
    whole = {
        op.index: low.code
        for op, low in zip(graph.ops, lower(graph, flavour), strict=True)
        if op.index not in banded
    }
    codes = {**whole, **{i: b.code for i, b in bands.items()}}
    file, headers = _FILES[base(flavour)]
    (source,), (result,) = graph.inputs, graph.outputs
    text = _template().render(
        version=__version__,
        headers=(*headers, bandcode.HEADER) if bands or plan.moves else headers,
        name=comment(graph.name),
        digest=hashlib.sha256(model.content).hexdigest(),
        arrays=[_array(a) for a in _constants(graph, codes) + [a for c in codes.values() for a in c.arrays]],
        params=[_params(p) for c in codes.values() for p in c.params],
        checks=[check for c in codes.values() for check in c.checks],
        functions=[
            {"name": f.name, **_call(graph, plan, f.op, f.call, by_place=True)}
            for b in bands.values()
            for f in b.functions
        ],
        tables=[t for b in bands.values() for t in b.tables],
        layers=[
            {
                "index": op.index,
                "title": f"{op.kind} {comment(graph.tensors[op.outputs[0]].name)} "
                f"{'x'.join(map(str, graph.tensors[op.outputs[0]].shape))}",
                "calls": [_call(graph, plan, op.index, c) for c in whole[op.index].calls]
                if op.index in whole
                else [],
                "band": bands.get(op.index),
                "moves": [
                    f"{plan.offsets[m.tensor]}, {m.bytes}, {m.target}"
                    for m in plan.moves
                    if m.op == op.index and op.index in whole
                ],
                "whole": op.index in whole,
            }
            for op in graph.ops
        ],
        arena_bytes=plan.arena_bytes,
        input_offset=plan.offsets[source],
        input_bytes=graph.tensors[source].bytes,
        output_offset=plan.offsets[result],
        output_bytes=graph.tensors[result].bytes,
    )
    return {file: text.encode("ascii")}


@functools.cache
def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(paths.firmware_dir() / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("model.c.j2")


def kernel_sources(graph: Graph, flavour: str = "ref") -> tuple[str, ...]:
    """The names of the files in firmware/kernels that the model's calls need, sorted."""
    return tuple(sorted({source for low in lower(graph, flavour) for source in low.sources}))


def comment(text: str) -> str:
    """`text` as it may stand in a C comment: printable ASCII, nothing that ends the comment or the line."""
    return re.sub(r"[^A-Za-z0-9_.,:;()\[\]+= -]", "/", text)[:120].replace("//", "/").replace("/", "|")


def _constants(graph: Graph, codes: dict[int, Code]) -> list[Array]:
    """Weights and other constants that kernels read as they are."""
    used = {
        i
        for c in codes.values()
        for call in c.calls
        for i in call.inputs
        if graph.tensors[i].data is not None
    }
    named = {p.fields.get("weights") for c in codes.values() for p in c.params}
    used.update(i for op in graph.ops for i in op.inputs[1:2] if f"w{i}" in named)
    found = []
    for i in sorted(used):
        data = graph.tensors[i].data
        assert data is not None
        found.append(Array(_CTYPES[graph.tensors[i].dtype], f"w{i}", data.reshape(-1)))
    return found


def _array(array: Array) -> dict[str, Any]:
    values = array.values
    if values.ndim == 1:
        lines = [_row(values[i : i + _PER_LINE]) for i in range(0, len(values), _PER_LINE)]
    else:
        lines = [f"{{{_row(row)}}}" for row in values]
    return {"ctype": array.ctype, "name": array.name, "n": len(values), "text": ",\n    ".join(lines)}


def _row(values: NDArray[Any]) -> str:
    return ",".join(map(_number, values.tolist()))


def _number(value: int) -> str:
    """-2147483648 is not an int literal in C."""
    return "-2147483647 - 1" if value == np.iinfo(np.int32).min else str(value)


def _params(params: Params) -> dict[str, Any]:
    return {
        "ctype": params.ctype,
        "name": params.name,
        "fields": [(key, _field(value)) for key, value in params.fields.items()],
    }


def _field(value: int | str | tuple[int, ...]) -> str:
    if isinstance(value, tuple):
        return "{" + ", ".join(map(_number, value)) + "}"
    return value if isinstance(value, str) else _number(value)


def _call(graph: Graph, plan: MemoryPlan, op: int, call: Call, by_place: bool = False) -> dict[str, str]:
    """The call on tensors where the plan has them, or `by_place` on rows at the places of an asc_piece."""
    moving = [t for t in call.inputs if graph.tensors[t].data is None]
    offsets = {**plan.offsets, **{m.tensor: m.target for m in plan.moves if m.op == op}}

    def source(position: int, tensor: int) -> str:
        if graph.tensors[tensor].data is not None:
            return f"w{tensor}"
        if by_place:
            return f"IN(at[{_PLACES[len([t for t in call.inputs[:position] if t in moving])]}])"
        return f"IN({offsets[tensor]})"

    arguments = [f"&{call.params}", *(source(i, t) for i, t in enumerate(call.inputs))]
    target = "at[ASC_BANDS_OUT]" if by_place else str(plan.offsets[call.output] + call.output_skip)
    arguments.append(f"OUT({target})")
    for area, needed in ((plan.scratch, call.scratch), (plan.sums, call.sums)):
        if needed:
            arguments.append(f"arena + {area[op][0]}" if op in area else "NULL")
    return {"function": call.function, "arguments": ", ".join(arguments)}
