"""Audio files -> int16 mono PCM at the front end's rate: the only place that decodes or resamples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_asc.errors import UsageError

FULL_SCALE = 32768.0  # LSB per 1.0: a 16-bit file at the asked rate comes out unchanged


def to_int16(x: NDArray[Any]) -> NDArray[np.int16]:
    """Samples with full scale 1.0 -> int16, rounded half to even, saturated at -32768 and 32767."""
    return np.clip(np.rint(x * FULL_SCALE), -32768, 32767).astype(np.int16)


def resample(x: NDArray[np.float64], from_hz: int, to_hz: int) -> NDArray[np.float64]:
    """A 1-D signal at another rate by soxr's HQ filter (linear phase); the same array where the rates agree.

    The result has round(len(x) * to_hz / from_hz) samples, within one.
    """
    if from_hz == to_hz:
        return x
    import soxr

    y: NDArray[np.float64] = soxr.resample(x, from_hz, to_hz, quality="HQ")
    return y


def decoder() -> str:
    """The libraries that decide the samples of a compressed or resampled file: part of a cache's key."""
    import soundfile
    import soxr

    return f"libsndfile {soundfile.__libsndfile_version__} soxr {soxr.__version__}"


def load_pcm(path: Path, rate_hz: int) -> NDArray[np.int16]:
    """Decode an audio file (wav, flac, ogg, mp3: what libsndfile reads) to int16 mono, shape (samples,).

    Channels are averaged, the mean is resampled in float64 to `rate_hz` and rounded half to even with
    saturation.  The same file gives the same samples every time.  Raises UsageError naming the file when it
    is missing, is no audio, holds no samples or holds values that are not finite.
    """
    import soundfile

    path = Path(path)
    if rate_hz < 1:
        raise UsageError(f"{path}: cannot resample to {rate_hz} Hz", "the sample rate must be positive")
    if not path.is_file():
        raise UsageError(f"{path}: no such audio file", "check the path or the data set's folder")
    try:
        x, source_hz = soundfile.read(path, dtype="float64", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        reason = getattr(error, "error_string", str(error)).strip().rstrip(".")
        raise UsageError(
            f"{path}: cannot be read as audio: {reason}", "use a wav, flac or ogg file that is whole"
        ) from None
    mono = x.mean(axis=1)
    if not np.isfinite(mono).all():
        raise UsageError(f"{path}: holds samples that are NaN or infinite", "write the file again as 16-bit")
    y = to_int16(resample(mono, source_hz, rate_hz))
    if not y.size:
        raise UsageError(f"{path}: holds no samples at {rate_hz} Hz", "remove the file or record it again")
    return y
