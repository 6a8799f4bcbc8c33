"""Every kernel, byte for byte against the TFLM interpreter, at the edges of what it accepts."""

from __future__ import annotations

import shutil
from pathlib import Path

import nn_host
import numpy as np
import pytest
import vectors
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Oracle
from tflite_make import rim

from mcu_asc import compiler, toolchain
from mcu_asc.compiler import fixed

_RANDOM = 12  # inputs a case, beside the extremes


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, nn_host.Network]:
    return nn_host.build(vectors.CASES, tmp_path_factory.mktemp("cases"))


@pytest.mark.parametrize("name", vectors.CASES)
def test_equals_tflm(networks: dict[str, nn_host.Network], name: str) -> None:
    network = networks[name]
    oracle = Oracle(vectors.CASES[name], arena_bytes=1 << 18)
    seen = set()
    for i, x in enumerate(vectors.inputs(network.model.input_bytes, _RANDOM)):
        expected = oracle.run(x)
        np.testing.assert_array_equal(network.run(x, fill=i * 41 % 256 - 128), expected)
        seen.add(expected.tobytes())
    assert network.probed == list(range(network.model.layers))
    assert (len(seen) == 1) == (name in vectors.CONSTANT)


@pytest.mark.parametrize("x", ["int8", "uint8", "float32"])
@pytest.mark.parametrize(("y", "last"), [("uint8", "QUANTIZE"), ("float32", "DEQUANTIZE")])
def test_a_rim_changes_no_value(tmp_path: Path, x: str, y: str, last: str) -> None:
    """What TFLM makes of the same values in the types outside is what the network without its rim gives."""
    content = rim(x, y, last)
    oracle, name = Oracle(content), f"{x}_{y}"
    network = nn_host.build({name: content}, tmp_path)[name]
    for values in vectors.inputs(network.model.input_bytes, 4):
        np.testing.assert_array_equal(network.run(values), oracle.run(values))


def test_under_sanitizers(networks: dict[str, nn_host.Network], tmp_path: Path) -> None:
    """No step outside the arena, no undefined behaviour, no byte of the arena read before it is written."""
    cases, expected = [], []
    for name, network in networks.items():
        for i, x in enumerate(vectors.inputs(network.model.input_bytes, 1)):
            cases.append((name, (0x00, 0xFF, 0x80)[i % 3], x))
            expected.append(network.run(x, fill=0x11).tobytes())
    assert nn_host.run_sanitized(vectors.CASES, cases, tmp_path) == b"".join(expected)


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
def test_compiles_for_the_board(tmp_path: Path) -> None:
    """The core of the board's Arduino package makes plain char unsigned: nothing here may depend on it."""
    sources = nn_host.write_sources(vectors.CASES, tmp_path)
    flags = [
        "-mcpu=cortex-m4",
        "-mthumb",
        "-funsigned-char",
        "-pedantic",
        "-Wconversion",
        "-Wno-sign-conversion",
    ]
    kernels = [s for s in sources if s.parent != tmp_path]
    assert len(kernels) == len(list(kernels[0].parent.glob("asc_*_s8.c")))  # each kernel has a case
    nn_host.gcc([*flags, "-O2", "-fsyntax-only", *sources], f"{toolchain.arm_gcc()}gcc")


# ---- the arithmetic on the host ------------------------------------------------------------------

_INT32 = st.integers(fixed.INT32_MIN, fixed.INT32_MAX)


@given(_INT32, st.integers(0, fixed.INT32_MAX))
def test_high_mul_is_gemmlowps(a: int, b: int) -> None:
    """SaturatingRoundingDoublingHighMul as gemmlowp writes it: a nudge by sign, then C's division."""
    product = a * b
    total = product + ((1 << 30) if product >= 0 else 1 - (1 << 30))
    assert fixed.high_mul(a, b) == (abs(total) >> 31) * (1 if total >= 0 else -1)


@given(_INT32, st.integers(0, 31))
def test_divide_by_pot_rounds_ties_away_from_zero(x: int, exponent: int) -> None:
    size, half = 1 << exponent, (1 << exponent) // 2
    assert fixed.divide_by_pot(x, exponent) == (abs(x) + half) // size * (1 if x >= 0 else -1)


@given(st.floats(2.0**-33, 2.0**29))
def test_quantize_multiplier(real: float) -> None:
    multiplier, shift = fixed.quantize_multiplier(real)
    if real < 2.0**-33.001:
        assert (multiplier, shift) == (0, 0)
    elif multiplier:
        assert 1 << 30 <= multiplier < 1 << 31 and -31 <= shift <= 30
        assert abs(multiplier / (1 << 31) * 2.0**shift / real - 1) <= 2.0**-31


@settings(max_examples=50)
@given(st.integers(1, 600), st.floats(1e-3, 4.0))
def test_mean_multiplier_divides_by_the_count(count: int, real: float) -> None:
    from mcu_asc.compiler.ops.reduce import mean_multiplier

    multiplier, shift = mean_multiplier(real, count)
    assert 1 << 28 < multiplier < 1 << 31
    assert abs(multiplier / (1 << 31) * 2.0**shift * count / real - 1) < 2.0**-28


def test_every_kind_has_a_case() -> None:
    kinds = {op.kind for content in vectors.CASES.values() for op in compiler.read(content).graph.ops}
    from mcu_asc.compiler.ops import OPS

    assert kinds == set(OPS)
