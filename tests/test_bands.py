"""Bands: layers a few rows at a time give the bytes of layers one by one, on the host and on a Cortex-M4."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import netgen
import nn_host
import nn_m4
import numpy as np
import pytest
import vectors
from oracle import Oracle

from mcu_asc import compiler, config, firmware, paths
from mcu_asc.compiler.bands import facts, trace
from mcu_asc.device.build import compile_project
from mcu_asc.device.targets import open_target
from mcu_asc.nouns import Band, Schedule
from mcu_asc.results.arena import areas, draw_arena
from mcu_asc.results.check import check
from mcu_asc.results.fit import latency_ms

needs_arm = pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
_NETS = 40
_INPUTS = 3  # random ones, beside the extremes


def _random_bands(content: bytes, seed: int) -> Schedule:
    """Bands over all that can run by rows, of random lengths and rows a call."""
    rng = np.random.default_rng(seed)
    f = facts(compiler.read(content).graph)
    bands, first = [], 0
    while first < len(f.reach):
        last = first
        while last < len(f.reach) and f.joins(first, last) and (last == first or rng.random() < 0.8):
            last += 1
        if last > first:
            bands.append(Band(first, last - 1, int(rng.integers(1, 6))))
        first = max(last, first + 1)
    return Schedule(tuple(bands))


def _cases() -> tuple[dict[str, bytes], dict[str, Schedule | None]]:
    cases = {f"net{i}": netgen.random_net(1000 + i) for i in range(_NETS)}
    cases["kim2021"] = netgen.kim2021(rows=24)
    schedules: dict[str, Schedule | None] = {
        name: _random_bands(content, i) for i, (name, content) in enumerate(cases.items())
    }
    for name, content in vectors.CASES.items():
        reach = facts(compiler.read(content).graph).reach
        for rows in (1, 2) if len(reach) == 1 and reach[0] and reach[0].adds else ():
            cases[f"{name}_by_{rows}"] = content
            schedules[f"{name}_by_{rows}"] = Schedule((Band(0, 0, rows),))
    return cases, schedules


CASES, SCHEDULES = _cases()


def test_the_cases_have_bands() -> None:
    lengths = [b.last - b.first + 1 for s in SCHEDULES.values() if s for b in s.bands]
    assert len(lengths) > _NETS and max(lengths) >= 6
    traces = [
        trace(compiler.read(CASES[name]).graph, b) for name, s in SCHEDULES.items() if s for b in s.bands
    ]
    assert sum(any(step.move for step in t.steps) for t in traces) > _NETS / 2
    assert any(len(t.ahead) > 1 for t in traces)  # several whole inputs
    adding = [t for t in traces if any(step.piece.opens for step in t.steps)]
    assert len(adding) > 30 and sum(t.band.last > t.band.first for t in adding) > 8


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, nn_host.Network]:
    return nn_host.build(CASES, tmp_path_factory.mktemp("bands"), SCHEDULES)


@pytest.mark.parametrize("name", CASES)
def test_equals_tflm(networks: dict[str, nn_host.Network], name: str) -> None:
    network, oracle = networks[name], Oracle(CASES[name], 1 << 21)
    for i, x in enumerate(vectors.inputs(network.model.input_bytes, _INPUTS)):
        np.testing.assert_array_equal(network.run(x, fill=i * 41 % 256 - 128), oracle.run(x))
    assert set(network.probed) == set(range(network.model.layers))


def test_under_sanitizers(networks: dict[str, nn_host.Network], tmp_path: Path) -> None:
    cases, expected = [], []
    for name, network in networks.items():
        for i, x in enumerate(vectors.inputs(network.model.input_bytes, 1)):
            cases.append((name, (0x00, 0xFF, 0x80)[i % 3], x))
            expected.append(network.run(x, fill=0x11).tobytes())
    assert nn_host.run_sanitized(CASES, cases, tmp_path, SCHEDULES) == b"".join(expected)


@needs_arm
@pytest.mark.parametrize("bands", [True, False])
def test_equals_tflm_on_the_cortex(networks: dict[str, nn_host.Network], tmp_path: Path, bands: bool) -> None:
    """With the bands, and with every op whole: there kernels write over their inputs."""
    schedules = SCHEDULES if bands else dict.fromkeys(CASES, Schedule())
    machine = nn_m4.build(CASES, tmp_path, schedules=schedules)
    for name, network in networks.items():
        if name == "kim2021":
            continue  # too slow by instruction
        for i, x in enumerate(vectors.inputs(network.model.input_bytes, _INPUTS)):
            got = machine.run(name, x, fill=i * 41 % 256 - 128)
            np.testing.assert_array_equal(got, network.run(x), err_msg=f"{name} input {i}")


# ---- what only bands make possible -----------------------------------------------------------------


def _residual() -> bytes:
    """A block with a skip, then a mean; what the planner makes of it is its own choice."""
    net = netgen.Net((1, 40, 10, 3), seed=7).conv(8)
    skip = net.now
    return net.conv(8).conv(8).add(skip).conv(12, stride=(2, 1)).over_all("MEAN").dense(5).bytes()


@pytest.mark.parametrize("flavour", compiler.FLAVOURS)
def test_a_residual_add_and_a_mean_see_no_whole_map(flavour: str) -> None:
    """Of what the ADD reads, of what it makes and of what the MEAN adds up only some rows exist at a time."""
    graph = compiler.read(_residual()).graph
    plan = compiler.plan(graph, flavour, ram_limit=0)
    kinds = {op.kind: op for op in graph.ops}
    add, mean = kinds["ADD"], kinds["MEAN"]
    (band,) = (b for b in plan.schedule.bands if b.first <= add.index <= b.last)
    assert band.first < add.index and mean.index in [b.last for b in plan.schedule.bands]
    for t in (*add.inputs, mean.inputs[0]):
        assert plan.windows[t] < graph.tensors[t].shape[1] / 4
    assert plan.sums.keys() == {mean.index}
    whole = compiler.plan(graph, flavour, schedule=Schedule())
    assert not whole.sums and plan.arena_bytes < whole.arena_bytes / 2


def test_a_residual_network_equals_tflm(tmp_path: Path) -> None:
    content = _residual()
    graph = compiler.read(content).graph
    schedule = compiler.plan(graph, ram_limit=0).schedule
    network = nn_host.build({"residual": content}, tmp_path, {"residual": schedule})["residual"]
    oracle = Oracle(content, 1 << 20)
    for i, x in enumerate(vectors.inputs(network.model.input_bytes, _INPUTS)):
        np.testing.assert_array_equal(network.run(x, fill=i * 41 % 256 - 128), oracle.run(x))


@needs_arm
def test_kim2021_fits_into_256_kib(tmp_path: Path) -> None:
    """The published network, full width: planned, compiled and linked for the board's RAM."""
    board = config.load_board("nano33")
    model = compiler.read(netgen.kim2021())
    assert sum(c.params for c in compiler.counts(model.graph)) == 168_778
    fit = check(model, board, None)
    assert fit.ram_bytes <= board.ram_bytes == 256 * 1024
    assert compiler.plan(model.graph, "dsp", schedule=Schedule()).arena_bytes > board.ram_bytes
    firmware.write(firmware.project(model, board), tmp_path / "kim")
    assert compile_project(tmp_path / "kim", "board").ram_bytes <= fit.ram_bytes


def test_what_does_not_fit_says_what_would() -> None:
    board = dataclasses.replace(config.load_board("nano33"), ram_bytes=200_000)
    fit = check(compiler.read(netgen.kim2021()), board, None)
    (reason,) = fit.reasons
    missing = fit.ram_bytes - board.ram_bytes
    assert not fit.fits and missing > 0
    assert f"{missing:,} missing" in reason
    assert f"'{fit.peak_layer}'" in reason and " to " in fit.peak_layer  # a band
    assert "even row by row" in reason and "rows instead of 431" in reason and "% as wide" in reason


def test_the_arena_is_drawn(tmp_path: Path) -> None:
    model, board = compiler.read(netgen.kim2021()), config.load_board("nano33")
    draw_arena(model, board, tmp_path / "arena.png")
    assert (tmp_path / "arena.png").stat().st_size > 10_000
    plan = firmware.memory_plan(model, board)
    found = list(areas(model.graph, plan))
    assert {a.what for a in found} == {"tensor", "rows", "scratch"}
    assert max(a.offset + a.bytes for a in found) <= plan.arena_bytes


def test_sums_are_drawn_while_their_band_runs() -> None:
    graph = compiler.read(_residual()).graph
    plan = compiler.plan(graph, ram_limit=0)
    ((op, (offset, size)),) = plan.sums.items()
    (sums,) = (a for a in areas(graph, plan) if a.what == "sums")
    (band,) = (b for b in plan.schedule.bands if b.last == op)
    assert (sums.offset, sums.bytes, sums.first, sums.last) == (offset, size, band.first, op)
    assert size == 12 * 4


@needs_arm
def test_a_students_latency_is_what_the_emulated_core_takes(tmp_path: Path) -> None:
    """Shipped weights: dense Winograd, pools, a mean, in bands."""
    model = compiler.read(paths.students_dir() / "scenes" / "student.tflite")
    board = config.load_board("nano33")
    firmware.write(firmware.project(model, board), tmp_path / "scenes")
    compile_project(tmp_path / "scenes", "board")
    with open_target(tmp_path / "scenes", "emulator", cycles=True) as device:
        device.tensor(bytes(model.graph.tensors[model.graph.inputs[0]].bytes))
        cycles = sum(device.bench().layer_cycles)
    assert 1e-3 * latency_ms(model, board) * board.clock_hz == pytest.approx(cycles, rel=0.03)


@needs_arm
def test_kim2021_runs(tmp_path: Path) -> None:
    """At reduced height, whole firmware, on the emulated board; cycles of the layers add up."""
    content = netgen.kim2021(rows=12)
    model, board = compiler.read(content), config.load_board("nano33")
    firmware.write(firmware.project(model, board), tmp_path / "kim")
    assert compiler.plan(model.graph, "dsp").schedule.bands
    oracle = Oracle(content, 1 << 21)
    x = vectors.walk(np.random.default_rng(3), oracle.source.elements)
    with open_target(tmp_path / "kim", "emulator", cycles=True) as device:
        assert device.tensor(x.tobytes()) == oracle.run(x).tobytes()
        b = device.bench()
    assert len(b.layer_cycles) == len(model.graph.ops)
    assert all(c > 0 for c in b.layer_cycles)
    assert 0.99 * b.model_cycles <= sum(b.layer_cycles) <= b.model_cycles
    assert 1e-3 * latency_ms(model, board) * board.clock_hz == pytest.approx(b.model_cycles, rel=0.04)
