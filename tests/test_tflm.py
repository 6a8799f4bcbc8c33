"""The engine tflm: generated C++ against a small set of headers with TFLM's signatures, and a library in its
shape that has our own network inside.  Against the real library it was compiled by hand."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import vectors
from tflite_make import File

from mcu_asc import cli, compiler, config, firmware, paths
from mcu_asc.compiler import tflm
from mcu_asc.compiler.ops import OPS
from mcu_asc.device.build import compile_project
from mcu_asc.device.targets import open_target
from mcu_asc.errors import DeviceError, ToolMissing, UsageError
from mcu_asc.nouns import Model
from mcu_asc.results.score import interpreter_oracle

pytest.importorskip("tflite_micro")
HERE = Path(__file__).parent
STUDENT = paths.students_dir() / "scenes" / "student.tflite"
BOARD = config.load_board("nano33")
NEVER = 1 << 31


@pytest.fixture(scope="module")
def model() -> Model:
    return compiler.read(STUDENT)


def tree(folder: Path, model: Model, needs: int = 0, fails_at: int = NEVER) -> Path:
    """A library in the shape of create_tflm_tree's, with the model's compiled network as its interpreter."""
    shutil.copytree(HERE / "tflm", folder)
    inside = folder / "third_party" / "network"
    inside.mkdir(parents=True)
    network = compiler.emit(model, compiler.plan(model.graph))["model.c"]
    (inside / "network.c").write_bytes(b"#define asc_net asc_fake_net\n" + network)
    for name in compiler.kernel_sources(model.graph):
        shutil.copy(paths.firmware_dir() / "kernels" / "ref" / name, inside)
    (folder / "fake.h").write_text(f"#define FAKE_ARENA_BYTES {needs}u\n#define FAKE_FAILS_AT {fails_at}u\n")
    return folder


def build(tmp_path: Path, model: Model, **harm: int) -> Path:
    library = tflm.locate(tree(tmp_path / "tflm", model, **harm))
    firmware.write(firmware.project(model, BOARD, "tflm", library=library), tmp_path / "p")
    return tmp_path / "p"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Path:
    return build(tmp_path_factory.mktemp("tflm"), model)


# ---- the same application ------------------------------------------------------------------------------


@pytest.mark.parametrize("on", ["host", "emulator"])
def test_clips_go_through_the_interpreter(built: Path, model: Model, on: str) -> None:
    assert model.card
    oracle = interpreter_oracle(model)
    assert oracle
    samples = 2 * model.card.front_end.samples
    pcm = np.random.default_rng(4).normal(0, 3_000, samples).astype(np.int16)
    with open_target(built, on) as session:
        for _ in range(2):  # its state outlives an inference
            assert tuple(w.logits for w in session.classify(pcm).windows) == oracle(pcm)
        bench = session.bench()
        assert len(bench.layer_cycles) == len(model.graph.ops)
        assert all(bench.layer_cycles)
        assert bench.model_cycles >= sum(bench.layer_cycles)


def test_the_manifest_says_so(built: Path, model: Model) -> None:
    manifest = firmware.load_manifest(built)
    place = tflm.arena(model)
    assert manifest["engine"] == "tflm"
    assert manifest["arena_bytes"] == place.bytes
    assert manifest["weight_bytes"] + manifest["table_bytes"] >= len(model.content)
    kernels = {p.name for p in (paths.firmware_dir() / "kernels").glob("*/asc_conv2d*.c")}
    assert not kernels & {p.name for p in (built / "src").iterdir()}
    assert compile_project(built, "board").ram_bytes > place.bytes


# ---- what the interpreter is given ---------------------------------------------------------------------


def test_exactly_the_operators_used(model: Model) -> None:
    text = tflm.emit(model, tflm.arena(model))["model_tflm.cc"].decode()
    added = re.findall(r"resolver->Add(\w+)\(\)", text)
    assert added == [tflm.method(kind) for kind in sorted({op.kind for op in model.graph.ops})]
    assert f"MicroMutableOpResolver<{len(added)}>" in text


def test_operators_are_spelled_as_tflm_does() -> None:
    """The names in micro_mutable_op_resolver.h, as it is in August 2026."""
    spelled = re.findall(
        r"\w+",
        """Add AveragePool2D BatchMatMul Concatenation Conv2D DepthwiseConv2D ExpandDims FullyConnected Gather
        HardSwish LeakyRelu LogSoftmax Logistic MaxPool2D Maximum Mean Minimum MirrorPad Mul Pack Pad PadV2
        Prelu Quantize ReduceMax Relu Relu6 Reshape ResizeNearestNeighbor Slice Softmax Split SplitV Squeeze
        StridedSlice Sub Sum Tanh Transpose Unpack""",
    )
    assert sorted(map(tflm.method, OPS)) == sorted(spelled)


def test_operators_out_of_the_file() -> None:
    """Reshapes that the compiler leaves out are ops to the interpreter."""
    model = compiler.read(vectors.CASES["reshapes"])
    assert tflm.operators(model) == ("ADD", "EXPAND_DIMS", "QUANTIZE", "RESHAPE", "SQUEEZE")


def test_the_measured_arena_is_enough_and_less_is_not(model: Model) -> None:
    from tflite_micro import runtime

    measured = tflm.measure(model.content)
    runtime.Interpreter.from_bytes(model.content, arena_size=measured + 16)
    with pytest.raises(RuntimeError):
        runtime.Interpreter.from_bytes(model.content, arena_size=measured - 64)
    place = tflm.arena(model)
    assert measured < place.tensors_bytes < measured + 8_192
    assert place.output_offset >= model.graph.tensors[model.graph.inputs[0]].bytes
    assert not any(n % 16 for n in (place.output_offset, place.tensors_offset, place.bytes))


# ---- what can go wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize("on", ["host", "emulator"])
def test_an_arena_too_small_is_one_error(tmp_path: Path, model: Model, on: str) -> None:
    project = build(tmp_path, model, needs=1 << 20)
    bytes_ = tflm.arena(model).tensors_bytes
    says = f"the engine stopped: TFLM: AllocateTensors failed with an arena of {bytes_} bytes"
    with pytest.raises(DeviceError, match=says) as e, open_target(project, on):
        pass
    assert "--engine aot" in e.value.hint


def test_an_inference_that_fails_is_told(tmp_path: Path, model: Model) -> None:
    project = build(tmp_path, model, fails_at=1)
    assert model.card
    pcm = np.zeros(model.card.front_end.samples, np.int16)
    with open_target(project, "host") as session:
        session.classify(pcm)
        with pytest.raises(DeviceError, match="the engine stopped: TFLM: Invoke failed"):
            session.classify(pcm)


def test_a_float_rim_is_refused() -> None:
    f = File()
    x = f.tensor((1, 4), "float32")
    a, b = f.activation((1, 4), 0.1, 0), f.activation((1, 4), 0.1, 0)
    y = f.tensor((1, 4), "float32")
    f.op("QUANTIZE", [x], [a], "QuantizeOptions")
    f.op("RELU", [a], [b])
    f.op("DEQUANTIZE", [b], [y], "DequantizeOptions")
    with pytest.raises(UsageError, match="takes int8 in and out; this model's input is float32"):
        tflm.arena(compiler.read(f.bytes([x], [y])))


# ---- finding the library -------------------------------------------------------------------------------


def test_without_a_library_it_says_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MCU_ASC_TFLM", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SystemExit) as e:
        cli.main(["build", "--student", "scenes", "--engine", "tflm", "--out", str(tmp_path / "p")])
    assert e.value.code == 4
    error = capsys.readouterr().err
    assert "TFLite Micro is not here" in error
    assert "github.com/tensorflow/tflite-micro" in error
    assert "create_tflm_tree.py" in error
    with pytest.raises(ToolMissing, match="is no TFLite Micro: it has no tensorflow/lite/micro"):
        tflm.locate(tmp_path)


def test_an_arduino_library_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MCU_ASC_TFLM", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    source = tmp_path / "Arduino" / "libraries" / "Arduino_TensorFlowLite" / "src"
    shutil.copytree(HERE / "tflm", source)
    for given in (None, Path("Arduino_TensorFlowLite")):
        found = tflm.locate(given)
        assert found.root == source.resolve()
        assert found.sources == (source.resolve() / "tensorflow",)
        assert found.library is None


def test_a_checkout_needs_its_library_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "tflite-micro"
    shutil.copytree(HERE / "tflm", root)
    make = root / "tensorflow" / "lite" / "micro" / "tools" / "make"
    (make / "downloads" / "gemmlowp").mkdir(parents=True)
    (make / "Makefile").touch()
    monkeypatch.setenv("MCU_ASC_TFLM", str(root))
    with pytest.raises(ToolMissing, match="without a library for the board") as e:
        tflm.locate(None)
    assert "TARGET=cortex_m_generic TARGET_ARCH=cortex-m4+fp" in e.value.hint
    library = root / "gen" / "cortex_m_generic_cortex-m4+fp_default_cmsis_nn_gcc" / "lib"
    library.mkdir(parents=True)
    (library / "libtensorflow-microlite.a").touch()
    found = tflm.locate(None)
    assert found.library == library.resolve() / "libtensorflow-microlite.a"
    assert found.sources == ()
    assert make.resolve() / "downloads" / "gemmlowp" in found.includes
