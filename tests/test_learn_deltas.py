"""Students that hear slopes too: two channels in training, in the file and on the device (extra [train])."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs the extra [train]")
pytest.importorskip("tensorflow_model_optimization", reason="needs the extra [train]")

from mcu_asc import compiler, config, firmware, learn
from mcu_asc.audio.datasets import open_dataset, select
from mcu_asc.audio.features import features, windows
from mcu_asc.audio.frontend import extract
from mcu_asc.device.build import compile_project
from mcu_asc.device.targets import open_target
from mcu_asc.learn import evaluation, untrained
from mcu_asc.learn.recipe import Augment, Data, Recipe, Student, Train
from mcu_asc.learn.students import Shape
from mcu_asc.learn.windows import bare, real_input, statistics, training_set, with_deltas, with_statistics
from mcu_asc.nouns import Decision, FrontEndConfig
from mcu_asc.results.score import interpreter_oracle

CFG = FrontEndConfig(bands=16, rows=12, floor_fs2=0.0, deltas=5)
OFF = Augment(stretch=0, pitch_bands=0, gain_db=0, eq_db=0, mix=0, mask_bands=0, mask_rows=0, floor_fs2=1e-12)
RECIPE = """
name = "slopes"
[data]
dataset = "scenes"
labels = ["park", "bus"]
train_folds = [1]
test_folds = [4]
[front_end]
bands = 16
rows = 20
floor_fs2 = 1e-6
deltas = 5
[student]
name = "vgg-asc"
width = 0.25
[train]
epochs = 2
windows_per_clip = 2
batch = 16
[prune]
epochs = 0
[qat]
epochs = 1
[decision]
alive_db = -70.0
"""


def sound(samples: int = 16_000) -> np.ndarray:
    rng = np.random.default_rng(3)
    level = 200 * np.exp2(3 * np.sin(np.arange(samples) / 1500))
    return (rng.normal(0, 1, samples) * level).clip(-32768, 32767).astype(np.int16)


def recipe_of(augment: Augment, rule: Decision) -> Recipe:
    data = Data("scenes", (1,), (4,))
    return Recipe("x", data, Student("ds-cnn"), CFG, Train(batch=8), augment, decision=rule)


def test_deltas_of_static_rows_are_those_of_the_device() -> None:
    pcm = sound()
    device = extract(pcm, CFG)
    cfg = with_statistics(CFG, [device], Decision(alive_db=-90.0))
    static = extract(pcm, bare(CFG)).log2_q9
    assert np.array_equal(static[2:-2], device.log2_q9.reshape(-1, 16, 2)[..., 0])
    mean, std = statistics(cfg)
    x = (windows(static, bare(cfg).rows, 1) / np.float32(512) - mean[:, 0]) / std[:, 0]
    ours = with_deltas(x.astype(np.float32), cfg)
    theirs = real_input(windows(device.log2_q9, cfg.rows, 1), cfg)
    assert ours.shape == theirs.shape == (len(device.q) - 11, 12, 16, 2)
    assert np.abs(ours - theirs)[..., 0].max() < 1e-5
    assert (np.abs(ours - theirs) * std)[..., 1].max() <= 1.5 / 512  # both round to Q9, at different places


def test_unaugmented_training_windows_are_the_devices() -> None:
    ds = open_dataset("scenes", None)
    clips = select(ds, "1", limit=4)
    rule = Decision(alive_db=-90.0)
    found = features(ds, clips, CFG)
    cfg = with_statistics(CFG, [found[c.id] for c in clips], rule)
    recipe = recipe_of(OFF, rule)
    data = training_set(clips, features(ds, clips, bare(CFG)), ds.labels, cfg, recipe)
    for i, clip in enumerate(clips):
        every = real_input(windows(found[clip.id].log2_q9, cfg.rows, 1), cfg)
        assert data.starts[i].max() < len(every)
        x, _ = data.batch(np.full(5, i), np.random.default_rng(i))
        rng = np.random.default_rng(i)  # the same starts again: nothing is drawn before them
        chosen = [rng.choice(data.starts[i]) for _ in range(5)]
        assert x.shape == (5, 12, 16, 2)
        assert (np.abs(x - every[chosen]) * statistics(cfg)[1]).max() <= 3 / 512


def test_masks_hide_the_power_and_flatten_the_slope() -> None:
    ds = open_dataset("scenes", None)
    clips = select(ds, "1", limit=4)
    found = features(ds, clips, CFG)
    rule = Decision(alive_db=-90.0)
    cfg = with_statistics(CFG, [found[c.id] for c in clips], rule)
    masked = dataclasses.replace(OFF, mask_rows=12)
    recipe = recipe_of(masked, rule)
    data = training_set(clips, features(ds, clips, bare(CFG)), ds.labels, cfg, recipe)
    x, _ = data.batch(np.arange(4), np.random.default_rng(0))
    hidden = (x[..., 0] == 0).all(2)
    inside = hidden & np.roll(hidden, 2, 1) & np.roll(hidden, -2, 1)
    inside[:, :2] = inside[:, -2:] = False
    assert inside.any()
    mean, std = statistics(cfg)
    assert np.allclose(x[inside][..., 1] * std[:, 1] + mean[:, 1], 0, atol=1e-6)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slopes")
    (folder / "recipe.toml").write_text(RECIPE)
    return learn.train(folder / "recipe.toml", None, folder / "run")


def test_the_student_takes_two_channels(run: Path) -> None:
    model = compiler.read(run / "student.tflite")
    assert model.card is not None
    assert model.graph.tensors[model.graph.inputs[0]].shape == (1, 20, 16, 2)
    assert len(model.card.front_end.mean) == 32
    shape = Shape(20, 16, 2, 0.25, channels=2)
    priced = compiler.read(untrained.untrained("vgg-asc", shape, model.card.front_end))
    assert [c.macs for c in compiler.counts(priced.graph)] == [c.macs for c in compiler.counts(model.graph)]


@pytest.mark.parametrize("on", ["host", "emulator"])
def test_the_device_hears_what_training_hears(run: Path, tmp_path: Path, on: str) -> None:
    """Both channels of every row, and every logit, byte by byte."""
    pytest.importorskip("tflite_micro", reason="needs the extra [oracle]")
    model = compiler.read(run / "student.tflite")
    assert model.card is not None
    firmware.write(firmware.project(model, config.load_board("nano33")), tmp_path / "p")
    compile_project(tmp_path / "p", "host" if on == "host" else "board")
    cfg = model.card.front_end
    ds = open_dataset("scenes", None)
    pcm = ds.pcm(select(ds, "4", limit=1)[0], cfg.sample_rate_hz)
    rows = extract(pcm, cfg).q
    with open_target(tmp_path / "p", on) as session:
        heard = session.features(pcm)
    assert heard.features is not None
    assert np.array_equal(heard.features.reshape(-1, cfg.values), rows[: len(heard.features)])
    oracle = interpreter_oracle(model)
    assert oracle
    assert tuple(w.logits for w in heard.windows) == oracle(pcm)


def test_scores_by_both_interpreters(run: Path) -> None:
    pytest.importorskip("tflite_micro", reason="needs the extra [oracle]")
    ds = open_dataset("scenes", None)
    clips = tuple(c for c in select(ds, "4") if c.label in ("park", "bus"))
    micro, _ = evaluation.tflite_scores(run / "student.tflite", ds, clips, "tflm")
    lite, _ = evaluation.tflite_scores(run / "student.tflite", ds, clips, "tflite")
    assert micro.clips == 48
    assert abs(micro.log_loss - lite.log_loss) < 0.05
