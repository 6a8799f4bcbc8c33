"""Features of clips -> what the loop trains on: windows drawn at random, and windows cut in order.

Two views of the same C front end.  Training takes its int16 log2 rows without the soft floor, so that
augmentation can change powers as a microphone would see them; testing and calibration take the rows with
the recipe's front end as the device computes them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcu_asc.audio.features import windows
from mcu_asc.audio.frontend import Features, deltas
from mcu_asc.decide import FULL_SCALE_LOG2, Q9, alive_level, count_alive
from mcu_asc.errors import UsageError
from mcu_asc.learn import augment
from mcu_asc.learn.augment import Floats
from mcu_asc.learn.recipe import Recipe
from mcu_asc.nouns import Clip, Decision, FrontEndConfig

FULL_SCALE = 2.0**FULL_SCALE_LOG2  # LSB^2 in full scale squared
SMALLEST_STD = (0.25, 0.05)  # octaves, octaves a row: a band that never changes must not fill the range


def bare(front_end: FrontEndConfig) -> FrontEndConfig:
    """The same analysis with nothing after it: no soft floor, no deltas, no standardisation, no quantisation.

    Its windows are as long as one with deltas looks: `side` rows more at each end.
    """
    return dataclasses.replace(
        front_end,
        floor_fs2=0.0,
        deltas=0,
        rows=front_end.rows + 2 * front_end.side,
        mean=(),
        std=(),
        scale=1.0,
        zero_point=0,
    )


def with_statistics(
    front_end: FrontEndConfig, features: Sequence[Features], rule: Decision
) -> FrontEndConfig:
    """The front end with mean and std of each value of a row over the alive rows, in log2 units.

    `features` come from `front_end` itself.  UsageError when no row is alive.
    """
    level = np.concatenate([f.level_q9 for f in features])
    rows = np.concatenate([f.log2_q9 for f in features])[level > alive_level(rule)].astype(np.float64) / Q9
    if not len(rows):
        raise UsageError(
            f"no row of the training clips is louder than {rule.alive_db:g} dB",
            "lower alive_db in [decision]",
        )
    smallest = np.tile(SMALLEST_STD[: front_end.channels], front_end.bands)
    mean, std = rows.mean(0), np.maximum(rows.std(0), smallest)
    # Rounded, so that the card's text is short and the same on every machine.
    return dataclasses.replace(
        front_end,
        mean=tuple(round(float(m), 4) for m in mean),
        std=tuple(round(float(s), 4) for s in std),
    )


def statistics(front_end: FrontEndConfig) -> tuple[Floats, Floats]:
    """Mean and std, (bands, channels) each: channel 0 is the log2 power, 1 its delta."""
    shape = (front_end.bands, front_end.channels)
    mean, std = (np.asarray(v, np.float32).reshape(shape) for v in (front_end.mean, front_end.std))
    return mean, std


def standardise(log2: Floats, front_end: FrontEndConfig) -> Floats:
    """(log2 - mean) / std of log2 powers (..., bands)."""
    mean, std = statistics(front_end)
    out: Floats = ((log2 - mean[:, 0]) / std[:, 0]).astype(np.float32)
    return out


def with_deltas(x: Floats, front_end: FrontEndConfig) -> Floats:
    """Standardised log2 powers as the network's real input (n, rows, bands, channels).

    x  (n, rows + 2 side, bands): the rows that the deltas look at are there, and gone afterwards
    """
    if not front_end.deltas:
        return x[..., None]
    mean, std = statistics(front_end)
    slope = deltas(x, front_end.side) * std[:, 0]
    own = x[:, front_end.side : -front_end.side]
    out: Floats = np.stack([own, (slope - mean[:, 1]) / std[:, 1]], axis=-1).astype(np.float32)
    return out


def real_input(log2_q9: NDArray[np.int16], front_end: FrontEndConfig) -> Floats:
    """The front end's int16 windows (n, rows, values) as the network's input (n, rows, bands, channels)."""
    mean, std = statistics(front_end)
    log2 = log2_q9.reshape(*log2_q9.shape[:2], *mean.shape).astype(np.float32) / np.float32(Q9)
    out: Floats = ((log2 - mean) / std).astype(np.float32)
    return out


def one_hot(clips: Sequence[Clip], labels: Sequence[str]) -> Floats:
    """(clips, classes) float32."""
    out: Floats = np.eye(len(labels), dtype=np.float32)[[labels.index(c.label) for c in clips]]
    return out


def label_shares(clips: Sequence[Clip], labels: Sequence[str], annotators: bool = False) -> Floats:
    """(clips, labels) float32 of clips with several labels: 1 where one holds, or what share heard it."""
    out = np.zeros((len(clips), len(labels)), np.float32)
    for row, clip in zip(out, clips, strict=True):
        held = dict(clip.shares) if annotators else dict.fromkeys(clip.tags, 1.0)
        row[:] = [held.get(label, 0.0) for label in labels]
    return out


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """The training clips, ready to be drawn from."""

    rows: Floats  # (N, bands) log2 power over the augmentation's floor, all clips one after another
    offset: NDArray[np.int64]  # (clips,) each clip's first row
    length: NDArray[np.int64]  # (clips,)
    starts: tuple[NDArray[np.int64], ...]  # per clip: where windows may start, those alive enough
    y: Floats  # (clips, classes) label shares
    front_end: FrontEndConfig  # with statistics
    recipe: Recipe
    device: NDArray[np.int64]  # (clips,) which of the devices recorded it
    differences: Floats  # (devices, devices, bands), see augment.device_differences
    versions: int = 1  # of each clip: all clips, then all again through a made-up device, ...

    @property
    def clips(self) -> int:
        """Different clips."""
        return len(self.y) // self.versions

    @property
    def steps_per_epoch(self) -> int:
        return max(1, self.clips * self.recipe.train.windows_per_clip // self.recipe.train.batch)

    def epoch(self, rng: np.random.Generator) -> Iterator[tuple[Floats, Floats]]:
        """Augmented batches x (batch, rows, bands, channels), y (batch, classes).

        Each clip is drawn equally often.
        """
        train = self.recipe.train
        clips = self.clips
        order = np.concatenate([rng.permutation(clips) for _ in range(train.windows_per_clip)])
        batch = min(train.batch, len(order))
        for step in range(self.steps_per_epoch):
            yield self.batch(order[step * batch : (step + 1) * batch], rng)

    def batch(self, clips: NDArray[np.int64], rng: np.random.Generator) -> tuple[Floats, Floats]:
        """One augmented window of each of the clips given by index.

        All steps work on log2 powers; deltas are taken of what comes out, as the device takes them.
        """
        amount = self.recipe.augment
        if self.versions > 1:  # the clip itself, or as another device would have recorded it
            clips = clips + rng.integers(0, self.versions, len(clips)) * self.clips
        start = np.array([rng.choice(self.starts[c]) for c in clips])
        ratio = rng.uniform(1 - amount.stretch, 1 + amount.stretch, len(clips))
        x = augment.stretched_rows(
            self.rows, start, self.length[clips], self.offset[clips], ratio, bare(self.front_end).rows
        )
        x = augment.modulate(x, self.device[clips], self.differences, rng, amount)
        x, y = augment.apply(augment.POWER_STEPS, x, self.y[clips], rng, amount)
        if self.front_end.floor_fs2:
            x = augment.add_floor(x, self.front_end.floor_fs2 * FULL_SCALE)
        x = standardise(x, self.front_end)
        x, y = augment.apply(augment.FEATURE_STEPS, x, y, rng, amount)
        return with_deltas(x, self.front_end), y


def training_set(
    clips: Sequence[Clip],
    bare_features: Mapping[str, Features],
    labels: Sequence[str],
    front_end: FrontEndConfig,
    recipe: Recipe,
) -> TrainingSet:
    """Gather the clips' rows, each at least one window long, of the front end that `bare` gives.

    `clips` are those of the data set, then the versions of them that the recipe's `augment.devices` asks for.
    UsageError when spectrum modulation finds fewer than two devices.
    """
    side = front_end.side
    rows = [bare_features[c.id].log2_q9.astype(np.float32) / Q9 for c in clips]
    length = np.array([len(r) for r in rows])
    every_row = dataclasses.replace(recipe.decision, hop_rows=1)
    starts = []
    for clip in clips:
        level = bare_features[clip.id].level_q9
        alive = count_alive(level[side : len(level) - side], front_end.rows, every_row)
        starts.append(np.flatnonzero(alive >= min(recipe.taught_alive * front_end.rows, alive.max())))
    own = clips[: len(clips) // (1 + recipe.augment.devices)]
    names, differences = augment.device_differences(
        {
            d: np.concatenate([r for r, c in zip(rows, own, strict=False) if c.device == d]).mean(0)
            for d in {c.device for c in own}
        }
    )
    if recipe.augment.spectrum_modulation and len(names) < 2:
        raise UsageError(
            "spectrum_modulation needs clips of two devices, these are of one", "set it to 0, or use devices"
        )
    return TrainingSet(
        rows=augment.add_floor(np.concatenate(rows), recipe.augment.floor_fs2 * FULL_SCALE),
        offset=np.cumsum(length) - length,
        length=length,
        starts=tuple(starts),
        y=label_shares(clips, labels, recipe.data.annotator_shares)
        if recipe.multi_label
        else one_hot(clips, labels),
        front_end=front_end,
        recipe=recipe,
        device=np.array([names.index(c.device) for c in clips]),
        differences=differences,
        versions=1 + recipe.augment.devices,
    )


def calibration_windows(
    features: Sequence[Features], rows: int, hop_rows: int, count: int, seed: int
) -> NDArray[np.int16]:
    """At most `count` windows (n, rows, bands) of the clips as the device computes them, spread over them."""
    every = np.concatenate([windows(f.log2_q9, rows, hop_rows) for f in features])
    rng = np.random.default_rng(seed)
    chosen: NDArray[np.int16] = every[np.sort(rng.permutation(len(every))[:count])]
    return chosen


@dataclass(frozen=True, eq=False)
class TestSet:
    """Clips cut into windows as the device cuts them."""

    x: Floats  # (windows, rows, bands, channels) standardised
    alive: tuple[NDArray[np.int64], ...]  # per clip: alive rows of each of its windows
    truth: NDArray[np.int64]  # (clips,) class numbers; of several labels a clip (clips, labels) of 0 and 1


def test_set(
    clips: Sequence[Clip],
    features: Mapping[str, Features],
    labels: Sequence[str],
    front_end: FrontEndConfig,
    rule: Decision,
    multi_label: bool = False,
) -> TestSet:
    """Windows of the clips from rows with the soft floor (`front_end` without statistics gives the same)."""
    rows = front_end.rows
    log2_q9 = [windows(features[c.id].log2_q9, rows, rule.hop_rows) for c in clips]
    return TestSet(
        x=real_input(np.concatenate(log2_q9), front_end),
        alive=tuple(count_alive(features[c.id].level_q9, rows, rule) for c in clips),
        truth=label_shares(clips, labels).astype(np.int64)
        if multi_label
        else one_hot(clips, labels).argmax(1),
    )
