"""Synthetic acoustic scenes, made by code: ten urban scenes, four folds of locations, six recording devices.

It stands in for a scene data set where none can be downloaded: the demo, the tests and the first student
use it.  Names and protocol follow DCASE task 1: labels; devices a, b, c and simulated s1 to s3, of which s3
is heard only in fold 4 and s2 in folds 3 and 4; a location lies in one fold.  Nobody should read real-world
accuracy off it.

Clip `SCENE-FOLDLOCATION-TAKE-DEVICE` is decided by its name and SEED alone: 2 s, int16, the same samples on
every run (see synth.py).  A row of SCENES is a scene: background layers with levels and chances, events with
rates.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

from mcu_asc.audio.pcm import resample, to_int16
from mcu_asc.audio.synth import (
    BACKGROUNDS,
    BLOCK,
    EVENTS,
    RATE,
    Points,
    Signal,
    amplitude,
    curve,
    draw,
    reverberation,
    unit,
    white,
)
from mcu_asc.nouns import Clip

SEED = 1
VERSION = 1  # raise it whenever any sample of any clip changes
SAMPLES = 32_000  # 2 s
AUDIBLE = 800  # samples of an event inside the clip for it to count
LOCATIONS = "abcdefgh"  # per scene and fold
TAKES = 3  # per location
DEVICES_OF_FOLD = {  # one turn of takes; as in TAU Urban 2020, device a makes about half of the recordings
    1: ("a", "b", "a", "c", "a", "s1"),
    2: ("a", "c", "a", "s1", "a", "b"),
    3: ("a", "b", "a", "s2", "a", "c"),
    4: ("a", "b", "s1", "c", "s2", "s3"),
}


@dataclass(frozen=True)
class Layer:
    """A background of a scene: level in dB against the scene's other layers, drawn once for a location."""

    kind: str  # of synth.BACKGROUNDS
    level_db: tuple[float, float]
    chance: float = 1.0  # that a location has it


@dataclass(frozen=True)
class Source:
    """An event that a scene may have: how often, how loud against the background."""

    kind: str  # of synth.EVENTS
    per_s: float
    level_db: tuple[float, float] = (-2.0, 10.0)


@dataclass(frozen=True)
class Scene:
    level_dbfs: tuple[float, float]  # RMS of the background
    rt60_s: tuple[float, float]
    wet_db: tuple[float, float]  # reverberation against the direct sound
    layers: tuple[Layer, ...]
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Event:
    """One sound that can be told apart in a clip; times from the clip's start, cut at its ends."""

    kind: str
    onset_s: float
    offset_s: float


@dataclass(frozen=True)
class Device:
    """A recording device: its response, own noise, gain and where it begins to saturate."""

    response: Points
    noise_dbfs: float
    gain_db: float
    ceiling: float  # full scale = 1; soft above about a half of it
    echo: tuple[tuple[float, float], ...] = ()  # (ms, dB): reflections at the housing, a comb


@dataclass(frozen=True)
class _Sound:
    """An event's samples, before room and device."""

    kind: str
    first: int  # index of its first sample in the clip; negative: it began before
    samples: Signal


SCENES: dict[str, Scene] = {
    "airport": Scene(
        level_dbfs=(-34, -27),
        rt60_s=(1.4, 2.8),
        wet_db=(-3, 3),
        layers=(
            Layer("ventilation", (-3, 2)),
            Layer("babble", (-12, -2)),
            Layer("hall", (-8, -2)),
            Layer("jet", (-10, 0), 0.6),
            Layer("music", (-24, -14), 0.2),
        ),
        sources=(
            Source("announcement", 0.35),
            Source("trolley", 0.7, (-2, 8)),
            Source("footsteps", 0.35, (-4, 6)),
            Source("beep", 0.1),
            Source("clink", 0.08),
        ),
    ),
    "bus": Scene(
        level_dbfs=(-27, -20),
        rt60_s=(0.1, 0.25),
        wet_db=(-14, -8),
        layers=(
            Layer("diesel", (0, 5)),
            Layer("rumble", (-6, 1)),
            Layer("road", (-10, -3)),
            Layer("ventilation", (-14, -6)),
            Layer("talk", (-18, -8), 0.6),
        ),
        sources=(
            Source("beep", 0.25),
            Source("doors", 0.2),
            Source("announcement", 0.06),
            Source("squeal", 0.06, (-6, 4)),
            Source("shout", 0.05),
        ),
    ),
    "metro": Scene(
        level_dbfs=(-26, -18),
        rt60_s=(0.12, 0.3),
        wet_db=(-12, -5),
        layers=(
            Layer("rumble", (0, 5)),
            Layer("rolling", (-6, 0)),
            Layer("metro_drive", (-12, -3), 0.9),
            Layer("joints", (-5, 1), 0.85),
            Layer("ventilation", (-12, -5)),
            Layer("talk", (-20, -10), 0.4),
        ),
        sources=(
            Source("announcement", 0.12),
            Source("beep", 0.12),
            Source("squeal", 0.12, (-4, 6)),
            Source("doors", 0.1),
        ),
    ),
    "metro_station": Scene(
        level_dbfs=(-32, -24),
        rt60_s=(1.6, 3.2),
        wet_db=(0, 7),
        layers=(
            Layer("hall", (-5, 1)),
            Layer("rumble", (-4, 3), 0.9),
            Layer("babble", (-14, -5)),
            Layer("ventilation", (-10, -3)),
            Layer("hum", (-12, -4), 0.8),
            Layer("metro_drive", (-18, -8), 0.4),
        ),
        sources=(
            Source("announcement", 0.2),
            Source("footsteps", 0.4, (-4, 6)),
            Source("squeal", 0.45, (-3, 7)),
            Source("beep", 0.2),
            Source("doors", 0.2),
        ),
    ),
    "park": Scene(
        level_dbfs=(-40, -31),
        rt60_s=(0.1, 0.3),
        wet_db=(-24, -16),
        layers=(
            Layer("air", (-4, 2)),
            Layer("wind", (-8, 3), 0.8),
            Layer("leaves", (-22, -9), 0.8),
            Layer("road", (-18, -6), 0.6),
            Layer("talk", (-20, -8), 0.4),
        ),
        sources=(
            Source("bird", 0.5, (-8, 8)),
            Source("footsteps", 0.25, (-6, 4)),
            Source("shout", 0.12),
        ),
    ),
    "public_square": Scene(
        level_dbfs=(-36, -28),
        rt60_s=(0.5, 0.9),
        wet_db=(-10, -4),
        layers=(
            Layer("air", (-3, 3)),
            Layer("fountain", (-14, -3), 0.75),
            Layer("babble", (-14, -5)),
            Layer("road", (-12, -4)),
            Layer("wind", (-10, -1), 0.7),
            Layer("music", (-26, -14), 0.15),
        ),
        sources=(
            Source("footsteps", 0.25, (-4, 5)),
            Source("shout", 0.5, (-3, 8)),
            Source("bird", 0.3, (-8, 4)),
            Source("bell", 0.2),
            Source("car_passing", 0.08, (-4, 4)),
        ),
    ),
    "shopping_mall": Scene(
        level_dbfs=(-32, -25),
        rt60_s=(0.6, 1.3),
        wet_db=(-8, -1),
        layers=(
            Layer("babble", (-4, 3)),
            Layer("hall", (-8, -1)),
            Layer("ventilation", (-10, -3)),
            Layer("music", (-8, 0), 0.85),
        ),
        sources=(
            Source("footsteps", 0.35, (-4, 5)),
            Source("clink", 0.5),
            Source("beep", 0.35),
            Source("shout", 0.12),
            Source("announcement", 0.05),
            Source("trolley", 0.08, (-4, 4)),
        ),
    ),
    "street_pedestrian": Scene(
        level_dbfs=(-33, -26),
        rt60_s=(0.15, 0.4),
        wet_db=(-16, -8),
        layers=(
            Layer("babble", (-5, 3)),
            Layer("air", (-6, 0)),
            Layer("road", (-10, -3)),
            Layer("music", (-24, -12), 0.3),
            Layer("wind", (-16, -6), 0.3),
        ),
        sources=(
            Source("footsteps", 1.2, (0, 9)),
            Source("shout", 0.1),
            Source("clink", 0.15),
            Source("trolley", 0.12, (-4, 4)),
            Source("car_passing", 0.1, (-4, 3)),
            Source("bell", 0.03),
        ),
    ),
    "street_traffic": Scene(
        level_dbfs=(-28, -19),
        rt60_s=(0.2, 0.6),
        wet_db=(-16, -8),
        layers=(
            Layer("road", (0, 4)),
            Layer("cars", (-10, 0)),
            Layer("air", (-8, 0)),
            Layer("diesel", (-14, -5), 0.3),
            Layer("wind", (-12, -3), 0.4),
            Layer("talk", (-22, -10), 0.3),
        ),
        sources=(
            Source("car_passing", 0.9, (0, 9)),
            Source("horn", 0.15),
            Source("squeal", 0.05, (-6, 3)),
            Source("footsteps", 0.15, (-6, 2)),
        ),
    ),
    "tram": Scene(
        level_dbfs=(-29, -21),
        rt60_s=(0.1, 0.3),
        wet_db=(-14, -7),
        layers=(
            Layer("rolling", (0, 4)),
            Layer("rumble", (-10, -3)),
            Layer("tram_drive", (-8, 0), 0.95),
            Layer("joints", (-16, -7), 0.4),
            Layer("road", (-14, -6), 0.5),
            Layer("talk", (-14, -5), 0.7),
        ),
        sources=(
            Source("bell", 0.35),
            Source("squeal", 0.2, (-4, 6)),
            Source("doors", 0.12),
            Source("announcement", 0.08),
            Source("beep", 0.1),
        ),
    ),
}
LABELS = tuple(SCENES)

DEVICES: dict[str, Device] = {
    "a": Device(((20, -3), (60, 0), (7000, 0), (8000, -2)), -72, 0.0, 1.0),
    "b": Device(
        ((20, -24), (120, -6), (300, 0), (2500, 2), (4500, 3), (7000, -2), (8000, -8)), -66, 2.0, 0.8
    ),
    "c": Device(
        ((20, -24), (150, -8), (400, -1), (1200, 1), (3000, -2), (6000, 2), (8000, -10)), -64, -2.0, 0.7
    ),
    "s1": Device(
        ((20, -12), (200, 1), (600, -2), (1800, 2), (5000, -3), (8000, -8)), -66, 1.0, 0.6, ((0.4, -12),)
    ),
    "s2": Device(
        ((20, -18), (250, -4), (900, 1), (3500, 3), (6000, -5), (8000, -14)), -62, 2.0, 0.5, ((0.25, -10),)
    ),
    "s3": Device(
        ((20, -9), (100, 2), (500, 0), (2000, -3), (4000, 2), (8000, -5)), -64, -2.0, 0.5, ((0.8, -10),)
    ),
}


def load(_root: Path) -> tuple[tuple[str, ...], tuple[Clip, ...]]:
    """Labels and the 960 clips; nothing is read."""
    clips = []
    for fold, devices in DEVICES_OF_FOLD.items():
        for label in LABELS:
            for number, location in enumerate(LOCATIONS):
                group = f"{label}-{fold}{location}"
                for take in range(TAKES):
                    device = devices[(take + TAKES * number) % len(devices)]
                    clips.append(Clip(f"{group}-{take}-{device}", label, fold, group, None, device))
    return LABELS, tuple(clips)


def pcm(clip: Clip, rate_hz: int = RATE) -> NDArray[np.int16]:
    """The clip's samples, shape (32000,) at 16 kHz; resampled for another rate."""
    mix = _in_the_room(clip)
    quantised = to_int16(_recorded(mix, clip))
    if rate_hz == RATE:
        return quantised
    return to_int16(resample(quantised / 32768.0, RATE, rate_hz))


def identity(clip: Clip) -> bytes:
    """What decides the samples: generator, version, seed and the clip's name."""
    return hashlib.sha256(f"scenes {VERSION} {SEED} {clip.id}".encode()).digest()


def events(clip: Clip) -> tuple[Event, ...]:
    """What can be heard in the clip beside its background, by onset."""
    found = [
        Event(h.kind, max(0, h.first) / RATE, min(SAMPLES, h.first + h.samples.size) / RATE)
        for h in _heard(clip)
    ]
    return tuple(sorted(found, key=lambda event: (event.onset_s, event.kind)))


def _rng(*key: str) -> Generator:
    """A generator that its key decides, whatever else is drawn before or after."""
    text = "/".join((f"scenes {VERSION} {SEED}", *key))
    return Generator(PCG64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")))


def _moment(clip: Clip) -> str:
    """The clip's name without the device: the same moment for all of them."""
    return clip.id.rpartition("-")[0]


def _background(clip: Clip) -> Signal:
    """The layers' sum at RMS 1, shape (BLOCK,)."""
    background = np.zeros(BLOCK)
    for layer in SCENES[clip.label].layers:
        place, take = _rng(clip.group, layer.kind), _rng(_moment(clip), layer.kind)
        present, level_db = place.random() < layer.chance, draw(place, *layer.level_db)
        if present:
            level_db += draw(take, -1.5, 1.5)
            background += amplitude(level_db) * BACKGROUNDS[layer.kind](place, take)
    return unit(background)


def _heard(clip: Clip) -> list[_Sound]:
    """The events at their levels against a background of RMS 1."""
    heard = []
    for source in SCENES[clip.label].sources:
        often = 2.0 * _rng(clip.group, source.kind, "often").random()  # some places have more of it
        take = _rng(_moment(clip), source.kind)
        for half_second in range(-2, 4):
            starts, at_s, level_db = take.random(), draw(take, 0.0, 0.5), draw(take, *source.level_db)
            if starts < often * source.per_s * 0.5:
                samples = EVENTS[source.kind](_rng(clip.group, source.kind), take)
                first = int((0.5 * half_second + at_s) * RATE)
                if first + samples.size > AUDIBLE and first < SAMPLES - AUDIBLE:
                    heard.append(_Sound(source.kind, first, amplitude(level_db) * samples))
    return heard


def _in_the_room(clip: Clip) -> NDArray[np.complex128]:
    """Spectrum of the whole mix with its reverberation, at the level of the place."""
    mix = _background(clip)
    for event in _heard(clip):
        first, last = max(0, event.first), min(SAMPLES, event.first + event.samples.size)
        mix[first:last] += event.samples[first - event.first : last - event.first]
    spectrum: NDArray[np.complex128] = np.fft.rfft(mix) * _room(clip.label, clip.group)
    return spectrum


@lru_cache(maxsize=8)  # a location's clips follow each other
def _room(label: str, group: str) -> NDArray[np.complex128]:
    scene, place = SCENES[label], _rng(group, "room")
    level_dbfs = draw(place, *scene.level_dbfs)
    wet = amplitude(draw(place, *scene.wet_db))
    room: NDArray[np.complex128] = 1.0 + wet * reverberation(place, draw(place, *scene.rt60_s))
    room *= amplitude(level_dbfs) / (1.0 + wet * wet) ** 0.5
    return room


def _recorded(spectrum: NDArray[np.complex128], clip: Clip) -> Signal:
    """What the device makes of it: response, reflections, own noise, gain, soft saturation; full scale 1."""
    device = DEVICES[clip.device]
    response = curve(device.response).astype(np.complex128)
    for delay_ms, db in device.echo:
        turns = np.arange(response.size) * (delay_ms * 1e-3 * RATE / BLOCK)
        response *= 1.0 + amplitude(db) * np.exp(-2j * np.pi * turns)
    response *= amplitude(device.gain_db)
    # A bin of `white` has the mean power 1/6, so this makes noise of RMS 1.
    hiss = white(_rng(clip.id, "self-noise"), response.size) * (6.0 * BLOCK) ** 0.5
    x = np.fft.irfft(spectrum * response + amplitude(device.noise_dbfs) * hiss, BLOCK)[:SAMPLES]
    saturated: Signal = device.ceiling * np.tanh(x / device.ceiling)
    return saturated
