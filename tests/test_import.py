"""ONNX students: small networks from onnx.helper through the whole lane, and what must be refused."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if not all(map(importlib.util.find_spec, ("tensorflow", "tf_keras", "onnx", "onnx2tf"))):
    pytest.skip("needs the extras [train,onnx]", allow_module_level=True)

import onnx as format_
import onnxnets
import soundfile
from onnx import helper

from mcu_asc import compiler, config
from mcu_asc.audio.datasets import open_dataset, select
from mcu_asc.cli import main
from mcu_asc.errors import ToolMissing, UsageError
from mcu_asc.learn import onnx, stated, table
from mcu_asc.learn.importing import Wanted, import_onnx
from mcu_asc.learn.onnx import Layout
from mcu_asc.nouns import Decision, FrontEndConfig, ModelCard

LABELS = ("drill", "hum", "rain", "wind")
CFG = FrontEndConfig(window=512, fft=512, bands=16, rows=20, floor_fs2=1e-8)
NETS = (onnxnets.flat, onnxnets.depthwise, onnxnets.residual, onnxnets.pools)
NCRB = Layout("ncrb", 20, 16)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four labels, four recordings each, of half a second."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for i, label in enumerate(LABELS):
        (root / label).mkdir()
        for n in range(4):
            t = np.arange(8000 + 400 * n) / 16000
            x = 0.3 * np.sin(2 * np.pi * 300 * (i + 1) * t) + 0.05 * rng.normal(size=t.size)
            soundfile.write(root / label / f"{n}.wav", x, 16000, subtype="PCM_16")
    return root


@pytest.fixture(scope="module")
def features(data: Path) -> Path:
    path = data.parent / "features.npz"
    source = stated.Stated(CFG, Decision(hop_rows=2, alive_db=-60.0), (), "here")
    table.write_table(path, open_dataset("folders", data), open_dataset("folders", data).clips, source)
    return path


def save(net: Any, folder: Path) -> Path:
    format_.checker.check_model(net, full_check=True)
    path = folder / "net.onnx"
    format_.save(net, path)
    return path


def wanted(model: Path, features: Path, **more: Any) -> Wanted:
    return Wanted(model=model, data="folders", front_end=str(features), **more)


def windows(n: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).normal(0, 1, (n, 20, 16, 1)).astype(np.float32)


# ---- the lane ----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", NETS, ids=lambda f: f.__name__)
def test_a_student_goes_through(
    make: Callable[..., Any], data: Path, features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the network was asked for something")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.chdir(tmp_path)
    path = save(make(), tmp_path)
    found = import_onnx(wanted(path, features), data, tmp_path / "out", compiler.read)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.onnx", "out"]  # nothing lies about
    assert found.layout == "ncrb" and all("near chance" in note for note in found.notes)  # untrained
    assert found.parity.max_error <= 1e-4 < found.parity.limit
    assert found.agreement > 0.9

    model = compiler.read(found.tflite)
    assert model.card is not None
    with np.load(features) as saved:
        given = config.card_from_json(str(saved["card"]))
    fe = model.card.front_end
    assert (model.card.labels, model.card.decision) == (LABELS, given.decision)
    assert fe.mean == given.front_end.mean and fe.std == given.front_end.std
    tensors = model.graph.tensors
    first, last = tensors[model.graph.inputs[0]], tensors[model.graph.outputs[0]]
    assert (first.shape, first.dtype) == ((1, 20, 16, 1), "int8")
    assert (last.shape, last.dtype) == ((1, 4), "int8")
    assert first.quant is not None and fe.scale == first.quant.scale[0]
    convs = [op for op in model.graph.ops if "CONV" in op.kind]
    assert convs and all(len(tensors[op.inputs[1]].quant.scale) > 1 for op in convs)  # type: ignore[union-attr]
    assert (
        not {"ADD", "MUL", "SUB", "PAD"} & {op.kind for op in model.graph.ops[1:]}
        or make is onnxnets.residual
    )
    assert "TRANSPOSE" not in {op.kind for op in model.graph.ops}  # of a map before it is flattened
    report = json.loads((tmp_path / "out" / "import.json").read_text())
    assert report["parity"]["max_error"] == found.parity.max_error


def test_int8_is_what_onnx_says(data: Path, features: Path, tmp_path: Path) -> None:
    """The int8 file on quantised windows, by the TFLM interpreter, near onnxruntime on the float ones."""
    runtime = pytest.importorskip("tflite_micro", reason="needs the extra [oracle]").runtime
    path = save(onnxnets.flat(), tmp_path)
    found = import_onnx(wanted(path, features), data, tmp_path / "out")
    content = found.tflite.read_bytes()
    with np.load(features) as saved:
        x = saved["x"][:20, ..., None]
    model = compiler.read(content)
    source, sink = (model.graph.tensors[i].quant for i in (model.graph.inputs[0], model.graph.outputs[0]))
    assert source is not None and sink is not None
    exact = onnx.run_onnx(onnx.load(path), NCRB, x)
    interpreter = runtime.Interpreter.from_bytes(content)
    for window, expected in zip(x, exact, strict=True):
        q = np.clip(np.rint(window / source.scale[0]) + source.zero_point[0], -128, 127).astype(np.int8)
        interpreter.set_input(q[None], 0)
        interpreter.invoke()
        real = sink.scale[0] * (interpreter.get_output(0)[0].astype(float) - sink.zero_point[0])
        assert np.abs(real - expected).max() < 0.06 * np.abs(exact).max()


def test_what_is_rewritten_means_the_same(tmp_path: Path) -> None:
    """onnxruntime before and after, bit for bit near; no value far outside what occurs enters the model."""
    ours = onnx.fixed(onnx.load(save(onnxnets.pools(), tmp_path)), NCRB)
    x = windows(6)
    after = onnx.convertible(ours, NCRB, x)
    kinds = [n.op_type for n in after.proto.graph.node]
    assert "HardSigmoid" not in kinds and kinds.count("Pad") == 2
    assert all(not any(a.name in ("pads", "ceil_mode") for a in n.attribute)
               for n in after.proto.graph.node if n.op_type == "MaxPool")  # fmt: skip
    np.testing.assert_allclose(onnx.run_onnx(after, NCRB, x), onnx.run_onnx(ours, NCRB, x), atol=1e-5)
    constants = {c.name: format_.numpy_helper.to_array(c) for c in after.proto.graph.initializer}
    lows = [float(v) for name, v in constants.items() if name.endswith("/lowest")]
    assert len(lows) == 2 and all(-30 < low <= 0 for low in lows)


@pytest.mark.parametrize("layout", ["ncrb", "ncbr", "nrbc", "nbrc", "nrb", "nbr"])
def test_every_layout_gives_the_same(layout: str, tmp_path: Path) -> None:
    """The same network behind another order of axes: Transpose and Reshape before its first layer."""
    inner = onnxnets.flat()
    x = windows(3)
    plain = onnx.fixed(onnx.load(save(inner, tmp_path)), NCRB)
    expected = onnx.run_onnx(plain, NCRB, x)
    turned = Layout(layout, 20, 16)
    graph = inner.graph
    graph.input[0].CopyFrom(helper.make_tensor_value_info("y", 1, [1, *turned.shape]))
    order = [layout.index(a) for a in ("ncrb" if "c" in layout else "nrb")]
    shape = format_.numpy_helper.from_array(np.array([1, 1, 20, 16]), "wanted")
    graph.initializer.append(shape)
    graph.node.insert(0, helper.make_node("Transpose", ["y"], ["z"], name="turn", perm=order))
    graph.node.insert(1, helper.make_node("Reshape", ["z", "wanted"], ["x"], name="shape"))
    net = onnx.load(save(inner, tmp_path))
    found = onnx.layout_of(net, CFG)
    assert found == turned
    ours = onnx.fixed(net, found)
    np.testing.assert_allclose(onnx.run_onnx(ours, found, x), expected, atol=1e-5)
    content = onnx.float_tflite(onnx.to_keras(ours, found))
    np.testing.assert_allclose(onnx.run_tflite(content, x), expected, atol=1e-4)


def test_two_channels(data: Path, tmp_path: Path) -> None:
    """Deltas: the file of features has them, the network takes them before rows and bands."""
    cfg = dataclasses.replace(CFG, deltas=3)
    source = stated.Stated(cfg, Decision(hop_rows=2, alive_db=-60.0), (), "here")
    ds, npz = open_dataset("folders", data), tmp_path / "two.npz"
    table.write_table(npz, ds, ds.clips, source)
    with np.load(npz) as saved:
        x = saved["x"]
    assert x.shape[1:] == (20, 16, 2)
    net = onnxnets.Net()
    pooled = net.add("GlobalAveragePool", net.add("Relu", net.conv("x", 2, 6)))
    made = net.model(net.gemm(net.add("Flatten", pooled), 6, 4), ["n", 2, 20, 16], 4)
    path = save(made, tmp_path)
    found = import_onnx(wanted(path, npz), data, tmp_path / "out", compiler.read)
    assert found.layout == "ncrb" and found.agreement > 0.9
    assert compiler.read(found.tflite).graph.tensors[0].shape == (1, 20, 16, 2)


def ending_in(kind: str, **attributes: Any) -> Any:
    net = onnxnets.flat()
    last = net.graph.node[-1].output[0]
    net.graph.node.append(helper.make_node(kind, [last], ["p"], name="probabilities", **attributes))
    net.graph.output[0].name = "p"
    return net


def test_a_normaliser_at_the_end_is_left_out(data: Path, features: Path, tmp_path: Path) -> None:
    path = save(ending_in("Softmax", axis=1), tmp_path)
    found = import_onnx(wanted(path, features), data, tmp_path / "out")
    assert (found.dropped, found.multi_label) == ("Softmax", False)
    assert "SOFTMAX" not in {op.kind for op in compiler.read(found.tflite).graph.ops}


def test_a_sigmoid_at_the_end_is_left_out_and_the_card_says_what_it_meant(
    data: Path, features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(ending_in("Sigmoid"), tmp_path)
    options = {"--front-end": features, "--data": "folders", "--data-root": data, "--out": tmp_path / "out"}
    with pytest.raises(SystemExit) as stop:
        main(["import", str(path), *(str(v) for pair in options.items() for v in pair)])
    said = capsys.readouterr()
    assert not stop.value.code, said.err
    assert "left out: Sigmoid at the end" in said.out and "several labels may hold; to score it" in said.out
    model = compiler.read(tmp_path / "out" / "student.tflite")
    assert model.card is not None and model.card.multi_label
    assert "LOGISTIC" not in {op.kind for op in model.graph.ops}
    plain = import_onnx(wanted(save(onnxnets.flat(), tmp_path), features), data, tmp_path / "plain")
    for ours, theirs in zip(model.graph.tensors, compiler.read(plain.tflite).graph.tensors, strict=True):
        np.testing.assert_array_equal(ours.data, theirs.data)  # the same network up to there


def test_a_dense_layer_takes_a_map_as_it_lies(tmp_path: Path) -> None:
    """Weights by row and by column, with and without a bias; onnxruntime says the same before and after."""
    for kind, attributes in (("Gemm", {"transB": 1}), ("Gemm", {"alpha": 0.5}), ("MatMul", {})):
        net = onnxnets.Net(3)
        flat = net.add("Flatten", net.add("Relu", net.conv("x", 1, 4)), axis=1)
        shape = (4, 1280) if "transB" in attributes else (1280, 4)
        inputs = [flat, net.random(*shape, spread=0.05), *([net.random(4)] if kind == "Gemm" else [])]
        path = save(net.model(net.add(kind, *inputs, **attributes), ["n", 1, 20, 16], 4), tmp_path)
        ours, x = onnx.fixed(onnx.load(path), NCRB), windows(4)
        after = onnx.convertible(ours, NCRB, x)
        assert [n.op_type for n in after.proto.graph.node][-3:] == ["Transpose", "Reshape", kind]
        np.testing.assert_allclose(
            onnx.run_onnx(after, NCRB, x), onnx.run_onnx(ours, NCRB, x), rtol=1e-4, atol=1e-4
        )


def test_shapes_that_an_exporter_computes_become_constants(tmp_path: Path) -> None:
    """x.view(x.shape[0], -1) as traced: Shape, Gather, Unsqueeze, Concat, Reshape."""
    net = onnxnets.Net()
    x = net.add("Relu", net.conv("x", 1, 4))
    size = net.add("Shape", x)
    first = net.add("Gather", size, net.constant(0, np.int64), axis=0)
    axes = net.constant([0], np.int64)
    whole = net.add("Concat", net.add("Unsqueeze", first, axes), net.constant([-1], np.int64), axis=0)
    out = net.gemm(net.add("Reshape", x, whole), 4 * 20 * 16, 4)
    made = net.model(out, ["batch", 1, 20, 16], 4)
    ours = onnx.fixed(onnx.load(save(made, tmp_path)), NCRB)
    assert {"Shape", "Gather", "Concat"}.isdisjoint(n.op_type for n in ours.proto.graph.node)
    content = onnx.float_tflite(onnx.to_keras(ours, NCRB))
    x = windows(4)
    np.testing.assert_allclose(onnx.run_tflite(content, x), onnx.run_onnx(ours, NCRB, x), atol=1e-3)


# ---- what must be refused ----------------------------------------------------------------------


def test_a_flatten_in_the_wrong_order_is_refused(tmp_path: Path) -> None:
    """The classical defect: a map flattened in another order than the weights behind it were trained for."""
    net = onnxnets.flat()
    ours = onnx.fixed(onnx.load(save(net, tmp_path)), NCRB)
    x = windows(8)
    right = onnx.run_tflite(onnx.float_tflite(onnx.to_keras(ours, NCRB)), x)
    onnx.refuse_different(onnx.parity(onnx.run_onnx(ours, NCRB, x), right), LABELS, "net")
    weights = next(c for c in net.graph.initializer if list(c.dims) == [4, 160])
    values = format_.numpy_helper.to_array(weights).reshape(4, 8, 5, 4).transpose(0, 2, 3, 1).reshape(4, 160)
    weights.CopyFrom(format_.numpy_helper.from_array(np.ascontiguousarray(values), weights.name))
    wrong = onnx.fixed(onnx.load(save(net, tmp_path)), NCRB)
    found = onnx.parity(
        onnx.run_onnx(ours, NCRB, x), onnx.run_tflite(onnx.float_tflite(onnx.to_keras(wrong, NCRB)), x)
    )
    with pytest.raises(UsageError, match=rf"output '{LABELS[found.output]}' of window {found.window}"):
        onnx.refuse_different(found, LABELS, "net")


def test_parity_counts_what_is_not_a_number() -> None:
    found = onnx.parity(np.ones((2, 3), np.float32), np.array([[1, 1, 1], [1, np.nan, 1]], np.float32))
    assert (found.window, found.output) == (1, 1)
    with pytest.raises(UsageError):
        onnx.refuse_different(found, "abc", "net")


def test_ops_without_conversion_are_all_named(tmp_path: Path) -> None:
    net = onnxnets.Net()
    x = net.add("Relu", net.conv("x", 1, 4))
    x = net.add("DeformConv", x, *[net.random(*s) for s in ((4, 4, 1, 1), (1, 2, 20, 16))])
    x = net.add("GlobalLpPool", net.add("Hardmax", x))
    out = net.gemm(net.add("Flatten", x), 4, 4)
    path = tmp_path / "net.onnx"
    format_.save(net.model(out, [1, 1, 20, 16], 4, opset=19), path)
    loaded = onnx.load(path)
    named = onnx.unconvertible(loaded)
    assert "DeformConv '/deformconv2'" in named
    with pytest.raises(UsageError, match="DeformConv '/deformconv2'"):
        onnx.to_keras(loaded, NCRB)


def _gelu(net: onnxnets.Net, x: str, form: str) -> str:
    """As PyTorch writes it: for opset 20, and before it by Erf or by Tanh."""
    if form in ("none", "tanh"):
        return net.add("Gelu", x, approximate=form)
    half = net.add("Mul", x, net.constant(0.5))
    if form == "erf":
        curve = net.add("Erf", net.add("Div", x, net.constant(2**0.5)))
    else:
        cube = net.add("Mul", net.add("Pow", x, net.constant(3.0)), net.constant(0.044715))
        curve = net.add("Tanh", net.add("Mul", net.add("Add", x, cube), net.constant((2 / np.pi) ** 0.5)))
    return net.add("Mul", half, net.add("Add", curve, net.constant(1.0)))


@pytest.mark.parametrize("form", ["none", "tanh", "erf", "by hand"])
def test_gelu_is_refused_with_its_reason(form: str, data: Path, features: Path, tmp_path: Path) -> None:
    net = onnxnets.Net()
    x = net.add("GlobalAveragePool", net.conv(_gelu(net, net.conv("x", 1, 6), form), 6, 8))
    out = net.gemm(net.add("Flatten", x), 8, 4)
    path = save(net.model(out, ["n", 1, 20, 16], 4, opset=20 if form in ("none", "tanh") else 17), tmp_path)
    with pytest.raises(UsageError, match=r"net\.onnx: .*: GELU has no int8 kernel in .*\(train with ReLU"):
        import_onnx(wanted(path, features), data, tmp_path / "out")


@pytest.mark.parametrize("kind", onnx.UNROLLED)
def test_loops_are_named(kind: str) -> None:
    graph = helper.make_graph([helper.make_node(kind, ["x"], ["y"], name="again")], "net", [], [])
    net = dataclasses.replace(net_of(1, 20, 16), proto=helper.make_model(graph))
    assert onnx.unconvertible(net) == (f"{kind} 'again'",)


def bad(tmp_path: Path, change: Callable[[Any], None]) -> Path:
    net = onnxnets.flat()
    change(net)
    path = tmp_path / "net.onnx"
    format_.save(net, path)
    return path


def _two_inputs(net: Any) -> None:
    net.graph.input.append(helper.make_tensor_value_info("second", 1, [1]))


def _batch(net: Any) -> None:
    net.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 8


def _old(net: Any) -> None:
    net.opset_import[0].version = 8


def _double(net: Any) -> None:
    net.graph.input[0].type.tensor_type.elem_type = 11


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_two_inputs, "2 inputs: 'x', 'second'"),
        (_batch, "batch of 8"),
        (_old, "opset 8"),
        (_double, "DOUBLE"),
    ],
)
def test_models_that_cannot_be_meant(tmp_path: Path, change: Callable[[Any], None], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        onnx.load(bad(tmp_path, change))


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07" * 40])
def test_files_that_are_no_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is not a valid ONNX model"):
        onnx.load(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        onnx.load(tmp_path / "none.onnx")


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(ToolMissing, match="onnx2tf") as error:
        onnx.door("onnx2tf")
    assert "mcu-asc[train,onnx]" in error.value.hint


def net_of(*shape: int) -> onnx.OnnxNet:
    return onnx.OnnxNet(None, "net", "x", shape, 17, {})


def test_layouts_that_are_not_clear_are_asked_for() -> None:
    fe = FrontEndConfig()  # 50 rows of 64 bands
    assert onnx.layout_of(net_of(1, 50, 64), fe).axes == "ncrb"
    assert onnx.layout_of(net_of(1, 64, 0), fe) == Layout("ncbr", 50, 64)
    with pytest.raises(UsageError, match="in 2 ways") as error:
        onnx.layout_of(net_of(1, 64, 64), fe)
    assert "--layout ncrb or --layout ncbr" in error.value.hint
    assert onnx.layout_of(net_of(1, 64, 64), fe, "ncbr") == Layout("ncbr", 64, 64)
    with pytest.raises(UsageError, match="does not fit the front end's 64 bands"):
        onnx.layout_of(net_of(1, 40, 50), fe)
    with pytest.raises(UsageError, match="cannot be nrb"):
        onnx.layout_of(net_of(1, 50, 64), fe, "nrb")


def test_labels_must_be_as_many_as_outputs(data: Path, features: Path, tmp_path: Path) -> None:
    path = save(onnxnets.flat(classes=3), tmp_path)
    with pytest.raises(UsageError, match="3 outputs, the labels are 4"):
        import_onnx(wanted(path, features), data, tmp_path / "out")
    found = import_onnx(wanted(path, features, labels=("wind", "hum", "rain")), data, tmp_path / "out")
    assert found.labels == ("wind", "hum", "rain")


# ---- front end and statistics ------------------------------------------------------------------


def test_statistics_in_other_units() -> None:
    """(ln(E) - m) / s of samples in -1 .. 1 is what the front end computes from log2 of squared LSB."""
    energy = np.array([1e-6, 0.3])  # of full scale
    own = np.log2(energy * 2.0**30)
    for unit, log in (("ln", np.log(energy)), ("log10", np.log10(energy)), ("dB", 10 * np.log10(energy))):
        fe = stated.with_given(CFG, (-3.5,), (2.25,), unit)
        np.testing.assert_allclose((own - fe.mean[0]) / fe.std[0], (log + 3.5) / 2.25, rtol=1e-5)
    assert stated.with_given(CFG, (11.0,), (3.0,)).mean == (11.0,) * 16
    with pytest.raises(UsageError, match="--mean has 2 values"):
        stated.with_given(CFG, (1.0, 2.0), (3.0,))


def test_where_a_front_end_may_be_stated(tmp_path: Path, features: Path) -> None:
    card = ModelCard("x", LABELS, dataclasses.replace(CFG, mean=(9.0,) * 16, std=(2.0,) * 16, scale=0.1))
    path = tmp_path / "card.json"
    path.write_text(config.card_to_json(card))
    found = stated.stated(str(path))
    assert found.front_end == dataclasses.replace(card.front_end, scale=1.0)
    assert stated.stated(str(features)).labels == LABELS
    assert stated.stated("nano-live").front_end.bands == 64
    with pytest.raises(UsageError, match="no front end is called"):
        stated.stated("nano-life")
    (tmp_path / "bad.npz").write_bytes(b"no")
    with pytest.raises(UsageError, match="no file of features"):
        stated.stated(str(tmp_path / "bad.npz"))


def test_the_models_metadata_may_state_it(data: Path, features: Path, tmp_path: Path) -> None:
    net = onnxnets.depthwise()
    with np.load(features) as saved:
        helper.set_model_props(net, {"mcu_asc": str(saved["card"])})
    found = import_onnx(Wanted(save(net, tmp_path), "folders"), data, tmp_path / "out")
    assert found.front_end.startswith("metadata of") and found.labels == LABELS
    with pytest.raises(UsageError, match="does not say which front end"):
        import_onnx(Wanted(save(onnxnets.depthwise(), tmp_path), "folders"), data, tmp_path / "out")


def test_features_are_what_the_network_will_see(data: Path, features: Path) -> None:
    """x of the file, quantised, is the C front end's int8; windows, labels and ids belong together."""
    from mcu_asc.audio.features import features as rows_of
    from mcu_asc.audio.features import windows as cut

    with np.load(features) as saved:
        card = config.card_from_json(str(saved["card"]))
        x, y, clip, ids = saved["x"], saved["y"], saved["clip"], saved["ids"]
    assert abs(x[..., :].mean()) < 0.2 and len(card.front_end.mean) == 16
    cfg = dataclasses.replace(card.front_end, scale=0.05, zero_point=3)
    ds = open_dataset("folders", data)
    found = rows_of(ds, ds.clips, cfg)
    for i, c in enumerate(ds.clips):
        assert ids[i] == c.id and {LABELS[k] for k in y[clip == i]} == {c.label}
        q = np.clip(np.floor(x[clip == i] / 0.05 + 0.5) + 3, -128, 127)
        expected = cut(found[c.id].q, 20, card.decision.hop_rows)
        assert q.shape == expected.shape
        assert np.abs(q - expected).max() <= 1 and (q == expected).mean() > 0.97


# ---- the verbs ---------------------------------------------------------------------------------


def test_the_verbs(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MCU_ASC_DATA", str(data))
    card = tmp_path / "card.json"
    card.write_text(config.card_to_json(ModelCard("x", LABELS, CFG, Decision(hop_rows=2, alive_db=-60.0))))
    npz, out = str(tmp_path / "f.npz"), str(tmp_path / "out")

    def run(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(list(args))
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out, said.err

    assert run("features", "--data", "folders", "--front-end", str(card), "--npz", npz)[0] == 0
    path = save(onnxnets.flat(), tmp_path)
    code, said, _ = run(
        "import", str(path), "--data", "folders", "--front-end", npz, "--test-folds",
        str(select(open_dataset("folders", data))[0].fold), "--out", out,
    )  # fmt: skip
    assert code == 0 and "largest difference" in said and "next: mcu-asc check" in said
    code, said, _ = run("check", f"{out}/student.tflite", "--json")
    assert code == 0 and json.loads(said)["fits"]
    code, said, _ = run("import", str(path), "--data", "folders", "--front-end", npz, "--out", out, "--json")
    assert code == 0 and json.loads(said)["parity"]["windows"] > 0
    assert run("features", str(path))[0] == 2
    code, _, said = run("import", str(path), "--data", "folders", "--front-end", npz, "--mean", "1")
    assert code == 2 and "--mean and --std belong together" in said


def test_from_pytorch(data: Path, features: Path, tmp_path: Path) -> None:
    """Where PyTorch is installed: its own exporter's file."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: it is no part of the extras")
    nn = torch.nn
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(160, 4),
    ).eval()
    path = tmp_path / "net.onnx"
    torch.onnx.export(net, (torch.zeros(1, 1, 20, 16),), str(path), dynamo=False, opset_version=17)
    found = import_onnx(wanted(path, features), data, tmp_path / "out", compiler.read)
    assert found.parity.max_error < 1e-4
