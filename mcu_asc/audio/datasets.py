"""The data sets by name: labels, clips with their folds, and how a clip becomes samples.

A data set is one row of DATASETS: its facts, a loader from a folder to labels and clips, and two functions
that turn a clip into samples and into a name for its content (the cache's key).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcu_asc.audio import audioset, esc50, scenes, sonyc, tau, tut2017, urbansound8k
from mcu_asc.audio.pcm import decoder, load_pcm
from mcu_asc.audio.release import Expected, Remote
from mcu_asc.errors import UsageError
from mcu_asc.nouns import Clip
from mcu_asc.paths import data_root

Contents = tuple[tuple[str, ...], tuple[Clip, ...]]  # labels, clips
AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif"})
FOLDER_FOLDS = 4


@dataclass(frozen=True, eq=False)
class Dataset:
    """An opened data set.  Labels are in the order of the network's outputs; no group is in two folds."""

    name: str
    title: str
    labels: tuple[str, ...]
    clips: tuple[Clip, ...]
    pcm: Callable[[Clip, int], NDArray[np.int16]]  # (clip, rate_hz) -> int16 mono, shape (samples,)
    identity: Callable[[Clip], bytes]  # names the clip's content: equal bytes, equal samples
    multi_label: bool = False  # clips have `tags`; several may hold, or none
    splits: Mapping[str, int] = field(default_factory=dict)  # folds that have a name

    @property
    def folds(self) -> tuple[int, ...]:
        """The folds that have clips, ascending."""
        return tuple(sorted({clip.fold for clip in self.clips}))


@dataclass(frozen=True)
class DatasetRow:
    """What is known of a data set before it is opened."""

    title: str
    licence: str  # of the audio
    load: Callable[[Path], Contents]  # made-by-code sets ignore the folder
    needs_root: bool = True
    window_s: float = 1.0  # length of one decision that suits it
    hours: float = 0.0  # of sound; 0: as much as there is
    where: str = ""  # the publisher's page
    remotes: tuple[Remote, ...] = ()  # what `mcu-asc data fetch` gets; (): nothing can be fetched
    expected: Expected = field(default_factory=Expected)  # of the whole release
    multi_label: bool = False
    splits: Mapping[str, int] = field(default_factory=dict)
    pcm: Callable[[Clip, int], NDArray[np.int16]] | None = None  # None: the clip's file
    identity: Callable[[Clip], bytes] | None = None  # None: by the clip's file and its decoder

    @property
    def size(self) -> int:
        """Bytes to fetch, as far as they are known before."""
        return sum(remote.bytes for remote in self.remotes)


def row_of(name: str) -> DatasetRow:
    """A row of DATASETS; UsageError for an unknown name."""
    if name not in DATASETS:
        raise UsageError(f"unknown data set {name!r}", f"known: {', '.join(DATASETS)}")
    return DATASETS[name]


def open_dataset(name: str, root: Path | None = None, whole: bool = True) -> Dataset:
    """Open a data set of DATASETS.

    `root` is the folder of the data (or its parent, where the loader says so); None takes the environment
    variable MCU_ASC_DATA.  Sets made by code need none.  Raises UsageError for an unknown name, a missing
    folder, table, column or file, and for a recording that lies in two folds.  With `whole` off a file of
    a clip may be missing.
    """
    row = row_of(name)
    root = root or data_root()
    if row.needs_root:
        if root is None:
            raise UsageError(
                f"data set {name} needs the folder of its audio", "give --data-root DIR or set MCU_ASC_DATA"
            )
        if not root.is_dir():
            raise UsageError(f"{root}: no such folder", "check --data-root or MCU_ASC_DATA")
    labels, clips = row.load(root or Path())
    _check_groups(name, clips)
    if whole and (absent := missing(clips)):
        raise UsageError(
            f"{absent[0]}: listed but not there ({len(absent)} of {len(clips)} clips)",
            f"unpack the data set again; mcu-asc data check {name} names them all",
        )
    return Dataset(
        name=name,
        title=row.title,
        labels=labels,
        clips=clips,
        pcm=row.pcm or _file_pcm,
        identity=row.identity or _file_identity,
        multi_label=row.multi_label,
        splits=row.splits,
    )


def missing(clips: Iterable[Clip]) -> tuple[Path, ...]:
    """The clips' files that are not there, each once; every folder is read once."""
    paths = {clip.path for clip in clips if clip.path is not None}
    there: set[Path] = set()
    for folder in {path.parent for path in paths}:
        if folder.is_dir():
            with os.scandir(folder) as entries:
                there |= {folder / entry.name for entry in entries if entry.is_file()}
    return tuple(sorted(paths - there))


def select(ds: Dataset, folds: str | None = None, limit: int | None = None) -> tuple[Clip, ...]:
    """The clips of some folds, in the data set's order.

    `folds` is "4", "1,2,3", "1-3" or a split's name ("test"); None or "" is all.  `limit` keeps at
    most that many, the same ones every time, spread evenly over the labels (their counts differ by at most
    one while no label runs out).  Raises UsageError for a fold the set does not have or a limit below 1.
    """
    wanted = ds.folds
    if folds:
        wanted = (ds.splits[folds],) if folds in ds.splits else parse_folds(folds)
    for fold in wanted:
        if fold not in ds.folds:
            names = "".join(f", {number} is {name}" for name, number in ds.splits.items())
            raise UsageError(
                f"data set {ds.name} has no fold {fold}", f"it has {', '.join(map(str, ds.folds))}{names}"
            )
    clips = [clip for clip in ds.clips if clip.fold in wanted]
    if limit is None:
        return tuple(clips)
    if limit < 1:
        raise UsageError(f"limit is {limit}", "it must be at least 1")
    # Deal the clips out label by label; inside a label by a hash, so that recordings and devices mix.
    ranked: list[tuple[int, int, str]] = []
    for index, label in enumerate((*ds.labels, "")):  # "": a multi-label clip where none holds
        ids = sorted(
            (c.id for c in clips if c.label == label), key=lambda i: hashlib.sha256(i.encode()).digest()
        )
        ranked += [(turn, index, id_) for turn, id_ in enumerate(ids)]
    chosen = {id_ for _, _, id_ in sorted(ranked)[:limit]}
    return tuple(clip for clip in clips if clip.id in chosen)


def parse_folds(spec: str) -> tuple[int, ...]:
    """ "4", "1,2,3" or "1-3" -> fold numbers, ascending and once each; UsageError for anything else."""
    folds: set[int] = set()
    for part in spec.split(","):
        first, dash, last = part.strip().partition("-")
        ends = (first.strip(), last.strip() if dash else first.strip())
        if not all(end.isdecimal() for end in ends) or not int(ends[0]) <= int(ends[1]) < 1000:
            raise UsageError(f"folds {spec!r} cannot be read", "write 4 or 1,2,3 or 1-3")
        folds.update(range(int(ends[0]), int(ends[1]) + 1))
    return tuple(sorted(folds))


def load_folders(root: Path) -> Contents:
    """A tree ROOT/LABEL/FILE or ROOT/LABEL/RECORDING/FILE: labels by name, folds by hash of the recording.

    The clips of one RECORDING folder are one group, also across labels; a file directly under LABEL is its
    own group.  Hidden files and folders are left out.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        hidden = any(part.startswith(".") for part in parts)
        if len(parts) > 1 and path.suffix.lower() in AUDIO_SUFFIXES and path.is_file() and not hidden:
            found.setdefault(parts[0], []).append(path)
    if not found:
        raise UsageError(
            f"{root}: no audio files in folders named by label", "lay them out as ROOT/LABEL/FILE.wav"
        )
    clips = []
    for label, paths in found.items():
        for path in paths:
            id_ = path.relative_to(root).as_posix()
            parts = path.relative_to(root).parts
            group = parts[1] if len(parts) > 2 else id_
            fold = 1 + hashlib.sha256(group.encode()).digest()[0] % FOLDER_FOLDS
            clips.append(Clip(id=id_, label=label, fold=fold, group=group, path=path))
    return tuple(found), tuple(clips)


def _file_pcm(clip: Clip, rate_hz: int) -> NDArray[np.int16]:
    assert clip.path is not None, clip.id
    return load_pcm(clip.path, rate_hz)


def _file_identity(clip: Clip) -> bytes:
    assert clip.path is not None, clip.id
    try:
        content = clip.path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{clip.path}: cannot be read: {error.strerror}", "check the data set's folder"
        ) from None
    return hashlib.sha256(decoder().encode() + content).digest()


def _check_groups(name: str, clips: tuple[Clip, ...]) -> None:
    fold_of: dict[str, int] = {}
    for clip in clips:
        fold = fold_of.setdefault(clip.group, clip.fold)
        if fold != clip.fold:
            raise UsageError(
                f"data set {name}: recording {clip.group} is in folds {fold} and {clip.fold}",
                "training and test would share it: put its clips into one fold",
            )


TAU_LICENCE = "academic use only"
TAU_WHERE = "https://zenodo.org/records/"


def _tau_split(share: int) -> DatasetRow:
    return DatasetRow(
        title=f"DCASE 2024/25 task 1: TAU 2022 Mobile, {share} % of its training part",
        licence=TAU_LICENCE,
        load=partial(tau.load_split, share=share),
        hours=64,
        where=tau.SPLIT_URL,
        remotes=tau.split_remotes(share),
        expected=tau.EXPECTED[2022] if share == 100 else Expected(folds={2: tau.EXPECTED[2022].folds[2]}),
        splits=tau.SPLITS,
    )


DATASETS: dict[str, DatasetRow] = {
    "esc10": DatasetRow(
        title="ESC-10: 10 classes of environmental sound, 5 s clips",
        licence="CC BY",
        load=partial(esc50.load, classes=10),
        hours=0.6,
        where="https://github.com/karolpiczak/ESC-50",
        remotes=esc50.REMOTES,
        expected=esc50.expected(10),
    ),
    "esc50": DatasetRow(
        title="ESC-50: 50 classes of environmental sound, 5 s clips",
        licence="CC BY-NC",
        load=partial(esc50.load, classes=50),
        hours=2.8,
        where="https://github.com/karolpiczak/ESC-50",
        remotes=esc50.REMOTES,
        expected=esc50.expected(50),
    ),
    "tau2019": DatasetRow(
        title="TAU Urban Acoustic Scenes 2019: 10 scenes, 10 cities, 10 s clips",
        licence=TAU_LICENCE,
        load=partial(tau.load, year=2019),
        hours=40,
        where=TAU_WHERE + "2589280",
        remotes=tau.REMOTES[2019],
        expected=tau.EXPECTED[2019],
        splits=tau.SPLITS,
    ),
    "tau2020": DatasetRow(
        title="TAU Urban Acoustic Scenes 2020 Mobile: 10 scenes, 9 devices, 10 s clips",
        licence=TAU_LICENCE,
        load=partial(tau.load, year=2020),
        hours=64,
        where=TAU_WHERE + "3819968",
        remotes=tau.REMOTES[2020],
        expected=tau.EXPECTED[2020],
        splits=tau.SPLITS,
    ),
    "tau2022": DatasetRow(
        title="TAU Urban Acoustic Scenes 2022 Mobile: 10 scenes, 9 devices, 1 s clips",
        licence=TAU_LICENCE,
        load=partial(tau.load, year=2022),
        hours=64,
        where=TAU_WHERE + "6337421",
        remotes=tau.REMOTES[2022],
        expected=tau.EXPECTED[2022],
        splits=tau.SPLITS,
    ),
    **{f"tau2024-{share}": _tau_split(share) for share in tau.SHARES},
    "tut2017": DatasetRow(
        title="TUT Acoustic Scenes 2017: 15 scenes, 10 s clips, 4 folds",
        licence=TAU_LICENCE,
        load=tut2017.load,
        hours=13,
        where="https://zenodo.org/records/400515",
        remotes=tut2017.REMOTES,
        expected=tut2017.EXPECTED,
    ),
    "urbansound8k": DatasetRow(
        title="UrbanSound8K: 10 classes of city sound, up to 4 s, 10 folds",
        licence="CC BY-NC",
        load=urbansound8k.load,
        hours=8.75,
        where="https://zenodo.org/records/1203745",
        remotes=urbansound8k.REMOTES,
        expected=urbansound8k.EXPECTED,
    ),
    "sonyc": DatasetRow(
        title="SONYC-UST 2.3: city sensors, 8 coarse tags, 10 s clips",
        licence="CC BY",
        load=partial(sonyc.load, taxonomy="coarse"),
        hours=51,
        where="https://zenodo.org/records/3966543",
        remotes=sonyc.REMOTES,
        expected=sonyc.EXPECTED,
        multi_label=True,
        splits=sonyc.SPLITS,
    ),
    "sonyc-fine": DatasetRow(
        title="SONYC-UST 2.3: city sensors, 23 fine tags, 10 s clips",
        licence="CC BY",
        load=partial(sonyc.load, taxonomy="fine"),
        hours=51,
        where="https://zenodo.org/records/3966543",
        remotes=sonyc.REMOTES,
        expected=sonyc.EXPECTED,
        multi_label=True,
        splits=sonyc.SPLITS,
    ),
    "audioset": DatasetRow(
        title="AudioSet, balanced and evaluation: embeddings, 527 tags",
        licence="CC BY",
        load=audioset.load,
        where="https://research.google.com/audioset/download.html",
        remotes=audioset.REMOTES,
        multi_label=True,
        splits=audioset.SPLITS,
        pcm=audioset.pcm,
        identity=audioset.identity,
    ),
    "audioset-all": DatasetRow(
        title="AudioSet, with the unbalanced part: embeddings, 527 tags",
        licence="CC BY",
        load=partial(audioset.load, parts=tuple(audioset.FOLDS)),
        where="https://research.google.com/audioset/download.html",
        remotes=audioset.REMOTES,
        multi_label=True,
        splits=audioset.SPLITS,
        pcm=audioset.pcm,
        identity=audioset.identity,
    ),
    "scenes": DatasetRow(
        title="synthetic scenes: 10 urban scenes, 6 recording devices, 2 s clips made by code",
        licence="none needed: no recording is in them",
        load=scenes.load,
        needs_root=False,
        hours=0.5,
        pcm=scenes.pcm,
        identity=scenes.identity,
    ),
    "folders": DatasetRow(
        title="a tree of your own: one folder per label",
        licence="as its files say",
        load=load_folders,
    ),
}
