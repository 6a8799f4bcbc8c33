"""Distillation: the loss, who may teach, what is kept, and runs that are taught (extra [train])."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

pytest.importorskip("tensorflow", reason="needs the extra [train]")
pytest.importorskip("tensorflow_model_optimization", reason="needs the extra [train]")

from mcu_asc import config, learn
from mcu_asc.errors import ToolMissing, UsageError
from mcu_asc.learn import distil, keras, recipe, rundir, teachers
from mcu_asc.learn.students import STUDENTS, Shape
from mcu_asc.nouns import FrontEndConfig, ModelCard

LABELS = ("bus", "park")
CFG = FrontEndConfig(bands=16, rows=20, floor_fs2=1e-6)


class Killed(Exception):
    """Stands for the signal that ends a process."""


def write(folder: Path, *taught_by: Path, **changes: Any) -> Path:
    """A recipe of two epochs, with teachers where some are named."""
    if taught_by:
        changes["distill"] = {"teachers": [*map(str, taught_by)], **changes.get("distill", {})}
    changes["train"] = {"epochs": 2, **changes.get("train", {})}
    return tiny.recipe(folder / "recipe.toml", **changes)


def spec(**fields: Any) -> recipe.Recipe:
    """A recipe whose teachers are given."""
    made = recipe.Recipe("x", recipe.Data("scenes", (1,), (4,)), recipe.Student("ds-cnn"), CFG)
    return dataclasses.replace(made, distill=recipe.Distill(**fields))


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A cache of this module's own: what the teachers said must be new."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MCU_ASC_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def taught_by(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher: a run of its own."""
    folder = tmp_path_factory.mktemp("teacher")
    path = write(folder, student={"name": "ds-cnn", "width": 0.5})
    return learn.train(path, None, folder / "run")


@pytest.fixture(scope="module")
def onnx_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "teacher.onnx"
    save_onnx(path, ("n", 1, 20, 16))
    return path


def save_onnx(
    path: Path, shape: tuple[Any, ...], classes: int = 2, softmax: bool = False, card: ModelCard | None = None
) -> None:
    """One fully connected layer on the flattened window, known weights."""
    onnx = pytest.importorskip("onnx", reason="needs the extra [onnx]")
    h, t = onnx.helper, onnx.TensorProto
    rng = np.random.default_rng(3)
    inside = int(np.prod([d for d in shape[1:] if isinstance(d, int)]))
    weights = onnx.numpy_helper.from_array(rng.normal(0, 0.1, (inside, classes)).astype(np.float32), "w")
    nodes = [h.make_node("Flatten", ["x"], ["flat"]), h.make_node("MatMul", ["flat", "w"], ["z"])]
    if softmax:
        nodes.append(h.make_node("Softmax", ["z"], ["p"]))
    graph = h.make_graph(
        nodes,
        "teacher",
        [h.make_tensor_value_info("x", t.FLOAT, shape)],
        [h.make_tensor_value_info("p" if softmax else "z", t.FLOAT, (shape[0], classes))],
        [weights],
    )
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=9)
    if card:
        h.set_model_props(model, {"mcu_asc": config.card_to_json(card)})
    onnx.save(model, path)


def onnx_logits(x: np.ndarray[Any, Any], axes: str = "ncrb") -> np.ndarray[Any, Any]:
    """What `save_onnx`'s network says to windows (n, rows, bands, 1)."""
    weights = np.random.default_rng(3).normal(0, 0.1, (x[0].size, 2)).astype(np.float32)
    return teachers.arranged(x, axes).reshape(len(x), -1) @ weights


def windows(count: int, channels: int = 1) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).normal(0, 1, (count, 20, 16, channels)).astype(np.float32)


# ---- the loss ------------------------------------------------------------------------------------


def softmax(z: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    e = np.exp(z.astype(np.float64) - z.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True))


def test_the_loss_is_hintons() -> None:
    tf = keras.tensorflow()
    rng = np.random.default_rng(0)
    student, *taught = (rng.normal(0, 3, (6, 4)).astype(np.float32) for _ in range(4))
    y = softmax(rng.normal(0, 1, (6, 4)))
    q = np.mean([softmax(z / 3) for z in taught], axis=0)
    p = softmax(student / 3)
    kl = (q * (np.log(q) - np.log(p))).sum(1).mean()
    hard = -(y * np.log(softmax(student))).sum(1).mean()

    k = keras.keras()
    inputs = k.layers.Input(4)
    pupil = distil.Pupil(recipe.Distill(temperature=3, alpha=0.6), k.Model(inputs, inputs), (), 0)
    loss = pupil.loss(
        tf.constant(student),
        lambda z: tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(y.astype(np.float32), z)),
        (distil.softened(taught, 3.0),),
    )
    assert float(loss) == pytest.approx(0.4 * hard + 0.6 * 9 * kl, rel=1e-5)
    assert float(distil.soft_loss(distil.softened([student], 1.0), student, 1.0)) < 1e-5


def test_averaging_keeps_the_mean_and_knows_equal_parts() -> None:
    assert distil.averaging(6, 3) @ np.arange(6.0) == pytest.approx([0.5, 2.5, 4.5])
    assert np.array_equal(distil.averaging(5, 5), np.eye(5, dtype=np.float32))
    uneven = distil.averaging(5, 2)
    assert uneven @ np.ones(5) == pytest.approx([1, 1])
    assert uneven @ np.arange(5.0) == pytest.approx([(0 + 1 + 0.5 * 2) / 2.5, (0.5 * 2 + 3 + 4) / 2.5])


def test_a_projection_that_is_right_leaves_nothing_unexplained() -> None:
    tf = keras.tensorflow()
    rng = np.random.default_rng(1)
    student = rng.normal(0, 1, (8, 6, 4, 5)).astype(np.float32)
    kernel, bias = rng.normal(0, 1, (5, 3)).astype(np.float32), np.float32([1, 2, 3])
    halves = student.reshape(8, 3, 2, 2, 2, 5).mean((2, 4))
    teacher = halves @ kernel + bias
    found = distil.match((6, 4, 5), (3, 2, 3), rng)
    assert float(found.unexplained(student, teacher)) > 0.5
    found.kernel.assign(kernel)
    found.bias.assign(bias)
    assert float(found.unexplained(student, teacher)) < 1e-6
    found.kernel.assign(tf.zeros_like(found.kernel))
    found.bias.assign(teacher.mean((0, 1, 2)))
    assert float(found.unexplained(student, teacher)) == pytest.approx(1, rel=0.2)


def test_the_last_map_before_the_classifier() -> None:
    for name, layer in (("vgg-asc", "conv4_relu"), ("cp-mobile", "block6_relu")):
        model = STUDENTS[name](Shape(20, 16, 3, 0.25, dropout=0.2))
        assert distil.map_layer(model, "", "the student").name == layer
        assert distil.map_layer(model, "stem", "the student").name == "stem"
    with pytest.raises(UsageError, match=r"the student has no map 'conv9' \(maps: stem"):
        distil.map_layer(model, "conv9", "the student")


# ---- who may teach -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "axes"),
    [(("n", 1, 20, 16), "ncrb"), ((1, 20, 16, 1), "nrbc"), (("n", 1, 16, 20), "ncbr"), ((4, 20, 16), "nrb")],
)
@pytest.mark.parametrize("softmax_last", [False, True])
def test_onnx_in_every_layout(tmp_path: Path, shape: Any, axes: str, softmax_last: bool) -> None:
    save_onnx(tmp_path / "a.onnx", shape, softmax=softmax_last)
    (teacher,) = teachers.open_teachers(spec(teachers=(str(tmp_path / "a.onnx"),)), LABELS, ())
    assert teacher.layout == axes
    x = windows(7)
    z, expected = teacher.logits(x, CFG), onnx_logits(x, axes)
    if softmax_last:
        z, expected = softmax(z), softmax(expected)
    np.testing.assert_allclose(z, expected, rtol=1e-3, atol=1e-4)


def test_an_onnx_file_with_a_card_has_its_own_standardisation(tmp_path: Path) -> None:
    mean, std = tuple(np.linspace(1, 2, 16)), tuple(np.linspace(2, 3, 16))
    own = dataclasses.replace(CFG, mean=mean, std=std)
    student = dataclasses.replace(CFG, mean=(5.0,) * 16, std=(4.0,) * 16)
    path = tmp_path / "a.onnx"
    save_onnx(path, ("n", 1, 20, 16), card=ModelCard("t", LABELS, own))
    (teacher,) = teachers.open_teachers(spec(teachers=(str(path),)), LABELS, ())
    x = windows(3)
    log2 = x[..., 0] * 4 + 5
    expected = onnx_logits(((log2 - np.array(mean)) / np.array(std)).astype(np.float32)[..., None])
    np.testing.assert_allclose(teacher.logits(x, student), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(UsageError, match=r"answers 2 labels \(bus, park\), the student 2"):
        teachers.open_teachers(spec(teachers=(str(path),)), ("park", "bus"), ())
    save_onnx(path, ("n", 1, 20, 16), card=ModelCard("t", LABELS, dataclasses.replace(own, hop=160)))
    with pytest.raises(UsageError, match="another front end: hop is 160, the student's 320"):
        teachers.open_teachers(spec(teachers=(str(path),)), LABELS, ())


def test_a_teacher_without_deltas_is_heard_by_a_student_with_them(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    save_onnx(path, ("n", 1, 20, 16), card=ModelCard("t", LABELS, CFG))
    slopes = dataclasses.replace(CFG, deltas=5)
    made = dataclasses.replace(spec(teachers=(str(path),)), front_end=slopes)
    (teacher,) = teachers.open_teachers(made, LABELS, ())
    x = windows(3, 2)
    np.testing.assert_allclose(teacher.logits(x, slopes), onnx_logits(x[..., :1]), rtol=1e-4, atol=1e-5)
    save_onnx(path, ("n", 2, 20, 16), card=ModelCard("t", LABELS, slopes))
    with pytest.raises(UsageError, match="another front end: deltas is 5, the student's 0"):
        teachers.open_teachers(spec(teachers=(str(path),)), LABELS, ())


def test_shapes_that_do_not_fit_or_are_not_clear(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    save_onnx(path, ("n", 1, 40, 16))
    with pytest.raises(UsageError, match=r"takes \(any, 1, 40, 16\), the student's windows are 20 rows"):
        teachers.open_teachers(spec(teachers=(str(path),)), LABELS, ())
    save_onnx(path, ("n", 1, 20, 16), classes=3)
    with pytest.raises(UsageError, match="gives 3 values a window, the student has 2 labels"):
        teachers.open_teachers(spec(teachers=(str(path),)), LABELS, ())
    save_onnx(path, ("n", 1, 16, 16))
    square = dataclasses.replace(spec(teachers=(str(path),)), front_end=dataclasses.replace(CFG, rows=16))
    with pytest.raises(UsageError, match="which may be ncrb or ncbr for 16 rows of 16 bands"):
        teachers.open_teachers(square, LABELS, ())
    said = dataclasses.replace(square, distill=dataclasses.replace(square.distill, layout="ncbr"))
    assert teachers.open_teachers(said, LABELS, ())[0].layout == "ncbr"


def test_a_keras_file_and_a_saved_model_teach(tmp_path: Path) -> None:
    model = STUDENTS["ds-cnn"](Shape(20, 16, 2, 0.25))
    x = windows(5)
    expected = model(x, training=False).numpy()
    with keras.quiet():
        model.save(tmp_path / "a.keras")
        model.save(tmp_path / "b.h5")
        model.save(tmp_path / "c")
    names = tuple(str(tmp_path / n) for n in ("a.keras", "b.h5", "c"))
    for teacher in teachers.open_teachers(spec(teachers=names), LABELS, ()):
        np.testing.assert_allclose(teacher.logits(x, CFG), expected, rtol=1e-5, atol=1e-5)
    model.save_weights(tmp_path / "d.h5")
    for name in ("d.h5", "none.onnx", "c/variables"):
        with pytest.raises(UsageError, match=f"teacher .*{name} "):
            teachers.open_teachers(spec(teachers=(str(tmp_path / name),)), LABELS, ())
    (tmp_path / "e.onnx").write_bytes(b"no protobuf")
    with pytest.raises(UsageError, match="is no ONNX model that runs"):
        teachers.open_teachers(spec(teachers=(str(tmp_path / "e.onnx"),)), LABELS, ())


def test_without_onnxruntime_one_line_says_so(onnx_teacher: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(ToolMissing, match=r"pip install 'mcu-asc\[onnx\]'"):
        teachers.open_teachers(spec(teachers=(str(onnx_teacher),)), LABELS, ())


def test_a_run_that_learnt_from_our_test_clips_may_not_teach(taught_by: Path) -> None:
    made = dataclasses.replace(spec(teachers=(str(taught_by),)), data=recipe.Data("scenes", (4,), (1,)))
    split = json.loads((taught_by / "split.json").read_text())
    with pytest.raises(UsageError, match=r"has learnt from 2 of the student's test clips"):
        teachers.open_teachers(made, LABELS, split["train"]["1"][:2])
    assert teachers.open_teachers(made, LABELS, split["test"]["4"])
    with pytest.raises(UsageError, match="another front end: rows is 20, the student's 10"):
        teachers.open_teachers(
            dataclasses.replace(made, front_end=dataclasses.replace(CFG, rows=10)), LABELS, ()
        )


def test_recipes_that_make_no_sense() -> None:
    values = {
        "name": "a",
        "data": {"dataset": "scenes", "train_folds": [1], "test_folds": [4]},
        "student": {"name": "ds-cnn"},
    }
    for distilled, match in (
        ({"alpha": 0.5}, "no teachers"),
        ({"teachers": ["a"], "alpha": 0}, "alpha and features are both 0"),
        ({"teachers": ["a"], "stages": ["int8"]}, "stages must name some of float, prune, qat"),
        ({"teachers": ["a"], "temperature": 0}, "temperature is 0"),
        ({"teachers": ["a"], "layout": "nhwc"}, "unknown 'nhwc'"),
    ):
        with pytest.raises(UsageError, match=match):
            recipe.parse(values | {"distill": distilled}, "here")
    assert "distill" not in recipe.as_dict(recipe.parse(values, "here"))
    full = recipe.parse(values | {"distill": {"teachers": ["a", "b"]}}, "here")
    assert recipe.parse(recipe.as_dict(full), "here") == full


# ---- runs ----------------------------------------------------------------------------------------


def same_state(one: Path, two: Path, stage: str) -> bool:
    """Weights, optimiser, averages: all that a finished stage left."""
    with (
        np.load(rundir.RunDir(one).checkpoint(stage)) as a,
        np.load(rundir.RunDir(two).checkpoint(stage)) as b,
    ):
        return a.files == b.files and all(np.array_equal(a[name], b[name]) for name in a.files)


def losses(run: Path) -> list[float]:
    with (run / "metrics.csv").open() as file:
        return [float(r["loss"]) for r in csv.DictReader(file)]


def test_two_teachers_are_asked_once_and_a_killed_run_is_as_good(
    taught_by: Path, onnx_teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    logits = teachers.Teacher.logits

    def watched(self: teachers.Teacher, x: Any, front_end: FrontEndConfig) -> Any:
        asked.append(self.name)
        return logits(self, x, front_end)

    monkeypatch.setattr(teachers.Teacher, "logits", watched)
    both = {"pool_epochs": 2, "stages": ["float", "prune"]}
    path = write(tmp_path, taught_by, onnx_teacher, distill=both, train={"epochs": 3}, prune={"epochs": 1})
    steps = 3  # of 48 clips in batches of 16

    def killer(stage: str, done: int, total: int, text: str) -> None:
        if (stage, done) == ("float", 2 * steps + 2):
            raise Killed

    with pytest.raises(Killed):
        learn.train(path, None, tmp_path / "broken", progress=killer)
    assert len(asked) == 2 * 2 * steps  # two epochs of windows; the third has those of the first
    asked.clear()
    learn.train(path, None, tmp_path / "broken", resume=True)
    assert len(asked) == 2 * steps  # of pruning, which has windows of its own
    asked.clear()
    learn.train(path, None, tmp_path / "whole")
    assert not asked
    for stage in ("float", "prune"):
        assert same_state(tmp_path / "whole", tmp_path / "broken", stage)
    files = [tmp_path / name / "student.tflite" for name in ("whole", "broken")]
    assert files[0].read_bytes() == files[1].read_bytes()
    found = json.loads((tmp_path / "whole/config.json").read_text())["teachers"]
    assert set(found) == {str(taught_by), str(onnx_teacher)}


def test_a_damaged_entry_is_asked_again_with_the_same_result(
    onnx_teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCU_ASC_CACHE", str(tmp_path / "cache"))
    path = write(tmp_path, onnx_teacher)
    learn.train(path, None, tmp_path / "one")
    entries = sorted((tmp_path / "cache/teachers").rglob("*.npz"))
    assert len(entries) == 2  # an epoch each
    before = [e.read_bytes() for e in entries]
    entries[0].write_bytes(before[0][:-40])
    entries[1].unlink()
    learn.train(path, None, tmp_path / "two")
    assert [e.read_bytes() for e in entries] == before
    assert losses(tmp_path / "one") == losses(tmp_path / "two")


def test_a_teacher_that_changed_is_refused(tmp_path: Path) -> None:
    save_onnx(tmp_path / "t.onnx", ("n", 1, 20, 16))
    path = write(tmp_path, tmp_path / "t.onnx")

    def killer(stage: str, done: int, total: int, text: str) -> None:
        if (stage, done) == ("float", 4):
            raise Killed

    with pytest.raises(Killed):
        learn.train(path, None, tmp_path / "run", progress=killer)
    save_onnx(tmp_path / "t.onnx", ("n", 1, 20, 16), softmax=True)
    with pytest.raises(UsageError, match=r"t\.onnx has changed since"):
        learn.train(path, None, tmp_path / "run", resume=True)


def test_matching_brings_the_maps_together_and_resumes(taught_by: Path, tmp_path: Path) -> None:
    train = {"epochs": 4, "windows_per_clip": 4}
    matched = {"alpha": 0, "features": 1.0, "stages": ["float", "qat"]}
    (tmp_path / "other").mkdir()
    learn.train(write(tmp_path / "other", train=train), None, tmp_path / "untaught")
    path = write(tmp_path, taught_by, distill=matched, train=train, qat={"epochs": 1})
    learn.train(path, None, tmp_path / "run")
    # The loss is that of the labels and what is left unexplained: it falls by more than the labels' own.
    left = [a - b for a, b in zip(losses(tmp_path / "run"), losses(tmp_path / "untaught"), strict=False)]
    assert left[3] < 0.7 * left[0]

    def killer(stage: str, done: int, total: int, text: str) -> None:
        if (stage, done) == ("float", 26):
            raise Killed

    with pytest.raises(Killed):
        learn.train(path, None, tmp_path / "broken", progress=killer)
    learn.train(path, None, tmp_path / "broken", resume=True)
    for stage in ("float", "qat"):
        assert same_state(tmp_path / "run", tmp_path / "broken", stage)


def test_maps_of_an_onnx_file_are_not_to_be_had(onnx_teacher: Path, tmp_path: Path) -> None:
    path = write(tmp_path, onnx_teacher, distill={"features": 1.0})
    with pytest.raises(UsageError, match="shows no maps: only Keras networks do"):
        learn.train(path, None, tmp_path / "run")
