"""Synthetic scenes: the same samples on every run, folds that share no location, labelled events."""

from __future__ import annotations

import collections
import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcu_asc.audio import scenes
from mcu_asc.audio.datasets import open_dataset, select
from mcu_asc.audio.synth import BACKGROUNDS, EVENTS, RATE
from mcu_asc.nouns import Clip

LABELS, CLIPS = scenes.load(Path())
BY_ID = {clip.id: clip for clip in CLIPS}

# SHA-256 of the int16 samples, little endian: if one changes, every shipped score on scenes changes with it.
GOLDEN = {
    "airport-1a-0-a": "416402b36867ab644d029390d953b7bae45f86e9874a2e964d60dc8f28530fa5",
    "tram-4h-2-s3": "7848b17e5799de5fd802bc4160e39af7009728ba825f18e748c15d321243e2bc",
}


def test_golden_clips() -> None:
    for id_, expected in GOLDEN.items():
        samples = scenes.pcm(BY_ID[id_], RATE).astype("<i2").tobytes()
        assert hashlib.sha256(samples).hexdigest() == expected, id_


def test_a_clip_does_not_depend_on_what_was_made_before() -> None:
    id_ = "metro-2c-2-a"
    here = scenes.pcm(BY_ID[id_])
    for other in CLIPS[::211]:
        scenes.pcm(other)
    assert np.array_equal(scenes.pcm(BY_ID[id_]), here)
    code = (
        "from pathlib import Path; import sys; from mcu_asc.audio import scenes;"
        f"c = next(c for c in scenes.load(Path())[1] if c.id == {id_!r});"
        "sys.stdout.buffer.write(scenes.pcm(c).tobytes())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert run.stdout == here.tobytes()


def test_the_set_is_balanced_and_no_location_is_in_two_folds() -> None:
    assert len(LABELS) == 10
    assert len(CLIPS) == len(BY_ID) == 960
    assert set(collections.Counter((c.label, c.fold) for c in CLIPS).values()) == {24}
    folds = collections.defaultdict(set)
    for clip in CLIPS:
        folds[clip.group].add(clip.fold)
    assert all(len(f) == 1 for f in folds.values())
    devices = collections.Counter((c.fold, c.device) for c in CLIPS)
    assert not any(devices[fold, "s3"] for fold in (1, 2, 3))
    assert not any(devices[fold, "s2"] for fold in (1, 2))
    assert all(devices[4, device] == 40 for device in scenes.DEVICES)


def test_no_two_clips_are_alike_and_none_is_silent_or_flat() -> None:
    seen = set()
    for clip in CLIPS[::23]:
        x = scenes.pcm(clip)
        assert x.dtype == np.int16
        assert x.shape == (scenes.SAMPLES,)
        level = 20 * np.log10(np.sqrt(np.mean((x / 32768.0) ** 2)))
        assert -45 < level < -5, (clip.id, level)
        assert np.mean(np.abs(x.astype(int)) >= 32767) < 1e-3
        seen.add(x.tobytes())
    assert len(seen) == len(CLIPS[::23])


def test_a_device_changes_the_sound_but_not_what_happened() -> None:
    clip = BY_ID["bus-1a-0-a"]
    other = replace(clip, id="bus-1a-0-s3", device="s3")
    assert scenes.events(clip) == scenes.events(other)
    a, b = scenes.pcm(clip).astype(float), scenes.pcm(other).astype(float)
    correlation = float(np.corrcoef(a, b)[0, 1])
    assert 0.3 < correlation < 0.999


def test_events_lie_in_the_clip_and_are_heard() -> None:
    kinds = collections.Counter()
    for clip in CLIPS[::7]:
        found = scenes.events(clip)
        assert found == scenes.events(clip)
        assert list(found) == sorted(found, key=lambda e: (e.onset_s, e.kind))
        for event in found:
            assert 0.0 <= event.onset_s < event.offset_s <= 2.0
            assert event.kind in {source.kind for source in scenes.SCENES[clip.label].sources}
            kinds[event.kind] += 1
    assert set(kinds) == set(EVENTS)


def test_an_event_raises_the_level_where_it_is_said_to_be() -> None:
    raised, checked = 0, 0
    for clip in CLIPS:
        found = [e for e in scenes.events(clip) if e.kind == "bird"] if clip.label == "park" else []
        if len(found) != 1 or not 0.3 < found[0].offset_s - found[0].onset_s < 1.2:
            continue
        x = scenes.pcm(clip) / 32768.0
        spectrum = np.fft.rfft(x)
        spectrum[: 2 * 2000] = 0  # above 2 kHz, where birds are and little else in a park
        power = np.fft.irfft(spectrum) ** 2
        inside = np.zeros(x.size, bool)
        inside[int(found[0].onset_s * RATE) : int(found[0].offset_s * RATE)] = True
        raised += bool(power[inside].mean() > power[~inside].mean())
        checked += 1
    assert checked >= 5
    assert raised >= 0.7 * checked


def test_every_table_entry_names_a_sound() -> None:
    for scene in scenes.SCENES.values():
        assert {layer.kind for layer in scene.layers} <= set(BACKGROUNDS)
        assert {source.kind for source in scene.sources} <= set(EVENTS)
    used = {layer.kind for scene in scenes.SCENES.values() for layer in scene.layers}
    assert used == set(BACKGROUNDS)


@pytest.mark.parametrize("model", [*BACKGROUNDS.items(), *EVENTS.items()], ids=lambda item: item[0])
def test_every_sound_is_finite_at_rms_1(model: tuple[str, object]) -> None:
    for seed in range(3):
        place, take = (np.random.Generator(np.random.PCG64(2 * seed + k)) for k in (0, 1))
        x = model[1](place, take)  # type: ignore[operator]
        assert x.ndim == 1
        assert x.size <= 3 * RATE
        assert np.isfinite(x).all()
        assert 0.5 < np.sqrt(np.mean(x * x)) < 1.5


def test_another_rate_is_resampled() -> None:
    assert scenes.pcm(CLIPS[0], 8_000).shape == (16_000,)
    assert scenes.pcm(CLIPS[0], 44_100).shape == (88_200,)


def test_identity_tells_clips_apart() -> None:
    assert len({scenes.identity(clip) for clip in CLIPS}) == len(CLIPS)


def test_it_opens_as_a_data_set_without_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MCU_ASC_DATA", raising=False)
    ds = open_dataset("scenes")
    part: tuple[Clip, ...] = select(ds, "4", 30)
    assert set(collections.Counter(c.label for c in part).values()) == {3}
    assert len({c.device for c in part}) >= 4
    assert np.array_equal(ds.pcm(part[0], RATE), scenes.pcm(part[0]))
