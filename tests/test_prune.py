"""Channels left out of the graph: what goes, what stays, and every output byte as the TFLM interpreter's."""

from __future__ import annotations

from pathlib import Path

import nn_host
import nn_m4
import numpy as np
import pytest
from numpy.typing import NDArray
from tflite_make import File
from tflite_micro import runtime

from mcu_asc import compiler

SAME, VALID = 0, 1
NETS = 40
read = compiler.read


class Net:
    """A chain of layers in the making; `dead` of the channels of a layer give one value."""

    def __init__(self, seed: int, shape: tuple[int, ...], zero: int = -5) -> None:
        self.rng = np.random.default_rng(seed)
        self.file, self.shape, self.zero = File(), shape, zero
        self.source = self.at = self.file.activation(shape, 0.05, zero)

    def _to(self, shape: tuple[int, ...], zero: int) -> int:
        self.shape, self.zero = shape, zero
        return self.file.activation(shape, 0.05, zero)

    def conv(
        self, out_c: int, dead: list[int], size: int = 1, padding: int = SAME, zero: int = -128,
        unread: list[int] | None = None, value: int | None = None, depthwise: bool = False, stride: int = 1,
    ) -> Net:  # fmt: skip
        """`value`: of the dead channels, above the zero point; None: sums far below what RELU keeps."""
        n, h, w, c = self.shape
        shape = (1, size, size, out_c) if depthwise else (out_c, size, size, c)
        weights, bias = self.rng.integers(-127, 128, shape), self.rng.integers(-2000, 2000, out_c)
        gain = 1 / (64 * size * np.sqrt(1 if depthwise else c))
        if value is None:
            bias[dead] = -(1 << 22)
        else:
            weights[(..., dead) if depthwise else dead] = 0
            bias[dead] = round(value / gain)
        weights[..., unread or []] = 0
        spread = self.rng.uniform(0.5, 1.0, out_c)
        k = self.file.weights(weights, spread * gain, 3 if depthwise else 0)
        b = self.file.constant(bias, "int32", 0.05 * spread * gain)
        out = [-(-v // stride) if padding == SAME else (v - size) // stride + 1 for v in (h, w)]
        feeds = [self.at, k, b]
        self.at = self._to((n, *out, out_c), zero)
        kind, table = "CONV_2D", "Conv2DOptions"
        more = {"depthMultiplier": 1} if depthwise else {}
        if depthwise:
            kind, table = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"
        options = {"strideH": stride, "strideW": stride, "padding": padding, "fusedActivationFunction": 1}
        self.file.op(kind, feeds, [self.at], table, dilationHFactor=1, dilationWFactor=1, **options, **more)
        return self

    def pool(self, kind: str) -> Net:
        n, h, w, c = self.shape
        feed, zero = self.at, self.zero
        self.at = self._to((n, -(-h // 2), -(-w // 2), c), zero)
        options = {"filterHeight": 2, "filterWidth": 2, "strideH": 2, "strideW": 2, "padding": SAME}
        self.file.op(kind, [feed], [self.at], "Pool2DOptions", **options)
        return self

    def twice(self) -> Net:
        """ADD of the tensor and its pool: the channels of three tensors are tied."""
        first, zero, shape = self.at, self.zero, self.shape
        self.conv(shape[3], [], depthwise=True, size=3)
        second = self.at
        self.at = self._to(shape, zero)
        self.file.op("ADD", [first, second], [self.at], "AddOptions")
        return self

    def mean(self) -> Net:
        n, _, _, c = self.shape
        feed = self.at
        self.at = self._to((n, c), -100)
        axes = self.file.constant([1, 2])
        self.file.op("MEAN", [feed, axes], [self.at], "ReducerOptions", keepDims=False)
        return self

    def dense(self, out: int) -> bytes:
        c = self.shape[-1]
        k = self.file.weights(self.rng.integers(-127, 128, (out, c)), [0.002])
        b = self.file.constant(self.rng.integers(-500, 500, out), "int32", [0.05 * 0.002])
        feed = self.at
        self.at = self._to((1, out), 4)
        self.file.op("FULLY_CONNECTED", [feed, k, b], [self.at], "FullyConnectedOptions")
        return self.bytes()

    def bytes(self) -> bytes:
        return self.file.bytes([self.source], [self.at])


def some(rng: np.random.Generator, channels: int) -> list[int]:
    return sorted(rng.permutation(channels)[: int(rng.integers(0, channels))].tolist())


def random_net(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    net = Net(seed, (1, int(rng.integers(5, 10)), int(rng.integers(5, 10)), 4))
    for _ in range(3):
        step = rng.choice(["conv", "value", "depthwise", "max", "average", "twice"])
        c = int(rng.choice([8, 12, 16, 7]))
        before = net.shape[3]
        value = None if step != "value" else int(rng.integers(0, 100))
        zero = int(rng.choice([-128, -128, -40]))
        size, padding = int(rng.choice([1, 3])), int(rng.choice([SAME, VALID]))
        padding = SAME if min(net.shape[1:3]) < 3 else padding
        if step in ("conv", "value"):
            net.conv(c, some(rng, c), size, padding, zero, some(rng, before), value)
        elif step == "depthwise":
            net.conv(before, some(rng, before), 3, padding, zero, value=value, depthwise=True)
        elif step == "twice":
            net.twice()
        else:
            net.pool({"max": "MAX_POOL_2D", "average": "AVERAGE_POOL_2D"}[str(step)])
    return net.conv(8, some(rng, 8), unread=some(rng, net.shape[3])).mean().dense(5)


def shapes(content: bytes) -> list[tuple[int, ...]]:
    graph = compiler.prune(read(content)).graph
    return [graph.tensors[op.outputs[0]].shape for op in graph.ops]


def inputs(content: bytes, count: int) -> list[NDArray[np.int8]]:
    graph = read(content).graph
    rng = np.random.default_rng(1)
    return [
        rng.integers(-128, 128, graph.tensors[graph.inputs[0]].shape).astype(np.int8) for _ in range(count)
    ]


def expected(content: bytes, x: NDArray[np.int8]) -> NDArray[np.int8]:
    oracle = runtime.Interpreter.from_bytes(content, arena_size=1 << 20)
    oracle.set_input(x, 0)
    oracle.invoke()
    return np.asarray(oracle.get_output(0).reshape(-1), np.int8)


@pytest.fixture
def smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is built is what `prune` leaves."""
    monkeypatch.setattr(compiler, "read", lambda content: compiler.prune(read(content)))


def test_random_networks_keep_every_byte(tmp_path: Path, smaller: None) -> None:
    nets = {f"net_{i}": random_net(i) for i in range(NETS)}
    less = sum(compiler.prune(m) is not m for m in map(read, nets.values()))
    assert less > NETS / 2
    host, cortex = nn_host.build(nets, tmp_path), nn_m4.build(nets, tmp_path)
    for name, content in nets.items():
        for x in inputs(content, 3):
            right = expected(content, x)
            np.testing.assert_array_equal(host[name].run(x), right, name)
            np.testing.assert_array_equal(cortex.run(name, x), right, name)


def test_person_detection_loses_half_of_its_macs(models_dir: Path, tmp_path: Path, smaller: None) -> None:
    content = (models_dir / "vww_96_int8.tflite").read_bytes()
    macs, left = (
        sum(c.macs for c in compiler.counts(g)) for g in (read(content).graph, compiler.read(content).graph)
    )
    assert (macs, left) == (7_489_664, 3_766_476)
    cortex = nn_m4.build({"vww": content}, tmp_path)
    for x in inputs(content, 6):
        np.testing.assert_array_equal(cortex.run("vww", x), expected(content, x))


def test_the_bias_takes_a_value_other_than_the_zero_point_unless_there_is_padding() -> None:
    def left(size: int, padding: int) -> int:
        net = Net(1, (1, 8, 8, 4)).conv(16, [*range(8)], value=30).conv(8, [], size, padding)
        return shapes(net.bytes())[0][3]

    assert left(1, SAME) == 8
    assert left(3, VALID) == 8
    assert left(3, SAME) == 16


def test_the_zero_point_goes_even_behind_padding() -> None:
    assert shapes(Net(1, (1, 8, 8, 4)).conv(16, [*range(8)]).conv(8, [], 3, SAME).bytes())[0][3] == 8


def test_what_is_weighed_with_zeros_goes() -> None:
    net = Net(1, (1, 8, 8, 4)).conv(16, []).pool("MAX_POOL_2D").conv(8, [], 3, unread=[*range(4)])
    assert [s[3] for s in shapes(net.bytes())] == [12, 12, 8]


def test_ties_hold_channels_together() -> None:
    """The first tensor is added to the second, whose channels live."""
    alive = Net(1, (1, 8, 8, 4)).conv(16, [*range(8)]).twice().conv(4, [], 3)
    assert shapes(alive.bytes())[0][3] == 16
    unread = Net(1, (1, 8, 8, 4)).conv(16, [*range(8)]).twice().conv(4, [], 3, unread=[*range(8)])
    assert [s[3] for s in shapes(unread.bytes())] == [8, 8, 8, 4]


def test_a_reader_of_another_kind_keeps_all_channels() -> None:
    """A convolution may miss channels of a tensor; MUL, after it, reads them all."""
    net = Net(1, (1, 8, 8, 4)).conv(16, [])
    shared = net.at
    net.conv(16, [], unread=[*range(8)])
    first, shape = net.at, net.shape
    net.at = net._to(shape, -128)
    net.file.op("MUL", [first, shared], [net.at], "MulOptions")
    model = read(net.conv(4, []).bytes())
    assert compiler.prune(model) is model


def test_multiples_of_four_stay_and_never_none() -> None:
    assert shapes(Net(1, (1, 8, 8, 4)).conv(16, [*range(7)]).conv(4, []).bytes())[0][3] == 12
    assert shapes(Net(1, (1, 8, 8, 4)).conv(16, [*range(16)]).conv(4, []).bytes())[0][3] == 4
    assert shapes(Net(1, (1, 8, 8, 4)).conv(7, [*range(7)]).conv(4, []).bytes())[0][3] == 1


def test_the_rim_keeps_its_channels() -> None:
    net = Net(1, (1, 8, 8, 4)).conv(8, [0, 1, 2, 3], unread=[0, 1, 2])
    model = read(net.bytes())
    assert compiler.prune(model) is model
