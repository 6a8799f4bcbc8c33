"""Features of a data set's clips by the board's own C, kept on disk, and the windows that a network sees.

A cache entry is one .npz file per clip under CACHE/features.  Its name is a hash of everything that decides
its content: the clip's samples, the front end, its tables and the C itself.  So no entry is ever out of date:
what no longer fits is no longer found.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_asc import native, paths, store
from mcu_asc.audio import frontend
from mcu_asc.audio.datasets import Dataset
from mcu_asc.audio.frontend import Features
from mcu_asc.nouns import Clip, FrontEndConfig

Progress = Callable[[int, int], None]  # (clips done, clips in all)

FORMAT = b"features 1"  # raise it when the layout of an entry changes
THREADS = min(8, os.cpu_count() or 1)
FIELDS = {"log2_q9": (np.int16, 2), "q": (np.int8, 2), "level_q9": (np.int16, 1)}  # dtype, dimensions


def features(
    ds: Dataset,
    clips: Sequence[Clip],
    cfg: FrontEndConfig,
    progress: Progress | None = None,
    cache: Path | None = None,
) -> dict[str, Features]:
    """Clip id -> rows of the whole clip, in the order of `clips`.

    A clip shorter than one window is padded with zeros at its end to one, as it is on its way to a device.
    Read from or added to `cache`, by default paths.cache_dir(); a damaged entry is computed again and a cache
    that cannot be written is done without.  Several processes may share it.  `progress` is called after each
    clip.  Raises UsageError for audio that cannot be read or a front end that the C cannot run.
    """
    tables = frontend.tables(cfg)  # refuses a bad configuration before the first clip
    front_end = store.key(FORMAT, native.version(), cfg.canonical.encode(), *_arrays(tables))
    folder = (cache or paths.cache_dir()) / "features"

    def one(clip: Clip) -> Features:
        entry = store.entry(folder, store.key(front_end, ds.identity(clip)))
        found = _read(entry, cfg.values)
        if found is None:
            pcm = ds.pcm(clip, cfg.sample_rate_hz)
            found = frontend.extract(np.pad(pcm, (0, max(0, cfg.samples - pcm.size))), cfg)
            _write(entry, found)
        return found

    out: dict[str, Features] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for clip, rows in zip(clips, pool.map(one, clips), strict=True):
                out[clip.id] = rows
                if progress:
                    progress(len(out), len(clips))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # do not decode the rest of a large set first
            raise
    return out


def windows(x: NDArray[Any], rows: int, hop_rows: int) -> NDArray[Any]:
    """The windows of `rows` rows that start every `hop_rows` rows: (n, bands) -> (windows, rows, bands).

    A read-only view.  Whole windows only, as `decide.count_alive` counts them; too few rows give none.
    """
    if len(x) < rows:
        return np.empty((0, rows, *x.shape[1:]), x.dtype)
    views = np.lib.stride_tricks.sliding_window_view(x, rows, axis=0)[::hop_rows]
    return np.moveaxis(views, -1, 1)


# ---- the cache ---------------------------------------------------------------------------------


def _arrays(tables: native.FrontEndTables) -> list[bytes]:
    values = (getattr(tables, field.name) for field in dataclasses.fields(tables))
    return [np.asarray(value).tobytes() for value in values]


def _read(entry: Path, values: int) -> Features | None:
    """The entry's rows; None where there is none, it is damaged or not of this front end."""
    found = store.read(entry, FIELDS)
    if found is None:
        return None
    rows = len(found["level_q9"])
    for name, (dtype, ndim) in FIELDS.items():
        if found[name].dtype != dtype or found[name].shape != (rows, values)[:ndim]:
            return None
    return Features(**found)


def _write(entry: Path, found: Features) -> None:
    store.write(entry, {name: getattr(found, name) for name in FIELDS})
