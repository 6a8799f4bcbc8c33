"""AudioSet as feature records: 128 bytes a second from VGGish, in TFRecord files, read without TensorFlow.

J. F. Gemmeke et al., "Audio Set: an ontology and human-labeled dataset for audio events", ICASSP 2017.  Facts
and where they are from: research.google.com/audioset/download.html: the three disjoint sets of segments from
distinct videos, 527 labels in class_labels_indices.csv (index, mid, display_name), records of type
tensorflow.SequenceExample (context video_id, start_time_seconds, end_time_seconds, labels; feature list
audio_embedding of 128 bytes each), 2.4 GB; the folders under audioset_v1_embeddings/ and the address: public
projects that read them.  No checksum is published.  How a byte stands for a real number: VGGish's
post-processor quantises -2 .. 2 to 0 .. 255.

A file is a run of records: length (uint64), masked CRC-32C of the length, the record, masked CRC-32C of the
record; numbers little-endian.  Fold 1 is bal_train, 2 eval, 3 unbal_train.  A group is a video.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcu_asc.audio.release import Expected, Remote, find_home, read_table
from mcu_asc.errors import UsageError
from mcu_asc.nouns import Clip

NAME = "audioset_v1_embeddings"
TABLE = "class_labels_indices.csv"
FOLDS = {"bal_train": 1, "eval": 2, "unbal_train": 3}
BALANCED = ("bal_train", "eval")
SPLITS = {"train": 1, "test": 2}
SIZE = 128  # bytes of an embedding, one a second
LOW, HIGH = -2.0, 2.0  # what the bytes 0 and 255 stand for
_CLOUD = "https://storage.googleapis.com/us_audioset/youtube_corpus/v1"
REMOTES = (
    Remote(TABLE, f"{_CLOUD}/csv/{TABLE}", into=NAME),
    Remote("features.tar.gz", f"{_CLOUD}/features/features.tar.gz"),
)
EXPECTED = Expected()  # videos vanish: releases differ by a few
Fields = Iterator[tuple[int, bytes | int]]


def load(root: Path, parts: tuple[str, ...] = BALANCED) -> tuple[tuple[str, ...], tuple[Clip, ...]]:
    """Labels by index and the clips, `tags` set, `offset` the record's place in its file.

    `root` is the folder audioset_v1_embeddings or the one that contains it.  Raises UsageError for a missing
    table or folder and a damaged file.
    """
    home = find_home(root, (NAME, "."), TABLE)
    rows = read_table(home / TABLE, ("index", "mid", "display_name"), numbers=("index",))
    labels = tuple(row["display_name"] for row in rows)
    if [int(row["index"]) for row in rows] != list(range(len(rows))):
        raise UsageError(f"{home / TABLE}: indices do not count up from 0", "use the table as released")
    clips: list[Clip] = []
    for part in parts:
        files = sorted((home / part).glob("*.tfrecord"))
        if not files:
            raise UsageError(f"{home / part}: no .tfrecord files", "unpack features.tar.gz beside the table")
        for path in files:
            clips += [_clip(path, offset, record, FOLDS[part], labels) for offset, record in records(path)]
    return labels, tuple(clips)


def embeddings(clip: Clip) -> NDArray[np.uint8]:
    """The clip's quantised embeddings, shape (seconds, 128); UsageError where the record is damaged."""
    assert clip.path is not None, clip.id
    for _, record in records(clip.path, clip.offset, check=True):
        lists = dict(_map(_field(record, 2)))
        frames = [_bytes(feature) for _, feature in _fields(lists.get("audio_embedding", b""))]
        if not frames or any(len(frame) != SIZE for frame in frames):
            raise UsageError(f"{clip.path}: {clip.id}: embeddings are not of {SIZE} bytes", "fetch it again")
        return np.frombuffer(b"".join(frames), np.uint8).reshape(-1, SIZE)
    raise UsageError(f"{clip.path}: no record at {clip.offset}", "open the data set again")


def dequantise(q: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Bytes -> real numbers, -2 .. 2."""
    return (q.astype(np.float32) * ((HIGH - LOW) / 255) + LOW).astype(np.float32)


def pcm(clip: Clip, _rate_hz: int) -> NDArray[np.int16]:
    """UsageError: the release holds no sound."""
    raise UsageError(f"{clip.id}: AudioSet holds embeddings, no audio", "use it to pre-train on embeddings")


def identity(clip: Clip) -> bytes:
    """Names the clip's content by its record."""
    return embeddings(clip).tobytes()


# ---- TFRecord files ----------------------------------------------------------------------------


def records(path: Path, offset: int = 0, check: bool = False) -> Iterator[tuple[int, bytes]]:
    """(offset, record) of a TFRecord file from `offset` on; `check` compares each record's CRC too.

    The CRC of the lengths is always compared.  Raises UsageError for a file that is cut short or damaged.
    """
    with path.open("rb") as file:
        file.seek(offset)
        while head := file.read(12):
            if len(head) == 12:
                length, length_crc = struct.unpack("<QI", head)
                if masked_crc(head[:8]) == length_crc:
                    record, crc = file.read(length), file.read(4)
                    whole = len(record) == length and len(crc) == 4
                    if whole and not (check and masked_crc(record) != struct.unpack("<I", crc)[0]):
                        yield offset, record
                        offset += 16 + length
                        continue
            raise UsageError(f"{path}: the record at {offset} is cut short or damaged", "fetch it again")


@cache
def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)  # Castagnoli, reflected
        table.append(crc)
    return table


def masked_crc(data: bytes) -> int:
    """CRC-32C of the data, rotated and offset as TFRecord files have it."""
    table, crc = _crc_table(), 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


# ---- the few messages of protocol buffers that they hold ---------------------------------------


def _clip(path: Path, offset: int, record: bytes, fold: int, labels: tuple[str, ...]) -> Clip:
    try:
        context = dict(_map(_field(record, 1)))
        video = _bytes(context["video_id"]).decode()
        start = _float(context["start_time_seconds"])
        tags = tuple(labels[i] for i in sorted(_integers(context["labels"])))
    except (KeyError, IndexError, ValueError, struct.error):
        raise UsageError(f"{path}: the record at {offset} is none of AudioSet's", "fetch it again") from None
    return Clip(f"{video}-{start:g}", tags[0] if tags else "", fold, video, path, tags=tags, offset=offset)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _fields(data: bytes) -> Fields:
    """(number, value) of a message: bytes for what has a length, integers for varints."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        value: bytes | int
        if kind == 0:
            value, at = _varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(kind)
            if kind == 2:
                size, at = _varint(data, at)
            if size is None or at + size > len(data):
                raise ValueError(f"wire type {kind}")
            value, at = data[at : at + size], at + size
        yield tag >> 3, value


def _field(data: bytes | int, number: int) -> bytes:
    """The last field of that number; empty where there is none."""
    assert isinstance(data, bytes)
    found = b""
    for n, value in _fields(data):
        if n == number and isinstance(value, bytes):
            found = value
    return found


def _map(data: bytes) -> Iterator[tuple[str, bytes]]:
    for number, entry in _fields(data):
        if number == 1:
            yield _field(entry, 1).decode(), _field(entry, 2)


def _bytes(feature: bytes | int) -> bytes:
    return _field(_field(feature, 1), 1)


def _float(feature: bytes) -> float:
    return float(struct.unpack("<f", _field(_field(feature, 2), 1))[0])


def _integers(feature: bytes) -> list[int]:
    found: list[int] = []
    for _, value in _fields(_field(feature, 3)):
        if isinstance(value, int):
            found.append(value)
        else:  # packed
            at = 0
            while at < len(value):
                one, at = _varint(value, at)
                found.append(one)
    return found
