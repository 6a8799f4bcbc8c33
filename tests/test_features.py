"""Features of clips: equal to the C's rows, kept on disk, and never wrong for a damaged or shared cache."""

from __future__ import annotations

import dataclasses
import multiprocessing
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mcu_asc import native
from mcu_asc.audio import features as module
from mcu_asc.audio import frontend
from mcu_asc.audio.datasets import Dataset, open_dataset, select
from mcu_asc.audio.features import features, windows
from mcu_asc.audio.frontend import Features
from mcu_asc.decide import count_alive
from mcu_asc.errors import UsageError
from mcu_asc.nouns import Clip, Decision, FrontEndConfig

CFG = FrontEndConfig()


def same(a: Features, b: Features) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in module.FIELDS)


def counted(ds: Dataset) -> tuple[Dataset, list[str]]:
    """The data set, and a list that grows by each clip whose samples are asked for."""
    asked: list[str] = []

    def pcm(clip: Clip, rate_hz: int) -> np.ndarray:
        asked.append(clip.id)
        return ds.pcm(clip, rate_hz)

    return dataclasses.replace(ds, pcm=pcm), asked


@pytest.fixture
def scenes() -> Dataset:
    return open_dataset("scenes")


def test_rows_equal_the_front_ends_and_come_back_from_disk(scenes: Dataset, tmp_path: Path) -> None:
    ds, asked = counted(scenes)
    clips = select(ds, "2,4", 12)
    steps: list[tuple[int, int]] = []
    first = features(ds, clips, CFG, lambda *step: steps.append(step), tmp_path)
    assert steps == [(k, 12) for k in range(1, 13)]
    assert list(first) == [c.id for c in clips]
    for clip in clips:
        assert same(first[clip.id], frontend.extract(scenes.pcm(clip, 16_000), CFG))
        assert first[clip.id].q.shape == (97, 64)
    assert sorted(asked) == sorted(c.id for c in clips)
    again = features(ds, clips, CFG, cache=tmp_path)
    assert len(asked) == 12  # no samples were made again
    assert all(same(first[c.id], again[c.id]) for c in clips)


def test_the_default_place_is_the_cache_folder(
    scenes: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCU_ASC_CACHE", str(tmp_path))
    features(scenes, scenes.clips[:2], CFG)
    assert len(list((tmp_path / "features").glob("??/*.npz"))) == 2


def test_anything_that_changes_the_rows_changes_the_key(
    scenes: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds, asked = counted(scenes)
    clips = ds.clips[:1]
    features(ds, clips, CFG, cache=tmp_path)
    other = dataclasses.replace(CFG, floor_fs2=1e-6)
    assert not same(
        features(ds, clips, other, cache=tmp_path)[clips[0].id],
        features(ds, clips, CFG, cache=tmp_path)[clips[0].id],
    )
    assert len(asked) == 2
    monkeypatch.setattr(native, "version", lambda: b"another C")
    features(ds, clips, CFG, cache=tmp_path)
    assert len(asked) == 3
    made = frontend.tables(CFG)
    other = dataclasses.replace(made, level_one=made.level_one + 1)
    monkeypatch.setattr(frontend, "tables", lambda cfg: other)
    features(ds, clips, CFG, cache=tmp_path)
    assert len(asked) == 4


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "data" / "cat" / "a.wav"
    path.parent.mkdir(parents=True)
    rows = []
    for level in (30, 300):
        soundfile.write(path, (np.arange(20_000) % 40 * level).astype(np.int16), 16_000)
        ds = open_dataset("folders", tmp_path / "data")
        rows.append(features(ds, ds.clips, CFG, cache=tmp_path / "cache")["cat/a.wav"])
    assert not same(*rows)


def test_a_short_clip_is_padded_to_one_window(tmp_path: Path) -> None:
    path = tmp_path / "data" / "cat" / "a.wav"
    path.parent.mkdir(parents=True)
    soundfile.write(path, np.full(300, 1_000, np.int16), 16_000)
    ds = open_dataset("folders", tmp_path / "data")
    rows = features(ds, ds.clips, CFG, cache=tmp_path)["cat/a.wav"]
    assert rows.q.shape == (CFG.rows, CFG.bands)
    padded = np.zeros(CFG.samples, np.int16)
    padded[:300] = 1_000
    assert same(rows, frontend.extract(padded, CFG))


def damaged(content: bytes) -> dict[str, bytes]:
    flipped = bytearray(content)
    flipped[len(content) // 3] ^= 1  # inside an array
    return {
        "empty": b"",
        "cut": content[: len(content) // 2],
        "one bit": bytes(flipped),
        "noise": bytes(range(256)) * 20,
        "pickle": b"\x80\x04N.",
    }


@pytest.mark.parametrize("kind", list(damaged(b"abc")))
def test_a_damaged_entry_is_computed_again(scenes: Dataset, tmp_path: Path, kind: str) -> None:
    ds, asked = counted(scenes)
    clips = ds.clips[:1]
    good = features(ds, clips, CFG, cache=tmp_path)[clips[0].id]
    (entry,) = tmp_path.rglob("*.npz")
    whole = entry.read_bytes()
    entry.write_bytes(damaged(whole)[kind])
    assert same(features(ds, clips, CFG, cache=tmp_path)[clips[0].id], good)
    assert len(asked) == 2
    assert same(features(ds, clips, CFG, cache=tmp_path)[clips[0].id], good)
    assert len(asked) == 2  # and it was mended


def test_every_flipped_bit_of_an_array_is_noticed(scenes: Dataset, tmp_path: Path) -> None:
    clip = scenes.clips[0]
    good = features(scenes, (clip,), CFG, cache=tmp_path)[clip.id]
    (entry,) = tmp_path.rglob("*.npz")
    whole = entry.read_bytes()
    for at in range(0, len(whole), 97):
        entry.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        found = module._read(entry, CFG.bands)
        assert found is None or same(found, good), at


def test_an_entry_of_another_shape_is_computed_again(scenes: Dataset, tmp_path: Path) -> None:
    clip = scenes.clips[0]
    good = features(scenes, (clip,), CFG, cache=tmp_path)[clip.id]
    (entry,) = tmp_path.rglob("*.npz")
    for change in ({"q": good.q[:-1]}, {"q": good.q.astype(np.int16)}, {"level_q9": good.log2_q9}):
        module._write(entry, dataclasses.replace(good, **change))
        assert same(features(scenes, (clip,), CFG, cache=tmp_path)[clip.id], good)


def test_a_cache_that_cannot_be_written_is_done_without(scenes: Dataset, tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("no folder")
    clip = scenes.clips[0]
    rows = features(scenes, (clip,), CFG, cache=place)[clip.id]
    assert same(rows, frontend.extract(scenes.pcm(clip, 16_000), CFG))


def test_errors_pass_through_at_once(scenes: Dataset, tmp_path: Path) -> None:
    asked: list[str] = []

    def pcm(clip: Clip, rate_hz: int) -> np.ndarray:
        asked.append(clip.id)
        time.sleep(0.01)
        raise UsageError(f"{clip.id}: no audio")

    ds = dataclasses.replace(scenes, pcm=pcm)
    with pytest.raises(UsageError, match=r"airport-1a-0-a: no audio"):
        features(ds, ds.clips, CFG, cache=tmp_path)
    assert len(asked) < 100  # of 960
    with pytest.raises(UsageError, match="bands"):
        features(ds, (), dataclasses.replace(CFG, bands=100_000), cache=tmp_path)
    assert not list(tmp_path.rglob("*.tmp"))


def _work(cache: Path, done: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    ds = open_dataset("scenes")
    found = features(ds, ds.clips[:20], CFG, cache=cache)
    done.put({id_: rows.q.tobytes() for id_, rows in found.items()})


def test_two_processes_fill_one_cache(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    done = context.Queue()
    both = [context.Process(target=_work, args=(tmp_path, done)) for _ in range(2)]
    for process in both:
        process.start()
    results = [done.get(timeout=60) for _ in both]
    for process in both:
        process.join(timeout=60)
        assert process.exitcode == 0
    assert results[0] == results[1]
    ds, asked = counted(open_dataset("scenes"))
    found = features(ds, ds.clips[:20], CFG, cache=tmp_path)
    assert {id_: rows.q.tobytes() for id_, rows in found.items()} == results[0]
    assert not asked
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_kill_in_the_middle_leaves_no_wrong_entry(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from mcu_asc.audio.datasets import open_dataset;"
        "from mcu_asc.audio.features import features; from mcu_asc.nouns import FrontEndConfig;"
        "ds = open_dataset('scenes');"
        f"features(ds, ds.clips, FrontEndConfig(), cache=Path({str(tmp_path)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while len(list(tmp_path.rglob("*.npz"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    entries = list(tmp_path.rglob("*.npz"))
    assert 5 <= len(entries) < 960
    assert all(module._read(entry, CFG.bands) for entry in entries)
    ds = open_dataset("scenes")
    found = features(ds, ds.clips[:8], CFG, cache=tmp_path)
    for clip in ds.clips[:8]:
        assert same(found[clip.id], frontend.extract(ds.pcm(clip, 16_000), CFG))


def test_a_full_disk_is_no_failure(scenes: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **arrays: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.np, "savez", full)
    assert len(features(scenes, scenes.clips[:2], CFG, cache=tmp_path)) == 2
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("n", [0, 1, 49, 50, 51, 74, 75, 97, 247])
def test_windows_are_views_that_start_every_hop(n: int) -> None:
    x = np.arange(n * 3, dtype=np.int8).reshape(n, 3)
    found = windows(x, 50, 25)
    expected = [x[start : start + 50] for start in range(0, n - 49, 25)]
    assert found.shape == (len(expected), 50, 3)
    assert found.dtype == np.int8
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert len(found) == len(count_alive(np.zeros(n, np.int16), 50, Decision(hop_rows=25)))
    if len(found):
        assert np.shares_memory(found, x)


def test_esc10(esc10_root: Path, tmp_path: Path) -> None:
    ds = open_dataset("esc10", esc10_root)
    clips = select(ds, "4", 10)
    found = features(ds, clips, CFG, cache=tmp_path)
    for clip in clips:
        assert same(found[clip.id], frontend.extract(ds.pcm(clip, 16_000), CFG))
        assert len(windows(found[clip.id].q, 50, 25)) >= 5
