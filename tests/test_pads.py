"""PADs folded into what reads them: which go, which stay, and every output byte as the TFLM interpreter's."""

from __future__ import annotations

from pathlib import Path

import nn_host
import nn_m4
import numpy as np
import planrun
import pytest
from oracle import Oracle
from tflite_make import File
from vectors import out_size

from mcu_asc import compiler, config
from mcu_asc.nouns import Schedule
from mcu_asc.results.check import check

SAME, VALID = 0, 1
_ZERO = -7
_TABLES = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
}
Pairs = tuple[tuple[int, int], ...]


class Net:
    """PAD and readers of it in the making."""

    def __init__(self, shape: tuple[int, ...], zero: int = _ZERO) -> None:
        self.file, self.zero, self.rng = File(), zero, np.random.default_rng(1)
        self.source = self.at = self.file.activation(shape, 0.05, zero)
        self.shape = shape

    def pad(self, pairs: Pairs, value: int | None = None, zero: int | None = None) -> Net:
        """`value`: by PADV2, instead of the zero point; `zero`: another zero point behind it."""
        self.shape = tuple(n + a + b for n, (a, b) in zip(self.shape, pairs, strict=True))
        zero = self.zero if zero is None else zero
        y = self.file.activation(self.shape, 0.05, zero)
        feeds = [self.at, self.file.constant(pairs)]
        if value is not None:
            feeds.append(self.file.tensor((1,), "int8", [0.05], [zero], data=np.array([value])))
        self.file.op("PAD" if value is None else "PADV2", feeds, [y])
        self.at, self.zero = y, zero
        return self

    def layer(
        self, kind: str, size: tuple[int, int], stride: tuple[int, int] = (1, 1), padding: int = VALID,
        dilation: tuple[int, int] = (1, 1), out_c: int = 0,
    ) -> Net:  # fmt: skip
        n, h, w, c = self.shape
        window = zip((h, w), size, stride, dilation, strict=True)
        out = [out_size(*v, padding) for v in window]
        feeds, c_out = [self.at], out_c or c
        options = {"strideH": stride[0], "strideW": stride[1], "padding": padding}
        if "POOL" in kind:
            options |= {"filterHeight": size[0], "filterWidth": size[1]}
        else:
            deep = kind == "DEPTHWISE_CONV_2D"
            shape = (1, *size, c_out) if deep else (c_out, *size, c)
            gain = self.rng.uniform(0.5, 1.5, c_out) / (64 * np.sqrt(size[0] * size[1] * (1 if deep else c)))
            weights = self.rng.integers(-127, 128, shape)
            feeds.append(self.file.weights(weights, gain, 3 if deep else 0))
            feeds.append(self.file.constant(self.rng.integers(-900, 900, c_out), "int32", 0.05 * gain))
            options |= {"dilationHFactor": dilation[0], "dilationWFactor": dilation[1]}
            options |= {"depthMultiplier": 1} if deep else {}
        self.shape = (n, *out, c_out)
        y = self.file.activation(self.shape, 0.05, self.zero)
        self.file.op(kind, feeds, [y], _TABLES[kind], **options)
        self.at = y
        return self

    def add(self, other: int) -> Net:
        feed = self.at
        self.at = self.file.activation(self.shape, 0.05, self.zero)
        self.file.op("ADD", [feed, other], [self.at], "AddOptions")
        return self

    def bytes(self) -> bytes:
        return self.file.bytes([self.source], [self.at])


def _two_readers(second: str) -> bytes:
    """`second` reads the same PAD as a convolution does; their outputs are added."""
    net = Net((1, 8, 9, 4), -128).pad(((0, 0), (1, 1), (1, 1), (0, 0)))
    padded, shape = net.at, net.shape
    first = net.layer("CONV_2D", (3, 3)).at
    net.at, net.shape = padded, shape
    return net.layer(second, (3, 3)).add(first).bytes()


def _chain(kind: str, size: tuple[int, int], *pads: Pairs, zero: int = _ZERO, **more: object) -> bytes:
    net = Net((1, 9, 10, 5 if kind == "CONV_2D" else 8), zero)
    for pairs in pads:
        net.pad(pairs)
    return net.layer(kind, size, **more).layer("CONV_2D", (1, 1), out_c=4).bytes()  # type: ignore[arg-type]


def _image(top: int, bottom: int, left: int, right: int) -> Pairs:
    return ((0, 0), (top, bottom), (left, right), (0, 0))


_ONE = _image(1, 1, 1, 1)
GO = {
    "conv": _chain("CONV_2D", (3, 3), _ONE),
    "conv_stride": _chain("CONV_2D", (3, 3), _image(0, 1, 0, 1), stride=(2, 2)),
    "conv_causal": _chain("CONV_2D", (3, 3), _image(2, 0, 1, 1)),
    "conv_causal_dilated": _chain("CONV_2D", (3, 1), _image(6, 0, 0, 0), dilation=(3, 1)),
    "conv_same_too": _chain("CONV_2D", (5, 5), _image(2, 1, 0, 2), padding=SAME),
    "conv_wide": _chain("CONV_2D", (7, 3), _image(6, 6, 2, 2)),
    "conv_1x1_behind": _chain("CONV_2D", (1, 1), _image(0, 1, 0, 0), stride=(2, 2)),
    "conv_twice": _chain("CONV_2D", (3, 5), _ONE, _image(0, 0, 2, 3)),
    "winograd": Net((1, 8, 10, 16)).pad(_image(2, 0, 1, 1)).layer("CONV_2D", (3, 3)).bytes(),
    "depthwise": _chain("DEPTHWISE_CONV_2D", (3, 3), _ONE),
    "depthwise_causal": _chain("DEPTHWISE_CONV_2D", (3, 3), _image(2, 0, 2, 0)),
    "depthwise_stride": _chain("DEPTHWISE_CONV_2D", (3, 3), _image(0, 1, 1, 1), stride=(2, 2)),
    "depthwise_taps": _chain("DEPTHWISE_CONV_2D", (5, 3), _image(4, 0, 1, 2), dilation=(1, 2)),
    "max_pool": _chain("MAX_POOL_2D", (3, 3), _ONE, zero=-128, stride=(2, 2)),
    "two_readers": _two_readers("DEPTHWISE_CONV_2D"),
    "padv2": Net((1, 6, 5, 4)).pad(_ONE, value=_ZERO).layer("CONV_2D", (3, 3)).bytes(),
    "max_pool_padv2": Net((1, 6, 5, 4)).pad(_ONE, value=-128).layer("MAX_POOL_2D", (3, 3)).bytes(),
}
STAY = {
    "average_pool": _chain("AVERAGE_POOL_2D", (3, 3), _ONE),
    "max_pool_of_another_value": _chain("MAX_POOL_2D", (3, 3), _ONE),
    "window_of_padding_before": _chain("CONV_2D", (3, 3), _image(3, 0, 0, 0)),
    "window_of_padding_behind": _chain("CONV_2D", (3, 3), _image(0, 0, 0, 3)),
    "one_reader_cannot": _two_readers("AVERAGE_POOL_2D"),
    "channels": Net((1, 6, 5, 4)).pad(((0, 0), (0, 0), (1, 1), (0, 3))).layer("CONV_2D", (3, 3)).bytes(),
    "batch": Net((1, 6, 5, 4)).pad(((1, 0), (1, 1), (0, 0), (0, 0))).layer("CONV_2D", (3, 3)).bytes(),
    "another_value": Net((1, 6, 5, 4)).pad(_ONE, value=9).layer("CONV_2D", (3, 3)).bytes(),
    "output": Net((1, 6, 5, 4)).layer("CONV_2D", (3, 3)).pad(_ONE).bytes(),
}


def _random(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    net = Net((1, *rng.integers(5, 11, 2).tolist(), 4), -128)
    for _ in range(3):
        kind = str(rng.choice(["CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D"]))
        size = tuple(rng.integers(1, 4, 2).tolist())
        top, bottom, left, right = (int(rng.integers(0, n)) for n in (size[0], size[0], size[1], size[1]))
        net.pad(_image(top, bottom, left, right))
        padding = int(rng.choice([SAME, VALID]))
        out_c = int(rng.integers(4, 10)) if kind == "CONV_2D" else 0
        net.layer(kind, size, tuple(rng.integers(1, 3, 2).tolist()), padding, out_c=out_c)
    return net.bytes()


NETS = {**GO, **STAY, **{f"random_{i}": _random(i) for i in range(40)}}


def _pads(content: bytes, fold: bool) -> int:
    model = compiler.read(content)
    graph = (compiler.fold_pads(model) if fold else model).graph
    assert [op.index for op in graph.ops] == list(range(len(graph.ops)))
    return sum(op.kind in ("PAD", "PADV2") for op in graph.ops)


@pytest.mark.parametrize("name", GO)
def test_goes(name: str) -> None:
    assert _pads(GO[name], fold=False) > 0 == _pads(GO[name], fold=True)


@pytest.mark.parametrize("name", STAY)
def test_stays(name: str) -> None:
    model = compiler.read(STAY[name])
    assert compiler.fold_pads(model) is model


def test_the_arenas_peak_is_named_as_the_ops_are_that_run() -> None:
    net = Net((1, 6, 5, 4)).pad(_image(1, 1, 1, 1)).layer("CONV_2D", (3, 3), out_c=64)
    model = compiler.read(net.layer("CONV_2D", (1, 1), out_c=2).bytes())
    pad, first, second = (c.name for c in compiler.counts(model.graph))
    found = check(model, config.load_board("nano33"), None).peak_layer.split(" to ")
    assert pad != first and set(found) <= {first, second}


def test_random_networks_lose_pads() -> None:
    before, after = (
        sum(_pads(c, fold) for n, c in NETS.items() if n.startswith("random")) for fold in (0, 1)
    )
    assert 0 < after < before / 2


@pytest.mark.parametrize("bands", [False, True])
def test_every_byte_equals_tflm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bands: bool) -> None:
    """On the host and on the Cortex-M4, each buffer apart, or as the planner lays out bands."""
    contents = dict(NETS)
    oracles = {n: Oracle(c) for n, c in contents.items()}
    read = compiler.read
    monkeypatch.setattr(compiler, "read", lambda content: compiler.fold_pads(read(content)))
    how: dict[str, Schedule | None] | None = dict.fromkeys(contents) if bands else None
    host = nn_host.build(contents, tmp_path, how)
    cortex = nn_m4.build(contents, tmp_path, schedules=how)
    rng = np.random.default_rng(2)
    for name, oracle in oracles.items():
        for i in range(3):
            x = rng.integers(-128, 128, oracle.source.shape).astype(np.int8)
            right = oracle.run(x)
            np.testing.assert_array_equal(host[name].run(x, fill=41 * i), right, name)
            np.testing.assert_array_equal(cortex.run(name, x, fill=41 * i), right, name)


@pytest.mark.parametrize("name", NETS)
def test_plans_are_sound(name: str) -> None:
    graph = compiler.fold_pads(compiler.read(NETS[name])).graph
    for flavour in compiler.FLAVOURS:
        planrun.run(graph, compiler.plan(graph, flavour), flavour)
