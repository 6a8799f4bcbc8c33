"""Students that tell which of several labels hold, on a little SONYC-UST made by code (extra [train])."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs the extra [train]")
pytest.importorskip("tensorflow_model_optimization", reason="needs the extra [train]")

from mcu_asc import compiler, config, decide, learn, metrics
from mcu_asc.audio import sonyc
from mcu_asc.audio.datasets import open_dataset, select
from mcu_asc.audio.features import features, windows
from mcu_asc.errors import UsageError
from mcu_asc.learn import card, distil, evaluation, outputs, recipe
from mcu_asc.learn.windows import label_shares
from mcu_asc.nouns import Clip, Decision, FrontEndConfig, ModelCard
from mcu_asc.results.score import score_all

T = np.arange(16_000) / 16_000
SOUNDS = {  # a second of each tag; a network that averages over the map tells textures, not pitches
    "engine": np.where(T % 0.1 < 0.002, 20_000.0, 0.0),
    "music": 3000 * sum(np.sin(2 * np.pi * 700 * k * T) for k in (1, 2, 4)),
    "alert-signal": 8000 * np.sin(2 * np.pi * 2000 * T + 300 * np.sin(2 * np.pi * 2.5 * T)),
}
RECIPE = """
name = "tags"
[data]
dataset = "sonyc"
labels = ["engine", "music", "alert-signal"]
train_folds = [1]
test_folds = [2]
[front_end]
bands = 16
rows = 20
floor_fs2 = 1e-6
[student]
name = "vgg-asc"
width = 0.25
[train]
epochs = 12
windows_per_clip = 6
batch = 16
ema = 0.9
[augment]
stretch = 0.0
pitch_bands = 0.0
eq_db = 0.0
mix = 0.0
mask_bands = 0
mask_rows = 0
[prune]
epochs = 0
[qat]
epochs = 1
[decision]
alive_db = -70.0
"""


def write_wav(path: Path, tags: tuple[str, ...], seed: int) -> None:
    import soundfile

    rng = np.random.default_rng(seed)
    x = rng.normal(0, 300, T.size)
    for tag in tags:
        x += np.roll(SOUNDS[tag], rng.integers(T.size)) * rng.uniform(0.3, 0.6)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, x.clip(-32768, 32767).astype(np.int16), 16_000)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 training clips of three volunteers each, 16 to validate; every third volunteer misses the music."""
    home = tmp_path_factory.mktemp("data") / "SONYC-UST"
    columns = [f"{number}_{name}_presence" for name, number in sonyc.COARSE.items()]
    names = list(sonyc.COARSE)
    home.mkdir()
    rng = np.random.default_rng(0)
    with (home / sonyc.TABLE).open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["split", "sensor_id", "audio_filename", "annotator_id", *columns])
        for i in range(64):
            split = "train" if i < 48 else "validate"
            tags = tuple(t for t in SOUNDS if rng.uniform() < 0.5)
            name = f"{i:02d}.wav"
            write_wav(home / "audio" / name, tags, i)
            for annotator in (11, 12, 13) if split == "train" else (0,):
                heard = [int(n in tags and not (n == "music" and annotator == 13)) for n in names]
                out.writerow([split, i if split == "train" else 100 + i, name, annotator, *heard])
    return home.parent


@pytest.fixture(scope="module")
def run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tags")
    (folder / "recipe.toml").write_text(RECIPE)
    return learn.train(folder / "recipe.toml", root, folder / "run")


def test_a_student_from_elsewhere(root: Path, tmp_path: Path) -> None:
    """The features that it was trained on, and its import, from a network of random weights."""
    format_ = pytest.importorskip("onnx", reason="needs the extra [onnx]")
    pytest.importorskip("onnx2tf", reason="needs the extra [onnx]")
    import onnxnets

    from mcu_asc.learn import importing, stated, table

    ds, npz, path = open_dataset("sonyc", root), tmp_path / "train.npz", tmp_path / "net.onnx"
    front_end = FrontEndConfig(bands=16, rows=20, floor_fs2=1e-6)
    source = stated.Stated(front_end, Decision(alive_db=-70.0), tuple(SOUNDS), "here")
    table.write_table(npz, ds, select(ds, "1"), source)
    with np.load(npz) as saved:
        clips = select(ds, "1")
        assert saved["y"].shape == (len(saved["x"]), 3)
        np.testing.assert_array_equal(saved["y"], label_shares(clips, tuple(SOUNDS))[saved["clip"]])
    format_.save(onnxnets.depthwise(classes=3), path)
    asked = importing.Wanted(path, "sonyc", folds="1", test_folds="2", front_end=str(npz))
    found = importing.import_onnx(asked, root, tmp_path / "out", compiler.read)
    model = compiler.read(found.tflite)
    assert model.card is not None and model.card.multi_label and model.card.labels == tuple(SOUNDS)
    assert isinstance(found.int8_scores, evaluation.TagScores)
    assert found.int8_scores.micro_auprc == pytest.approx(found.float_scores.micro_auprc, abs=0.1)
    assert found.agreement > 0.9
    softmax = onnxnets.depthwise(classes=3)
    softmax.graph.node.append(format_.helper.make_node("Softmax", [softmax.graph.output[0].name], ["p"]))
    softmax.graph.output[0].name = "p"
    format_.save(softmax, path)
    with pytest.raises(UsageError, match=r"ends in Softmax: one label holds; .* has several labels a clip"):
        importing.import_onnx(asked, root, tmp_path / "out")


def test_it_learns_which_tags_hold(run: Path, root: Path) -> None:
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    last = rows[-1]
    assert last["stage"] == "qat"
    assert float(last["micro_auprc"]) > 0.9
    assert float(last["macro_auprc"]) > 0.9
    assert last["clip_accuracy"] == ""
    assert (run / "curves.png").exists()
    ds = open_dataset("sonyc", root)
    found, ours = evaluation.tflite_scores(run / "student.tflite", ds, select(ds, "validate"), "tflite")
    assert isinstance(found, evaluation.TagScores)
    assert found.clips == 16
    assert found.micro_auprc > 0.9
    assert ours.multi_label
    assert ours.labels == ("engine", "alert-signal", "music")  # in the data set's order


def test_the_file_gives_logits_and_says_what_they_mean(run: Path) -> None:
    model = compiler.read(run / "student.tflite")
    assert "LOGISTIC" not in [op.kind for op in model.graph.ops]
    assert model.card is not None
    assert model.card.multi_label
    assert "multi_label" in config.card_to_json(model.card)
    assert "multi_label" not in config.card_to_json(ModelCard("x", ("a",), FrontEndConfig()))
    assert card.read_card(model.content) == model.card


def test_a_clip_has_a_tag_where_its_windows_have() -> None:
    rule = Decision(hop_rows=1, min_alive=0.5)
    logits = np.array([[4.0, -4.0], [-4.0, -4.0], [0.0, 9.0]])
    p = decide.decide(logits, np.array([10, 10, 0]), 10, rule, multi_label=True)
    expected = (1 / (1 + np.exp(-logits[:2]))).mean(0)
    assert p == pytest.approx(expected)
    assert decide.sigmoid(np.array([-1e4, 0, 1e4])) == pytest.approx([0, 0.5, 1])


def test_tag_scores_by_hand() -> None:
    logits = np.array([[3.0, -1.0], [2.0, 1.0], [-2.0, 0.5]])
    truth = np.array([[1, 0], [1, 1], [0, 0]])
    alive = tuple(np.array([5]) for _ in range(3))
    found = evaluation.tag_scores(logits, alive, truth, 10, Decision())
    p = 1 / (1 + np.exp(-logits))
    assert found.micro_auprc == pytest.approx(metrics.micro_auprc(truth == 1, p))
    assert found.macro_auprc == 1.0
    assert found.log_loss == pytest.approx(-np.log(np.where(truth, p, 1 - p)).mean())


def test_shares_are_what_the_volunteers_said(root: Path) -> None:
    labels = ("engine", "music", "alert-signal")
    clips = select(open_dataset("sonyc", root), "train")
    votes, soft = label_shares(clips, labels), label_shares(clips, labels, annotators=True)
    assert set(np.unique(votes)) == {0, 1}
    assert np.array_equal(soft[:, [0, 2]], votes[:, [0, 2]])
    assert np.allclose(soft[:, 1], votes[:, 1] * 2 / 3)
    assert sonyc.shares(np.array([[1, -1, 0], [0, -1, 1], [-1, -1, 1]])) == pytest.approx([1 / 2, 0, 2 / 3])
    none = Clip("a", "", 1, "a")
    assert not label_shares((none,), labels).any()


def test_shares_teach_how_sure_to_be(root: Path, run: Path, tmp_path: Path) -> None:
    text = RECIPE.replace("train_folds", "annotator_shares = true\ntrain_folds").replace(
        "[qat]\nepochs = 1", "[qat]\nepochs = 0"
    )
    (tmp_path / "recipe.toml").write_text(text)
    learn.train(tmp_path / "recipe.toml", root, tmp_path / "run")
    assert json.loads((tmp_path / "run/config.json").read_text())["recipe"]["data"]["annotator_shares"]
    ds = open_dataset("sonyc", root)
    clips = tuple(c for c in select(ds, "validate") if "music" in c.tags)

    def music(path: Path) -> float:
        content = (path / "student.tflite").read_bytes()
        ours = card.read_card(content)
        scale, zero = card.output_quantisation(content)
        found = features(ds, clips, ours.front_end)
        go = evaluation.INTERPRETERS["tflite"](content)
        q = np.concatenate([go(windows(found[c.id].q, 20, 25)) for c in clips])
        return float(decide.sigmoid((q[:, ours.labels.index("music")].astype(float) - zero) * scale).mean())

    assert music(run) > 0.9
    assert 0.5 < music(tmp_path / "run") < 0.8  # two of three heard it


def test_the_loss_of_teachers_of_tags() -> None:
    rng = np.random.default_rng(0)
    student, *taught = (rng.normal(0, 3, (6, 4)).astype(np.float32) for _ in range(3))

    def sigmoid(z: Any) -> Any:
        return 1 / (1 + np.exp(-z.astype(np.float64)))

    q, p = np.mean([sigmoid(z / 2) for z in taught], axis=0), sigmoid(student / 2)
    kl = (q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p))).mean()
    means = outputs.outputs(multi_label=True)
    found = distil.soft_loss(distil.softened(taught, 2.0, means), student, 2.0, means)
    assert float(found) == pytest.approx(4 * kl, rel=1e-4)
    z = rng.normal(0, 3, (5, 4))
    assert means.logits(means.probabilities(z)) == pytest.approx(z, abs=1e-3)
    assert means.are_probabilities(means.probabilities(z))
    assert not means.are_probabilities(z)


def test_a_run_of_tags_teaches_a_student_of_tags_only(run: Path, root: Path, tmp_path: Path) -> None:
    text = RECIPE.replace("epochs = 12", "epochs = 1").replace("[qat]\nepochs = 1", "[qat]\nepochs = 0")
    (tmp_path / "recipe.toml").write_text(text + f'[distill]\nteachers = ["{run}"]\n')
    learn.train(tmp_path / "recipe.toml", root, tmp_path / "run")
    scenes = text.replace('"sonyc"', '"scenes"').replace('"engine", "music", "alert-signal"', '"bus", "park"')
    other = tmp_path / "scenes.toml"
    other.write_text(scenes.replace("[2]", "[4]") + f'[distill]\nteachers = ["{run}"]\n')
    with pytest.raises(UsageError, match="answers 3 labels"):
        learn.train(other, None, tmp_path / "other")


def test_what_does_not_go_is_refused(run: Path, root: Path, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.replace('"alert-signal"', '"dog"'))
    with pytest.raises(UsageError, match=r"folds 1 have no clip of 'dog'"):
        learn.train(path, root, tmp_path / "run")
    shares = RECIPE.replace("train_folds", "annotator_shares = true\ntrain_folds")
    path.write_text(
        shares.replace('"sonyc"', '"scenes"').replace('"engine", "music", "alert-signal"', '"bus", "park"')
    )
    with pytest.raises(UsageError, match="does not say how many annotators heard a label"):
        learn.train(path, None, tmp_path / "run")
    ds = open_dataset("scenes", None)
    with pytest.raises(UsageError, match="trained for several labels a clip, scenes has one label a clip"):
        evaluation.tflite_scores(run / "student.tflite", ds, ds.clips[:2], "tflite")
    nothing: Any = None
    judge: Any = SimpleNamespace(card=card.read_card((run / "student.tflite").read_bytes()))
    with pytest.raises(UsageError, match="'tags' tells which of several labels hold, data set scenes"):
        score_all(ds.clips, ds, judge, nothing, {}, nothing, nothing)


def test_a_recipe_knows_whether_several_labels_hold() -> None:
    made = recipe.Recipe("x", recipe.Data("sonyc", (1,), (2,)), recipe.Student("ds-cnn"))
    assert made.multi_label
    assert not dataclasses.replace(made, data=recipe.Data("scenes", (1,), (2,))).multi_label
