"""TUT Acoustic Scenes 2017, development set, as released: 15 scenes, four folds.

A. Mesaros, T. Heittola, T. Virtanen, "TUT database for acoustic scene classification and sound event
detection", EUSIPCO 2016; DCASE 2017 task 1.  Facts and where they are from: files, sizes and md5 of Zenodo
record 400515, that the evaluation_setup is four folds and that a name RECORDING_START_END.wav gives the
recording: dcase_util 0.2.20's datasets/tut.py; 312 segments a scene and the four folds: the papers that use
it.  The lists are tab-separated, without a header: file, scene[, recording].

Fold k is what evaluation_setup/foldk_evaluate.txt lists: training for it is the other three.  A group is a
recording.
"""

from __future__ import annotations

import csv
from pathlib import Path

from mcu_asc.audio.release import Expected, find_home, zenodo
from mcu_asc.errors import UsageError
from mcu_asc.nouns import Clip

NAME = "TUT-acoustic-scenes-2017-development"
LABELS = (
    "beach",
    "bus",
    "cafe/restaurant",
    "car",
    "city_center",
    "forest_path",
    "grocery_store",
    "home",
    "library",
    "metro_station",
    "office",
    "park",
    "residential_area",
    "train",
    "tram",
)
FOLDS = (1, 2, 3, 4)
FILES = (
    ("meta.zip", 104_321, "9007fd4772d816590c5db5f5e9568f5d"),
    ("error.zip", 1_432, "802c700b021769e52a2c1e3b9c117a1b"),
    ("audio.1.zip", 1_071_445_248, "251325a9afaaad0326ad1c57f57d514a"),
    ("audio.2.zip", 1_073_453_613, "c26861e05147dc319b4250eb103d9d99"),
    ("audio.3.zip", 1_073_077_819, "a4815775f8a5e629179726ee4cd4f55a"),
    ("audio.4.zip", 1_072_822_038, "1732b03afe8c53ef8bba80ba14766e57"),
    ("audio.5.zip", 1_072_644_652, "611be754a0c951185c6ae4b7643c19a0"),
    ("audio.6.zip", 1_072_667_888, "165a201db800d3ea76fce5a9c2bd97d7"),
    ("audio.7.zip", 1_073_417_661, "c7d79db84264401c0f8680dcc36013ad"),
    ("audio.8.zip", 1_072_381_222, "35043f25123439392338c790494c7a19"),
    ("audio.9.zip", 1_072_087_738, "0805dcf5d8e6871dc9610182b2efb93a"),
    ("audio.10.zip", 1_046_262_120, "5df83a191295a04e290b125c634e13e7"),
)
REMOTES = zenodo(400515, FILES, NAME + ".")
EXPECTED = Expected(labels=dict.fromkeys(LABELS, 312))


def load(root: Path) -> tuple[tuple[str, ...], tuple[Clip, ...]]:
    """Labels and the clips, fold by fold.

    `root` is the release's folder or the one that contains it.  Raises UsageError for a missing list, a row
    that is none, a clip that two folds test, and a fold whose training list shares a recording with its test.
    """
    home = find_home(root, (".", NAME), "evaluation_setup/fold1_evaluate.txt")
    clips: dict[str, Clip] = {}
    for fold in FOLDS:
        tested = set()
        for name, label in _rows(home / "evaluation_setup" / f"fold{fold}_evaluate.txt"):
            if name in clips:
                raise UsageError(
                    f"{home}: {name} is tested in folds {clips[name].fold} and {fold}",
                    "use the lists as released",
                )
            group = name.partition("_")[0]
            tested.add(group)
            clips[name] = Clip(name, label, fold, group, home / "audio" / name)
        train = home / "evaluation_setup" / f"fold{fold}_train.txt"
        if shared := tested & {name.partition("_")[0] for name, _ in _rows(train)}:
            raise UsageError(
                f"{train}: recording {min(shared)} is also in the fold's test", "use the lists as released"
            )
    return LABELS, tuple(clips.values())


def _rows(path: Path) -> list[tuple[str, str]]:
    if not path.is_file():
        raise UsageError(f"{path}: no such file", "unpack the whole release again")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file, delimiter="\t") if row]
    except (csv.Error, UnicodeDecodeError):
        raise UsageError(f"{path}: not UTF-8 text in columns", "use the list as released") from None
    for number, row in enumerate(rows, 1):
        if len(row) < 2 or row[1] not in LABELS:
            raise UsageError(f"{path}:{number}: not a file and its scene", "use the list as released")
    return [(row[0].rpartition("/")[2], row[1]) for row in rows]
