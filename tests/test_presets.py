"""Front ends by name: banks against other people's formulas, errors against float64."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from test_frontend_accuracy import LEVELS_DBFS, measure, synthetic

from mcu_asc import config, native
from mcu_asc.audio import bank, frontend
from mcu_asc.audio.presets import PRESETS, preset
from mcu_asc.cli import main
from mcu_asc.errors import UsageError
from mcu_asc.nouns import FrontEndConfig, ModelCard

# ---- the names -----------------------------------------------------------------------------------


def test_the_default_is_nano_live() -> None:
    assert preset("nano-live") == FrontEndConfig()


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no front end is called 'nano'") as e:
        preset("nano")
    assert all(name in e.value.hint for name in PRESETS)


@pytest.mark.parametrize(
    ("name", "seconds", "rows"),
    [
        ("crosstask2020", 10, 666),
        ("vivo2023", 1, 28),
        ("microfrontend-like", 1, 49),
        ("sistla2021-cqt", 4, 337),
    ],
)
def test_rows_of_a_clip_without_padding(name: str, seconds: int, rows: int) -> None:
    cfg = preset(name)
    assert cfg.rows == rows
    clip = np.zeros(seconds * cfg.sample_rate_hz, np.int16)
    assert len(frontend.extract(clip, cfg).q) == rows


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("rion2022", 1), ("kim2021", 10), ("dcase2022-baseline", 1), ("dcase2024-baseline", 1)],
)
def test_rows_of_centred_frames(name: str, seconds: int) -> None:
    """librosa's and torchaudio's number: a frame around every hop of the clip, its end included."""
    cfg = preset(name)
    assert cfg.rows == 1 + seconds * cfg.sample_rate_hz // cfg.hop


def test_inputs_of_the_papers() -> None:
    assert (preset("rion2022").bands, preset("rion2022").channels, preset("rion2022").rows) == (256, 2, 44)
    assert (preset("kim2021").rows, preset("kim2021").bands) == (431, 256)


# ---- the fingerprint -----------------------------------------------------------------------------


def test_later_fields_leave_old_fingerprints() -> None:
    """The configuration as it was written before `spectrum`, `norm` and `deltas`."""
    old = FrontEndConfig(mean=(1.5,) * 64, std=(2.0,) * 64, scale=0.02, zero_point=-7)
    assert FrontEndConfig().fingerprint.hex() == "6bae7f6ea70e10c4"
    assert old.fingerprint.hex() == "4f783797471edad2"
    for change in ({"spectrum": "magnitude"}, {"norm": "slaney"}, {"deltas": 5}):
        assert replace(old, **change).fingerprint != old.fingerprint  # type: ignore[arg-type]


def test_old_cards_are_read() -> None:
    card = ModelCard("old", ("a", "b"), FrontEndConfig(rows=30))
    text = config.card_to_json(card)
    for field in ("spectrum", "norm", "deltas"):
        value = asdict(card.front_end)[field]
        shown = f'"{value}"' if isinstance(value, str) else str(value)
        assert f'"{field}":{shown},' in text
        text = text.replace(f'"{field}":{shown},', "")
    assert config.card_from_json(text) == card


# ---- banks ---------------------------------------------------------------------------------------


def _librosa_like(mel: object, hz: object, cfg: FrontEndConfig) -> np.ndarray:
    """Ramps from each centre to its neighbours', the lower of the two, as librosa documents them."""
    points = np.linspace(mel(cfg.f_min_hz), mel(cfg.f_max_hz), cfg.bands + 2)  # type: ignore[operator]
    f = np.array([hz(m) for m in points])  # type: ignore[operator]
    bins = np.arange(cfg.fft // 2 + 1) * cfg.sample_rate_hz / cfg.fft
    out = np.zeros((cfg.bands, bins.size))
    for b in range(cfg.bands):
        up, down = (bins - f[b]) / (f[b + 1] - f[b]), (f[b + 2] - bins) / (f[b + 2] - f[b + 1])
        out[b] = np.maximum(0, np.minimum(up, down)) * (2 / (f[b + 2] - f[b]) if cfg.norm == "slaney" else 1)
    return out


MELS = {
    "mel-htk": (lambda f: 1127.0104805 * math.log1p(f / 700), lambda m: 700 * math.expm1(m / 1127.0104805)),
    "mel-slaney": (
        lambda f: f * 3 / 200 if f < 1000 else 15 + math.log(f / 1000) * 27 / math.log(6.4),
        lambda m: m * 200 / 3 if m < 15 else 1000 * math.exp((m - 15) * math.log(6.4) / 27),
    ),
    "mel-fant": (
        lambda f: 1000 / math.log(2) * math.log(1 + f / 1000),  # as vivo2023 prints it
        lambda m: 1000 * math.expm1(m * math.log(2) / 1000),
    ),
}


@pytest.mark.parametrize("name", [n for n, p in PRESETS.items() if p.config.bank in MELS])
def test_mel_banks_of_the_presets(name: str) -> None:
    cfg = preset(name)
    got = frontend._bank(cfg, cfg.bands).matrix(cfg.fft // 2 + 1) * frontend._norms(cfg)[:, None]
    np.testing.assert_allclose(got, _librosa_like(*MELS[cfg.bank], cfg), atol=1e-6)


LIBROSA = {  # 0.11: filters.mel(sr=16000, n_fft=512, n_mels=40, fmin=125, fmax=7500, dtype=float64, ...)
    ("mel-htk", "none"): (0.6574952801152, 0.6996141537745, 228.0034438947, 151.7389537787),
    ("mel-htk", "slaney"): (0.0134462764379, 0.0016101256991, 1.2782815088237, 0.0070735839892),
    ("mel-slaney", "none"): (0.4529313972932, 0.6066735029482, 226.6095538319, 150.8535001986),
    ("mel-slaney", "slaney"): (0.0065646992209, 0.0012196519453, 1.2794343689614, 0.0073567131572),
}  # fmt: skip


@pytest.mark.parametrize(("name", "norm"), LIBROSA)
def test_librosas_own_numbers(name: str, norm: str) -> None:
    """Two weights, their sum, the sum of their squares."""
    cfg = replace(preset("microfrontend-like"), bank=name, norm=norm)
    m = frontend._bank(cfg, cfg.bands).matrix(257) * frontend._norms(cfg)[:, None]
    np.testing.assert_allclose((m[0, 5], m[39, 230], m.sum(), (m**2).sum()), LIBROSA[name, norm], rtol=1e-9)


def test_gammatone_by_its_impulse_response() -> None:
    """|FFT|^2 of t^3 exp(-2 pi b t) cos(2 pi f t), where the band is far from 0 Hz and from half the rate."""
    cfg = preset("sistla2021-gammatone")
    m = frontend._bank(cfg, cfg.bands).matrix(cfg.fft // 2 + 1)
    centres = [50.0]  # ERB rate after Glasberg and Moore in their own constants
    erbs = np.linspace(*(21.4 * np.log10(1 + 0.00437 * f) for f in (50.0, 22050.0)), cfg.bands + 2)[1:-1]
    centres = list((10 ** (erbs / 21.4) - 1) / 0.00437)
    rate = 16 * cfg.sample_rate_hz  # so that the response has decayed and does not fold
    t = np.arange(1 << 17) / rate
    for b in range(40, 110, 6):
        peak = int(m[b].argmax())
        assert abs(peak * cfg.sample_rate_hz / cfg.fft - centres[b]) <= 0.02 * centres[b] + 22
        f = edges = bank.edges_hz("gammatone", cfg.bands, 50.0, 22050.0)[b + 1]
        width = 1.019 * 24.7 * (4.37 * edges / 1000 + 1)
        response = np.abs(np.fft.rfft(t**3 * np.exp(-2 * np.pi * width * t) * np.cos(2 * np.pi * f * t))) ** 2
        k = np.arange(1, cfg.fft // 2)
        at = np.interp(k * cfg.sample_rate_hz / cfg.fft, np.arange(response.size) * rate / t.size, response)
        np.testing.assert_allclose(m[b, 1:-1], np.where(m[b, 1:-1] > 0, at / response.max(), 0), atol=0.01)


def test_cqt_by_its_definition() -> None:
    cfg = preset("sistla2021-cqt")
    m = frontend._bank(cfg, cfg.bands).matrix(cfg.fft // 2 + 1)
    step = (22050.0 / 32.703) ** (1 / 129)
    for b in range(cfg.bands):
        f = 32.703 * step ** (b + 1)
        reach = max(f * (step - 1 / step) / 2, 44100 / 4096)
        k = np.arange(1, 2048)
        away = np.minimum(np.abs(k * 44100 / 4096 - f) / reach, 1)
        expected = (1 + np.cos(np.pi * away)) / 2
        np.testing.assert_allclose(m[b, 1:-1], np.where(expected < 1e-4, 0, expected), atol=1e-9)


def test_sparse_bank_of_triangles_gives_the_same_rows() -> None:
    """The general path against the one-weight path, which has its own tests."""
    cfg = FrontEndConfig(floor_fs2=0.0)
    tables = frontend.tables(cfg)
    dense = frontend._bank(cfg, cfg.bands).matrix(cfg.fft // 2 + 1)
    sparse = bank._sparse(dense)
    first, segments, weights = sparse.tables()
    other = replace(tables, bank=sparse.function, first=first, segments=segments, weights=weights)
    x = np.random.default_rng(2).normal(0, 3000, 16_000).astype(np.int16)
    ours, theirs = native.FrontEnd(other).push(x), native.FrontEnd(tables).push(x)
    for a, b in zip(ours, theirs, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 1


# ---- magnitudes and deltas -----------------------------------------------------------------------


def test_square_root() -> None:
    """All segments, both ends of each, all exponents."""
    module = native._module()
    edge = np.arange(64, 257, dtype=np.float64) * 2.0**55
    values = np.concatenate([np.nextafter(edge, 0), edge, edge * 1.003])
    values = np.concatenate([values / 2.0**shift for shift in range(0, 64)])
    values = np.unique(values[(values >= 1) & (values < 2.0**63)].astype(np.uint64))
    n = 2 * (values.size + 1)
    buf = np.zeros(n, np.uint32)
    buf[1 : n // 2], buf[: n // 2 : -1] = values & np.uint64(0xFFFFFFFF), values >> np.uint64(32)
    module.lib.asc_fft_magnitude(module.ffi.from_buffer("int32_t[]", buf), n)
    got = buf[1 : n // 2] + buf[: n // 2 : -1] * 2.0**32
    np.testing.assert_allclose(got, np.sqrt(values.astype(np.float64)) * 65536, rtol=3e-5, atol=1)


def test_deltas_by_polyfit() -> None:
    cfg = replace(FrontEndConfig(floor_fs2=1e-8), deltas=7)
    x = np.random.default_rng(3).normal(0, 800, 16_000).astype(np.int16) * np.linspace(0, 1, 16_000) ** 2
    x = x.astype(np.int16)
    plain = frontend.reference(x, replace(cfg, deltas=0))
    got = frontend.extract(x, cfg)
    assert got.log2_q9.shape == (len(plain) - 6, 128)
    slope = [np.polyfit(np.arange(7), plain[r : r + 7], 1)[0] for r in range(len(plain) - 6)]
    np.testing.assert_allclose(got.log2_q9[:, 0::2] / 512, plain[3:-3], atol=0.7 / 512)
    np.testing.assert_allclose(got.log2_q9[:, 1::2] / 512, slope, atol=0.7 / 512)
    alone = frontend.extract(x, replace(cfg, deltas=0))
    np.testing.assert_array_equal(got.log2_q9[:, 0::2], alone.log2_q9[3:-3])
    np.testing.assert_array_equal(got.level_q9, alone.level_q9[3:-3])


@pytest.mark.parametrize("deltas", [3, 5, 9])
def test_deltas_need_the_samples_that_the_configuration_says(deltas: int) -> None:
    cfg = FrontEndConfig(deltas=deltas, rows=7)
    x = np.random.default_rng(4).integers(-9000, 9000, cfg.samples).astype(np.int16)
    assert len(frontend.extract(x, cfg).q) == 7
    assert len(frontend.extract(x[:-1], cfg).q) == 6


def test_each_value_of_a_row_has_its_own_statistics() -> None:
    rng = np.random.default_rng(5)
    cfg = FrontEndConfig(bands=8, deltas=3, floor_fs2=1e-9, scale=0.02, zero_point=5)
    cfg = replace(cfg, mean=tuple(rng.uniform(-1, 20, 16)), std=tuple(rng.uniform(0.2, 4, 16)))
    x = (rng.normal(0, 1000, 16_000) * np.repeat(rng.uniform(0.01, 3, 50), 320)).astype(np.int16)
    difference = frontend.extract(x, cfg).q - frontend.quantise(frontend.reference(x, cfg), cfg).astype(int)
    assert np.abs(difference).max() <= 1
    assert (difference == 0).mean() > 0.99


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("spectrum", {"spectrum": "phase"}),
        ("norm", {"norm": "l1"}),
        ("norm", {"norm": "slaney", "bank": "cqt"}),
        ("deltas", {"deltas": 4}),
        ("f_min_hz", {"bank": "cqt", "f_min_hz": 0.0}),
        ("mean", {"deltas": 3, "mean": (0.0,) * 64}),
    ],
)
def test_refusals(field: str, changes: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=f"{field} = "):
        frontend.tables(replace(FrontEndConfig(), **changes))  # type: ignore[arg-type]


# ---- errors --------------------------------------------------------------------------------------

SYNTHETIC_DB = {  # most (rms, 99.9th percentile); bands of one or two bins show the arithmetic's noise first
    "crosstask2020": (0.009, 0.06),
    "rion2022": (0.009, 0.09),
    "vivo2023": (0.008, 0.06),
    "kim2021": (0.009, 0.07),
    "sistla2021-logmel": (0.012, 0.09),
    "sistla2021-gammatone": (0.006, 0.05),
    "sistla2021-cqt": (0.020, 0.14),
    "dcase2022-baseline": (0.007, 0.04),
    "dcase2024-baseline": (0.012, 0.11),
}


@pytest.mark.parametrize("name", PRESETS)
def test_error_on_synthetic_signals(name: str) -> None:
    """Tones and impulses without a floor: most bands lie just above the rounding noise of the input."""
    cfg = replace(preset(name), floor_fs2=0.0)
    rms, p999 = SYNTHETIC_DB.get(name, (0.005, 0.03))
    for dbfs in LEVELS_DBFS:
        a = measure(synthetic(dbfs, 1.2, cfg.sample_rate_hz).values(), cfg)
        assert a.rms_db <= rms, (dbfs, a)
        assert a.p999_db <= p999, (dbfs, a)
        assert a.equal >= 0.98, (dbfs, a)
        assert a.steps <= 1, (dbfs, a)


WIDE = ("nano-live", "microfrontend-like", "crosstask2020", "sistla2021-gammatone", "dcase2022-baseline")


@pytest.mark.parametrize("name", PRESETS)
def test_error_on_real_clips(name: str, esc10_root: Path) -> None:
    """With the preset's own floor, as a network sees them."""
    from mcu_asc.audio.pcm import load_pcm

    cfg = preset(name)
    files = sorted((esc10_root / "audio").iterdir())
    clips = [load_pcm(f, cfg.sample_rate_hz)[: 3 * cfg.sample_rate_hz] for f in files[:: len(files) // 5][:5]]
    a = measure([c for c in clips if c.any()], cfg)
    assert a.rms_db <= 0.005, a
    assert a.p999_db <= (0.03 if name in WIDE else 0.065), a
    assert a.equal >= 0.995, a
    assert a.steps <= 1, a


# ---- the picture ---------------------------------------------------------------------------------


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    import soundfile

    x = 0.3 * np.sin(2 * np.pi * np.geomspace(100, 7000, 32_000).cumsum() / 16_000)
    soundfile.write(tmp_path / "sweep.wav", x, 16_000, subtype="PCM_16")
    return tmp_path / "sweep.wav"


@pytest.mark.parametrize("name", ["nano-live", "rion2022", "dcase2022-baseline"])
def test_features_draws_a_picture(
    name: str, wav: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    png = tmp_path / "out.png"
    with pytest.raises(SystemExit, match="0"):
        main(["features", str(wav), "--png", str(png), "--front-end", name, "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (said["front_end"], said["values"]) == (name, preset(name).values)
    assert said["rms_db"] < 0.02
    assert said["steps"] <= 1
    assert png.read_bytes().startswith(b"\x89PNG")
    assert png.stat().st_size > 20_000


def test_features_says_what_is_wrong_in_one_line(
    wav: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import soundfile

    short = tmp_path / "short.wav"
    soundfile.write(short, np.zeros(900), 16_000)
    for audio, png, name in (
        (short, tmp_path / "a.png", "nano-live"),
        (wav, tmp_path / "nowhere" / "a.png", "nano-live"),
        (wav, tmp_path / "a.png", "bark"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(["features", str(audio), "--png", str(png), "--front-end", name])
        assert len(capsys.readouterr().err.strip().splitlines()) <= 2
