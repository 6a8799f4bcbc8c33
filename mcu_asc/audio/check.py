"""Is a data set whole?  Its clips counted by fold and label against what the release should give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mcu_asc.audio.datasets import DATASETS, missing, open_dataset


@dataclass(frozen=True)
class DataCheck:
    name: str
    clips: int
    folds: Mapping[int, int]  # clips
    labels: Mapping[str, Mapping[int, int]]  # label -> fold -> clips; of multi-label sets each tag counts
    groups: int
    devices: tuple[str, ...]
    cities: tuple[str, ...]
    missing: tuple[Path, ...]  # listed, but not there
    differences: tuple[str, ...]  # one sentence for each count that is not the release's

    @property
    def whole(self) -> bool:
        return not self.missing and not self.differences


def check_dataset(name: str, root: Path | None = None) -> DataCheck:
    """Open a data set and count; UsageError for what open_dataset refuses, but not for missing audio."""
    ds = open_dataset(name, root, whole=False)
    expected = DATASETS[name].expected
    folds = Counter(clip.fold for clip in ds.clips)
    labels: dict[str, Counter[int]] = {label: Counter() for label in ds.labels}
    for clip in ds.clips:
        for label in clip.tags if ds.multi_label else (clip.label,):
            labels[label][clip.fold] += 1
    differences = [
        f"fold {fold} has {folds[fold]:,} clips instead of {count:,}"
        for fold, count in expected.folds.items()
        if folds[fold] != count
    ] + [
        f"{label} has {labels[label].total():,} clips instead of {count:,}"
        for label, count in expected.labels.items()
        if labels[label].total() != count
    ]
    return DataCheck(
        name=name,
        clips=len(ds.clips),
        folds=dict(sorted(folds.items())),
        labels={label: dict(sorted(counts.items())) for label, counts in labels.items()},
        groups=len({clip.group for clip in ds.clips}),
        devices=tuple(sorted({clip.device for clip in ds.clips} - {""})),
        cities=tuple(sorted({clip.city for clip in ds.clips} - {""})),
        missing=missing(ds.clips),
        differences=tuple(differences),
    )
