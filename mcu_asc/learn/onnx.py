"""A student trained elsewhere (PyTorch) and exported to ONNX -> the int8 .tflite that `export` writes.

    model.onnx -> OnnxNet -> Keras (onnx2tf) -> float .tflite, held against onnxruntime -> int8 .tflite

Each step is a function between the types below; `importing.py` joins them with a data set.  What onnx2tf gets
wrong or leaves in another order of axes shows as float outputs that differ, and is refused before anything is
quantised.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import re
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from mcu_asc.errors import ToolMissing, UsageError
from mcu_asc.learn import keras
from mcu_asc.learn.keras import Keras
from mcu_asc.learn.onnx_rewrite import rewritten
from mcu_asc.learn.teachers import LAYOUTS, arranged
from mcu_asc.nouns import FrontEndConfig

Floats = NDArray[np.float32]
Proto = Any  # onnx.ModelProto

INSTALL = "pip install 'mcu-asc[train,onnx]'"
MIN_OPSET = 11
CARD_KEY = "mcu_asc"  # of the model's metadata: a card's JSON, as a file of features holds it
ONE_LABEL = ("Softmax", "LogSoftmax")  # at the end: left out, because the decision rule wants logits
SEVERAL_LABELS = ("Sigmoid",)  # the same, and says that several labels may hold
UNROLLED = ("GRU", "If", "LSTM", "Loop", "RNN", "Scan")  # no op of the board runs a graph again and again
NO_GELU = "GELU has no int8 kernel in TensorFlow Lite Micro, whose bytes the board's must be"
TOLERANCE = 1e-3  # of the largest float output: what the float .tflite may differ by from onnxruntime


def door(name: str) -> ModuleType:
    """The package `name` of the extra `onnx`; ToolMissing when it is not installed."""
    if name == "onnx2tf":
        keras.keras()  # first: it must not import TensorFlow with another Keras
    try:
        with keras.quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError as error:
        raise ToolMissing(f"ONNX models need {name}: {error}", INSTALL) from error


# ---- the file ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class OnnxNet:
    """A checked ONNX model with one input and one output."""

    proto: Proto
    where: str  # its path, for messages
    input: str
    shape: tuple[int, ...]  # of the input, the batch left out; 0 where the model leaves it open
    opset: int
    metadata: Mapping[str, str]
    dropped: str = ""  # the kind of the last op, where it was left out


def load(path: Path) -> OnnxNet:
    """Read and check a model: one float32 input of 3 or 4 axes, batch 1 or open, one output.

    Raises UsageError for everything that is wrong with it, ToolMissing without the package.
    """
    onnx = door("onnx")
    try:
        proto = onnx.load(str(path))
        onnx.checker.check_model(proto)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}", "check the path") from error
    except Exception as error:  # protobuf's and the checker's own
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise UsageError(f"{path} is not a valid ONNX model: {reason}", "export it again") from error
    graph = proto.graph
    opset = max((s.version for s in proto.opset_import if s.domain in ("", "ai.onnx")), default=0)
    constants = {c.name for c in graph.initializer}
    inputs = [i for i in graph.input if i.name not in constants]
    for what, found in (("inputs", inputs), ("outputs", graph.output)):
        if len(found) != 1:
            names = ", ".join(f"'{x.name}'" for x in found)
            raise UsageError(f"{path} has {len(found)} {what}: {names}", "export a model with one of each")
    if opset < MIN_OPSET:
        raise UsageError(f"{path} is of opset {opset}", f"export it with opset {MIN_OPSET} or later, best 17")
    tensor = inputs[0].type.tensor_type
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
        raise UsageError(f"{path}: input '{inputs[0].name}' is {kind}, not FLOAT", "export a float32 model")
    batch, *shape = [int(d.dim_value) for d in tensor.shape.dim] or [0]
    if len(shape) not in (2, 3):
        raise UsageError(
            f"{path}: input '{inputs[0].name}' has {len(shape) + 1} axes",
            "export with (batch, 1, rows, bands): --layout ncrb",
        )
    if batch not in (0, 1):
        raise UsageError(f"{path} has a fixed batch of {batch}", "export with batch 1 or a dynamic one")
    return OnnxNet(
        proto,
        str(path),
        inputs[0].name,
        tuple(shape),
        opset,
        {p.key: p.value for p in proto.metadata_props},
    )


@dataclass(frozen=True)
class Layout:
    """Which axis of the model's input is which."""

    axes: str  # of LAYOUTS: n(umber), c(hannels), r(ows), b(ands)
    rows: int
    bands: int
    channels: int = 1  # 2 with deltas

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the model's input, without the batch."""
        sizes = {"c": self.channels, "r": self.rows, "b": self.bands}
        return tuple(sizes[a] for a in self.axes[1:])

    @property
    def turned(self) -> bool:
        """Bands come before rows."""
        return self.axes.index("b") < self.axes.index("r")

    def arrange(self, x: Floats) -> Floats:
        """The front end's windows (n, rows, bands, channels) as the model wants them, (n, *shape)."""
        return arranged(x, self.axes)


def layout_of(net: OnnxNet, front_end: FrontEndConfig, asked: str = "") -> Layout:
    """The layout of a model's input; how many rows is the model's to say, or else the front end's.

    Recognised where one reading fits the shape, else `asked` must say it.  UsageError otherwise.
    """
    fits = [found for axes in LAYOUTS if (found := _fit(net.shape, axes, front_end))]
    wanted = f"{front_end.bands} bands" + (", 2 channels" if front_end.deltas else "")
    size = " x ".join(str(n or "?") for n in net.shape)
    if asked:
        if chosen := [f for f in fits if f.axes == asked]:
            return chosen[0]
        raise UsageError(f"{net.where}: input {size} cannot be {asked} with {wanted}", _layout_hint(fits))
    if len(fits) == 1:
        return fits[0]
    if not fits:
        raise UsageError(
            f"{net.where}: input {size} does not fit the front end's {wanted}",
            "give the --front-end it was trained with; the input is (batch, 1, rows, bands) or a turn of it",
        )
    raise UsageError(f"{net.where}: input {size} can be read in {len(fits)} ways", _layout_hint(fits))


def _layout_hint(fits: Sequence[Layout]) -> str:
    meaning = ": n(umber), c(hannels), r(ows of time), b(ands)"
    return (
        "give " + " or ".join(f"--layout {f.axes}" for f in fits) + meaning if fits else "check --front-end"
    )


def _fit(shape: tuple[int, ...], axes: str, front_end: FrontEndConfig) -> Layout | None:
    if len(axes) != 1 + len(shape) or ("c" not in axes and front_end.channels > 1):
        return None
    rows = shape[axes.index("r") - 1] or front_end.rows
    layout = Layout(axes, rows, front_end.bands, front_end.channels)
    known = tuple(m if a == "r" else n for a, n, m in zip(axes[1:], shape, layout.shape, strict=True))
    return layout if known == layout.shape else None  # only time may be left open


# ---- onnxruntime -------------------------------------------------------------------------------


def fixed(net: OnnxNet, layout: Layout) -> OnnxNet:
    """The model for one window of `layout`, ending in logits, what is constant computed."""
    onnx = door("onnx")
    proto = type(net.proto)()
    proto.CopyFrom(net.proto)
    graph = proto.graph
    shape = next(i for i in graph.input if i.name == net.input).type.tensor_type.shape
    for dim, size in zip(shape.dim, (1, *layout.shape), strict=True):
        dim.dim_value = size
    dropped = ""
    last = next(n for n in graph.node if graph.output[0].name in n.output)
    if last.op_type in (*ONE_LABEL, *SEVERAL_LABELS):
        dropped = last.op_type
        graph.output[0].name = last.input[0]
        graph.node.remove(last)
    graph.output[0].type.tensor_type.ClearField("shape")  # said for the batch it had
    del graph.value_info[:]
    proto = onnx.shape_inference.infer_shapes(_folded(proto, net.where))
    return replace(net, proto=proto, shape=layout.shape, dropped=dropped)


def _folded(proto: Proto, where: str) -> Proto:
    """onnxruntime's basic optimisation: shapes that exporters compute become constants, norms are folded."""
    rt = door("onnxruntime")
    with tempfile.TemporaryDirectory() as folder:
        options = _options(rt)
        options.graph_optimization_level = rt.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        _session(rt, proto, where, options)
        return door("onnx").load(options.optimized_model_filepath)


def _options(rt: ModuleType) -> Any:
    options = rt.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return options


def _session(rt: ModuleType, proto: Proto, where: str, options: Any) -> Any:
    try:
        return rt.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of its C++
        reason = str(error).split("\n")[0]
        raise UsageError(
            f"onnxruntime cannot run {where}: {reason}", "export it again, best with opset 17"
        ) from error


def run_onnx(net: OnnxNet, layout: Layout, x: Floats) -> Floats:
    """Logits (n, classes) of windows (n, rows, bands, channels) by onnxruntime, one window a call."""
    rt = door("onnxruntime")
    session = _session(rt, net.proto, net.where, _options(rt))
    out = [session.run(None, {net.input: window[None]})[0].reshape(-1) for window in layout.arrange(x)]
    return np.stack(out).astype(np.float32)


# ---- TensorFlow --------------------------------------------------------------------------------


def unconvertible(net: OnnxNet) -> tuple[str, ...]:
    """Every op that has no conversion, or none that a board could run: "Kind 'node name'"."""
    door("onnx2tf")

    def known(node: Any) -> bool:
        plain = node.domain in ("", "ai.onnx")
        return (
            plain
            and node.op_type not in UNROLLED
            and importlib.util.find_spec(f"onnx2tf.ops.{node.op_type}") is not None
        )

    return tuple(f"{n.op_type} '{n.name or n.output[0]}'" for n in net.proto.graph.node if not known(n))


def convertible(net: OnnxNet, layout: Layout, x: Floats) -> OnnxNet:
    """The model with nodes that int8 would suffer from rewritten; `x` are calibration windows."""

    def lowest(tensor: str) -> float:
        proto = type(net.proto)()
        proto.CopyFrom(net.proto)
        del proto.graph.output[:]
        proto.graph.output.append(door("onnx").helper.make_empty_tensor_value_info(tensor))
        return float(run_onnx(replace(net, proto=proto), layout, x).min())

    onnx = door("onnx")
    proto = onnx.shape_inference.infer_shapes(rewritten(onnx, net.proto, lowest))
    return replace(net, proto=proto)


def to_keras(net: OnnxNet, layout: Layout) -> Keras:
    """The model as Keras, (1, rows, bands, channels) -> (1, classes); UsageError names what cannot be."""
    if gelu := [n for n in net.proto.graph.node if n.op_type in ("Gelu", "Erf")]:
        refuse_gelu(net.where, f"{gelu[0].op_type} '{gelu[0].name or gelu[0].output[0]}'")
    if bad := unconvertible(net):
        raise UsageError(
            f"{net.where}: cannot be converted: {', '.join(bad)}", "replace these layers and export again"
        )
    inner = _converted(net, layout)
    tf = keras.keras()
    first = tf.Input((layout.rows, layout.bands, layout.channels), batch_size=1, name="features")
    x = tf.layers.Permute((2, 1, 3))(first) if layout.turned else first
    if tuple(x.shape[1:]) != tuple(inner.input_shape[1:]):
        x = tf.layers.Reshape(inner.input_shape[1:])(x)
    x = inner(x)
    if len(x.shape) != 2:
        x = tf.layers.Flatten()(x)
    return tf.Model(first, x)


def refuse_gelu(where: str, what: str) -> NoReturn:
    raise UsageError(f"{where}: {what}: {NO_GELU}", "train with ReLU, ReLU6, SiLU or Hardswish instead")


def refuse_found_gelu(content: bytes, where: str) -> None:
    """UsageError for a .tflite in which the converter has found a GELU, as in Pow, Mul, Tanh, Add."""
    import tflite

    model = tflite.Model.GetRootAs(content, 0)
    kinds = {model.OperatorCodes(i).BuiltinCode() for i in range(model.OperatorCodesLength())}
    if tflite.BuiltinOperator.GELU in kinds:
        refuse_gelu(where, "an activation written out with Tanh")


def _converted(net: OnnxNet, layout: Layout) -> Keras:
    """onnx2tf's Keras model; its input is NHWC where the model has channels first, else as in the model."""
    said = io.StringIO()
    channels_first = layout.axes.startswith("nc")
    door("onnx2tf")
    proto = type(net.proto)()
    proto.CopyFrom(net.proto)  # it writes into what it is given
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            keras.quiet(),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
        ):
            return door("onnx2tf").convert(
                onnx_graph=proto,
                output_folder_path=folder,
                keep_shape_absolutely_input_names=None if channels_first else [net.input],
                batch_size=1,
                not_use_onnxsim=True,  # a program of another package
                disable_model_save=True,
                non_verbose=True,
                verbosity="error",
            )
    except (Exception, SystemExit) as error:  # it leaves by sys.exit
        text = re.sub(r"\x1b\[[0-9;]*m", "", said.getvalue())
        place = re.search(r"onnx_op_name: *(\S+)", text)
        lines = re.findall(r"^\w*(?:Error|Exception): .+", text, re.MULTILINE)
        reason = lines[-1].strip() if lines else f"{type(error).__name__}: {error}"
        at = f" at node '{place[1]}'" if place else ""
        raise UsageError(
            f"{net.where}: onnx2tf stops{at}: {reason}", "replace this layer and export again"
        ) from error


def float_tflite(model: Keras) -> bytes:
    """The model as a float32 .tflite."""
    try:
        with keras.quiet():
            content: bytes = keras.converter(model).convert()
    except Exception as error:  # what MLIR gives
        kinds = sorted(set(re.findall(r"'tf\.(\w+)' op", str(error))))
        what = f"no op for {', '.join(kinds)}" if kinds else str(error).split("\n")[0]
        raise UsageError(
            f"TensorFlow Lite cannot convert the model: {what}", "replace this layer and export again"
        ) from error
    return content


def run_tflite(content: bytes, x: Floats) -> Floats:
    """Float logits (n, classes) of windows (n, rows, bands, channels)."""
    interpreter = keras.interpreter(content)
    source = interpreter.get_input_details()[0]["index"]
    sink = interpreter.get_output_details()[0]["index"]
    out = []
    for window in x:
        interpreter.set_tensor(source, window[None])
        interpreter.invoke()
        out.append(interpreter.get_tensor(sink).reshape(-1).copy())
    return np.stack(out)


# ---- parity ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parity:
    """Float outputs of onnxruntime against those of the float .tflite."""

    windows: int
    max_error: float
    limit: float
    window: int  # where the largest error is
    output: int
    expected: float
    found: float


def parity(expected: Floats, found: Floats, tolerance: float = TOLERANCE) -> Parity:
    """Compare logits (n, classes); the limit is `tolerance` times the largest of them, 1 at least."""
    error = np.abs(expected.astype(np.float64) - found)
    error[~np.isfinite(error)] = np.inf
    window, output = (int(i) for i in np.unravel_index(error.argmax(), error.shape))
    return Parity(
        windows=len(expected),
        max_error=float(error.max()),
        limit=tolerance * max(1.0, float(np.abs(expected).max())),
        window=window,
        output=output,
        expected=float(expected[window, output]),
        found=float(found[window, output]),
    )


def refuse_different(found: Parity, labels: Sequence[str], where: str) -> None:
    """UsageError naming the worst output where the error is above the limit."""
    if not found.max_error <= found.limit:
        raise UsageError(
            f"{where}: the converted model differs: output '{labels[found.output]}' of window {found.window} "
            f"is {found.found:.6g}, onnxruntime says {found.expected:.6g} (limit {found.limit:.2g})",
            "a conversion that is wrong; try another --layout, or export without reshapes and flattens",
        )
