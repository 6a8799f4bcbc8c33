"""What every released data set shares: its folder, its tables, and the files it is fetched from."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mcu_asc.errors import UsageError

WHOLE_NUMBER = re.compile(r"-?[0-9]+")


@dataclass(frozen=True)
class Remote:
    """One file of a release."""

    name: str
    url: str
    bytes: int = 0  # 0: not known before it is asked for
    md5: str = ""  # as the publisher gives it; "": none is published, or none is known to us
    into: str = ""  # folder under the root where it lies, or where the archive is unpacked


@dataclass(frozen=True)
class Expected:
    """How many clips the whole release gives; what is not stated by its publisher is left out."""

    folds: Mapping[int, int] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)  # over all folds


def zenodo(record: int, files: Sequence[tuple[str, int, str]], prefix: str = "") -> tuple[Remote, ...]:
    """(name, bytes, md5) of a Zenodo record's files -> where they are."""
    return tuple(
        Remote(
            prefix + name, f"https://zenodo.org/records/{record}/files/{prefix}{name}?download=1", size, md5
        )
        for name, size, md5 in files
    )


def find_home(root: Path, homes: Sequence[str], marker: str) -> Path:
    """The first of the folders ROOT/HOME that holds `marker`; UsageError where none does."""
    for home in homes:
        if (root / home / marker).is_file():
            return root / home
    below = ", ".join(home for home in homes if home != ".")
    raise UsageError(
        f"{root}: no {marker} here or in {below} below it",
        "give --data-root the release's folder or its parent; mcu-asc data fetch gets what can be fetched",
    )


def read_table(
    path: Path, columns: Sequence[str], delimiter: str = ",", numbers: Sequence[str] = ()
) -> list[dict[str, str]]:
    """The rows of a table with a header: something in each of `columns`, an integer in each of `numbers`.

    Raises UsageError for a missing file or column, another value, and text that is no UTF-8.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file", "unpack the whole release again")
    rows = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter=delimiter, skipinitialspace=True)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise UsageError(f"{path}: no column {', '.join(missing)}", f"it needs {', '.join(columns)}")
            for row in reader:
                for name in columns:
                    if not row[name]:
                        raise UsageError(
                            f"{path}:{reader.line_num}: {name} is empty", "use the table as released"
                        )
                for name in numbers:
                    if not WHOLE_NUMBER.fullmatch(row[name]):
                        raise UsageError(
                            f"{path}:{reader.line_num}: {name} is {row[name]!r}", "it must be a whole number"
                        )
                rows.append(row)
    except (csv.Error, UnicodeDecodeError):
        raise UsageError(f"{path}: not UTF-8 text in columns", "use the table as released") from None
    return rows
