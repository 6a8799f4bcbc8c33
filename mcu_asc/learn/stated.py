"""Where a front end can be written down: by name, in a recipe, a card, a student or a file of features."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcu_asc import config
from mcu_asc.audio.presets import PRESETS, preset
from mcu_asc.errors import UsageError
from mcu_asc.learn.card import read_card
from mcu_asc.learn.recipe import load
from mcu_asc.nouns import Decision, FrontEndConfig, ModelCard

UNITS: Mapping[str, tuple[float, bool]] = {  # unit -> (octaves in one, relative to full scale)
    "log2": (1.0, False),
    "ln": (1 / math.log(2), True),
    "log10": (math.log2(10), True),
    "dB": (math.log2(10) / 10, True),
}
"""What means and deviations of log energies may be given in.  "log2" is the front end's own: of LSB^2."""


@dataclass(frozen=True)
class Stated:
    """A front end, with its statistics where the source has them; not quantised."""

    front_end: FrontEndConfig
    decision: Decision
    labels: tuple[str, ...] = ()
    origin: str = ""


def of_card(card: ModelCard, origin: str) -> Stated:
    plain = dataclasses.replace(card.front_end, scale=1.0, zero_point=0)
    return Stated(plain, card.decision, card.labels, origin)


def _recipe(path: Path) -> Stated:
    recipe = load(path)
    return Stated(recipe.front_end, recipe.decision, recipe.data.labels, str(path))


def _features(path: Path) -> Stated:
    try:
        with np.load(path, allow_pickle=False) as saved:
            text = str(saved["card"])
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"{path} is no file of features: {error}",
            "write one with mcu-asc features --data NAME --npz FILE",
        ) from error
    return of_card(config.card_from_json(text), str(path))


def _readable(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "check the path") from error


READERS: Mapping[str, Callable[[Path], Stated]] = {
    ".toml": _recipe,
    ".npz": _features,
    ".json": lambda p: of_card(config.card_from_json(_readable(p).decode("utf-8", "replace")), str(p)),
    ".tflite": lambda p: of_card(read_card(_readable(p), str(p)), str(p)),
}


def stated(source: str) -> Stated:
    """The front end by name, or the one that a file states; UsageError for what is neither."""
    if reader := READERS.get(Path(source).suffix.lower()):
        return reader(Path(source))
    if source not in PRESETS:
        raise UsageError(
            f"no front end is called '{source}'",
            f"known: {', '.join(PRESETS)}; or a file: recipe .toml, features .npz, card .json, .tflite",
        )
    return Stated(preset(source), Decision(), (), f"front end {source}")


def with_given(
    front_end: FrontEndConfig, mean: Sequence[float], std: Sequence[float], unit: str = "log2"
) -> FrontEndConfig:
    """The front end with mean and std as a user's training had them: one for all values, or one each.

    unit  of UNITS.  "ln", "log10" and "dB" are logs of energies of samples in -1 .. 1, as librosa and
          torchaudio have them: 10 log10 for "dB".  A constant under the log is `floor_fs2` of the front end.

    Raises UsageError for a wrong count, a std that is not above 0 and a front end with deltas.
    """
    if front_end.deltas:
        raise UsageError(
            "--mean and --std are of one channel, the front end has deltas",
            "train on the .npz of mcu-asc features --data and give it as --front-end",
        )
    factor, full_scale = UNITS[unit]
    offset = (15.0 if front_end.spectrum == "magnitude" else 30.0) if full_scale else 0.0
    n = front_end.values
    for name, given in (("--mean", mean), ("--std", std)):
        if len(given) not in (1, n):
            raise UsageError(f"{name} has {len(given)} values", f"give 1 or {n}, separated by commas")
    if min(std) <= 0 or not all(map(math.isfinite, (*mean, *std))):
        raise UsageError("--mean and --std must be finite, --std above 0", "mend the value")
    return dataclasses.replace(
        front_end,
        mean=tuple(round(m * factor + offset, 6) for m in mean) * (n // len(mean)),
        std=tuple(round(s * factor, 6) for s in std) * (n // len(std)),
    )
