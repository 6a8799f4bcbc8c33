"""ESC-50 and its subset ESC-10 as released: audio/ and meta/esc50.csv.

K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015.  The official folds
keep the clips cut from one source recording (`src_file`) together.
"""

from __future__ import annotations

import csv
from pathlib import Path

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
TABLE = Path("meta", "esc50.csv")
COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file")


def load(root: Path, classes: int) -> tuple[tuple[str, ...], tuple[Clip, ...]]:
    """Labels in the order of `target`, and the clips in the table's order.

    `root` is the release's folder or the folder that contains it.  classes=10 takes the rows marked esc10,
    classes=50 all rows.  Folds of which the table has no row are simply not there.  Raises UsageError for
    a missing table, column or audio file, a bad value, or another number of classes.
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
    try:
        return _read(table, only_esc10)
    except (csv.Error, UnicodeDecodeError):
        raise UsageError(f"{table}: not UTF-8 text in columns", "use the table as released") from None


def _read(table: Path, only_esc10: bool) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise UsageError(f"{table}: no column {', '.join(missing)}", f"it needs {', '.join(COLUMNS)}")
        rows = []
        for row in reader:
            for name in COLUMNS:
                if not row[name]:
                    raise UsageError(
                        f"{table}:{reader.line_num}: {name} is empty", "use the table as released"
                    )
            for name in ("fold", "target"):
                if not row[name].isdecimal():
                    raise UsageError(
                        f"{table}:{reader.line_num}: {name} is {row[name]!r}", "it must be a whole number"
                    )
            if row["esc10"] == "True" or not only_esc10:
                rows.append(row)
    return rows


def _clips(home: Path, rows: list[dict[str, str]]) -> tuple[Clip, ...]:
    audio = home / "audio"
    absent = [row["filename"] for row in rows if not (audio / row["filename"]).is_file()]
    if absent:
        raise UsageError(
            f"{audio / absent[0]}: listed in {TABLE.name} but not there ({len(absent)} of {len(rows)})",
            "unpack the data set again",
        )
    return tuple(
        Clip(
            id=row["filename"],
            label=row["category"],
            fold=int(row["fold"]),
            group=row["src_file"],
            path=audio / row["filename"],
        )
        for row in rows
    )
