"""The Cortex-M4 front end on the emulated board: the host's integers, and the cycles that it may take."""

from __future__ import annotations

import shutil
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from board_rows import build, running
from test_frontend import GOLDEN, golden_config, hostile

from mcu_asc.audio import frontend
from mcu_asc.audio.frontend import Features
from mcu_asc.nouns import FrontEndConfig

pytestmark = pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")


def crcs(f: Features) -> tuple[int, ...]:
    return tuple(zlib.crc32(np.ascontiguousarray(a)) for a in (f.log2_q9, f.q, f.level_q9))


def signals(n: int) -> np.ndarray:
    """Constant extremes, Nyquist, random signs, loud tones, an impulse, noise of all levels, silence."""
    rng, t = np.random.default_rng(21), np.arange(n)
    tones = [32767 * np.sign(np.sin(2 * np.pi * f * t + 0.3)) for f in (0.003, 0.11, 0.37)]
    impulse = np.where(t == n // 3, -32768, 0)
    noise = [rng.normal(0, 1, n) * 2.0**k for k in range(0, 15, 2)]
    parts = [
        np.full(n, -32768),
        np.full(n, 32767),
        np.where(t & 1, 32767, -32768),
        rng.choice([-32768, 32767], n),
    ]
    return np.clip(np.concatenate([*parts, *tones, impulse, *noise, np.zeros(n)]), -32768, 32767).astype(
        np.int16
    )


@pytest.mark.parametrize("shape", GOLDEN)
def test_same_rows_on_the_board(shape: tuple[int, int, int, int], tmp_path: Path) -> None:
    """Golden vectors give the golden CRCs however they are cut; other hostile signals the host's rows."""
    cfg = golden_config(*shape)
    with running(build(cfg, tmp_path), cfg) as board:
        assert crcs(board.rows(hostile())[0]) == GOLDEN[shape]
        for chunk in (cfg.hop, 333, 2 * cfg.fft + 1):
            assert crcs(board.rows(hostile(), chunk)[0]) == GOLDEN[shape], chunk
        extreme = signals(max(cfg.window, 1024))[:47_000]
        assert crcs(board.rows(extreme, 500)[0]) == crcs(frontend.extract(extreme, cfg))


OTHERS = {  # what the golden shapes do not reach
    "one band": FrontEndConfig(fft=256, window=255, hop=77, bands=1, floor_fs2=0.0),
    "odd bands": FrontEndConfig(fft=512, window=400, hop=160, bands=23, floor_fs2=1e-9, scale=0.05),
    "wide bands": FrontEndConfig(fft=4096, window=4096, hop=4096, bands=3, f_min_hz=0.0),
    "area": FrontEndConfig(fft=512, window=400, bands=40, norm="slaney", floor_fs2=1e-10, bank="mel-slaney"),
    "magnitude": FrontEndConfig(fft=512, window=480, hop=320, bands=40, spectrum="magnitude", floor_fs2=1e-6),
    "gammatone": FrontEndConfig(bank="gammatone", floor_fs2=0.0),
    "cqt": FrontEndConfig(bank="cqt", floor_fs2=1e-8, bands=48, fft=2048, window=2048, f_min_hz=60.0),
    "deltas": FrontEndConfig(fft=512, window=480, hop=320, bands=40, deltas=9, scale=0.02),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_other_configurations_on_the_board(name: str, tmp_path: Path) -> None:
    cfg = replace(OTHERS[name], zero_point=-20)
    with running(build(cfg, tmp_path), cfg) as board:
        for pcm in (hostile(), signals(cfg.window)[:40_000]):
            assert crcs(board.rows(pcm, 700)[0]) == crcs(frontend.extract(pcm, cfg))


MOST_CYCLES = {  # the work of hostile(), 1 s at 16 kHz: (in one push, hop by hop)
    (256, 256, 160, 32): (1_090_000, 1_140_000),
    (512, 480, 320, 40): (970_000, 1_000_000),
    (1024, 1024, 320, 64): (2_090_000, 2_160_000),
    (2048, 2048, 1024, 64): (1_240_000, 1_280_000),
    (4096, 4096, 2048, 64): (1_200_000, 1_240_000),
}


@pytest.mark.parametrize("shape", MOST_CYCLES)
def test_cycles(shape: tuple[int, int, int, int], tmp_path: Path) -> None:
    """As the firmware runs it: int8 rows alone are wanted."""
    cfg = golden_config(*shape)
    with running(build(cfg, tmp_path, log2=False), cfg, cycles=True) as board:
        assert board.rows(hostile())[1] <= MOST_CYCLES[shape][0]
        assert board.rows(hostile(), cfg.hop)[1] <= MOST_CYCLES[shape][1]


def test_the_portable_kernels_build_for_the_board_too(tmp_path: Path) -> None:
    cfg = golden_config(*list(GOLDEN)[1])
    with running(build(cfg, tmp_path, "ref"), cfg) as board:
        assert crcs(board.rows(hostile())[0]) == GOLDEN[list(GOLDEN)[1]]
