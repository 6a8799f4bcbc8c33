#!/usr/bin/env python3
"""What this engine costs beside its goals and floors, and beside TFLM with CMSIS-NN on the same models.

    MCU_ASC_MODELS=DIR tools/bench.py [--markdown] [--models DIR] [--layers] [--only TEXT]

Cycles are estimates of the emulated Cortex-M4 (mcu_asc/device/emulator/cycles.py), without flash wait states,
in the firmware that `mcu-asc build` makes.  Exits with 1 when a figure is worse than its floor.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcu_asc import compiler, config, firmware
from mcu_asc.device.build import compile_project
from mcu_asc.device.targets import open_target
from mcu_asc.nouns import FrontEndConfig, Model, ModelCard
from mcu_asc.results.check import check

BOARD = "nano33"
KIB = 1024


@dataclass(frozen=True)
class Peer:
    """TFLM with CMSIS-NN: arm-none-eabi-gcc 12.2, its own default flags, the same cycle model."""

    cycles: float
    arena_bytes: int


PEERS = {
    "ad01_int8": Peer(0.737e6, 2_580),
    "kws_ref_model": Peer(9.01e6, 22_820),
    "pretrainedResnet_quant": Peer(36.26e6, 54_996),
    "vww_96_int8": Peer(28.56e6, 100_708),
    "asc_a": Peer(85.23e6, 155_540),
    "asc_b": Peer(43.55e6, 97_524),
    "asc_c": Peer(79.96e6, 71_332),
}
CYCLES_PER_MAC = {  # goal, floor
    "asc_a": (1.25, 1.40),
    "asc_b": (1.50, 1.68),
    "asc_c": (1.15, 1.35),
    "kws_ref_model": (1.40, 1.55),
    "pretrainedResnet_quant": (1.10, 1.33),
}
HALF_ARENA = ("asc_a", "vww_96_int8")
FRONT_END = FrontEndConfig(window=480, hop=320, fft=512, bands=40, rows=16)
SECOND_ROWS = 49  # of that front end in 1 s


@dataclass(frozen=True)
class Line:
    what: str
    value: float
    goal: float
    floor: float
    unit: str = ""
    note: str = ""

    @property
    def mark(self) -> str:
        return "goal" if self.value <= self.goal else "floor" if self.value <= self.floor else "UNDER"


@dataclass(frozen=True)
class Run:
    """One model in its firmware."""

    macs: int
    cycles: int
    frontend_cycles: int
    arena_bytes: int
    code_bytes: int
    flash_bytes: int
    build_s: float
    inference_s: float
    layers: tuple[tuple[str, int, int], ...]  # op, MACs, cycles


def run(model: Model, folder: Path) -> Run:
    start = time.perf_counter()
    project = firmware.project(model, config.load_board(BOARD))
    firmware.write(project, folder)
    image = compile_project(folder, "board")
    built = time.perf_counter()
    facts = project.manifest
    with open_target(folder, "emulator", cycles=True) as device:
        device.tensor(bytes(facts["input_bytes"]))  # blocks are priced on their first run
        ready = time.perf_counter()
        device.tensor(bytes(facts["input_bytes"]))
        took = time.perf_counter() - ready
        bench = device.bench()
    layers = tuple((x["op"], x["macs"], c) for x, c in zip(facts["layers"], bench.layer_cycles, strict=True))
    return Run(
        macs=sum(x["macs"] for x in facts["layers"]),
        cycles=sum(bench.layer_cycles),
        frontend_cycles=bench.frontend_cycles,
        arena_bytes=facts["arena_bytes"],
        code_bytes=image.flash_bytes - facts["weight_bytes"] - facts["table_bytes"],
        flash_bytes=image.flash_bytes,
        build_s=built - start,
        inference_s=took,
        layers=layers,
    )


def with_front_end(model: Model) -> Model:
    """The model behind the front end of PERFORMANCE's table; what it makes of it does not matter."""
    return dataclasses.replace(model, card=ModelCard("front_end", ("a",), FRONT_END))


def lines(runs: dict[str, Run], frontend: float) -> Iterator[Line]:
    for name, (goal, floor) in CYCLES_PER_MAC.items():
        if name in runs:
            r = runs[name]
            yield Line(
                f"{name}, cycles/MAC",
                r.cycles / r.macs,
                goal,
                floor,
                note=f"{r.cycles / 1e6:.2f} M cycles, {PEERS[name].cycles / r.cycles:.2f}x TFLM+CMSIS-NN",
            )
    for name, r in runs.items():
        peer = PEERS[name].arena_bytes
        goal = peer / 2 if name in HALF_ARENA else peer
        yield Line(
            f"{name}, arena", r.arena_bytes / KIB, goal / KIB, peer / KIB, "KiB", f"TFLM {peer / KIB:.1f} KiB"
        )
    for name, r in runs.items():
        yield Line(f"{name}, code", r.code_bytes / KIB, 16, 24, "KiB", f"flash {r.flash_bytes / KIB:.1f} KiB")
    largest = max((r.cycles * 30e6 / r.macs for n, r in runs.items() if n.startswith("asc_")), default=0)
    if largest:
        seconds = (largest + frontend) / config.load_board(BOARD).clock_hz
        yield Line("30 MMAC and 1 s of front end at 64 MHz", seconds, 0.8, 1.0, "s")
    if frontend:
        yield Line("front end, 1 s, 40 bands, 30/20 ms", frontend / 1e6, 1.0, 1.2, "M cycles")
    if "asc_a" in runs:
        yield Line("emulated inference of asc_a, cycles counted", runs["asc_a"].inference_s, 8, np.inf, "s")
        yield Line("asc_a, .tflite to .elf", runs["asc_a"].build_s, 8, np.inf, "s")


def host_lines(path: Path) -> Iterator[Line]:
    """What the host takes."""
    start = time.perf_counter()
    check(compiler.read(path), config.load_board(BOARD), None)
    yield Line(f"check of {path.stem}", time.perf_counter() - start, 1, np.inf, "s")
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import mcu_asc.cli"], check=True)
    empty = time.perf_counter()
    subprocess.run([sys.executable, "-c", ""], check=True)
    yield Line("import", 2 * empty - start - time.perf_counter(), 0.3, np.inf, "s")
    from mcu_asc.audio.frontend import extract

    pcm = np.random.default_rng(0).integers(-9000, 9000, 60 * FRONT_END.sample_rate_hz).astype(np.int16)
    start = time.perf_counter()
    extract(pcm, FRONT_END)
    yield Line("60 s of features on one core", time.perf_counter() - start, 0.06, np.inf, "s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", type=Path, default=os.environ.get("MCU_ASC_MODELS"), metavar="DIR")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--layers", action="store_true", help="cycles by op as well")
    parser.add_argument("--only", default="", metavar="TEXT", help="models whose name contains TEXT")
    args = parser.parse_args()
    if args.models is None:
        parser.error("say where the models are: --models or MCU_ASC_MODELS")

    runs: dict[str, Run] = {}
    frontend = 0.0
    found: list[Line] = []
    with tempfile.TemporaryDirectory() as temporary:
        for name in PEERS:
            if args.only in name:
                model = compiler.read(args.models / f"{name}.tflite")
                runs[name] = run(model, Path(temporary) / name)
        if not args.only:
            model = with_front_end(compiler.read(args.models / "ad01_int8.tflite"))
            frontend = (
                run(model, Path(temporary) / "front_end").frontend_cycles * SECOND_ROWS / FRONT_END.rows
            )
            found += host_lines(args.models / "asc_a.tflite")
    found = [*lines(runs, frontend), *found]
    show(found, args.markdown)
    if args.layers:
        for name, r in runs.items():
            print(f"\n{name}")
            for op, macs, cycles in r.layers:
                print(f"  {op:20}{macs:>12,}{cycles:>12,}" + (f"{cycles / macs:8.2f}" if macs else ""))
    return int(any(x.mark == "UNDER" for x in found))


def show(found: list[Line], markdown: bool) -> None:
    rows = [("what", "measured", "goal", "floor", "", "")]
    for x in found:
        floor = "" if np.isinf(x.floor) else f"{x.floor:.4g}"
        rows.append((x.what, f"{x.value:.3f} {x.unit}".strip(), f"{x.goal:.4g}", floor, x.mark, x.note))
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    for i, row in enumerate(rows):
        cells = [c.ljust(w) for c, w in zip(row, widths, strict=True)]
        print("| " + " | ".join(cells) + " |" if markdown else "  ".join(cells).rstrip())
        if markdown and i == 0:
            print("|" + "|".join("-" * (w + 2) for w in widths) + "|")


if __name__ == "__main__":
    sys.exit(main())
