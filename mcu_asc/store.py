"""Arrays kept on disk under a name that is a hash of everything that decides them.

So no entry is ever out of date: what no longer fits is no longer found.  An entry is written whole or not at
all, whoever else writes it or is killed, and a cache that cannot be written is done without.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


def key(*parts: bytes) -> bytes:
    """SHA-256 over parts that cannot run into each other."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()


def entry(folder: Path, name: bytes) -> Path:
    """The file of a key."""
    return folder / name.hex()[:2] / f"{name.hex()}.npz"


def read(path: Path, names: Iterable[str]) -> dict[str, NDArray[Any]] | None:
    """An entry's arrays; None where there is none or it is damaged (it holds a CRC of each array)."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in names}
    except DAMAGED:
        return None


def write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """All or nothing: a reader sees the whole entry or none."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".tmp", delete=False) as file:
            try:
                np.savez(file, **arrays)  # type: ignore[arg-type]
                file.close()
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
