"""What augmentation may change and what it may not; training features against the device's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mcu_asc.audio.frontend import Features, extract
from mcu_asc.learn import augment as a
from mcu_asc.learn.recipe import Augment, Data, Recipe, Student, Train
from mcu_asc.learn.windows import FULL_SCALE, bare, real_input, training_set, with_statistics
from mcu_asc.nouns import Clip, Decision, FrontEndConfig

OFF = Augment(stretch=0, pitch_bands=0, gain_db=0, eq_db=0, mix=0, mask_bands=0, mask_rows=0)
NEW = Augment(roll_rows=7, mixup=0.7, mixstyle=0.7)
STEPS = {**a.POWER_STEPS, **a.FEATURE_STEPS}


@pytest.fixture
def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x = rng.normal(20, 4, (32, 50, 64)).astype(np.float32)
    return x, np.eye(10, dtype=np.float32)[rng.integers(0, 10, 32)]


@pytest.mark.parametrize("name", STEPS)
def test_amount_zero_changes_nothing(name: str, batch: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = STEPS[name](*batch, np.random.default_rng(0), OFF)
    assert np.array_equal(x, batch[0])
    assert np.array_equal(y, batch[1])


def test_steps_that_came_later_draw_nothing_when_off(batch: tuple[np.ndarray, np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    for step in (a.roll, a.mixup, a.freq_mixstyle):
        assert step(*batch, rng, Augment())[0] is batch[0]
    assert (
        a.modulate(batch[0], np.zeros(32, np.int64), np.zeros((2, 2, 64), np.float32), rng, Augment())
        is batch[0]
    )
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state


@pytest.mark.parametrize("name", STEPS)
def test_same_generator_same_result_and_inputs_untouched(
    name: str, batch: tuple[np.ndarray, np.ndarray]
) -> None:
    before = batch[0].copy(), batch[1].copy()
    one = STEPS[name](*batch, np.random.default_rng(5), NEW)
    two = STEPS[name](*batch, np.random.default_rng(5), NEW)
    other = STEPS[name](*batch, np.random.default_rng(6), NEW)
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])
    assert not np.array_equal(one[0], other[0])
    assert np.array_equal(batch[0], before[0])
    assert np.array_equal(batch[1], before[1])
    assert one[0].dtype == one[1].dtype == np.float32
    assert np.isfinite(one[0]).all()
    assert np.allclose(one[1].sum(1), 1, atol=1e-6)


def test_gain_is_in_decibels_of_power(batch: tuple[np.ndarray, np.ndarray]) -> None:
    amount = dataclasses.replace(OFF, gain_db=10.0)
    x, _ = a.gain(*batch, np.random.default_rng(0), amount)
    db = 10 * np.log10(np.exp2(x.astype(np.float64))) - 10 * np.log10(np.exp2(batch[0].astype(np.float64)))
    assert np.abs(db - db[:, :1, :1]).max() < 1e-3  # the same for the whole window
    assert 5 < np.abs(db).max() < 10.001


def test_equaliser_is_the_same_in_every_row(batch: tuple[np.ndarray, np.ndarray]) -> None:
    x, _ = a.gain(*batch, np.random.default_rng(0), dataclasses.replace(OFF, eq_db=4.0))
    change = x - batch[0]
    assert np.abs(change - change[:, :1]).max() < 1e-5
    assert np.ptp(change, axis=2).max() > 1


def test_mixing_keeps_the_mean_power_and_shares_the_label(batch: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = a.mix(*batch, np.random.default_rng(0), dataclasses.replace(OFF, mix=1.0))
    before = np.exp2(batch[0].astype(np.float64)).mean((1, 2))
    after = np.exp2(x.astype(np.float64)).mean((1, 2))
    assert np.allclose(after, before, rtol=1e-4)
    assert ((y > 0).sum(1) <= 2).all()
    assert (y.max(1) < 1).any()


def test_masks_are_one_run_of_zeros_no_longer_than_asked(batch: tuple[np.ndarray, np.ndarray]) -> None:
    bands, _ = a.mask(*batch, np.random.default_rng(0), dataclasses.replace(OFF, mask_bands=8))
    changed = (bands != batch[0]).any(axis=1)  # (n, bands)
    assert changed.sum(1).max() == 8
    assert changed.sum(1).min() == 0
    assert np.abs(np.diff(np.pad(changed, ((0, 0), (1, 1))).astype(int), axis=1)).sum(1).max() == 2
    assert (bands[bands != batch[0]] == 0).all()


def test_stretch_of_one_is_the_clip_itself() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 8)).astype(np.float32)
    start, length, offset = np.array([0, 50, 70]), np.array([100, 100, 200]), np.array([0, 0, 100])
    x = a.stretched_rows(rows, start, length, offset, np.ones(3), 50)
    for i in range(3):
        first = offset[i] + start[i]
        assert np.array_equal(x[i], rows[first : first + 50])


def test_stretch_goes_through_a_ramp_at_its_own_pace_and_stays_in_the_clip() -> None:
    ramp = np.arange(200, dtype=np.float32)[:, None]
    x = a.stretched_rows(ramp, np.array([40]), np.array([100]), np.array([0]), np.array([1.1]), 50)[0, :, 0]
    assert np.allclose(np.diff(x), 1.1, atol=1e-4)
    assert x[25] == 65
    late = a.stretched_rows(ramp, np.array([50]), np.array([100]), np.array([0]), np.array([1.5]), 50)
    assert late.max() == 99  # the last row repeats; the next clip's rows are never touched


def test_floor_after_training_steps_is_the_floor_of_the_device() -> None:
    """Rows without the floor, plus the floor in float, equal the C's rows with it, to the rounding of Q9."""
    rng = np.random.default_rng(3)
    pcm = (rng.normal(0, 1, 32_000) * np.geomspace(1, 8000, 32_000)).clip(-32768, 32767).astype(np.int16)
    cfg = FrontEndConfig()
    device = extract(pcm, cfg).log2_q9
    ours = a.add_floor(extract(pcm, bare(cfg)).log2_q9.astype(np.float32) / 512, cfg.floor_fs2 * FULL_SCALE)
    assert np.abs(device - np.rint(512 * ours)).max() <= 1


def test_real_input_quantises_to_the_rows_of_the_device() -> None:
    pcm = np.random.default_rng(3).normal(0, 2000, 32_000).astype(np.int16)
    cfg = FrontEndConfig(mean=tuple(np.linspace(20, 30, 64)), std=(2.5,) * 64, scale=0.02, zero_point=-13)
    rows = extract(pcm, cfg)
    x = real_input(rows.log2_q9[None], cfg)[0, ..., 0]
    q = np.clip(np.rint(x / cfg.scale) + cfg.zero_point, -128, 127)
    assert np.abs(q - rows.q).max() <= 1
    assert np.mean(q == rows.q) > 0.97  # the C rounds once, from more bits than the Q9 row has


def test_statistics_are_those_of_the_alive_rows() -> None:
    rng = np.random.default_rng(0)
    pcm = np.concatenate([np.zeros(32_000), rng.normal(0, 3000, 32_000)]).astype(np.int16)
    rows = extract(pcm, FrontEndConfig())
    cfg = with_statistics(FrontEndConfig(), [rows], Decision())
    loud = rows.log2_q9[rows.level_q9 > 512 * 17] / 512
    assert np.allclose(cfg.mean, loud.mean(0), atol=1e-3)
    assert np.allclose(cfg.std, np.maximum(loud.std(0), 0.25), atol=1e-3)


def test_roll_turns_rows_and_nothing_else(batch: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = a.roll(*batch, np.random.default_rng(0), dataclasses.replace(OFF, roll_rows=6))
    shifts = set()
    for before, after in zip(batch[0], x, strict=True):
        fits = [s for s in range(-6, 7) if np.array_equal(np.roll(before, s, 0), after)]
        assert len(fits) == 1
        shifts.add(fits[0])
    assert {-6, 6} <= shifts
    assert y is batch[1]


def test_mixup_is_one_convex_sum_of_inputs_and_labels(batch: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = a.mixup(*batch, np.random.default_rng(0), dataclasses.replace(OFF, mixup=1.0, mixup_alpha=1.0))
    partner = np.random.default_rng(0).permutation(32)
    other = np.arange(32) != partner
    difference = (batch[0][partner] - batch[0])[other]
    share = ((x - batch[0])[other] * difference).sum((1, 2)) / (difference**2).sum((1, 2))
    assert ((share >= 0) & (share <= 1)).all()
    assert np.allclose(x[other], batch[0][other] + share[:, None, None] * difference, atol=1e-4)
    expected = batch[1][other] + share[:, None] * (batch[1][partner] - batch[1])[other]
    assert np.allclose(y[other], expected, atol=1e-5)


def test_freq_mixstyle_changes_only_mean_and_deviation_of_bands(batch: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = a.freq_mixstyle(*batch, np.random.default_rng(0), dataclasses.replace(OFF, mixstyle=0.5))
    assert y is batch[1]

    def normalised(v: np.ndarray) -> np.ndarray:
        return (v - v.mean(1, keepdims=True)) / v.std(1, keepdims=True)

    assert np.allclose(normalised(x), normalised(batch[0]), atol=1e-3)
    same = (x == batch[0]).all((1, 2))
    assert 0 < same.sum() < 32  # a share of the windows
    low, high = batch[0].mean(1).min(0), batch[0].mean(1).max(0)
    assert ((x.mean(1) >= low - 1e-3) & (x.mean(1) <= high + 1e-3)).all()  # between two that there are


def test_more_masks_hide_more_runs(batch: tuple[np.ndarray, np.ndarray]) -> None:
    x, _ = a.mask(*batch, np.random.default_rng(0), dataclasses.replace(OFF, mask_bands=2, masks=3))
    hidden = (x == 0).all(1)
    runs = (np.diff(np.pad(hidden, ((0, 0), (1, 1))).astype(int), axis=1) == 1).sum(1)
    assert runs.max() == 3
    assert hidden.sum(1).max() <= 6


def test_spectrum_modulation_gives_a_window_another_devices_mean_spectrum() -> None:
    rng = np.random.default_rng(0)
    spectra = {d: rng.normal(0, 3, 16).astype(np.float32) for d in "cab"}
    names, differences = a.device_differences(spectra)
    assert names == ("a", "b", "c")
    device = rng.integers(0, 3, 40)
    x = np.stack([np.broadcast_to(spectra[names[d]], (5, 16)) for d in device])
    out = a.modulate(x, device, differences, rng, dataclasses.replace(OFF, spectrum_modulation=0.5))
    became = [[i for i, n in enumerate(names) if np.allclose(o, spectra[n], atol=1e-4)] for o in out]
    assert all(len(b) == 1 for b in became)  # exactly one of the devices
    changed = np.array([b[0] for b in became]) != device
    assert 8 < changed.sum() < 32


def test_a_device_response_is_met_by_its_impulse_response_and_rings_after_not_before() -> None:
    from mcu_asc.audio import devices

    rate = 16_000
    response = devices.random_response(np.random.default_rng(1), rate)
    taps = devices.impulse_response(response, rate)
    hz, db = np.array(response).T
    found = 20 * np.log10(np.abs(np.fft.rfft(taps, 16_384)))
    at = np.fft.rfftfreq(16_384, 1 / rate)
    inside = (at > 150) & (at < 7500)
    assert np.abs(found - np.interp(np.log(np.maximum(at, 1)), np.log(hz), db))[inside].max() < 0.5
    assert np.argmax(np.abs(taps)) < 4
    flat = devices.impulse_response(((40.0, 0.0), (8000.0, 0.0)), rate)
    noise = np.random.default_rng(2).integers(-20_000, 20_000, 5000).astype(np.int16)
    assert np.array_equal(devices.through(noise, flat), noise)
    louder = devices.through(np.full(300, 30_000, np.int16), 2 * flat)
    assert (louder == 32_767).all()  # limited, not wrapped


def test_clips_through_devices_are_new_sounds_of_the_same_fold_and_group() -> None:
    from mcu_asc.audio.datasets import open_dataset
    from mcu_asc.audio.devices import through_devices

    ds = open_dataset("scenes", None)
    clips = ds.clips[:2]
    assert through_devices(ds, clips, 0) == (ds, ())
    heard, also = through_devices(ds, clips, 2)
    assert len(also) == 4
    assert len({heard.identity(c) for c in (*clips, *also)}) == 6
    for clip, other in zip((*clips, *clips), also, strict=True):
        assert (other.fold, other.group, other.label) == (clip.fold, clip.group, clip.label)
    sounds = [heard.pcm(c, 16_000) for c in (clips[0], also[0], also[2])]
    assert np.array_equal(sounds[0], ds.pcm(clips[0], 16_000))
    assert not np.array_equal(sounds[1], sounds[2])
    assert all(s.shape == sounds[0].shape and s.dtype == np.int16 for s in sounds)
    assert np.array_equal(sounds[1], heard.pcm(also[0], 16_000))


def test_windows_that_teach_are_chosen_apart_from_those_that_vote() -> None:
    """A clip of 60 rows, the last 20 of them loud, in windows of 20 rows."""
    front_end = FrontEndConfig(bands=4, rows=20)
    level = np.full(60, 2 * 512, np.int16)
    level[40:] = 30 * 512
    clip = Clip("one", "a", 1, "one")
    found = {"one": Features(np.zeros((60, 4), np.int16), np.zeros((60, 4), np.int8), level)}
    recipe = Recipe("x", Data("scenes", (1,), (4,)), Student("ds-cnn"), front_end)
    measured = dataclasses.replace(front_end, mean=(0.0,) * 4, std=(1.0,) * 4)

    def starts(votes: float, teaches: float | None) -> list[int]:
        own = dataclasses.replace(recipe, decision=Decision(min_alive=votes), train=Train(min_alive=teaches))
        return training_set([clip], found, ("a",), measured, own).starts[0].tolist()

    assert starts(0.5, None) == [*range(30, 41)]
    assert starts(0.5, 0.25) == starts(0.25, None) == [*range(25, 41)]
    assert starts(0.5, 0.0) == [*range(41)]
    assert starts(0.0, 1.0) == [40]
