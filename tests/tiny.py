"""Small things that tests share: a recipe that trains in seconds, a firmware project with a made-up network.

The network has two layers, and Python can tell its every output byte.  It needs no compiler and builds in a
second: what tests of the wire and of sessions talk to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mcu_asc import config, firmware
from mcu_asc.nouns import (
    Board,
    Decision,
    FirmwareProject,
    FrontEndConfig,
    Graph,
    LayerCount,
    MemoryPlan,
    Model,
    ModelCard,
    Quant,
    Tensor,
)

RECIPE: Mapping[str, Mapping[str, Any]] = {  # two of the synthetic scenes, 48 clips to learn from
    "data": {"dataset": "scenes", "labels": ["park", "bus"], "train_folds": [1], "test_folds": [4]},
    "front_end": {"bands": 16, "rows": 20, "floor_fs2": 1e-6},
    "student": {"name": "vgg-asc", "width": 0.25},
    "train": {"epochs": 1, "windows_per_clip": 1, "batch": 16},
    "prune": {"epochs": 0},
    "qat": {"epochs": 0},
    "decision": {"alive_db": -70.0},
}


def recipe(path: Path, **changes: Mapping[str, Any]) -> Path:
    """Write RECIPE, with other values in its tables, as TOML; a key that is None is left out."""
    lines = ['name = "tiny"']
    for name in {**RECIPE, **changes}:
        table = {**RECIPE.get(name, {}), **changes.get(name, {})}
        lines += [f"[{name}]", *(f"{k} = {json.dumps(v)}" for k, v in table.items() if v is not None)]
    path.write_text("\n".join(lines) + "\n")
    return path


FRONT_END = FrontEndConfig(
    window=512, hop=320, fft=512, bands=16, rows=8, mean=(20.0,) * 16, std=(4.0,) * 16, scale=0.05
)
CARD = ModelCard("tiny", tuple("abcdefghij"), FRONT_END, Decision(hop_rows=3, alive_db=-60.0))
OUTPUTS = 10
SCALE = 0.05  # of the output
MODEL_C = """
#include "asc_model.h"
#include <string.h>

static void invoke(uint8_t *arena, asc_probe_fn *probe, void *context)
{
    const int8_t *in = (const int8_t *)arena + 64;
    int8_t out[@OUTPUTS@];
    for (volatile uint32_t n = @SLOW@; n > 0; n--) {
    }
    for (int32_t k = 0; k < @OUTPUTS@; k++) {
        uint32_t sum = 0;
        for (int32_t i = 0; i < @INPUTS@; i++) {
            sum += (uint32_t)(in[i] * ((i * 7 + k * 13) % 11 - 5));
        }
        out[k] = (int8_t)(uint8_t)sum;
    }
    if (probe) {
        probe(context, 0);
    }
    memset(arena, 0xa5, asc_net.arena_bytes); /* nobody may count on what the arena holds */
    memcpy(arena + 16, out, sizeof out);
    if (probe) {
        probe(context, 1);
    }
}

const asc_model asc_net = {@ARENA@, 2, 64, @INPUTS@, 16, @OUTPUTS@, invoke, NULL};
"""


def network(window: NDArray[np.int8]) -> bytes:
    """What the network makes of one input tensor."""
    i, k = np.arange(window.size), np.arange(OUTPUTS)[:, None]
    return (
        ((window.ravel().astype(int) * ((i * 7 + k * 13) % 11 - 5)).sum(axis=1) & 0xFF)
        .astype(np.uint8)
        .tobytes()
    )


def project(
    monkeypatch: pytest.MonkeyPatch,
    card: ModelCard | None = CARD,
    inputs: int = 128,
    board: Board | None = None,
    slow: int = 0,
) -> FirmwareProject:
    """By firmware.project, with the made-up network, which counts to `slow`, in the compiler's place."""
    if card:
        inputs = card.front_end.rows * card.front_end.bands
    arena = 64 + inputs
    output = Tensor(1, "out", (1, OUTPUTS), "int8", Quant((SCALE,), (0,)))
    tensors = (Tensor(0, "in", (1, inputs), "int8"), output)
    graph = Graph("tiny", tensors, (), (0,), (1,))
    text = (
        MODEL_C.replace("@OUTPUTS@", str(OUTPUTS))
        .replace("@INPUTS@", str(inputs))
        .replace("@ARENA@", str(arena))
        .replace("@SLOW@", str(slow))
    )
    layer = LayerCount(0, "sum", "FULLY_CONNECTED", inputs * OUTPUTS, 0, 0, 0, (1, OUTPUTS), 0)
    fake = SimpleNamespace(
        flavour_of=lambda cpu: "ref",
        simplify=lambda m: m,
        plan=lambda g, flavour, ram_limit=None: MemoryPlan({0: 64, 1: 16}, {}, arena, (arena,), 0),
        counts=lambda g: (layer, layer),
        emit=lambda m, p, flavour: {"model.c": text.encode()},
        kernel_sources=lambda g, flavour: (),
    )
    monkeypatch.setattr(firmware, "compiler", fake)
    return firmware.project(Model(graph, card, b"tiny"), board or config.load_board("nano33"))


def write(monkeypatch: pytest.MonkeyPatch, directory: Path, card: ModelCard | None = CARD) -> Path:
    firmware.write(project(monkeypatch, card), directory)
    return directory
