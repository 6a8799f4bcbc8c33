"""What one window costs on a target: cycles by layer, RAM, stack, flash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mcu_asc.errors import DeviceError
from mcu_asc.nouns import BenchResult, Image, LayerCycles


def bench_result(
    manifest: Mapping[str, Any],
    image: Image,
    frontend_cycles: int,
    layer_cycles: Sequence[int],
    stack_bytes: int,
    estimated: bool,
) -> BenchResult:
    """Join what the device measured with what the project knows of its layers."""
    layers = manifest["layers"]
    if len(layer_cycles) != len(layers):
        raise DeviceError(
            f"the device reports {len(layer_cycles)} layers, the project has {len(layers)}",
            "build and flash again",
        )
    return BenchResult(
        frontend_cycles=frontend_cycles,
        layers=tuple(
            LayerCycles(x["name"], x["op"], x["macs"], c) for x, c in zip(layers, layer_cycles, strict=True)
        ),
        total_cycles=frontend_cycles + sum(layer_cycles),
        arena_bytes=manifest["arena_bytes"],
        ram_bytes=image.ram_bytes,
        stack_bytes=stack_bytes,
        flash_bytes=image.flash_bytes,
        code_bytes=image.flash_bytes - manifest["weight_bytes"] - manifest["table_bytes"],
        estimated=estimated,
    )
