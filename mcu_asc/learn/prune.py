"""What pruning makes zero: single weights, blocks that the device skips, whole channels, or these two.

Of convolutions' kernels, [rows, columns, channels in, channels out]; the stem, depthwise convolutions and the
last layer stay dense.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_asc.errors import UsageError
from mcu_asc.learn import keras
from mcu_asc.learn.keras import Keras
from mcu_asc.nouns import BLOCK

Mask = NDArray[np.float32]
STEP = 4  # channels stay multiples of this: kernels read four at a time


@dataclass(frozen=True)
class Target:
    """A kernel, and what follows it channel by channel up to the next kernel."""

    kernel: Any
    norms: tuple[Any, ...] = ()  # gamma and beta of each batch normalisation; the first one is the kernel's


def targets(model: Keras) -> list[Target]:
    """What is pruned of a student."""
    layers = keras.keras().layers
    found: list[Target] = []
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            found.append(Target(layer.kernel))
        elif isinstance(layer, layers.BatchNormalization) and found:
            found[-1] = Target(found[-1].kernel, (*found[-1].norms, layer.gamma, layer.beta))
    stems = [la.kernel.ref() for la in model.layers if isinstance(la, layers.Conv2D) and la.name == "stem"]
    return [t for t in found if t.kernel.ref() not in stems]


# ---- masks ---------------------------------------------------------------------------------------


def smallest(scores: NDArray[np.float32], count: int) -> Mask:
    """0 for the `count` smallest of the scores (ties: the first ones), 1 elsewhere."""
    mask = np.ones(scores.size, np.float32)
    mask[np.argsort(scores.ravel(), kind="stable")[:count]] = 0
    return mask.reshape(scores.shape)


def magnitude(kernel: NDArray[np.float32], share: float) -> Mask:
    """0 for the `share` of entries that is smallest in magnitude."""
    return smallest(np.abs(kernel), round(share * kernel.size))


def block(kernel: NDArray[np.float32], share: float) -> Mask:
    """0 for the `share` of the device's blocks (nouns.BLOCK) with the smallest sum of squares.

    The largest block of each pair of channels stays: a channel of zeros has no scale to quantise its bias by.
    """
    rows, columns, depth, channels = kernel.shape
    r, x = np.arange(rows), BLOCK.columns(columns)
    d, c = np.arange(depth) // BLOCK.depth, np.arange(channels) // BLOCK.channels
    at = np.ix_(r, x, d, c)
    energy = np.zeros((rows, x[-1] + 1, d[-1] + 1, c[-1] + 1), np.float32)
    np.add.at(energy, at, kernel**2)
    flat = energy.reshape(-1, energy.shape[-1])
    flat[flat.argmax(axis=0), np.arange(flat.shape[1])] = np.inf
    return np.asarray(smallest(energy, round(share * energy.size))[at], np.float32)


def channels(importance: NDArray[np.float32], share: float) -> Mask:
    """0 for about the `share` of channels that matter least; as many stay as a multiple of STEP."""
    stay = max(1, round((1 - share) * importance.size / STEP)) * STEP
    return smallest(importance, max(0, importance.size - stay))


Choice = Callable[[Sequence[Target], float, float], list[list[Mask]]]
"""Masks of each target from the share of zeros; the second share is that of "channel+block"'s blocks."""


def _each(choose: Callable[[Target, float], list[Mask]]) -> Choice:
    return lambda targets, share, _: [choose(t, share) for t in targets]


def _weights(choose: Callable[[NDArray[np.float32], float], Mask]) -> Choice:
    return _each(lambda target, share: [choose(target.kernel.numpy(), share)])


def _channels(target: Target, share: float) -> list[Mask]:
    """Kernel, gammas and betas: what comes out of a channel that goes is 0, with padding and all.

    Batch normalisation undoes a kernel's size, so its gamma says what a channel matters.
    """
    kernel = target.kernel.numpy()
    matters = target.norms[0].numpy() if target.norms else np.sqrt((kernel**2).sum(axis=(0, 1, 2)))
    stays = channels(np.abs(matters), share)
    return [np.broadcast_to(stays, kernel.shape), *[stays] * len(target.norms)]


def _channels_and_blocks(chain: Sequence[Target], share: float, blocks: float) -> list[list[Mask]]:
    """Channels as above, then blocks of the kernels as they will be without those channels.

    Which weights share a block shows only there: a block is of neighbours among the channels that stay.
    """
    found = []
    heard = np.arange(chain[0].kernel.shape[2]) if chain else np.arange(0)  # of the stem's channels, all
    for target in chain:
        whole, *norms = _channels(target, share)
        stay = np.flatnonzero(whole[0, 0, 0])
        left = np.ix_(*map(np.arange, whole.shape[:2]), heard, stay)
        mask = np.zeros(whole.shape, np.float32)
        mask[left] = block(target.kernel.numpy()[left], blocks)
        found.append([mask, *norms])
        heard = stay
    return found


KINDS: Mapping[str, Choice] = {
    "magnitude": _weights(magnitude),
    "block": _weights(block),
    "channel": _each(_channels),
    "channel+block": _channels_and_blocks,
}


def removes_channels(kind: str) -> bool:
    return "channel" in kind.split("+")


def pruned(model: Keras, kind: str) -> list[tuple[Target, list[Any]]]:
    """Each target with the variables that KINDS[kind] gives masks for."""
    return [(t, [t.kernel, *(t.norms if removes_channels(kind) else ())]) for t in targets(model)]


# ---- channels removed ----------------------------------------------------------------------------


def refuse_branches(model: Keras) -> None:
    """UsageError for what is no chain of layers: `narrowed` knows no other."""
    for layer in model.get_config()["layers"]:
        if len(layer["inbound_nodes"]) > 1 or any(len(node) != 1 for node in layer["inbound_nodes"]):
            raise UsageError(
                f"layer '{layer['name']}' has several inputs: channels can only be removed from a chain",
                'use kind = "block"',
            )


def narrowed(model: Keras) -> Keras:
    """The same student without the channels whose kernels are zero; it computes the same.

    UsageError where layers are no chain.
    """
    k = keras.keras()
    refuse_branches(model)
    described = model.get_config()
    values = []
    for layer, (stay, cut) in zip(model.layers, _cuts(model), strict=True):
        values.append(cut)
        if isinstance(layer, k.layers.Conv2D):
            (own,) = (d for d in described["layers"] if d["name"] == layer.name)
            own["config"]["filters"] = len(stay)
    smaller = k.Model.from_config(described)
    for layer, cut in zip(smaller.layers, values, strict=True):
        layer.set_weights(cut)
    return smaller


def _cuts(model: Keras) -> Iterator[tuple[NDArray[np.int64], list[NDArray[np.float32]]]]:
    """Of each layer the channels that stay and its weights for them."""
    layers = keras.keras().layers
    stay = np.arange(model.input_shape[-1])
    for layer in model.layers:
        weights = layer.get_weights()
        if isinstance(layer, layers.Conv2D):
            kernel, *bias = weights
            before, stay = stay, np.flatnonzero(kernel.any(axis=(0, 1, 2)))
            weights = [kernel[:, :, before][..., stay], *(b[stay] for b in bias)]
        elif isinstance(layer, layers.DepthwiseConv2D):
            kernel, *bias = weights
            weights = [kernel[:, :, stay], *(b[stay] for b in bias)]
        elif isinstance(layer, layers.BatchNormalization):
            weights = [w[stay] for w in weights]
        elif isinstance(layer, layers.Flatten):
            *places, depth = layer.input_shape[1:]
            stay = (np.arange(math.prod(places))[:, None] * depth + stay).ravel()
        elif isinstance(layer, layers.Dense):
            weights = [weights[0][stay], *weights[1:]]
            stay = np.arange(layer.units)
        yield stay, weights
