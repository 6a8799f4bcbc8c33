"""The MLPerf Tiny models and three ASC-shaped ones: bytes as TFLM's, arena at the lower bound."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import nn_host
import numpy as np
import pytest
import vectors
from tflite_micro import runtime

from mcu_asc import compiler, toolchain

# name: (MACs, parameters), from the shapes by hand or the models' own documentation
MODELS = {
    "ad01_int8": (264_192, 265_864),
    "kws_ref_model": (2_656_768, 22_604),
    "pretrainedResnet_quant": (12_501_632, 77_706),
    "vww_96_int8": (7_489_664, 210_850),
    "asc_a": (26_952_960, 125_232),
    "asc_b": (10_331_104, 65_080),
    "asc_c": (29_203_560, 45_880),
}


@pytest.fixture(scope="module")
def contents(models_dir: Path) -> dict[str, bytes]:
    return {name: (models_dir / f"{name}.tflite").read_bytes() for name in MODELS}


@pytest.fixture(scope="module")
def networks(
    contents: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, nn_host.Network]:
    return nn_host.build(contents, tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("name", MODELS)
def test_equals_tflm(networks: dict[str, nn_host.Network], contents: dict[str, bytes], name: str) -> None:
    network = networks[name]
    oracle = runtime.Interpreter.from_bytes(contents[name])
    shape = oracle.get_input_details(0)["shape"]
    rng = np.random.default_rng(5)
    walks = (vectors.walk(rng, network.model.input_bytes) for _ in range(5))
    for i, x in enumerate((*vectors.inputs(network.model.input_bytes, 100), *walks)):
        oracle.set_input(x.reshape(shape), 0)
        oracle.invoke()
        got = network.run(x, fill=i * 41 % 256 - 128)
        np.testing.assert_array_equal(got, oracle.get_output(0).reshape(-1), err_msg=f"input {i}")


def test_under_sanitizers(
    networks: dict[str, nn_host.Network], contents: dict[str, bytes], tmp_path: Path
) -> None:
    cases = [
        (name, fill, vectors.walk(np.random.default_rng(fill), network.model.input_bytes))
        for name, network in networks.items()
        for fill in (0x00, 0xFF)
    ]
    expected = b"".join(networks[name].run(x).tobytes() for name, _, x in cases)
    assert nn_host.run_sanitized(contents, cases, tmp_path) == expected


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
def test_compiles_for_the_board(contents: dict[str, bytes], tmp_path: Path) -> None:
    sources = nn_host.write_sources(contents, tmp_path)
    flags = ["-mcpu=cortex-m4", "-mthumb", "-funsigned-char", "-pedantic"]
    nn_host.gcc([*flags, "-O2", "-fsyntax-only", *sources], f"{toolchain.arm_gcc()}gcc")


@pytest.mark.parametrize("name", MODELS)
def test_counts_and_arena(contents: dict[str, bytes], name: str) -> None:
    start = time.perf_counter()
    graph = compiler.read(contents[name]).graph
    plan, counts = compiler.plan(graph), compiler.counts(graph)
    seconds = time.perf_counter() - start
    assert (sum(c.macs for c in counts), sum(c.params for c in counts)) == MODELS[name]
    assert plan.arena_bytes <= 1.05 * plan.lower_bound_bytes
    assert seconds < 0.5 * 4  # the goal is half a second; test machines are shared
