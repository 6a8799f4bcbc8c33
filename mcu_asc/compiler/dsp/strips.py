"""DEPTHWISE_CONV_2D on pairs of rows (asc_dwk): kernels of up to 7 x 3 or 5 x 5 taps, strides 1 and 2.

Strips of two output rows run along one side of the image, `across` is the other. Each input row is packed
once: halfwords of rows 2t and 2t + 1 in one word, so that one SMLAD does two taps, for either row of the
strip. Each shape of kernel and stride has an inner loop of its own, all made by one macro, and only those
that a model needs are linked. Smaller kernels take the next larger one, with taps of no weight.

Cycles per MAC.  Bound: multiplications, three instructions from a sum to a stored output, 1.6 cycles to pack
a value.  Counted: the inner loop with its loads, weights from the FPU's registers (1 each) and loop end, 15.5
cycles to pack 8 values, 8.5 to store 8.  Measured with the emulator's cycle model, all in:

| taps | bound | counted | 50x32x16, ReLU, linear | 12x10x24, ReLU, linear | taps two by two |
|---|---|---|---|---|---|
| 1x3, 3x1 | 2.2 | 3.9 | 4.7 to 5.0, 5.5 to 5.7 | 5.0 to 5.1, 5.7 to 5.8 | 9.4 to 10.6 |
| 1x5, 5x1 | 1.5 | 2.8 | 3.4 to 3.7, 3.9 to 4.2 | 3.6, 4.0 to 4.1 | 6.9 to 8.1 |
| 1x7, 7x1 | 1.2 | 2.4 | 3.0 to 3.3, 3.3 to 3.6 | 3.0 to 3.1, 3.4 | 5.8 to 7.0 |
| 5x3 | 0.9 | 1.6 | 1.8, 2.0 | 2.0, 2.1 | 4.7 to 4.9 |
| 5x5 | 0.8 | 1.4 | 1.6, 1.7 | 1.6, 1.7 | 4.1 to 4.2 |
| 1x3, 3x1, stride 2 | 2.7 | 5.0 | 6.9, 7.7 | 9.6 to 9.8, 10.5 to 10.7 | 10.0 to 12.4 |
| 1x5, 5x1, stride 2 | 1.8 | 3.5 | 4.9 to 5.1, 5.4 to 5.5 | 6.8 to 6.9, 7.3 to 7.4 | 7.3 to 9.5 |
| 1x7, 7x1, stride 2 | 1.5 | 2.9 | 4.0 to 4.2, 4.3 to 4.6 | 5.5 to 5.6, 5.9 to 6.0 | 6.1 to 8.2 |
| 5x3, stride 2 | 1.2 | 2.3 | 3.0, 3.1 | 4.1, 4.3 | 5.1 to 5.4 |
| 5x5, stride 2 | 1.0 | 1.8 | 2.5, 2.6 | 3.1, 3.2 | 4.3 to 4.6 |

A linear output takes 2.25 cycles more. Of stride 2 an output pays for the packing of two values, of four
where taps lie along the strip too, and the small map has but 30 outputs a channel. What is left above the
count are calls: each takes about 400 cycles for four channels, and the lines that the next one reads too are
moved, 5 to 19 % of a layer. Strips that are short run several a call (`Strips.count`), for more scratch.

Scratch: the lines of four channels, 16 bytes a position, and eight bytes a column for outputs; 68 positions
a channel, or one strip's lines where that is more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mcu_asc.compiler.dsp.fast import Fast, fixed
from mcu_asc.compiler.ops.base import Array, Call, Code, Lowered, Params, per_tensor
from mcu_asc.nouns import Graph, Op

GROUP = 4  # channels at a time
_KERNELS = ((3, 1), (5, 1), (7, 1), (3, 3), (5, 3), (3, 5), (7, 3), (5, 5))  # taps across, along
_STEPS = (1, 2)
_POSITIONS = 68  # of lines at a time
_TILE = 26  # cycles beside those for taps, four outputs
_TALL = 0.05  # that another inner loop must save: as a rule, a network's layers share theirs
_SCALES = 4  # words of a record behind the weights


def halfwords(low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.int64]:
    """Halfwords {low, high} as words."""
    return (low & 0xFFFF) | (high & 0xFFFF) << 16


@dataclass(frozen=True)
class Side:
    """One side of the image."""

    taps: int  # of the kernel that is used
    step: int
    size: int  # of the input
    out: int
    pad: int
    in_step: int  # bytes
    out_step: int


@dataclass(frozen=True)
class Strips:
    """How an op runs."""

    tall: bool  # strips run down the columns
    across: Side
    along: Side
    group: int  # input channels at a time
    groups: int

    @property
    def lines(self) -> int:
        """Pairs of rows that a strip reads."""
        return (self.across.taps - 1) // 2 + self.across.step

    @property
    def weight_words(self) -> int:
        a, b = self.across.taps, self.along.taps
        return (a - 1) * b if self.across.step == 1 else (a + 1) // 2 * b

    @property
    def positions(self) -> int:
        """Of a line: what an even number of outputs reads."""
        return (self.columns - 1) * self.along.step + self.along.taps

    @property
    def columns(self) -> int:
        """Of outputs: an even number."""
        return (self.along.out + 1) // 2 * 2

    @property
    def count(self) -> int:
        """Strips at a time: short ones together, because a call takes about 400 cycles beside its outputs."""
        strips = (self.across.out + 1) // 2
        most = max(1, _POSITIONS // (self.positions * self.across.step))
        return -(-strips // -(-strips // most))

    @property
    def taken(self) -> int:
        """Positions inside the image."""
        return min(self.positions - self.along.pad, self.along.size)

    @property
    def pitch(self) -> int:
        """Bytes of a channel's lines."""
        return 4 * self.positions * (self.lines + (self.count - 1) * self.across.step)

    @property
    def scratch(self) -> int:
        return 8 * self.columns * self.count + self.group * self.pitch

    @property
    def kernel(self) -> str:
        a, b = self.across, self.along
        return f"asc_dwk_{a.taps}x{b.taps}_{a.step}{b.step}"


def choose(graph: Graph, op: Op) -> Strips | None:
    """The faster way, by the whole op where `graph` holds a piece of it; None where there is none."""
    whole = graph.whole or graph
    found = {tall: s for tall in (False, True) if (s := _way(whole, whole.ops[op.index], tall))}
    if not found:
        return None
    tall = min(found, key=lambda tall: cycles(found[tall], op.attrs.multiplier) * (1 + _TALL * tall))
    return found[tall] if whole is graph else _way(graph, op, tall)


def _way(graph: Graph, op: Op, tall: bool) -> Strips | None:
    x, y, a = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]], op.attrs
    i, j = (1, 0) if tall else (0, 1)
    used = next((k for k in _KERNELS if k[0] >= a.size[i] and k[1] >= a.size[j]), None)
    if used is None or a.dilation != (1, 1) or x.shape[0] != 1 or y.shape[3] < GROUP:
        return None
    across, along = (
        Side(
            taps,
            a.stride[n],
            x.shape[1 + n],
            y.shape[1 + n],
            a.pad[n],
            x.shape[3] * (1 if n else x.shape[2]),
            y.shape[3] * (1 if n else y.shape[2]),
        )
        for taps, n in zip(used, (i, j), strict=True)
    )
    if along.taps == 1 and along.step > 1:  # positions that no tap reads have no place in a line
        every = along.step
        along = replace(along, step=1, size=-(-along.size // every), in_step=every * along.in_step)
    if across.step not in _STEPS or along.step not in _STEPS:
        return None
    return Strips(tall, across, along, min(GROUP, x.shape[3]), -(-x.shape[3] // GROUP))


def cycles(s: Strips, multiplier: int = 1, rows: int | None = None) -> float:
    """An estimate, counted from the instructions.

    rows  of outputs, if not all
    """
    if rows is not None:
        piece = replace(s.along if s.tall else s.across, out=rows)
        s = replace(s, along=piece) if s.tall else replace(s, across=piece)
    b, step, n, lines, w = s.along.taps, s.along.step, s.along.out, s.lines, s.weight_words
    strips, kept = -(-s.across.out // 2), lines - s.across.step
    calls = -(-strips // s.count)
    loads = lines * (len({*range(b), *range(step, step + b)}) + 1)
    multiplications = 4 * b * (lines - (s.across.step - 1))
    tile = multiplications + w * s.across.step + loads + _TILE
    channel = calls * (50 + w) + strips * (12 + lines + s.columns // 2 * tile)
    load = (kept + strips * s.across.step) * (95 + 15.5 * s.taken)
    move = (calls - 1) * (25 + 2.8 * kept * s.positions)
    store = strips * (40 + 8.6 * n)
    return s.groups * (150 + load + 4 * move + multiplier * (calls * 100 + 4 * channel + store))


def pack(w: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """[taps across, along, channels] -> [channels, words]; the order is in asc_nn_dsp.h."""
    last = len(w) // 2
    w = np.concatenate([w, np.zeros_like(w[:1])])
    even = [halfwords(w[2 * k], w[2 * k + 1]) for k in range(last + 1)]
    odd = [halfwords(w[2 * k - 1], w[2 * k]) for k in range(1, last + 1)]
    if step == 2:
        lines = [e[:, None] for e in even]
    else:
        middle = [np.stack(pair, axis=1) for pair in zip(even[1:last], odd, strict=False)]
        lines = [even[0][:, None], *middle, odd[-1][:, None]]
    return np.concatenate([part.reshape(-1, part.shape[-1]) for part in lines]).T


def lower(graph: Graph, op: Op, s: Strips, taps: NDArray[np.int8], f: Fast) -> Lowered:
    """taps  [rows, columns, output channels]"""
    x, y, m = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]], op.attrs.multiplier
    name, across, along = f"op{op.index}", s.across, s.along
    turn = 4 * s.columns * along.step
    g = fixed(f, per_tensor(y)[1], 2 * np.abs(taps.astype(np.int64)).max(axis=(0, 1)))
    w = 2 * taps.astype(np.int64) * (g.factor if g else 1)
    w = w.transpose(1, 0, 2) if s.tall else w
    w = np.pad(w, ((0, across.taps - w.shape[0]), (0, along.taps - w.shape[1]), (0, 0)))
    moves = -256 * ((np.arange(len(f.bias)) + 1) % m == 0)  # to the next line
    right = moves if g else moves + f.right
    scales = [g.bias, g.multiplier, g.offset] if g else [2 * f.bias, f.multiplier, f.offset]
    records = np.column_stack([pack(w, across.step), *scales, right])
    fields: dict[str, int | str | tuple[int, ...]] = {
        "channels": x.shape[3],
        "group": s.group,
        "multiplier": m,
        "lines": s.lines,
        "step_across": across.step,
        "in_across": across.size,
        "out_across": across.out,
        "out_along": along.out,
        "in_along_step": along.in_step,
        "in_across_step": across.in_step,
        "out_along_step": along.out_step,
        "out_across_step": across.out_step,
        "pad_along": along.pad,
        "pad_across": across.pad,
        "positions": s.positions,
        "taken": s.taken,
        "in_zero": per_tensor(x)[1],
        "record": s.weight_words + _SCALES,
        "strips": (turn, 4 * s.positions * across.step - turn, 4 * s.positions, s.pitch, s.count),
        "kernel": f"{s.kernel}_{'fixed' if g else 'linear'}",
        "weights": f"{name}_weights",
    }
    code = Code(
        arrays=(Array("uint32_t", f"{name}_weights", records.reshape(-1) & 0xFFFFFFFF),),
        params=(Params("asc_dwk", name, fields),),
        calls=(Call("asc_dwk_dsp", name, (op.inputs[0],), op.outputs[0], scratch=True),),
        checks=(f"ASC_DWK_SCRATCH({along.out}, {s.count}, {s.group}, {s.pitch}) <= {s.scratch}",),
    )
    return Lowered(code, ("asc_dwk_dsp.c", "asc_dwk.S", "asc_dw_lines.S"), s.scratch)
