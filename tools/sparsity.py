#!/usr/bin/env python3
"""What zeros in a student's weights are worth on a Cortex-M4: MACs, cycles and flash beside the sparsity.

    tools/sparsity.py [STUDENT.tflite] [--markdown] [--layers]

The student's own zeros are filled.  Weights of its convolutions (the first one and the last layer left dense)
are made zero at random: blocks of the shape that the kernels skip, single weights, whole channels, which are
then removed, or both.  What such a network says does not matter here: only what it costs.  Cycles are
estimates of the emulated Cortex-M4 in the firmware that `mcu-asc build` makes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import bench
import numpy as np
from numpy.typing import NDArray

from mcu_asc import compiler, paths
from mcu_asc.nouns import BLOCK

ROWS: tuple[tuple[str, tuple[tuple[str, float], ...]], ...] = (  # what is zeroed, one kind after the other
    ("dense", ()),
    ("zero blocks", (("block", 0.5),)),
    ("zero blocks", (("block", 0.75),)),
    ("zero blocks", (("block", 0.9),)),
    ("zero weights, unstructured", (("weight", 0.5),)),
    ("channels removed", (("channel", 0.25),)),
    ("channels removed", (("channel", 0.5),)),
    ("half of the channels, half of the blocks left", (("channel", 0.5), ("block", 0.5))),
)


def blocks(shape: tuple[int, ...], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """What of weights [channels, rows, columns, depth] stays when `share` of the blocks goes."""
    n, rows, columns, depth = shape
    taps = [
        x // BLOCK.taps if x < columns // BLOCK.taps * BLOCK.taps else columns + x for x in range(columns)
    ]
    _, column = np.unique(taps, return_inverse=True)
    many = (-(-n // BLOCK.channels), rows, int(column.max()) + 1, -(-depth // BLOCK.depth))
    stays = np.ones(int(np.prod(many)), bool)
    stays[rng.permutation(stays.size)[: round(share * stays.size)]] = False
    c, d = np.arange(n) // BLOCK.channels, np.arange(depth) // BLOCK.depth
    return stays.reshape(many)[c[:, None, None, None], np.arange(rows)[:, None, None], column[:, None], d]


def weights(shape: tuple[int, ...], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    stays = np.ones(int(np.prod(shape)), bool)
    stays[rng.permutation(stays.size)[: round(share * stays.size)]] = False
    return stays.reshape(shape)


def channels(shape: tuple[int, ...], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    stays = np.ones(shape, bool)
    stays[rng.permutation(shape[0])[: round(share * shape[0])]] = False
    return stays


KINDS: dict[str, Callable[[tuple[int, ...], float, np.random.Generator], NDArray[np.bool_]]] = {
    "block": blocks,
    "weight": weights,
    "channel": channels,
}


def convolutions(data: bytearray, first: int = 1) -> Iterator[tuple[NDArray[np.int8], NDArray[np.int32]]]:
    """Weights and bias of a .tflite's convolutions from number `first` on, to be changed where they lie."""
    import tflite

    table = tflite.Model.GetRootAsModel(data, 0)
    tensors = table.Subgraphs(0)
    graph = compiler.read(bytes(data)).graph

    def values(i: int) -> NDArray[np.uint8]:
        found: NDArray[np.uint8] = table.Buffers(tensors.Tensors(i).Buffer()).DataAsNumpy()
        return found

    for op in [op for op in graph.ops if op.kind == "CONV_2D"][first:]:
        w, bias = op.inputs[1], op.inputs[2] if len(op.inputs) > 2 else -1
        yield (
            values(w).view(np.int8).reshape(graph.tensors[w].shape),
            values(bias).view(np.int32) if bias >= 0 else np.empty(0, np.int32),
        )


def dense(content: bytes) -> bytes:
    """The .tflite without the zeros that it has."""
    data = bytearray(content)
    for kernel, _ in convolutions(data):
        kernel[kernel == 0] = 1
    return bytes(data)


def pruned(content: bytes, kind: str, share: float, first: int = 1, seed: int = 0) -> bytes:
    """The .tflite with `share` of the weights zero in its convolutions from number `first` on.

    A channel goes with its bias, lowered until nothing but zero comes out behind a RELU.
    """
    data = bytearray(content)
    rng = np.random.default_rng(seed)
    for kernel, bias in convolutions(data, first):
        stays = KINDS[kind](kernel.shape, share, rng)
        kernel[~stays] = 0
        if kind == "channel" and bias.size:
            bias[~stays.reshape(len(stays), -1).any(axis=1)] = -(1 << 20)
    return bytes(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    shipped = paths.students_dir() / "esc10" / "student.tflite"
    parser.add_argument("student", type=Path, nargs="?", default=shipped)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--layers", action="store_true", help="cycles by op as well")
    args = parser.parse_args()
    content = dense(args.student.read_bytes())
    table = [("sparsity", "", "M MAC", "M cycles", "faster", "flash KiB", "of the dense")]
    whole = None
    for name, steps in ROWS:
        zeroed, stays = content, 1.0
        for seed, (kind, part) in enumerate(steps):
            zeroed, stays = pruned(zeroed, kind, part, seed=seed), stays * (1 - part)
        share = 1 - stays
        model = compiler.read(zeroed)
        with tempfile.TemporaryDirectory() as temporary:
            run = bench.run(model, Path(temporary) / "firmware")
        whole = whole or run
        table.append(
            (
                f"{100 * share:.0f} %",
                name,
                f"{run.macs / 1e6:.2f}",
                f"{run.cycles / 1e6:.2f}",
                f"{whole.cycles / run.cycles:.2f}x",
                f"{run.flash_bytes / 1024:.0f}",
                f"{100 * run.flash_bytes / whole.flash_bytes:.0f} %",
            )
        )
        if args.layers:
            print(f"{share:.0%} {name}")
            for op, macs, cycles in run.layers:
                print(f"  {op:20}{macs:>12,}{cycles:>12,}" + (f"{cycles / macs:8.2f}" if macs else ""))
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    for i, row in enumerate(table):
        cells = [c.ljust(w) for c, w in zip(row, widths, strict=True)]
        print("| " + " | ".join(cells) + " |" if args.markdown else "  ".join(cells).rstrip())
        if args.markdown and i == 0:
            print("|" + "|".join("-" * (w + 2) for w in widths) + "|")


if __name__ == "__main__":
    main()
