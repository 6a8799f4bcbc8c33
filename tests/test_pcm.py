"""Decoding and resampling: exact where it can be, one clear line where it cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from mcu_asc.audio.pcm import load_pcm, to_int16
from mcu_asc.errors import UsageError

EXTREMES = np.array([-32768, -32767, -1, 0, 1, 2, 32766, 32767], np.int16)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_16_bit_files_at_the_asked_rate_come_out_unchanged(tmp_path: Path, suffix: str) -> None:
    x = np.concatenate([EXTREMES, np.arange(-32768, 32768, 7, dtype=np.int16)])
    path = tmp_path / f"x.{suffix}"
    soundfile.write(path, x, 16_000, subtype="PCM_16")
    y = load_pcm(path, 16_000)
    assert y.dtype == np.int16
    assert np.array_equal(y, x)


def test_rounds_half_to_even_and_saturates() -> None:
    lsb = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 40_000, -40_000, 32_767.5, -32_768.5])
    assert to_int16(lsb / 32768).tolist() == [0, 2, 2, 0, -2, 32767, -32768, 32767, -32768]


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = np.array([100, -32768, 3], np.int16), np.array([300, -32768, 0], np.int16)
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([left, right], axis=1), 8_000, subtype="PCM_16")
    assert load_pcm(path, 8_000).tolist() == [200, -32768, 2]  # 1.5 rounds to even


@pytest.mark.parametrize(
    ("source_hz", "rate_hz", "samples", "expected"),
    [(44_100, 16_000, 220_500, 80_000), (48_000, 16_000, 48_000, 16_000), (8_000, 16_000, 1_001, 2_002)],
)
def test_resampling_gives_the_right_length_and_keeps_a_tone(
    tmp_path: Path, source_hz: int, rate_hz: int, samples: int, expected: int
) -> None:
    path = tmp_path / "tone.wav"
    tone = 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(samples) / source_hz)
    soundfile.write(path, tone, source_hz, subtype="FLOAT")
    y = load_pcm(path, rate_hz)
    assert y.shape == (expected,)
    wanted = 16_384 * np.sin(2 * np.pi * 1_000 * np.arange(expected) / rate_hz)
    inside = slice(expected // 4, -expected // 4)  # the filter's ends ring
    assert np.abs(y - wanted)[inside].max() < 2
    assert np.array_equal(y, load_pcm(path, rate_hz))


def test_a_tone_above_the_new_half_rate_vanishes(tmp_path: Path) -> None:
    path = tmp_path / "high.wav"
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 12_000 * np.arange(44_100) / 44_100), 44_100)
    assert np.abs(load_pcm(path, 16_000)[1_000:-1_000]).max() <= 1


def test_errors_name_the_file_and_what_is_wrong(tmp_path: Path) -> None:
    text = tmp_path / "text.wav"
    text.write_text("not audio")
    cut = tmp_path / "cut.flac"
    soundfile.write(tmp_path / "whole.flac", np.zeros(4_000, np.int16), 16_000)
    cut.write_bytes((tmp_path / "whole.flac").read_bytes()[:20])
    empty = tmp_path / "empty.wav"
    soundfile.write(empty, np.zeros(0, np.int16), 16_000)
    short = tmp_path / "short.wav"
    soundfile.write(short, np.zeros(1, np.int16), 44_100)
    zero = tmp_path / "zero.wav"
    zero.write_bytes(b"")
    nan = tmp_path / "nan.wav"
    soundfile.write(nan, np.array([0.0, np.nan, 0.1]), 16_000, subtype="FLOAT")
    infinite = tmp_path / "inf.wav"
    soundfile.write(infinite, np.array([[0.0, np.inf], [0.0, -np.inf]]), 16_000, subtype="FLOAT")
    cases = {
        tmp_path / "none.wav": "no such audio file",
        tmp_path: "no such audio file",
        text: "cannot be read as audio",
        cut: "cannot be read as audio",
        zero: "cannot be read as audio",
        empty: "holds no samples",
        short: "holds no samples at 8000 Hz",
        nan: "NaN",
        infinite: "NaN or infinite",
    }
    for path, what in cases.items():
        with pytest.raises(UsageError) as error:
            load_pcm(path, 8_000)
        assert str(path) in error.value.message
        assert what in error.value.message
        assert error.value.hint
        assert "\n" not in str(error.value)


def test_a_rate_that_is_no_rate(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, EXTREMES, 16_000)
    with pytest.raises(UsageError, match="0 Hz"):
        load_pcm(path, 0)


def test_real_clips_decode_the_same_twice(esc10_root: Path) -> None:
    path = sorted((esc10_root / "audio").iterdir())[0]
    x = load_pcm(path, 16_000)
    assert 3 * 16_000 < x.size < 8 * 16_000
    assert np.array_equal(x, load_pcm(path, 16_000))
