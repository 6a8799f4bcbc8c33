"""Networks of row-wise ops for tests of plans and bands, without TensorFlow.

n = Net((1, 40, 12, 3), seed=1)
n.conv(8, (3, 3))
skip = n.now
n.depthwise((3, 3))
n.add(skip)
content = n.bytes()
"""

from __future__ import annotations

import numpy as np
from tflite_make import File

SAME, VALID, RELU = 0, 1, 1
_SCALE = 0.05


class Net:
    """Each method appends one op to the tensor `now`; weights are random."""

    def __init__(self, shape: tuple[int, ...], seed: int = 0) -> None:
        self.file = File()
        self.rng = np.random.default_rng(seed)
        self.source = self.now = self.file.activation(shape, _SCALE, -3)
        self.shapes = {self.now: shape}
        self.zeros = {self.now: -3}

    @property
    def shape(self) -> tuple[int, ...]:
        return self.shapes[self.now]

    def _out(self, shape: tuple[int, ...], zero: int | None = None) -> int:
        zero = int(self.rng.integers(-20, 21)) if zero is None else zero
        y = self.file.activation(shape, _SCALE, zero)
        self.shapes[y], self.zeros[y] = shape, zero
        return y

    def _window(
        self, size: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], padding: int
    ) -> tuple[tuple[int, int], dict[str, int]]:
        out = []
        for n, k, s, d in zip(self.shape[1:3], size, stride, dilation, strict=True):
            out.append(-(-n // s) if padding == SAME else (n - (k - 1) * d - 1) // s + 1)
        return (out[0], out[1]), {"strideH": stride[0], "strideW": stride[1], "padding": padding}

    def conv(
        self,
        channels: int,
        size: tuple[int, int] = (3, 3),
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        padding: int = SAME,
        depthwise: bool = False,
        zero: int | None = None,
        groups: int = 1,
    ) -> Net:
        out, options = self._window(size, stride, dilation, padding)
        in_c = self.shape[3]
        taps = size[0] * size[1] * (1 if depthwise else in_c // groups)
        shape = (1, *size, channels) if depthwise else (channels, *size, in_c // groups)
        gain = 1.2 / (64 * np.sqrt(taps)) * self.rng.uniform(0.5, 1.5, channels)
        w = self.file.weights(self.rng.integers(-127, 128, shape), gain, 3 if depthwise else 0)
        b = self.file.constant(self.rng.integers(-3000, 3000, channels), "int32", _SCALE * gain)
        y = self._out((1, *out, channels), zero)
        options |= {"dilationHFactor": dilation[0], "dilationWFactor": dilation[1]}
        if depthwise:
            kind, table = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"
            options["depthMultiplier"] = channels // in_c
        else:
            kind, table = "CONV_2D", "Conv2DOptions"
        self.file.op(kind, [self.now, w, b], [y], table, fusedActivationFunction=RELU, **options)
        self.now = y
        return self

    def depthwise(
        self,
        size: tuple[int, int] = (3, 3),
        stride: tuple[int, int] = (1, 1),
        padding: int = SAME,
        multiplier: int = 1,
    ) -> Net:
        return self.conv(self.shape[3] * multiplier, size, stride, (1, 1), padding, depthwise=True)

    def pool(
        self,
        kind: str = "MAX",
        size: tuple[int, int] = (2, 2),
        stride: tuple[int, int] = (2, 2),
        padding: int = VALID,
    ) -> Net:
        out, options = self._window(size, stride, (1, 1), padding)
        y = self._out((1, *out, self.shape[3]), self.zeros[self.now])
        sizes = {"filterHeight": size[0], "filterWidth": size[1]}
        self.file.op(f"{kind}_POOL_2D", [self.now], [y], "Pool2DOptions", **sizes, **options)
        self.now = y
        return self

    def over_all(self, kind: str, keep: bool = False) -> Net:
        """MEAN or SUM over rows and columns."""
        y = self._out((1, 1, 1, self.shape[3]) if keep else (1, self.shape[3]))
        axes = self.file.constant([1, 2])
        self.file.op(kind, [self.now, axes], [y], "ReducerOptions", keepDims=keep)
        self.now = y
        return self

    def unary(self, kind: str = "RELU") -> Net:
        y = self._out(self.shape)
        self.file.op(kind, [self.now], [y])
        self.now = y
        return self

    def add(self, other: int, kind: str = "ADD") -> Net:
        y = self._out(self.shape)
        self.file.op(kind, [self.now, other], [y], f"{kind.title()}Options")
        self.now = y
        return self

    def scale(self) -> Net:
        """Times a constant per channel."""
        shape = (1, 1, 1, self.shape[3])
        k = self.file.tensor(shape, "int8", [0.01], [0], data=self.rng.integers(-127, 128, shape))
        return self.add(k, "MUL")

    def concat(self, other: int) -> Net:
        shape = (*self.shape[:3], self.shape[3] + self.shapes[other][3])
        y = self._out(shape, self.zeros[self.now])
        self.file.op("CONCATENATION", [self.now, other], [y], "ConcatenationOptions", axis=3)
        self.now = y
        return self

    def dense(self, channels: int) -> Net:
        """Over all values."""
        depth = int(np.prod(self.shape))
        gain = 1.2 / (64 * np.sqrt(depth))
        w = self.file.weights(self.rng.integers(-127, 128, (channels, depth)), [gain])
        b = self.file.constant(
            self.rng.integers(-3000, 3000, channels), "int32", [np.float32(_SCALE) * np.float32(gain)]
        )
        y = self._out((1, channels))
        self.file.op("FULLY_CONNECTED", [self.now, w, b], [y], "FullyConnectedOptions")
        self.now = y
        return self

    def bytes(self) -> bytes:
        return self.file.bytes([self.source], [self.now])


def random_net(seed: int) -> bytes:
    """Three to nine ops on an image of random size: windows, element-wise ops, skips, joins; maybe a mean."""
    rng = np.random.default_rng(seed)

    def pick(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    n = Net((1, pick(5, 40), pick(1, 9), pick(1, 6)), seed)
    past: list[int] = []
    for _ in range(pick(3, 9)):
        _, h, w, _ = n.shape
        size = (min(pick(1, 5), h), min(pick(1, 3), w))
        stride, padding = (pick(1, 2), pick(1, 2)), pick(0, 1)
        same = [t for t in past if n.shapes[t] == n.shape and t != n.now]
        beside = [
            t for t in past if n.shapes[t][:3] == n.shape[:3] and n.zeros[t] == n.zeros[n.now] and t != n.now
        ]
        past.append(n.now)
        match pick(0, 10):
            case 0 | 1 | 2:
                zero = -128 if pick(0, 1) else None  # as converters put it after a ReLU
                n.conv(pick(1, 8), size, stride if pick(0, 1) else (1, 1), (1, 1), padding, zero=zero)
            case 3 | 4:
                n.depthwise(size, stride if pick(0, 1) else (1, 1), padding, pick(1, 2))
            case 5:
                n.pool(("MAX", "AVERAGE")[pick(0, 1)], size, stride, padding)
            case 6 if same:
                n.add(same[pick(0, len(same) - 1)])
            case 7 if beside:
                n.concat(beside[pick(0, len(beside) - 1)])
            case 8:
                n.scale()
            case 9:
                groups = int(rng.choice([g for g in range(1, n.shape[3] + 1) if n.shape[3] % g == 0]))
                n.conv(groups * pick(1, 3), size, (1, 1), (pick(1, 4), pick(1, 2)), groups=groups)
            case _:
                n.unary(("RELU", "TANH")[0])
    match seed % 5:
        case 0 | 1:
            n.over_all("MEAN", keep=bool(pick(0, 1)))
        case 2:
            n.over_all("SUM")
        case 3:
            n.pool("AVERAGE", (n.shape[1], n.shape[2]), (1, 1))
    return n.bytes()


def kim2021(rows: int = 431, seed: int = 5) -> bytes:
    """The network of kim2021's Table 1: 168,778 parameters for 431 rows of 256 bands, or any other number.

    Three convolutions with ReLU and 2x2 max-pools, the maximum over time, dense.
    """
    n = Net((1, rows, 256, 1), seed)
    for channels in (64, 128, 64):
        n.conv(channels, zero=-128).pool("MAX")
    n.pool("MAX", (n.shape[1], 1), (1, 1))
    return n.dense(10).bytes()
