"""Sound models for the synthetic scenes: backgrounds, events and recording devices, in NumPy alone.

Every model is a function (place, take) -> float64 samples of RMS 1 at RATE.  `place` is a generator that
starts the same for all clips of one location (the room's hum, the bus's engine, the shoes on that floor),
`take` one that starts the same for one clip.

To be the same everywhere, models draw from Generator.random alone, the plain mapping of PCG64's bits; what
other distributions a NumPy release draws may change.  Filters are products of spectra at fixed lengths,
without feedback, so that a last-bit difference between two FFTs or sines stays one and drowns in the final
rounding.
Blocks are circular: what rings past the end is heard at the start, as if it came from before the cut.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Signal = NDArray[np.float64]
Model = Callable[[Generator, Generator], Signal]
Points = tuple[tuple[float, float], ...]  # (Hz, dB), ascending

RATE = 16_000
BLOCK = 32_768  # 2.048 s: a power of two just above a clip
SHORT = 4_096  # for bursts

# ---- tools -------------------------------------------------------------------------------------


def draw(rng: Generator, low: float, high: float) -> float:
    """One number of the uniform distribution over [low, high)."""
    return low + (high - low) * float(rng.random())


def draws(rng: Generator, low: float, high: float, count: int) -> Signal:
    """`count` of them."""
    return low + (high - low) * rng.random(count)


def count(rng: Generator, low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return low + int(rng.random() * (high - low + 1))


def amplitude(db: float) -> float:
    return float(10.0 ** (db / 20.0))


def unit(x: Signal) -> Signal:
    """The same signal at RMS 1; silence stays silence."""
    rms = float(np.sqrt(np.mean(x * x)))
    return x / rms if rms > 0 else x


def unit_spectrum(x: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """The same spectrum of BLOCK samples for a signal of RMS 1; its DC is empty, as curves leave it."""
    power = 2.0 * float(np.sum(x.real**2 + x.imag**2)) - abs(x[-1]) ** 2
    return x * (BLOCK / power**0.5) if power > 0 else x


@cache
def hertz(block: int) -> Signal:
    """Centre of each bin of a real FFT, shape (block // 2 + 1,)."""
    return np.arange(block // 2 + 1, dtype=np.float64) * (RATE / block)


@cache
def _octaves(block: int) -> Signal:
    return np.log2(np.maximum(hertz(block), 20.0))


def response(points: Points, block: int = BLOCK) -> Signal:
    """Amplitude at each bin of a response drawn through (Hz, dB), straight over log frequency."""
    at, db = zip(*points, strict=True)
    gain: Signal = np.exp(np.interp(_octaves(block), np.log2(at), db) * (np.log(10.0) / 20.0))
    gain[: int(20.0 * block / RATE)] = 0.0  # no microphone hears it
    return gain


curve = cache(response)  # for the fixed ones; those that a place bends are made anew


def bent(rng: Generator, points: Points, db: float) -> Points:
    """The same response with each point moved up or down by at most `db`."""
    return tuple((at, level + draw(rng, -db, db)) for at, level in points)


def resonances(*formants: tuple[float, float, float]) -> NDArray[np.complex128]:
    """Sum of resonators (Hz, bandwidth Hz, dB) as a response at each bin of BLOCK."""
    f = hertz(BLOCK)
    total = np.zeros(f.shape, np.complex128)
    for at, width, db in formants:
        total += amplitude(db) * (width / at) / (1.0 - (f / at) ** 2 + 1j * f * (width / at**2))
    return total


vowel = cache(resonances)


def white(rng: Generator, bins: int) -> NDArray[np.complex128]:
    """The spectrum of noise: even parts in the plane; many bins make its samples Gaussian."""
    return (rng.random(2 * bins) - 0.5).view(np.complex128)


def shaped(rng: Generator, gain: Signal, length: int = 0) -> Signal:
    """Noise with the given amplitude at each bin, RMS 1, its first `length` samples or all."""
    noise = np.fft.irfft(white(rng, gain.size) * gain)
    return unit(noise[:length] if length else noise)


def swell(rng: Generator, knots_hz: float, depth_db: float, length: int = BLOCK) -> Signal:
    """A gain that wanders by +-depth_db between random knots, `knots_hz` of them a second."""
    step = RATE / knots_hz
    knots = draws(rng, -depth_db, depth_db, int(length / step) + 2) * (np.log(10.0) / 20.0)
    gain: Signal = np.exp(np.interp(np.arange(length) / step, np.arange(knots.size), knots))
    return gain


def pulses(at_s: Signal, height: Signal) -> Signal:
    """A block with a pulse of each height at each time, wrapped around."""
    index = (at_s * RATE).astype(np.int64) % BLOCK
    return np.bincount(index, height, BLOCK).astype(np.float64)


def filtered(x: Signal, gain: NDArray[np.float64] | NDArray[np.complex128]) -> Signal:
    return np.fft.irfft(np.fft.rfft(x) * gain, BLOCK)


def tone(hz: Signal, partials: tuple[float, ...] = (1.0,)) -> Signal:
    """A sum of harmonics of a moving fundamental, one value of `hz` a sample."""
    phase = np.cumsum(hz) * (2.0 * np.pi / RATE)
    before, now = np.zeros(hz.size), np.sin(phase)
    x = partials[0] * now
    twice = 2.0 * np.cos(phase) if len(partials) > 1 else now
    for level in partials[1:]:
        before, now = now, twice * now - before  # sin kp = 2 cos p sin (k-1)p - sin (k-2)p
        x += level * now
    return x


def hump(length: int, rise: float = 0.5) -> Signal:
    """An envelope 0 -> 1 -> 0 with its top at the share `rise` of the length."""
    top = max(1, int(length * rise))
    t = np.arange(length)
    up = np.where(t < top, t / top, (length - t) / max(1, length - top))
    envelope: Signal = np.sin(0.5 * np.pi * up) ** 2
    return envelope


def train(parts: list[Signal], starts_s: list[float]) -> Signal:
    """Parts laid one after the other, each from its own start on."""
    ends = [int(s * RATE) + p.size for p, s in zip(parts, starts_s, strict=True)]
    x = np.zeros(max(ends))
    for part, start in zip(parts, starts_s, strict=True):
        x[int(start * RATE) : int(start * RATE) + part.size] += part
    return unit(x)


def reverberation(place: Generator, rt60_s: float) -> NDArray[np.complex128]:
    """Response of a room: decaying noise, darker than its source, energy 1."""
    t = np.arange(BLOCK) / RATE
    tail = (place.random(BLOCK) - 0.5) * np.exp(t * (-6.9 / rt60_s))
    tail /= np.sqrt(np.sum(tail * tail))
    return np.fft.rfft(tail) * curve(((100, 0), (1500, 0), (8000, -12)))


# ---- voices ------------------------------------------------------------------------------------

VOWELS = (
    ((730.0, 90.0, 0.0), (1090.0, 110.0, -5.0), (2440.0, 160.0, -22.0)),
    ((530.0, 80.0, 0.0), (1840.0, 120.0, -12.0), (2480.0, 160.0, -18.0)),
    ((270.0, 60.0, 0.0), (2290.0, 140.0, -18.0), (3010.0, 180.0, -22.0)),
    ((300.0, 60.0, 0.0), (870.0, 100.0, -12.0), (2240.0, 160.0, -34.0)),
)
FRICATIVE: Points = ((500, -40), (2000, -12), (4500, 0), (8000, -6))


def voices(take: Generator, talkers: int, f0_hz: tuple[float, float], pauses: float = 0.25) -> Signal:
    """Talkers at once: glottal pulses through a vowel for each syllable, and hiss between the syllables."""
    trains = np.zeros((len(VOWELS), BLOCK))
    hiss, breath = np.zeros(BLOCK), hump(int(0.06 * RATE))
    for _ in range(talkers):
        bounds = np.cumsum(draws(take, 0.09, 0.28, 16))
        bounds *= max(1.0, BLOCK / RATE / bounds[-1])
        loud = np.where(take.random(16) < pauses, 0.0, draws(take, 0.25, 1.0, 16)) * draw(take, 0.4, 1.0)
        sound = (take.random(16) * len(VOWELS)).astype(np.int64)
        base = draw(take, *f0_hz)
        melody = draws(take, 0.8, 1.2, 16)
        at = np.cumsum(draws(take, 0.99, 1.01, int(2.8 * base)) / base)
        at = at[at < bounds[-1]]
        syllable = np.searchsorted(bounds, at, side="right").clip(0, 15)
        at = np.cumsum(np.diff(at, prepend=0.0) / melody[syllable])
        syllable = np.searchsorted(bounds, at, side="right").clip(0, 15)
        begin = np.concatenate(([0.0], bounds[:-1]))[syllable]
        inside = ((at - begin) / (bounds[syllable] - begin)).clip(0.0, 1.0)
        height = loud[syllable] * np.sqrt(np.sin(np.pi * inside))
        for v in range(len(VOWELS)):
            chosen = sound[syllable] == v
            trains[v] += pulses(at[chosen], height[chosen])
        for start, level in zip(bounds, loud, strict=True):
            first = int(start * RATE) % (BLOCK - breath.size)
            hiss[first : first + breath.size] += level * breath
    voiced = np.zeros(BLOCK // 2 + 1, np.complex128)
    for x, formants in zip(trains, VOWELS, strict=True):
        voiced += np.fft.rfft(x) * vowel(*formants)
    voiced *= curve(((20, -60), (90, 0), (8000, 0)))
    unvoiced = np.fft.rfft(hiss * (take.random(BLOCK) - 0.5)) * curve(FRICATIVE)
    return unit(np.fft.irfft(unit_spectrum(voiced) + 0.2 * unit_spectrum(unvoiced), BLOCK))


# ---- backgrounds -------------------------------------------------------------------------------


def noise(points: Points, bend_db: float = 3.0, knots_hz: float = 2.0, depth_db: float = 1.5) -> Model:
    """A model of shaped noise: `points` bent by the place, slowly wandering in the take."""

    def model(place: Generator, take: Generator) -> Signal:
        gain = response(bent(place, points, bend_db))
        return unit(shaped(take, gain) * swell(take, knots_hz, depth_db * draw(place, 0.5, 1.5)))

    return model


def babble(few: int, many: int) -> Model:
    """A model of a crowd of `few` to `many` talkers."""

    def model(place: Generator, take: Generator) -> Signal:
        return voices(take, count(place, few, many), (95.0, 240.0), draw(place, 0.1, 0.4))

    return model


def engine(low_hz: float, high_hz: float) -> Model:
    """A model of a combustion engine that fires low_hz to high_hz times a second."""

    def model(place: Generator, take: Generator) -> Signal:
        rate = draw(place, low_hz, high_hz)
        uneven = draws(place, 0.6, 1.4, 4)
        body = (
            (draw(place, 55, 90), 40.0, 0.0),
            (draw(place, 130, 260), 70.0, -6.0),
            (draw(place, 500, 1100), 500.0, -14.0),
        )
        drift = swell(take, 1.0, 1.5, 4)[0] * np.linspace(1.0, draw(take, 0.9, 1.12), int(2.9 * rate))
        at = np.cumsum(draws(take, 0.98, 1.02, drift.size) / (rate * drift))
        at = at[at < BLOCK / RATE]
        fired = filtered(pulses(at, uneven[np.arange(at.size) % 4]), resonances(*body))
        return unit(unit(fired) + draw(place, 0.15, 0.4) * shaped(take, curve(ENGINE_HISS)))

    return model


def drive(low_hz: float, high_hz: float) -> Model:
    """A model of an electric drive: a few harmonics that follow the speed, up, down or steady."""

    def model(place: Generator, take: Generator) -> Signal:
        start = draw(place, low_hz, high_hz)
        end = start * draw(take, 0.8, 1.35)
        partials = tuple(draws(place, 0.3, 1.0, 3) * (1.0, 0.7, 0.4))
        return unit(tone(np.linspace(start, end, BLOCK), partials) * swell(take, 2.0, 4.0))

    return model


def joints(place: Generator, take: Generator) -> Signal:
    """Wheels over rail joints: double knocks at the pace of the ride."""
    pace = draw(place, 0.35, 0.9)
    at = np.arange(draw(take, 0.0, pace), BLOCK / RATE, pace)
    both = np.concatenate((at, at + draw(place, 0.06, 0.14)))
    knock = ((draw(place, 80, 140), 60.0, 0.0), (draw(place, 300, 700), 250.0, -9.0))
    return unit(filtered(pulses(both, draws(take, 0.5, 1.0, both.size)), resonances(*knock)))


def hum(place: Generator, take: Generator) -> Signal:
    """Mains hum of lamps and ventilation: harmonics of 50 Hz, steady."""
    levels = tuple(draws(place, 0.0, 1.0, 8) * (0.3, 1.0, 0.2, 0.7, 0.2, 0.5, 0.1, 0.3))
    return unit(tone(np.full(BLOCK, 50.0 * draw(take, 0.999, 1.001)), levels))


def music(place: Generator, take: Generator) -> Signal:
    """A quiet chord sequence from loudspeakers in the ceiling."""
    root = 220.0 * 2.0 ** (count(place, 0, 11) / 12.0)
    beat = draw(place, 0.3, 0.6)
    steps = (0, 2, 4, 5, 7, 9, 11, 12)
    x = np.zeros(BLOCK)
    for start in np.arange(0.0, BLOCK / RATE - 0.05, beat):
        first = int(start * RATE)
        length = min(int(1.6 * beat * RATE), BLOCK - first)
        decay = np.exp(np.arange(length) * (-3.0 / (beat * RATE))) * hump(length, 0.02)
        for _ in range(2):
            hz = root * 2.0 ** (steps[count(take, 0, 7)] / 12.0)
            x[first : first + length] += decay * tone(np.full(length, hz), (1.0, 0.4, 0.2))
    return unit(x)


ENGINE_HISS: Points = ((20, -30), (150, -6), (800, 0), (2500, -10), (8000, -26))

BACKGROUNDS: dict[str, Model] = {
    "air": noise(((20, 6), (100, 0), (500, -8), (2000, -18), (8000, -32))),  # a far city
    "ventilation": noise(((20, 0), (120, 2), (400, 0), (1500, -8), (8000, -24)), depth_db=0.5),
    "hall": noise(((20, -4), (150, 0), (600, -3), (2000, -12), (8000, -30)), depth_db=1.0),
    "wind": noise(((20, 10), (60, 6), (200, -8), (1000, -26), (8000, -44)), knots_hz=4.0, depth_db=6.0),
    "leaves": noise(((20, -40), (800, -18), (3000, 0), (8000, -4)), knots_hz=3.0, depth_db=4.0),
    "road": noise(((20, -6), (80, 0), (300, -4), (900, 0), (2000, -9), (8000, -30)), depth_db=3.0),
    "fountain": noise(((20, -30), (300, -12), (1000, -3), (3500, 0), (8000, -8)), depth_db=0.8),
    "rumble": noise(((20, 4), (60, 4), (150, 0), (500, -10), (2000, -24), (8000, -42)), depth_db=2.5),
    "rolling": noise(((20, -12), (150, -4), (500, 0), (1200, -2), (3000, -12), (8000, -30)), depth_db=2.5),
    "jet": noise(
        ((20, 0), (100, 2), (400, 0), (1500, -4), (4000, -14), (8000, -30)), knots_hz=1.0, depth_db=5.0
    ),
    "babble": babble(4, 8),
    "talk": babble(1, 3),
    "diesel": engine(22.0, 42.0),
    "cars": engine(35.0, 75.0),
    "metro_drive": drive(620.0, 1100.0),
    "tram_drive": drive(240.0, 420.0),
    "joints": joints,
    "hum": hum,
    "music": music,
}

# ---- events: short sounds, of any length up to BLOCK --------------------------------------------


def steps(place: Generator, take: Generator) -> Signal:
    """Footsteps: heel and sole of the place's floor."""
    pace = draw(take, 0.42, 0.62)
    hard = draw(place, -18.0, 0.0)
    floor = response(((20, -20), (120, 0), (400, -4), (1500, hard), (8000, hard - 14)), SHORT)
    parts, starts = [], []
    for k in range(count(take, 2, 5)):
        length = count(take, 700, 1400)
        parts.append(
            shaped(take, floor, length) * np.exp(np.arange(length) * (-5.0 / length)) * draw(take, 0.6, 1)
        )
        starts.append(k * pace + draw(take, 0.0, 0.03))
    return train(parts, starts)


def bird(place: Generator, take: Generator) -> Signal:
    """A bird: a few sweeps of the place's species."""
    low, span, length_s = draw(place, 2200, 4200), draw(place, -1200, 1800), draw(place, 0.04, 0.14)
    parts, starts, at = [], [], 0.0
    for _ in range(count(take, 2, 7)):
        length = int(length_s * draw(take, 0.7, 1.3) * RATE)
        sweep = low * draw(take, 0.92, 1.08) + span * np.linspace(0.0, 1.0, length) ** 2
        parts.append(tone(sweep) * hump(length))
        starts.append(at)
        at += length / RATE + draw(take, 0.02, 0.12)
    return train(parts, starts)


def beep(place: Generator, take: Generator) -> Signal:
    """Beeps of a closing door or a ticket machine."""
    hz, length, gap = draw(place, 800, 2400), int(draw(place, 0.06, 0.16) * RATE), draw(place, 0.05, 0.15)
    part = tone(np.full(length, hz), (1.0, 0.1, 0.35)) * np.minimum(1.0, 8.0 * hump(length))
    number = count(take, 1, 5)
    return train([part] * number, [k * (length / RATE + gap) for k in range(number)])


def announcement(place: Generator, take: Generator) -> Signal:
    """One voice through a loudspeaker, often after a chime."""
    voice = voices(take, 1, (120.0, 220.0), 0.1)
    voice = unit(
        filtered(voice, curve(((20, -60), (300, -6), (500, 0), (3400, 0), (5000, -40), (8000, -60))))
    )
    voice = voice[: count(take, 14_000, 30_000)]
    if take.random() < 0.5:
        return voice
    length = int(0.45 * RATE)
    hz = draw(place, 450, 800)
    bell = np.exp(np.arange(length) * (-4.0 / length)) * hump(length, 0.01)
    chime = [2.0 * bell * tone(np.full(length, hz * ratio), (1.0, 0.3)) for ratio in (1.26, 1.0)]
    return train([*chime, voice], [0.0, 0.4, 0.9])


def shout(place: Generator, take: Generator) -> Signal:
    """A child or someone calling."""
    voice = voices(take, 1, (260.0, 420.0), 0.1)[: count(take, 5_000, 14_000)]
    return unit(voice * hump(voice.size, 0.2))


def horn(place: Generator, take: Generator) -> Signal:
    """A car's horn: two notes a third apart."""
    length, hz = count(take, 3_000, 12_000), draw(take, 330, 470)
    partials = (0.6, 1.0, 0.9, 0.7, 0.5, 0.4)
    x = tone(np.full(length, hz), partials) + tone(np.full(length, hz * 1.25), partials)
    return unit(x * np.minimum(1.0, 20.0 * hump(length)))


def squeal(place: Generator, take: Generator) -> Signal:
    """Brakes or a wheel flange on a curve: a high, unsteady tone."""
    length = count(take, 6_000, 22_000)
    hz = draw(place, 1800, 4200) * draw(take, 0.9, 1.1) * swell(take, 12.0, 0.2, length)
    return unit(tone(hz, (1.0, 0.35)) * swell(take, 25.0, 5.0, length) * hump(length, 0.3))


def bell(place: Generator, take: Generator) -> Signal:
    """A tram's bell: inharmonic partials that ring."""
    hz, length = draw(place, 700, 1300), int(0.5 * RATE)
    t = np.arange(length)
    part = np.zeros(length)
    for ratio, level, speed in ((1.0, 1.0, 3.0), (2.13, 0.7, 5.0), (2.94, 0.5, 6.0), (4.16, 0.3, 9.0)):
        part += level * np.exp(t * (-speed / length)) * np.sin(t * (2.0 * np.pi * hz * ratio / RATE))
    number = count(take, 1, 4)
    return train([part] * number, [0.16 * k for k in range(number)])


def clink(place: Generator, take: Generator) -> Signal:
    """Cups, keys, coins: short high rings."""
    parts, starts = [], []
    for _ in range(count(take, 1, 4)):
        length = count(take, 600, 2_400)
        t = np.arange(length)
        ring = sum(np.sin(t * (2.0 * np.pi * draw(take, 2200, 7000) / RATE)) for _ in range(3))
        parts.append(ring * np.exp(t * (-7.0 / length)) * draw(take, 0.3, 1.0))
        starts.append(draw(take, 0.0, 0.5))
    return train(parts, starts)


def passing(place: Generator, take: Generator) -> Signal:
    """A car that passes: tyre noise that comes and goes."""
    length = count(take, 14_000, 30_000)
    points: Points = ((20, -14), (100, -4), (400, -3), (1000, 0), (2200, -8), (8000, -26))
    return unit(
        shaped(take, response(bent(take, points, 4.0)), length) * hump(length, draw(take, 0.35, 0.6)) ** 1.5
    )


def trolley(place: Generator, take: Generator) -> Signal:
    """A suitcase or trolley on tiles: rolling noise with a knock at each joint."""
    length, rate = count(take, 10_000, 26_000), draw(take, 7.0, 16.0)
    wobble = 1.0 + 2.5 * np.maximum(0.0, np.sin(np.arange(length) * (2.0 * np.pi * rate / RATE))) ** 6
    points: Points = ((20, -24), (200, -8), (900, 0), (2500, -3), (8000, -18))
    return unit(shaped(take, curve(points), length) * wobble * hump(length))


def doors(place: Generator, take: Generator) -> Signal:
    """Pneumatic doors: a hiss, then a thump."""
    length = count(take, 5_000, 12_000)
    hiss = shaped(take, curve(((20, -50), (1000, -14), (4000, 0), (8000, -3))), length) * hump(length, 0.1)
    thump = shaped(take, curve(((20, 0), (80, 0), (300, -12), (8000, -50)), SHORT), 2_000)
    return train([hiss, 2.0 * thump * np.exp(np.arange(2_000) * -0.003)], [0.0, length / RATE * 0.9])


EVENTS: dict[str, Model] = {
    "footsteps": steps,
    "bird": bird,
    "beep": beep,
    "announcement": announcement,
    "shout": shout,
    "horn": horn,
    "squeal": squeal,
    "bell": bell,
    "clink": clink,
    "car_passing": passing,
    "trolley": trolley,
    "doors": doors,
}
