"""ESC-50 and its subset ESC-10 as released: audio/ and meta/esc50.csv.

K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015.  The official folds
keep the clips cut from one source recording (`src_file`) together.  Five folds of 8 clips a
class: the release's README.  It is fetched as its repository's archive, which GitHub makes on demand: no
checksum can hold for it.
"""

from __future__ import annotations

from pathlib import Path

from mcu_asc.audio.release import Expected, Remote, read_table
from mcu_asc.errors import UsageError
from mcu_asc.nouns import Clip

HOMES = (
    ".",
    "esc10",
    "ESC-10",
    "ESC-50-master",
    "esc50",
    "ESC-50",
)  # where the release may lie under the root
REMOTES = (
    Remote("ESC-50-master.zip", "https://github.com/karolpiczak/ESC-50/archive/refs/heads/master.zip"),
)
FOLDS = (1, 2, 3, 4, 5)
TABLE = Path("meta", "esc50.csv")
COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file")


def expected(classes: int) -> Expected:
    """Of the whole release; the labels' names are only in the table."""
    return Expected(folds=dict.fromkeys(FOLDS, 8 * classes))


def load(root: Path, classes: int) -> tuple[tuple[str, ...], tuple[Clip, ...]]:
    """Labels in the order of `target`, and the clips in the table's order.

    `root` is the release's folder or the folder that contains it.  classes=10 takes the rows marked esc10,
    classes=50 all rows.  Folds of which the table has no row are simply not there.  Raises UsageError for
    a missing table or column, a bad value, or another number of classes.
    """
    # A parent folder may hold both ESC-10 and ESC-50: take the first that has all the classes.
    homes = [root / home for home in HOMES if (root / home / TABLE).is_file()]
    if not homes:
        raise UsageError(
            f"{root}: no {TABLE.as_posix()} here or in {', '.join(HOMES[1:])} below it",
            "give --data-root the folder that holds audio/ and meta/, or its parent",
        )
    found = 0
    for home in homes:
        rows = _rows(home / TABLE, only_esc10=classes == 10)
        names = {int(row["target"]): row["category"] for row in rows}
        found = max(found, len(names))
        if len(names) == classes:
            labels = tuple(names[target] for target in sorted(names))
            return labels, _clips(home, rows)
    hint = "it is the ESC-10 part: use --data esc10" if found == 10 else "use the table as released"
    raise UsageError(f"{homes[0] / TABLE}: holds {found} of the {classes} classes", hint)


def _rows(table: Path, only_esc10: bool) -> list[dict[str, str]]:
    rows = read_table(table, COLUMNS, numbers=("fold", "target"))
    return [row for row in rows if row["esc10"] == "True" or not only_esc10]


def _clips(home: Path, rows: list[dict[str, str]]) -> tuple[Clip, ...]:
    return tuple(
        Clip(
            id=row["filename"],
            label=row["category"],
            fold=int(row["fold"]),
            group=row["src_file"],
            path=home / "audio" / row["filename"],
        )
        for row in rows
    )
