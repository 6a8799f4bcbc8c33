"""The front end's C itself: warnings, sanitizers, cross compiler; the extension that Python loads."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import threading
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcu_asc import native, paths
from mcu_asc.audio import frontend
from mcu_asc.errors import ToolMissing
from mcu_asc.nouns import FrontEndConfig

ASC = paths.firmware_dir() / "asc"
REF = paths.firmware_dir() / "kernels" / "ref"
SOURCES = (ASC / "asc_frontend.c", ASC / "asc_magnitude.c", REF / "asc_fft.c", REF / "asc_bank.c")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-funsigned-char", f"-I{ASC}")
CONFIGS = {
    n: FrontEndConfig(fft=n, window=n - 24, hop=n // 3, bands=min(64, n // 8), floor_fs2=1e-9, scale=0.1)
    for n in frontend.FFT_LENGTHS
}
BANKS = {
    "area, magnitude": FrontEndConfig(norm="slaney", spectrum="magnitude", floor_fs2=1e-6),
    "gammatone": FrontEndConfig(bank="gammatone", spectrum="magnitude", floor_fs2=0.0),
    "cqt, deltas": FrontEndConfig(bank="cqt", deltas=9, floor_fs2=0.0, bands=20, scale=0.1),
}

# Reads int16 samples from argv[1]; pushes them in blocks that malloc cut to size, so that one sample read too
# many is found; prints each row as text.
MAIN = r"""
#include "asc_frontend.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const asc_fe asc_front_end;

int main(int argc, char **argv)
{
    const asc_fe *fe = &asc_front_end;
    int16_t *log2 = malloc(asc_fe_values(fe) * sizeof *log2);
    int8_t *q = malloc(asc_fe_values(fe));
    void *memory = malloc(asc_fe_state_bytes(fe));
    uint32_t chunk = (uint32_t)strtoul(argv[2], NULL, 10), step = 0, have;
    FILE *in = fopen(argv[1], "rb");
    asc_fe_state *s = asc_fe_init(memory, fe);

    (void)argc;
    for (;;) {
        uint32_t want = 1 + chunk + (step++ * 37) % 91;
        int16_t *block = malloc(want * sizeof *block), *x;
        have = (uint32_t)fread(block, sizeof *block, want, in);
        if (have == 0) {
            free(block);
            break;
        }
        x = malloc(have * sizeof *x);
        memcpy(x, block, have * sizeof *x);
        free(block);
        for (uint32_t at = 0; at < have;) {
            asc_fe_row row = {log2, q, 0, 0};
            at += asc_fe_push(s, x + at, have - at, &row);
            if (row.ready) {
                for (uint32_t b = 0; b < asc_fe_values(fe); b++) {
                    printf("%d %d ", log2[b], q[b]);
                }
                printf("%d\n", row.level);
            }
        }
        free(x);
    }
    fclose(in);
    free(memory);
    free(q);
    free(log2);
    return 0;
}
"""


def run(*command: str | Path) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def extremes() -> np.ndarray:
    """Constant -32768 and 32767, Nyquist at full scale, random signs, one impulse, silence; 9000 each."""
    n = 9000
    sign = np.random.default_rng(8).choice([-32768, 32767], n)
    impulse = np.zeros(n)
    impulse[n // 2] = -32768
    nyquist = np.tile([-32768, 32767], n // 2)
    parts = [np.full(n, -32768), np.full(n, 32767), nyquist, sign, impulse, np.zeros(n)]
    return np.concatenate(parts).astype(np.int16)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
@pytest.mark.parametrize("n", [*CONFIGS, *BANKS])
def test_generated_tables_under_sanitizers_give_the_same_rows(n: int | str, tmp_path: Path) -> None:
    cfg = CONFIGS[n] if isinstance(n, int) else BANKS[n]
    (tmp_path / "main.c").write_text(MAIN)
    (tmp_path / "front_end.c").write_text(frontend.c_source(cfg))
    sanitize = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    program = tmp_path / "rows"
    run("gcc", *STRICT, *sanitize, *SOURCES, tmp_path / "main.c", tmp_path / "front_end.c", "-o", program)
    pcm = extremes()
    pcm.tofile(tmp_path / "pcm")
    expected = frontend.extract(pcm, cfg)
    for chunk in (0, cfg.fft // 2, 3 * cfg.fft):
        lines = run(program, tmp_path / "pcm", str(chunk)).splitlines()
        rows = np.array([line.split() for line in lines], int)
        np.testing.assert_array_equal(rows[:, :-1:2], expected.log2_q9)
        np.testing.assert_array_equal(rows[:, 1:-1:2], expected.q)
        np.testing.assert_array_equal(rows[:, -1], expected.level_q9)


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
@pytest.mark.parametrize("level", ["-O2", "-Os"])
def test_compiles_for_the_board_without_a_warning(level: str, tmp_path: Path) -> None:
    tables = tmp_path / "front_end.c"
    tables.write_text(frontend.c_source(FrontEndConfig()))
    target = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", level)
    for source in (*SOURCES, tables):
        run("arm-none-eabi-gcc", *STRICT, *target, "-c", source, "-o", tmp_path / (source.stem + ".o"))
    for source in SOURCES:  # nothing writable outside the caller's memory; no float, no division
        object_file = tmp_path / (source.stem + ".o")
        _, data, bss = run("arm-none-eabi-size", object_file).splitlines()[1].split()[:3]
        assert (int(data), int(bss)) == (0, 0)
        undefined = set(run("arm-none-eabi-nm", "-u", object_file).split()) - {"U"}
        library = {name for name in undefined if not name.startswith("asc_")}
        assert library <= {"memcpy", "memmove", "memset"}


def test_state_bytes_are_asked_from_the_c() -> None:
    cfg = FrontEndConfig()
    stream = native.FrontEnd(frontend.tables(cfg))
    assert stream.state_bytes == 40 + 8 * (cfg.bands + 1) + 6 * cfg.fft
    assert stream.state_bytes % 8 == 0
    with_deltas = native.FrontEnd(frontend.tables(replace(cfg, deltas=5, bands=63, f_min_hz=60.0)))
    assert with_deltas.state_bytes == 40 + 8 * 64 + 6 * cfg.fft + 4 * 5 * 64


def test_power_wants_one_whole_frame() -> None:
    with pytest.raises(ValueError, match="samples"):
        native.FrontEnd(frontend.tables(FrontEndConfig())).power(np.zeros(10, np.int16))


def test_threads_do_not_share_anything() -> None:
    rng = np.random.default_rng(9)
    clips = [rng.integers(-32768, 32768, 40_000).astype(np.int16) for _ in range(4)]
    cfg = replace(FrontEndConfig(), hop=100)
    alone = [zlib.crc32(frontend.extract(c, cfg).log2_q9.tobytes()) for c in clips]
    together: list[int] = [0] * len(clips)

    def work(i: int) -> None:
        together[i] = zlib.crc32(frontend.extract(clips[i], cfg).log2_q9.tobytes())

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(clips))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert together == alone


def test_a_missing_extension_is_a_missing_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcu_asc._native", None)
    native._module.cache_clear()
    with pytest.raises(ToolMissing, match=r"mcu_asc\._native"):
        native.FrontEnd(frontend.tables(FrontEndConfig()))
    monkeypatch.undo()
    native._module.cache_clear()
    assert importlib.import_module("mcu_asc._native").lib is not None
