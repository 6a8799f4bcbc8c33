"""A file of features for training elsewhere (PyTorch): the windows that the network will see on the board."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcu_asc import config
from mcu_asc.audio.datasets import Dataset
from mcu_asc.audio.features import features, windows
from mcu_asc.decide import count_alive
from mcu_asc.errors import UsageError
from mcu_asc.learn.stated import Stated
from mcu_asc.learn.windows import label_shares, one_hot, real_input, with_statistics
from mcu_asc.nouns import Clip, ModelCard


@dataclass(frozen=True)
class Table:
    """What `write_table` wrote."""

    path: Path
    windows: int
    rows: int
    bands: int
    clips: int
    labels: tuple[str, ...]
    measured: bool  # mean and std are these clips' own; else they came with the front end


def write_table(
    path: Path,
    ds: Dataset,
    clips: Sequence[Clip],
    source: Stated,
    progress: Callable[[int, int], None] | None = None,
) -> Table:
    """Write the clips' windows by the board's own front end as one .npz:

        x      (windows, rows, bands) float32, standardised: what the network sees, before int8;
               (windows, rows, bands, 2) with deltas
        y      (windows,) int64, index into labels; of several labels a clip (windows, classes) float32,
               1 where one holds
        clip   (windows,) int64, index into ids
        alive  (windows,) bool: loud enough for the decision rule
        fold   (windows,) int64
        ids    (clips,) text;  labels (classes,) text
        card   text: JSON with front end (mean and std inside), labels and decision rule

    Mean and std come with `source`, or else are measured over the clips' alive rows.  UsageError for clips
    of none of the labels and what `features` refuses.
    """
    fe, rule = source.front_end, source.decision
    labels = source.labels or ds.labels
    clips = [c for c in clips if ds.multi_label or c.label in labels]
    if not clips:
        raise UsageError(f"no clip has one of the labels of {source.origin}", "give the front end by name")
    found = features(ds, clips, dataclasses.replace(fe, mean=(), std=()), progress)
    if measured := not fe.mean:
        fe = with_statistics(fe, [found[c.id] for c in clips], rule)
    parts = [windows(found[c.id].log2_q9, fe.rows, rule.hop_rows) for c in clips]
    alive = [count_alive(found[c.id].level_q9, fe.rows, rule) >= rule.min_alive * fe.rows for c in clips]
    clip = np.repeat(np.arange(len(clips)), [len(p) for p in parts])
    x = real_input(np.concatenate(parts), fe)
    card = ModelCard(ds.name, labels, fe, rule, multi_label=ds.multi_label)
    truth = label_shares(clips, labels) if ds.multi_label else one_hot(clips, labels).argmax(1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            x=x if fe.deltas else x[..., 0],
            y=truth[clip],
            clip=clip,
            alive=np.concatenate(alive),
            fold=np.array([c.fold for c in clips])[clip],
            ids=np.array([c.id for c in clips]),
            labels=np.array(labels),
            card=np.array(config.card_to_json(card)),
        )
    return Table(path, len(x), fe.rows, fe.bands, len(clips), labels, measured)
