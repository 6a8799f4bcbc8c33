"""Front end: tables, the door, streaming, levels, generated C."""

from __future__ import annotations

import math
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcu_asc import native
from mcu_asc.audio import bank, frontend
from mcu_asc.errors import UsageError
from mcu_asc.nouns import FrontEndConfig

PLAIN = FrontEndConfig(floor_fs2=0.0)
SHORT = FrontEndConfig(window=200, hop=70, fft=256, bands=20, floor_fs2=1e-9)


def hostile(samples: int = 16_000) -> np.ndarray:
    """Noise falling to nothing, random full-scale signs, full-scale square, -32768 throughout, lone steps."""
    s, out = 1, []
    for i in range(samples):
        s = (s * 1664525 + 1013904223) & 0xFFFFFFFF
        r = (s >> 16) - (65536 if s >> 31 else 0)
        if i < 6144:
            v = r >> (i >> 10) * 3
        elif i < 8192:
            v = -32768 if r < 0 else 32767
        elif i < 10240:
            v = 32767 if i & 15 < 8 else -32768
        elif i < 12288:
            v = -32768
        else:
            v = 0 if i % 1000 else r
        out.append(v)
    return np.array(out, np.int16)


# ---- golden: integers that host, emulator and board must give -----------------------------------

GOLDEN = {  # (fft, window, hop, bands): CRC-32 of log2_q9, q and level_q9 of `hostile()`
    (256, 256, 160, 32): (3539118375, 2472342326, 2585722239),
    (512, 480, 320, 40): (2719267412, 3513636356, 884619208),
    (1024, 1024, 320, 64): (1362296266, 2218483200, 2472914996),
    (2048, 2048, 1024, 64): (1387629560, 4100749418, 4245992634),
    (4096, 4096, 2048, 64): (3362666361, 265789774, 4099487285),
}


def golden_config(fft: int, window: int, hop: int, bands: int) -> FrontEndConfig:
    """int8 steps of 0.4 dB from -128 = 0 dB re LSB^2."""
    return FrontEndConfig(
        fft=fft,
        window=window,
        hop=hop,
        bands=bands,
        f_min_hz=20.0,
        floor_fs2=0.0,
        scale=0.4 / frontend.DB_PER_LOG2,
        zero_point=-128,
    )


@pytest.mark.parametrize("shape", GOLDEN)
def test_golden(shape: tuple[int, int, int, int]) -> None:
    f = frontend.extract(hostile(), golden_config(*shape))
    assert f.log2_q9.dtype == f.level_q9.dtype == np.int16
    assert f.q.dtype == np.int8
    assert tuple(zlib.crc32(a.tobytes()) for a in (f.log2_q9, f.q, f.level_q9)) == GOLDEN[shape]


# ---- the FFT itself ------------------------------------------------------------------------------


@pytest.mark.parametrize("n", frontend.FFT_LENGTHS)
def test_power_spectrum_on_hostile_frames(n: int) -> None:
    """The error of each bin's amplitude is 1e-6 of the frame's strongest bin at most."""
    cfg = replace(PLAIN, fft=n, window=n, hop=n, bands=8)
    stream = native.FrontEnd(frontend.tables(cfg))
    rng, t = np.random.default_rng(5), np.arange(n)
    frames = [np.full(n, -1.0), np.ones(n), 1.0 - 2.0 * (t & 1), *rng.choice([-1.0, 1.0], (20, n))]
    frames += [np.sign(np.cos(2 * np.pi * k * t / n + 1) + 1e-9) for k in np.linspace(0, n / 2, 60)]
    for signs in frames:
        x = np.where(signs > 0, 32767, -32768).astype(np.int16)
        right = np.sqrt(frontend.power(x, cfg)[0, 1 : n // 2]) * (1 - 2.0**-16)  # the window's peak
        ours = np.sqrt(stream.power(x) / 2.0 ** frontend.tables(cfg).energy_bits)
        assert np.abs(ours - right).max() < 1e-6 * max(right.max(), n * 32768 / 4)


@pytest.mark.parametrize(
    "v", [0, 1, 2, 3, 5, 2**16 + 1, 2**31, 2**32 - 1, 2**32, 2**33 + 7, 2**63, 2**64 - 1]
)
def test_log2(v: int) -> None:
    assert abs((native.log2_q16(v) - 64) / 65536 - math.log2(max(v, 1))) < 0.0005 / frontend.DB_PER_LOG2


def test_log2_of_all_small_numbers_and_around_all_powers_of_two() -> None:
    near = {2**k + d for k in range(16, 64) for d in range(-40, 41)}
    values = [*range(1, 1 << 15), *sorted(v for v in near if 1 << 15 <= v < 1 << 64)]
    got = np.array([native.log2_q16(v) for v in values])
    assert np.all(np.diff(got) >= 0)  # rises with its argument
    assert np.abs((got - 64) / 65536 - [math.log2(v) for v in values]).max() < 0.0005 / frontend.DB_PER_LOG2


# ---- banks ---------------------------------------------------------------------------------------


def _bisect(f: object, y: float) -> float:
    low, high = 0.0, 50_000.0
    for _ in range(200):
        mid = (low + high) / 2
        low, high = (mid, high) if f(mid) < y else (low, mid)  # type: ignore[operator]
    return low


def _htk_by_ln(f: float) -> float:
    return 2595.0 / math.log(10.0) * math.log1p(f / 700.0)


def _slaney_by_steps(f: float) -> float:
    """13 linear steps of 66.67 Hz and 27 logarithmic ones of 1.0711703 made Slaney's bank; 15 mel = 1 kHz."""
    return f * 3 / 200 if f <= 1000 else 15 + math.log(f / 1000) / math.log(1.0711702874449)


@pytest.mark.parametrize(
    ("name", "mel", "at_1k"), [("mel-htk", _htk_by_ln, 999.9855), ("mel-slaney", _slaney_by_steps, 15.0)]
)
def test_centres_by_an_independent_formula(name: str, mel: object, at_1k: float) -> None:
    assert mel(1000.0) == pytest.approx(at_1k, abs=1e-3)  # type: ignore[operator]
    edges = bank.edges_hz(name, 40, 50.0, 7600.0)
    low, high = mel(50.0), mel(7600.0)  # type: ignore[operator]
    expected = [_bisect(mel, low + (high - low) * i / 41) for i in range(42)]
    np.testing.assert_allclose(edges, expected, rtol=1e-7)


@pytest.mark.parametrize("name", bank.BANKS)
@pytest.mark.parametrize(("fft", "bands", "f_min", "f_max"), [(512, 40, 20, 7600), (1024, 64, 50, 8000)])
def test_matrix_is_triangles(name: str, fft: int, bands: int, f_min: float, f_max: float) -> None:
    edges = bank.edges_hz(name, bands, f_min, f_max)
    f = np.arange(fft // 2 + 1) * 16_000 / fft
    expected = [np.interp(f, edges[b : b + 3], [0, 1, 0]) for b in range(bands)]
    got = bank.triangles(name, bands, f_min, f_max, fft, 16_000).matrix(fft // 2 + 1)
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_wide_segments_are_allowed() -> None:
    cfg = replace(PLAIN, fft=4096, window=4096, bands=2, f_min_hz=0.0)
    assert frontend.tables(cfg).segments.max() > 255
    x = np.random.default_rng(1).integers(-3000, 3000, 8192).astype(np.int16)
    np.testing.assert_allclose(
        frontend.extract(x, cfg).log2_q9 / 512, frontend.reference(x, cfg), atol=0.6 / 512
    )


# ---- streaming -----------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [0, 1, 199, 200, 255, 256, 269, 270, 1000])
def test_row_count(samples: int) -> None:
    f = frontend.extract(np.full(samples, 7, np.int16), SHORT)
    rows = max(0, 1 + (samples - 200) // 70)
    assert f.log2_q9.shape == f.q.shape == (rows, 20)
    assert f.level_q9.shape == (rows,)


CHUNKED = hostile(3000)[::-1].copy()
CONFIGS = (
    SHORT,
    replace(SHORT, window=256, hop=256),
    replace(SHORT, window=250, hop=1, bands=3),
    replace(SHORT, fft=512, window=300, hop=160),
)
WHOLE = {cfg: frontend.extract(CHUNKED, cfg) for cfg in CONFIGS}


@settings(max_examples=60, deadline=None)
@given(cfg=st.sampled_from(CONFIGS), cuts=st.lists(st.integers(0, CHUNKED.size), max_size=40))
def test_any_chunking_gives_the_same_rows(cfg: FrontEndConfig, cuts: list[int]) -> None:
    stream = native.FrontEnd(frontend.tables(cfg))
    parts = [stream.push(part) for part in np.split(CHUNKED, sorted(cuts))]
    whole = WHOLE[cfg]
    for i, expected in enumerate((whole.log2_q9, whole.q, whole.level_q9)):
        np.testing.assert_array_equal(np.concatenate([p[i] for p in parts]), expected)


def test_reset_forgets_all_samples() -> None:
    stream = native.FrontEnd(frontend.tables(SHORT))
    stream.push(CHUNKED[:777])
    stream.reset()
    np.testing.assert_array_equal(stream.push(CHUNKED)[0], WHOLE[SHORT].log2_q9)


@pytest.mark.parametrize(
    "cfg", [replace(PLAIN, scale=0.05), replace(SHORT, deltas=5)], ids=["plain", "deltas"]
)
def test_an_hour_drifts_nowhere(cfg: FrontEndConfig) -> None:
    """The last rows of an hour are those of a fresh start at the same sample."""
    block = np.random.default_rng(12).integers(-32768, 32768, 1_000_003).astype(np.int16)
    stream, taken, rows = native.FrontEnd(frontend.tables(cfg)), 0, 0
    while taken < 3600 * cfg.sample_rate_hz:
        found = stream.push(block)
        rows, taken = rows + len(found[0]), taken + block.size
    assert rows == 1 + (taken - cfg.first_samples) // cfg.hop
    last = min(1000, len(found[0]))
    start = (rows - last) * cfg.hop - (taken - block.size)  # of the first of the last rows, in the last block
    again = frontend.extract(block[start:], cfg)
    np.testing.assert_array_equal(again.log2_q9, found[0][-last:])
    np.testing.assert_array_equal(again.q, found[1][-last:])
    np.testing.assert_array_equal(again.level_q9, found[2][-last:])


# ---- floor, level, int8 --------------------------------------------------------------------------


def test_silence_is_the_floor() -> None:
    silence = np.zeros(4000, np.int16)
    quiet = frontend.extract(silence, PLAIN)
    assert not quiet.log2_q9.any()
    assert not quiet.level_q9.any()
    floored = frontend.extract(silence, FrontEndConfig(floor_fs2=1e-4))
    assert np.all(floored.log2_q9 == round(math.log2(1e-4 * 2**30) * 512))
    assert not floored.level_q9.any()  # the level does not see the floor


def test_floor_is_added_not_clamped() -> None:
    x = np.random.default_rng(3).normal(0, 20, 8000).astype(np.int16)
    energy = frontend.energies(x, PLAIN)
    floor = float(np.median(energy))
    f = frontend.extract(x, replace(PLAIN, floor_fs2=floor / 2**30))
    np.testing.assert_allclose(f.log2_q9 / 512, np.log2(energy + floor), atol=0.6 / 512)


@pytest.mark.parametrize("gain", [30000, 300, 3])
def test_level_is_the_mean_band_power(gain: int) -> None:
    x = (gain * np.random.default_rng(4).uniform(-1, 1, 16_000)).astype(np.int16)
    level = frontend.extract(x, replace(PLAIN, floor_fs2=1e-2)).level_q9 / 512
    np.testing.assert_allclose(level, np.log2(frontend.energies(x, PLAIN).mean(axis=1)), atol=0.6 / 512)


@pytest.mark.parametrize("scale", [0.0005, 0.002, 0.03, 0.1, 1.0, 20.0])
def test_int8_over_the_range_of_scales(scale: float) -> None:
    rng = np.random.default_rng(6)
    mean = tuple(rng.uniform(5, 30, 64))
    std = tuple(rng.uniform(1, 3, 64))
    cfg = FrontEndConfig(mean=mean, std=std, scale=scale, zero_point=-17, floor_fs2=1e-8)
    x = rng.normal(0, 500, 32_000).astype(np.int16)
    got, log2 = frontend.extract(x, cfg).q.astype(int), frontend.reference(x, cfg)
    # The C's log2 is 0.0005 dB exact: int8 values may differ where that much moves them over a step.
    reach = 0.0002 / (np.array(std) * scale) + 1e-3
    exact = (log2 - mean) / std / scale - 17
    assert np.all(got >= np.clip(np.floor(exact - reach + 0.5), -128, 127))
    assert np.all(got <= np.clip(np.floor(exact + reach + 0.5), -128, 127))


# ---- the door ------------------------------------------------------------------------------------

REFUSED = {
    "sample_rate_hz": 0,
    "fft": 1000,
    "window": 1025,
    "hop": 0,
    "window_shape": "kaiser",
    "bank": "bark",
    "bands": 0,
    "f_max_hz": 9000.0,
    "f_min_hz": 8000.0,
    "floor_fs2": -1e-9,
    "rows": 0,
    "mean": (1.0, 2.0),
    "std": (0.0,) * 64,
    "scale": math.nan,
    "zero_point": 128,
}


@pytest.mark.parametrize("field", REFUSED)
def test_refusals_name_field_and_allowed_values(field: str) -> None:
    with pytest.raises(UsageError, match=f"{field} = ") as e:
        frontend.tables(FrontEndConfig(**{field: REFUSED[field]}))
    assert "allowed: " in e.value.hint


def test_empty_bands_are_refused_with_what_fits() -> None:
    cfg = replace(PLAIN, fft=256, window=256, hop=128, bands=100)
    with pytest.raises(UsageError, match="without an FFT bin") as e:
        frontend.tables(cfg)
    most = int(e.value.hint.split("up to ")[1].split(",")[0])
    frontend.tables(replace(cfg, bands=most))
    with pytest.raises(UsageError):
        frontend.tables(replace(cfg, bands=most + 1))


@pytest.mark.parametrize("change", [{"scale": 1e-5}, {"scale": 1e9}, {"mean": (1e9,) * 64}])
def test_steps_that_do_not_fit_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="fixed point"):
        frontend.tables(replace(PLAIN, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [np.zeros(2000), np.zeros((2000, 2), np.int16), np.zeros(2000, np.int32)])
def test_samples_must_be_int16_mono(bad: np.ndarray) -> None:
    with pytest.raises(UsageError, match="samples are"):
        frontend.extract(bad, PLAIN)


def test_tables_are_shared_and_read_only() -> None:
    tables = frontend.tables(FrontEndConfig())
    assert frontend.tables(FrontEndConfig()) is tables
    with pytest.raises(ValueError, match="read-only"):
        tables.weights[0] = 1


def test_c_source_is_deterministic_and_says_where_it_comes_from() -> None:
    cfg = FrontEndConfig()
    text = frontend.c_source(cfg)
    frontend.tables.cache_clear()
    assert frontend.c_source(FrontEndConfig()) == text
    assert cfg.fingerprint.hex() in text
    assert "const asc_fe asc_front_end = {" in text
    assert max(map(len, text.splitlines())) <= 140
