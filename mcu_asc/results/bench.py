"""What one window costs on a target: cycles by layer, RAM, stack, flash; and against an earlier run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcu_asc.errors import DeviceError, UsageError
from mcu_asc.nouns import BenchResult, Image, LayerCount, LayerCycles, SparseLayer, Sparsity


def bench_result(
    manifest: Mapping[str, Any],
    counts: Sequence[LayerCount],
    image: Image,
    frontend_cycles: int,
    layer_cycles: Sequence[int],
    stack_bytes: int,
    estimated: bool,
) -> BenchResult:
    """Join what the device measured with what counting says of its layers."""
    if len(layer_cycles) != len(counts):
        raise DeviceError(
            f"the device reports {len(layer_cycles)} layers, the project has {len(counts)}",
            "build and flash again",
        )
    return BenchResult(
        frontend_cycles=frontend_cycles,
        layers=tuple(
            LayerCycles(x.name, x.kind, x.macs, c, x.moved_bytes)
            for x, c in zip(counts, layer_cycles, strict=True)
        ),
        total_cycles=frontend_cycles + sum(layer_cycles),
        arena_bytes=manifest["arena_bytes"],
        ram_bytes=image.ram_bytes,
        stack_bytes=stack_bytes,
        flash_bytes=image.flash_bytes,
        code_bytes=image.flash_bytes - manifest["weight_bytes"] - manifest["table_bytes"],
        estimated=estimated,
        sparsity=_sparsity(manifest.get("sparsity", {})),
    )


def _sparsity(values: Mapping[str, Any]) -> Sparsity:
    layers = tuple(SparseLayer(**x) for x in values.get("layers", ()))
    return Sparsity(**{**values, "layers": layers})


@dataclass(frozen=True)
class Moved:
    """A line of a comparison: cycles then and now."""

    name: str
    before: int
    now: int

    @property
    def ratio(self) -> float:
        """Now over before; below 1 is faster."""
        return self.now / max(1, self.before)


def compare(now: BenchResult, earlier: Path, threshold: float = 0.01) -> tuple[Moved, ...]:
    """The total, and each layer that moved by more than `threshold`, against `bench --json` of another time.

    Layers are matched by name.  Raises UsageError for a file that is no such result.
    """
    try:
        old = json.loads(earlier.read_text())
        before = {
            "front end": int(old["frontend_cycles"]),
            **{str(layer["name"]): int(layer["cycles"]) for layer in old["layers"]},
        }
        total = int(old["total_cycles"])
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise UsageError(
            f"{earlier} is not a result of bench ({e})", "write one with bench --json > FILE"
        ) from e
    after = {"front end": now.frontend_cycles, **{x.name: x.cycles for x in now.layers}}
    lines = [Moved(n, before.get(n, 0), after.get(n, 0)) for n in dict.fromkeys([*after, *before])]
    moved = [m for m in lines if abs(m.now - m.before) > threshold * max(1, m.before)]
    return (*moved, Moved("total", total, now.total_cycles))
