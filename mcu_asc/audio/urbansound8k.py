"""UrbanSound8K as released: 10 classes, up to 4 s, ten folds that must not be mixed anew.

J. Salamon, C. Jacoby, J. P. Bello, "A dataset and taxonomy for urban sound research", ACM Multimedia 2014.
Facts and where they are from: the file and its md5 at Zenodo record 1203745, columns and class numbers:
soundata's loader, which quotes the release's README; clips per fold and class: counted in the table.

A group is what was cut from one Freesound recording (fsID) for one class.  The official folds keep each in
one fold, but not each recording: of 1297, five (106905, 132016, 176638, 180937 and 77751, 152 clips) give two
classes in two folds.  We keep the official folds, as everybody who reports figures on them does.
"""

from __future__ import annotations

from pathlib import Path

from mcu_asc.audio.release import Expected, find_home, read_table, zenodo
from mcu_asc.errors import UsageError
from mcu_asc.nouns import Clip

LABELS = (
    "air_conditioner",
    "car_horn",
    "children_playing",
    "dog_bark",
    "drilling",
    "engine_idling",
    "gun_shot",
    "jackhammer",
    "siren",
    "street_music",
)
TABLE = "metadata/UrbanSound8K.csv"
COLUMNS = ("slice_file_name", "fsID", "fold", "classID", "class")
REMOTES = zenodo(1203745, [("UrbanSound8K.tar.gz", 0, "9aa69802bbf37fb986f71ec1483a196e")])
EXPECTED = Expected(
    folds=dict(enumerate((873, 888, 925, 990, 936, 823, 838, 806, 816, 837), 1)),
    labels=dict(zip(LABELS, (1000, 429, 1000, 1000, 1000, 1000, 374, 1000, 929, 1000), strict=True)),
)


def load(root: Path) -> tuple[tuple[str, ...], tuple[Clip, ...]]:
    """Labels by classID and the clips in the table's order.

    `root` is the release's folder (audio/, metadata/) or the one that contains it.  Raises UsageError for a
    missing table or column, a fold or class that is none.
    """
    home = find_home(root, (".", "UrbanSound8K"), TABLE)
    clips = []
    for row in read_table(home / TABLE, COLUMNS, numbers=("fold", "classID")):
        fold, number = int(row["fold"]), int(row["classID"])
        name = row["slice_file_name"]
        if not (1 <= fold <= 10 and 0 <= number < 10 and LABELS[number] == row["class"]):
            raise UsageError(
                f"{home / TABLE}: {name} is of class {number} {row['class']} in fold {fold}",
                "use the table as released",
            )
        path = home / "audio" / f"fold{fold}" / name
        clips.append(Clip(name, row["class"], fold, f"{row['fsID']}-{number}", path))
    return LABELS, tuple(clips)
