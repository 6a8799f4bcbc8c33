"""The engine "tflm": the network through TFLite Micro's interpreter, out of the user's copy of the library.

We write the C++ around its API (exactly the ops that the model has, aligned model, an arena that was measured
here) and find the library; nothing of it is shipped.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcu_asc import __version__, paths
from mcu_asc.errors import ToolMissing, UsageError
from mcu_asc.nouns import Model

ALIGNMENT = 16
_MARGIN_BYTES = 512  # for what another version of the library, or another alignment, takes more
_MEASURE_S = 60.0
_INT8 = 9  # TensorType
_TYPE_NAMES = {0: "float32", 3: "uint8", 7: "int16"}
_HEADER = Path("tensorflow/lite/micro/micro_interpreter.h")
_DOWNLOADS = Path("tensorflow/lite/micro/tools/make/downloads")
_THIRD_PARTY = ("flatbuffers/include", "gemmlowp", "ruy")
_ARDUINO = ("Arduino_TensorFlowLite", "TensorFlowLite", "tflite-micro-arduino-examples")
_WHERE = (
    "git clone https://github.com/tensorflow/tflite-micro && cd tflite-micro && "
    "python3 tensorflow/lite/micro/tools/project_generation/create_tflm_tree.py --makefile_options="
    '"TARGET=cortex_m_generic TARGET_ARCH=cortex-m4+fp OPTIMIZED_KERNEL_DIR=cmsis_nn" ~/tflm, '
    "then give --tflm ~/tflm"
)
# TFLM's own spelling, where it is not the words of the op's name with a capital each.
_METHODS = {"BATCH_MATMUL": "BatchMatMul", "PADV2": "PadV2"}


@dataclass(frozen=True)
class Arena:
    """Where the engine keeps what: offsets and bytes in the application's arena."""

    input_offset: int
    output_offset: int
    tensors_offset: int
    tensors_bytes: int  # what the interpreter gets

    @property
    def bytes(self) -> int:
        return self.tensors_offset + self.tensors_bytes


@dataclass(frozen=True)
class Library:
    """The user's TFLM: where headers lie, and either its sources' folders or a linked library."""

    root: Path
    includes: tuple[Path, ...]
    sources: tuple[Path, ...]
    library: Path | None  # for the board


def operators(model: Model) -> tuple[str, ...]:
    """The builtin operators that the file has, by the schema's names, each once."""
    import tflite

    names = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
    root = tflite.Model.GetRootAsModel(model.content, 0)
    codes = [root.OperatorCodes(i) for i in range(root.OperatorCodesLength())]
    subgraph = root.Subgraphs(0)
    used = {codes[subgraph.Operators(i).OpcodeIndex()] for i in range(subgraph.OperatorsLength())}
    return tuple(sorted({names[max(c.BuiltinCode(), c.DeprecatedBuiltinCode())] for c in used}))


def method(kind: str) -> str:
    """The op's name as MicroMutableOpResolver's Add... has it: CONV_2D -> Conv2D."""
    words = kind.split("_")
    return _METHODS.get(kind) or "".join(w if w[0].isdigit() else w.capitalize() for w in words)


def arena(model: Model) -> Arena:
    """Input, output, and what the interpreter takes: measured here, and room for optimised kernels' scratch.

    The measurement is the recording allocator's, on a machine with pointers of 64 bits, which takes more
    than the board does.  Raises UsageError (other than int8 in and out), ToolMissing (no interpreter here).
    """
    _check_rim(model)
    graph = model.graph
    output = _aligned(graph.tensors[graph.inputs[0]].bytes)
    tensors = output + _aligned(graph.tensors[graph.outputs[0]].bytes)
    return Arena(0, output, tensors, _aligned(measure(model.content) + _scratch(model) + _MARGIN_BYTES))


def measure(content: bytes) -> int:
    """Arena bytes that the TFLM interpreter of the wheel uses, by its recording allocator.

    In a process of its own, since the interpreter prints them.  Raises ToolMissing, UsageError.
    """
    script = (
        "import sys; from tflite_micro import runtime; "
        "runtime.Interpreter.from_bytes(sys.stdin.buffer.read()).print_allocations()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=content, capture_output=True, timeout=_MEASURE_S, check=False
    )
    said = (done.stdout + done.stderr).decode(errors="replace")
    if "No module named 'tflite_micro'" in said:
        raise ToolMissing(
            "the TFLM interpreter, which measures the arena, is not installed",
            "pip install 'mcu-asc[oracle]'",
        )
    found = re.search(r"Arena allocation total (\d+) bytes", said)
    if not found:
        last = next((line for line in reversed(said.splitlines()) if line.strip()), "no output")
        raise UsageError(f"the TFLM interpreter refuses the model: {last}", "use --engine aot")
    return int(found[1])


def emit(model: Model, place: Arena) -> dict[str, bytes]:
    """{"model_tflm.cc", "model_data.c"}: `asc_net` around the interpreter, and the file it reads."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(paths.firmware_dir() / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    graph = model.graph
    context: Mapping[str, Any] = {
        "version": __version__,
        "methods": [method(kind) for kind in operators(model)],
        "place": place,
        "layers": len(graph.ops),
        "input_bytes": graph.tensors[graph.inputs[0]].bytes,
        "output_bytes": graph.tensors[graph.outputs[0]].bytes,
        "content": model.content,
        "alignment": ALIGNMENT,
    }
    return {
        name: environment.get_template(f"{name}.j2").render(**context).encode("ascii")
        for name in ("model_tflm.cc", "model_data.c")
    }


def locate(given: Path | None) -> Library:
    """The library at `given`: a tree by create_tflm_tree.py, a checkout with its library built, or an Arduino
    library, which may also be named; without `given`, $MCU_ASC_TFLM or an installed Arduino library.

    Raises ToolMissing, which says where to get it, or how to build it.
    """
    candidates = [given] if given else []
    if given is None and (variable := os.environ.get("MCU_ASC_TFLM")):
        candidates.append(Path(variable))
    names = [str(given)] if given and len(given.parts) == 1 else [] if given else list(_ARDUINO)
    for folder in (Path.home() / "Arduino", Path.home() / "Documents" / "Arduino"):
        candidates += [folder / "libraries" / name for name in names]
    for candidate in candidates:
        for root in (candidate, candidate / "src"):
            if (root / _HEADER).is_file():
                return _library(root.resolve())
    what = f"{given} is no TFLite Micro: it has no {_HEADER}" if given else "TFLite Micro is not here"
    raise ToolMissing(what, _WHERE)


def _library(root: Path) -> Library:
    downloads = root / _DOWNLOADS
    third = [
        next((p for p in (root / "third_party" / name, downloads / name) if p.is_dir()), None)
        for name in _THIRD_PARTY
    ]
    includes = (root, *(p for p in third if p))
    if not downloads.parent.joinpath("Makefile").is_file():
        folders = (root / "tensorflow", root / "signal", root / "third_party")
        return Library(root, includes, tuple(p for p in folders if p.is_dir()), None)
    built = sorted((root / "gen").glob("cortex_m_generic_cortex-m4+fp_*/lib/libtensorflow-microlite.a"))
    if not built:
        raise ToolMissing(
            f"{root} is a checkout of TFLite Micro without a library for the board",
            f"cd {root} && make -f {_DOWNLOADS.parent}/Makefile TARGET=cortex_m_generic "
            "TARGET_ARCH=cortex-m4+fp OPTIMIZED_KERNEL_DIR=cmsis_nn microlite",
        )
    return Library(root, includes, (), built[-1])


def _check_rim(model: Model) -> None:
    import tflite

    subgraph = tflite.Model.GetRootAsModel(model.content, 0).Subgraphs(0)
    for what, index in (("input", subgraph.Inputs(0)), ("output", subgraph.Outputs(0))):
        kind = subgraph.Tensors(index).Type()
        if kind != _INT8:
            raise UsageError(
                f"the engine tflm takes int8 in and out; this model's {what} is "
                f"{_TYPE_NAMES.get(kind, f'type {kind}')}",
                "convert with inference_input_type = inference_output_type = tf.int8, or use --engine aot",
            )


def _scratch(model: Model) -> int:
    """Most bytes that one op of CMSIS-NN asks for; the reference kernels ask for none.

    Two columns of a convolution as int16, one of a depthwise one, a sum for each channel of a pool.
    """
    most = 0
    for op in model.graph.ops:
        shapes = [model.graph.tensors[i].shape for i in op.inputs]
        if op.kind == "CONV_2D":
            most = max(most, 4 * _round4(shapes[1][1] * shapes[1][2] * shapes[1][3]))
        elif op.kind == "DEPTHWISE_CONV_2D":
            most = max(most, 2 * _round4(shapes[1][1] * shapes[1][2] * shapes[1][3]))
        elif op.kind == "AVERAGE_POOL_2D":
            most = max(most, 4 * shapes[0][3])
    return most


def _round4(n: int) -> int:
    return -(-n // 4) * 4


def _aligned(n: int) -> int:
    return -(-n // ALIGNMENT) * ALIGNMENT
