"""Front ends by name: ours, and those of the systems that we carry.

A front end has no samples before the first or behind the last: where a paper's tool pads a clip on both sides
(librosa, torchaudio: centred frames), `rows` is the paper's number and the clip is padded to `samples`.
Means and deviations belong to a training set, so a preset has none.
"""

from __future__ import annotations

from dataclasses import dataclass

from mcu_asc.errors import UsageError
from mcu_asc.nouns import FrontEndConfig


@dataclass(frozen=True)
class Preset:
    """A front end and where its numbers come from; what a source leaves open is said here too."""

    config: FrontEndConfig
    source: str


def _paper(rate: int, window: int, hop: int, fft: int, bank: str, bands: int, rows: int) -> FrontEndConfig:
    """All of the spectrum, |X|^2, floor 1e-10 of full scale squared (librosa's amin)."""
    return FrontEndConfig(
        sample_rate_hz=rate,
        window=window,
        hop=hop,
        fft=fft,
        bank=bank,
        bands=bands,
        f_min_hz=0.0,
        f_max_hz=rate / 2,
        floor_fs2=1e-10,
        rows=rows,
    )


def _with(config: FrontEndConfig, **changes: object) -> FrontEndConfig:
    from dataclasses import replace

    return replace(config, **changes)  # type: ignore[arg-type]


_SISTLA = "Sistla et al. 2021: 44.1 kHz, window 1024, hop 512, 128 bins; rows of UrbanSound8K's 4 s. "

PRESETS: dict[str, Preset] = {
    "nano-live": Preset(
        FrontEndConfig(), "Ours: the microphone's 16 kHz, one second in 50 rows of 64 bands, soft floor."
    ),
    "microfrontend-like": Preset(
        _with(_paper(16_000, 480, 320, 512, "mel-htk", 40, 49), f_min_hz=125.0, f_max_hz=7500.0),
        "TFLM's audio front end as micro_speech sets it: 30 ms every 20 ms, 40 channels, 125 to 7500 Hz.",
    ),
    "crosstask2020": Preset(
        _paper(16_000, 400, 240, 1024, "mel-htk", 64, 666),
        'Cross-task 2020: "64 dimensions extracted from 25ms segments with 10ms overlap", of 10 s. No rate '
        "is given: VGGish's 16 kHz; FFT 1024, because at 512 low bands would have no bin.",
    ),
    "rion2022": Preset(
        _with(_paper(44_100, 4096, 1024, 4096, "mel-slaney", 256, 44), norm="slaney", deltas=5),
        "Rion 2022: 44.1 kHz, window 4096, shift 1024, 256 bands and deltas, input [2, 256, 44]. "
        "Bank as librosa's; no width of the deltas is given: HTK's usual 5 rows.",
    ),
    "vivo2023": Preset(
        _paper(16_000, 2048, 512, 2048, "mel-fant", 256, 28),
        "Vivo 2023: 16 kHz, 2048, shift 512, 28 frames, 256 bands, 1000 / log 2 * log(1 + f / 1000).",
    ),
    "kim2021": Preset(
        _with(_paper(22_050, 2048, 512, 2048, "mel-slaney", 256, 431), norm="slaney"),
        "Kim 2021: 22.05 kHz, window 2048, hop 512, 256 bins, 431 x 256 for 10 s. Bank as librosa's.",
    ),
    "sistla2021-logmel": Preset(
        _with(_paper(44_100, 1024, 512, 2048, "mel-slaney", 128, 343), norm="slaney"),
        _SISTLA + "Bank as librosa's; FFT 2048, because at 1024 low bands would have no bin.",
    ),
    "sistla2021-gammatone": Preset(
        _with(_paper(44_100, 1024, 512, 1024, "gammatone", 128, 343), f_min_hz=50.0),
        _SISTLA + "Lowest edge 50 Hz, as gammatone spectrograms usually have it.",
    ),
    "sistla2021-cqt": Preset(
        _with(_paper(44_100, 4096, 512, 4096, "cqt", 128, 337), f_min_hz=32.703),
        _SISTLA + "Window 4096, for resolution at the low end; from C1 up, 13.6 bands an octave, because 128 "
        "semitones above C1 would pass half the rate.",
    ),
    "dcase2022-baseline": Preset(
        _with(
            _paper(44_100, 1764, 882, 2048, "mel-slaney", 40, 51),
            window_shape="hamming",
            spectrum="magnitude",
            floor_fs2=2.0**-52,
        ),
        "github.com/marmoi/dcase2022_task1_baseline, task1_features.yaml: 44.1 kHz, 40 ms every 20 ms, FFT "
        "2048, magnitude, hamming_asymmetric, 40 bands, htk false, normalize_mel_bands false, 51 frames.",
    ),
    "dcase2024-baseline": Preset(
        _with(_paper(32_000, 3072, 500, 4096, "mel-htk", 256, 65), floor_fs2=1e-5),
        "github.com/CPJKU/dcase2024_task1_baseline, run_training.py: 32 kHz, window 3072, hop 500, FFT 4096, "
        "256 bands of torchaudio's MelSpectrogram (HTK, no normalisation, power), log(x + 1e-5).",
    ),
}


def preset(name: str) -> FrontEndConfig:
    """The front end by name; UsageError when there is none."""
    if name not in PRESETS:
        raise UsageError(f"no front end is called '{name}'", "known: " + ", ".join(PRESETS))
    return PRESETS[name].config
