"""Data sets: labels, folds, groups, selections, and one clear line for everything that can be wrong."""

from __future__ import annotations

import collections
import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mcu_asc.audio import esc50
from mcu_asc.audio.datasets import DATASETS, Dataset, open_dataset, parse_folds, select
from mcu_asc.errors import UsageError

TARGETS = (0, 1, 10, 11, 12, 20, 21, 38, 40, 41)  # ESC-10's places among ESC-50's


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A made-up ESC-10: 10 classes x 4 folds x 2 takes of 10 ms."""
    (tmp_path / "audio").mkdir()
    (tmp_path / "meta").mkdir()
    rows = []
    for target in reversed(TARGETS):  # the table's order is not the labels' order
        for fold in (1, 2, 3, 4):
            for take in "AB":
                name = f"{fold}-{1000 * target + fold}-{take}-{target}.wav"
                soundfile.write(tmp_path / "audio" / name, np.full(160, target, np.int16), 16_000)
                rows.append([name, fold, target, f"class{target}", True, 1000 * target + fold, take])
    write(tmp_path, [[*esc50.COLUMNS, "take"], *rows])
    return tmp_path


def write(root: Path, rows: list[list[object]]) -> None:
    with (root / esc50.TABLE).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def table(root: Path) -> list[list[str]]:
    with (root / esc50.TABLE).open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def refused(name: str, root: Path | None) -> str:
    with pytest.raises(UsageError) as error:
        open_dataset(name, root)
    assert error.value.hint
    assert "\n" not in str(error.value)
    return str(error.value)


def test_esc10_labels_are_in_target_order_and_clips_carry_their_samples(release: Path) -> None:
    ds = open_dataset("esc10", release)
    assert ds.labels == tuple(f"class{target}" for target in TARGETS)
    assert ds.folds == (1, 2, 3, 4)
    assert len(ds.clips) == 80
    clip = next(c for c in ds.clips if c.id == "3-10003-B-10.wav")
    assert (clip.label, clip.fold, clip.group) == ("class10", 3, "10003")
    assert np.array_equal(ds.pcm(clip, 16_000), np.full(160, 10, np.int16))
    assert ds.identity(clip) == ds.identity(next(c for c in ds.clips if c.label == "class10"))  # same bytes
    assert ds.identity(clip) != ds.identity(ds.clips[0])


@pytest.mark.parametrize("home", ["esc10", "ESC-50-master"])
def test_the_root_may_be_the_parent(
    release: Path, tmp_path_factory: pytest.TempPathFactory, home: str
) -> None:
    parent = tmp_path_factory.mktemp("parent")
    (parent / home).symlink_to(release)
    assert len(open_dataset("esc10", parent).clips) == 80


def test_the_root_may_come_from_the_environment(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCU_ASC_DATA", str(release))
    assert len(open_dataset("esc10").clips) == 80


def test_rows_outside_esc10_are_left_out(release: Path) -> None:
    write(release, [*table(release), ["not-there.wav", "1", "5", "cat", "False", "77", "A"]])
    assert len(open_dataset("esc10", release).clips) == 80


def test_what_is_wrong_is_named(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MCU_ASC_DATA", raising=False)
    assert "known: esc10" in refused("nope", release)
    missing = refused("esc10", None)
    assert "--data-root" in missing
    assert "MCU_ASC_DATA" in missing
    assert "no such folder" in refused("esc10", release / "none")
    assert "no meta/esc50.csv" in refused("esc10", release / "audio")
    assert "10 of the 50 classes" in refused("esc50", release)

    good = table(release)
    path = release / esc50.TABLE

    def broken(rows: list[list[str]]) -> str:
        write(release, rows)  # type: ignore[arg-type]
        return refused("esc10", release)

    message = broken([[name for name in row if name != row[1]] for row in good])
    assert f"{path}: no column fold" in message
    assert "esc50.csv:3: fold is 'one'" in broken([*good[:2], [good[2][0], "one", *good[2][2:]], *good[3:]])
    assert "esc50.csv:3: src_file is empty" in broken([*good[:2], good[2][:5], *good[3:]])
    assert "no column filename" in broken([])
    leak = [[*row[:5], good[1][5], row[6]] if row[1] == "2" else row for row in good]
    assert "is in folds 1 and 2" in broken(leak)
    path.write_bytes(b"\xff\xfe\x00bad")
    assert "not UTF-8" in refused("esc10", release)

    write(release, good)  # type: ignore[arg-type]
    (release / "audio" / good[5][0]).unlink()
    message = refused("esc10", release)
    assert str(release / "audio" / good[5][0]) in message


def test_select_takes_folds_and_a_balanced_part(release: Path) -> None:
    ds = open_dataset("esc10", release)
    assert select(ds) == ds.clips
    assert {c.fold for c in select(ds, "4")} == {4}
    assert select(ds, "1,2,3") == select(ds, "1-3") == tuple(c for c in ds.clips if c.fold < 4)
    for limit in (1, 7, 10, 13, 20, 200):
        part = select(ds, "1,2,3", limit)
        assert len(part) == min(limit, 60)
        assert part == select(ds, "1,2,3", limit)
        counts = collections.Counter(c.label for c in part)
        assert max(counts.values()) - min(counts[label] for label in ds.labels) <= 1
        assert [c for c in ds.clips if c in part] == list(part)
    assert set(select(ds, "4", 5)) < set(select(ds, "4", 9))  # more is more of the same
    for bad in ("5", "4,5", "0"):
        with pytest.raises(UsageError, match=r"no fold .*it has 1, 2, 3, 4"):
            select(ds, bad)
    with pytest.raises(UsageError, match="limit is 0"):
        select(ds, "4", 0)


def test_folds_are_read_strictly() -> None:
    assert parse_folds(" 3, 1,1") == (1, 3)
    assert parse_folds("2-4,1") == (1, 2, 3, 4)
    for bad in ("", "a", "1,", "-1", "3-1", "1-", "1.5", "1 2", "1-99999999999"):
        with pytest.raises(UsageError, match="cannot be read"):
            parse_folds(bad)


def test_folders(tmp_path: Path) -> None:
    for name in (
        "cat/a.wav",
        "cat/b.WAV",
        "dog/yard/1.flac",
        "dog/yard/2.wav",
        "cat/yard/9.wav",
        "dog/.x/h.wav",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(10, np.int16), 16_000)
    (tmp_path / "dog" / "notes.txt").write_text("no audio")
    soundfile.write(tmp_path / "loose.wav", np.zeros(10, np.int16), 16_000)
    ds = open_dataset("folders", tmp_path)
    assert ds.labels == ("cat", "dog")
    assert [c.id for c in ds.clips] == [
        "cat/a.wav",
        "cat/b.WAV",
        "cat/yard/9.wav",
        "dog/yard/1.flac",
        "dog/yard/2.wav",
    ]
    assert [c.group for c in ds.clips] == ["cat/a.wav", "cat/b.WAV", "yard", "yard", "yard"]
    assert {c.fold for c in ds.clips} <= {1, 2, 3, 4}
    assert "no audio files" in refused("folders", tmp_path / "dog" / ".x")


def check_no_leak(ds: Dataset) -> None:
    folds = collections.defaultdict(set)
    for clip in ds.clips:
        folds[clip.group].add(clip.fold)
    assert all(len(f) == 1 for f in folds.values())
    assert len({clip.id for clip in ds.clips}) == len(ds.clips)
    assert {clip.label for clip in ds.clips} == set(ds.labels)


@pytest.mark.parametrize("name", [name for name, row in DATASETS.items() if not row.needs_root])
def test_no_recording_is_in_two_folds_of_made_sets(name: str) -> None:
    check_no_leak(open_dataset(name))


def test_no_recording_is_in_two_folds_of_esc10(esc10_root: Path) -> None:
    ds = open_dataset("esc10", esc10_root)
    check_no_leak(ds)
    assert ds.labels[:3] == ("dog", "rooster", "rain")
    assert collections.Counter((c.fold, c.label) for c in ds.clips).most_common()[-1][1] == 8
    assert open_dataset("esc10", esc10_root.parent).clips == ds.clips
