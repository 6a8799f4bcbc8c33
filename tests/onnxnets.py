"""Small ONNX networks as PyTorch exports them, made with onnx.helper: the tests need no PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper


@dataclass
class Net:
    """Nodes and constants, added one after another; each call returns the name of what it made."""

    seed: int = 0
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def random(self, *shape: int, spread: float = 1.0, around: float = 0.0) -> str:
        return self.constant(self.rng.normal(around, spread, shape))

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"/{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [f"{name}_out"], name=name, **attributes))
        return f"{name}_out"

    def conv(self, x: str, before: int, after: int, size: int = 3, groups: int = 1, **more: Any) -> str:
        fan = before // groups * size * size
        w = self.random(after, before // groups, size, size, spread=(2 / fan) ** 0.5)
        kernel = {"kernel_shape": [size, size], "group": groups, "pads": [size // 2] * 4}
        return self.add("Conv", x, w, self.random(after, spread=0.1), **(kernel | more))

    def norm(self, x: str, channels: int) -> str:
        scale, bias, mean = (
            self.random(channels, spread=0.1, around=1),
            *[self.random(channels, spread=0.2)] * 2,
        )
        var = self.constant(self.rng.uniform(0.5, 1.5, channels))
        return self.add("BatchNormalization", x, scale, bias, mean, var, epsilon=1e-5)

    def gemm(self, x: str, before: int, after: int) -> str:
        w = self.random(after, before, spread=before**-0.5)
        return self.add("Gemm", x, w, self.random(after, spread=0.1), transB=1)

    def model(
        self,
        out: str,
        shape: Sequence[int | str],
        classes: int,
        opset: int = 17,
        metadata: dict[str, str] | None = None,
    ) -> ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(out, TensorProto.FLOAT, [shape[0], classes])],
            self.constants,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        if metadata:
            helper.set_model_props(made, metadata)
        return made


def flat(rows: int = 20, bands: int = 16, classes: int = 4, seed: int = 0) -> ModelProto:
    """conv-bn-relu-pool, twice, then a flatten over (channels, rows, bands): its order must survive."""
    net = Net(seed)
    x = net.add("Relu", net.norm(net.conv("x", 1, 6), 6))
    x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.add("Relu", net.norm(net.conv(x, 6, 8), 8))
    x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.add("Flatten", x, axis=1)
    return net.model(net.gemm(x, 8 * (rows // 4) * (bands // 4), classes), ["batch", 1, rows, bands], classes)


def depthwise(rows: int = 20, bands: int = 16, classes: int = 4, seed: int = 0) -> ModelProto:
    """Strided stem, depthwise and pointwise convolutions, clipped at 6, a global mean."""
    net = Net(seed)
    low, high = net.constant(0.0), net.constant(6.0)
    x = net.add("Clip", net.norm(net.conv("x", 1, 8, strides=[2, 2]), 8), low, high)
    x = net.add("Clip", net.norm(net.conv(x, 8, 8, groups=8), 8), low, high)
    x = net.add("Relu", net.norm(net.conv(x, 8, 12, size=1), 12))
    x = net.add("GlobalAveragePool", x)
    x = net.add("Flatten", x, axis=1)
    return net.model(net.gemm(x, 12, classes), [1, 1, rows, bands], classes)


def residual(rows: int = 20, bands: int = 16, classes: int = 4, seed: int = 0) -> ModelProto:
    """Two convolutions around a shortcut, an odd kernel, a mean over rows and bands by ReduceMean."""
    net = Net(seed)
    stem = net.add("Relu", net.norm(net.conv("x", 1, 8), 8))
    x = net.add("Relu", net.norm(net.conv(stem, 8, 8), 8))
    x = net.norm(net.conv(x, 8, 8), 8)
    x = net.add("Relu", net.add("Add", x, stem))
    x = net.add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.add("ReduceMean", x, axes=[2, 3], keepdims=0)
    return net.model(net.gemm(x, 8, classes), ["n", 1, rows, bands], classes)


def pools(rows: int = 20, bands: int = 16, classes: int = 4, seed: int = 0) -> ModelProto:
    """A padded max-pool of negative values, one with ceil_mode, and a hard swish as HardSigmoid and Mul."""
    net = Net(seed)
    x = net.norm(net.conv("x", 1, 6), 6)
    x = net.add("Sub", x, net.constant(np.full((1, 6, 1, 1), 9.0)))  # all of it below zero
    x = net.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = net.norm(net.conv(x, 6, 8), 8)
    x = net.add("Mul", x, net.add("HardSigmoid", x, alpha=1 / 6, beta=0.5))
    x = net.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    out_rows, out_bands = -(-(rows // 2 - 3) // 2) + 1, -(-(bands // 2 - 3) // 2) + 1
    x = net.gemm(net.add("Flatten", x, axis=1), 8 * out_rows * out_bands, classes)
    return net.model(x, ["batch", 1, rows, bands], classes)
