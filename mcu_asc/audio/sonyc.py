"""SONYC-UST as released: ten-second clips of city sensors with several tags each, 8 coarse or 23 fine.

M. Cartwright et al., "SONYC-UST-V2: an urban sound tagging dataset with spatiotemporal context", DCASE 2020.
Facts and where they are from: files and md5 of Zenodo record 3966543 (version 2.3), columns, taxonomy, counts
of recordings and what annotator numbers and -1 mean: soundata's loader, which quotes the README; audio/NAME:
soundata's index; the rule below: the official baseline, sonyc-project/dcase2020task5-uststc-baseline.  The
sizes of the files are not known to us.  Version 1 (DCASE 2019 task 5: 2351 and 443 recordings) is read too:
its audio lies in train/ and validate/, and it has no times.

Fold 1 is train, 2 validate, 3 test.  A training clip has a tag when any volunteer (annotator above 0) heard
it; `MINORITY` is what the baseline calls a minority vote.  Clips of the other folds have what the team agreed
on (annotator 0), and those without are left out.  The publisher splits train from validate by sensor, test
from both by time: a group is a sensor in folds 1 and 2, an hour of a sensor in fold 3.  Should an hour of a
test recording hold others of the same sensor, those are left out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcu_asc.audio.release import Expected, Remote, find_home, read_table, zenodo
from mcu_asc.errors import UsageError
from mcu_asc.nouns import Clip

TABLE = "annotations.csv"
SPLITS = {"train": 1, "validate": 2, "test": 3}
COARSE = {
    "engine": "1",
    "machinery-impact": "2",
    "non-machinery-impact": "3",
    "powered-saw": "4",
    "alert-signal": "5",
    "music": "6",
    "human-voice": "7",
    "dog": "8",
}
FINE = {
    "small-sounding-engine": "1-1",
    "medium-sounding-engine": "1-2",
    "large-sounding-engine": "1-3",
    "rock-drill": "2-1",
    "jackhammer": "2-2",
    "hoe-ram": "2-3",
    "pile-driver": "2-4",
    "non-machinery-impact": "3-1",
    "chainsaw": "4-1",
    "small-medium-rotating-saw": "4-2",
    "large-rotating-saw": "4-3",
    "car-horn": "5-1",
    "car-alarm": "5-2",
    "siren": "5-3",
    "reverse-beeper": "5-4",
    "stationary-music": "6-1",
    "mobile-music": "6-2",
    "ice-cream-truck": "6-3",
    "person-or-small-group-talking": "7-1",
    "person-or-small-group-shouting": "7-2",
    "large-crowd": "7-3",
    "amplified-speech": "7-4",
    "dog-barking-whining": "8-1",
}
TAXONOMIES = {"coarse": COARSE, "fine": FINE}  # label -> the number in its column's name
MINORITY, MAJORITY = 0.0, 0.5  # a tag holds where more than this share of the annotators heard it
TIMES = ("year", "week", "day", "hour")
FOLDERS = ("audio", "audio-dev/{split}", "{split}")  # of version 2, of version 1
EXPECTED = Expected(folds={1: 13538, 3: 664})
_MD5 = (
    "bbb4dbae7d2e58e18d24878b9ee1eb51",
    "7c369ff37ac6a1fdd8493fdffe62e0a1",
    "412241c063d7f196953d3dd1c44aeb5e",
    "d2a872392d95993a2c238d305b940812",
    "b15b0e0cb3f8584259ef0d24293a9be3",
    "de745f887067433757a2f2c8f99f99bb",
    "b0286c67468369d66336f6f5ddede31f",
    "ff300183ab7a9d3f2f74c3b730ffeb52",
    "7be76b821fa6dbe20f6b50ca440e1024",
    "959f7edfbb26eadad9865069f38aa9dd",
    "84e94de273666c537a3e6b709ee88d9b",
    "44fe1f43121a7d1178aa0cdf7477793b",
    "a7eb21011f460b5ac289f8e285e875ab",
    "27945a8b1008eec787f97213164951e6",
    "fb8c7d81c3bde3a0c86c1e55e6a85a24",
    "f6af9b65d876ef96d199b9e5f0473cb9",
    "e8337c61a90c30989d500f950fbe443a",
    "3e47e85eb4564a30fe7f442ee97ec7b9",
    "c6b2ef4d0d5b7269d465c469cdbbdc4b",
)
REMOTES: tuple[Remote, ...] = tuple(
    Remote(r.name, r.url, r.bytes, r.md5, "SONYC-UST")
    for r in zenodo(
        3966543,
        [
            (TABLE, 0, "70b507b15bb4cfcce4870925302f276b"),
            ("dcase-ust-taxonomy.yaml", 0, "6c1cca1c4c383a6ebb0cb71cb74fe3a9"),
            *((f"audio-{i}.tar.gz", 0, md5) for i, md5 in enumerate(_MD5)),
        ],
    )
)


def aggregate(votes: NDArray[np.int64], share: float = MINORITY) -> NDArray[np.bool_]:
    """Votes of several annotators (annotators, labels) of 1, 0 and -1 (not asked) -> which labels hold.

    A label holds where more than `share` of those who were asked heard it; nobody asked, it does not.
    """
    asked = (votes >= 0).sum(0)
    out: NDArray[np.bool_] = (votes == 1).sum(0) > share * asked
    return out


def shares(votes: NDArray[np.int64]) -> list[float]:
    """The share of those asked who heard each label, votes as in `aggregate`; 0 where nobody was asked."""
    heard = (votes == 1).sum(0) / np.maximum((votes >= 0).sum(0), 1)
    return [float(share) for share in heard]


def load(root: Path, taxonomy: str, share: float = MINORITY) -> tuple[tuple[str, ...], tuple[Clip, ...]]:
    """Labels ("coarse" or "fine" of TAXONOMIES) and the clips in the table's order, tags and shares set.

    `root` is the release's folder or the one that contains it.  Raises UsageError for a missing table or
    column and a value that is none.
    """
    home = find_home(root, (".", "SONYC-UST", "sonyc-ust"), TABLE)
    table = home / TABLE
    labels = TAXONOMIES[taxonomy]
    columns = [f"{number}_{name}_presence" for name, number in labels.items()]
    numbers = ("annotator_id", *columns)
    rows = read_table(table, ("split", "sensor_id", "audio_filename", *numbers), numbers=numbers)
    tested = {_moment(row) for row in rows if row["split"] == "test"}
    votes: dict[str, list[list[int]]] = {}
    first: dict[str, dict[str, str]] = {}
    for row in rows:
        if row["split"] not in SPLITS:
            raise UsageError(f"{table}: split is {row['split']!r}", f"known: {', '.join(SPLITS)}")
        if row["split"] != "test" and _moment(row) in tested:
            continue
        annotator = int(row["annotator_id"])
        if (annotator > 0) if row["split"] == "train" else (annotator == 0):
            name = row["audio_filename"]
            first.setdefault(name, row)
            votes.setdefault(name, []).append([int(row[column]) for column in columns])
    names = np.array(list(labels))
    clips = []
    for name, row in first.items():
        said = np.array(votes[name])
        tags = tuple(map(str, names[aggregate(said, share)]))
        split = row["split"]
        folder = next((f for f in FOLDERS if (home / f.format(split=split)).is_dir()), FOLDERS[0])
        clips.append(
            Clip(
                id=name,
                label=tags[0] if tags else "",
                fold=SPLITS[split],
                group=_moment(row) if split == "test" else f"sensor {row['sensor_id']}",
                path=home / folder.format(split=split) / name,
                tags=tags,
                shares=tuple((str(n), s) for n, s in zip(names, shares(said), strict=True) if s),
            )
        )
    return tuple(labels), tuple(clips)


def _moment(row: dict[str, str]) -> str:
    """An hour of a sensor; without times (version 1) the recording itself."""
    times = [row[name] for name in TIMES if name in row]
    return f"sensor {row['sensor_id']} at " + ("-".join(times) or row["audio_filename"])
