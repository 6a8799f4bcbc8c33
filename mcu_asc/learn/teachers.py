"""Teachers: trained networks of any size that answer for the windows that a student is trained on.

A run directory of `mcu-asc train` knows its labels, its front end and the clips that it has learnt from: all
are checked.  An ONNX file may hold a card as our .tflite files do (metadata entry `mcu_asc`, the same JSON).
Other files know nothing but shapes: they take the windows as the student takes them, standardised by the
student's front end, and their classes are taken to be in the order of the labels.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcu_asc import config, store
from mcu_asc.errors import ToolMissing, UsageError
from mcu_asc.learn import keras, rundir
from mcu_asc.learn.convert import load_student, stages_of
from mcu_asc.learn.keras import Keras
from mcu_asc.learn.outputs import Outputs, outputs
from mcu_asc.learn.recipe import Recipe
from mcu_asc.nouns import FrontEndConfig

Floats = NDArray[np.float32]
Shape = tuple[int | None, ...]  # None: any
Call = Callable[[Floats], Floats]

# Axes of what a network takes: n(umber), r(ows), b(ands), c(hannels).  PyTorch's networks have c before the
# map, and many of them bands before rows.
LAYOUTS = ("nrbc", "ncrb", "nbrc", "ncbr", "nrb", "nbr")
STATISTICS = ("mean", "std", "scale", "zero_point")  # of a front end: what may differ from the student's
PROBES = 8  # windows of noise that show whether a network gives logits or probabilities


@dataclass(frozen=True, eq=False)
class Network:
    """What a reader made of a path."""

    digest: bytes  # SHA-256 of all that decides its answers
    shape: Shape  # of its input
    call: Call  # windows in its own layout, float32 -> (n, classes)
    labels: tuple[str, ...] = ()  # () = not known
    front_end: FrontEndConfig | None = None  # None: takes what the student takes
    multi_label: bool | None = None
    seen: Mapping[str, str] = dataclasses.field(default_factory=dict)  # clips learnt from -> data set
    keras: Keras | None = None


@dataclass(frozen=True, eq=False)
class Teacher:
    """A network that has been found to fit the student."""

    name: str  # as the recipe has it
    network: Network
    layout: str  # of LAYOUTS
    means: Outputs
    probabilities: bool  # its last operation is a softmax, or a sigmoid where several labels may hold

    def inputs(self, x: Floats, front_end: FrontEndConfig) -> Floats:
        """Windows of the student (n, rows, bands, channels), standardised by its front end, as ours."""
        own = self.network.front_end
        if own is not None:
            x = restandardised(x[..., : own.channels], front_end, own)
        return arranged(x, self.layout)

    def logits(self, x: Floats, front_end: FrontEndConfig) -> Floats:
        """(n, classes) for windows of the student; as good as that for one that gives probabilities."""
        out = np.asarray(self.network.call(self.inputs(x, front_end)), np.float32)
        return self.means.logits(out.astype(np.float64)).astype(np.float32) if self.probabilities else out


def restandardised(x: Floats, source: FrontEndConfig, target: FrontEndConfig) -> Floats:
    """Windows standardised by `source` as `target` does it: (n, rows, bands, channels of the target)."""

    def statistics(cfg: FrontEndConfig) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        shape = (cfg.bands, cfg.channels)
        mean = np.reshape(cfg.mean or (0.0,) * cfg.values, shape)[:, : target.channels]
        return mean, np.reshape(cfg.std or (1.0,) * cfg.values, shape)[:, : target.channels]

    (mean, std), (own_mean, own_std) = statistics(source), statistics(target)
    if np.array_equal(mean, own_mean) and np.array_equal(std, own_std):
        return x
    factor = (std / own_std).astype(np.float32)
    out: Floats = x * factor + ((mean - own_mean) / own_std).astype(np.float32)
    return out


def arranged(x: Floats, layout: str) -> Floats:
    """(n, rows, bands, channels) in one of LAYOUTS."""
    if "c" not in layout:
        return np.ascontiguousarray(x[..., 0].transpose(["nrb".index(a) for a in layout]))
    return np.ascontiguousarray(x.transpose(["nrbc".index(a) for a in layout]))


# ---- readers: each one kind of path --------------------------------------------------------------


def _of_run(path: Path) -> Network:
    run = rundir.RunDir(path)
    made = rundir.read_config(run)
    model = load_student(run, made)
    weights = [run.weights(s).read_bytes() for s in stages_of(made.recipe) if run.weights(s).exists()]
    facts = json.dumps([made.labels, made.front_end.canonical, str(made.recipe)])
    split = json.loads((run.path / "split.json").read_text(encoding="utf-8"))
    seen = {i: made.recipe.data.dataset for fold in split["train"].values() for i in fold}
    return dataclasses.replace(
        _of_model(model, store.key(facts.encode(), *weights), str(path)),
        labels=made.labels,
        front_end=made.front_end,
        multi_label=made.recipe.multi_label,
        seen=seen,
    )


def _of_keras(path: Path) -> Network:
    files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]
    digest = store.key(*(hashlib.sha256(f.read_bytes()).digest() for f in files))
    try:
        with keras.quiet():
            model = keras.keras().models.load_model(path, compile=False)
    except Exception as error:  # whatever HDF5, zip or a custom layer raises
        reason = str(error).strip().splitlines()
        raise UsageError(
            f"teacher {path} cannot be read by Keras 2: {reason[0] if reason else type(error).__name__}",
            "save the whole model with tf_keras, or as ONNX",
        ) from error
    return _of_model(model, digest, str(path))


def _of_model(model: Keras, digest: bytes, where: str) -> Network:
    tf = keras.tensorflow()
    shape, out = model.input_shape, model.output_shape
    if not isinstance(shape, tuple) or not isinstance(out, tuple):
        raise UsageError(f"teacher {where} has several inputs or outputs", "give one with one of each")
    infer = tf.function(lambda v: model(v, training=False))
    return Network(digest, tuple(shape), lambda x: np.asarray(infer(tf.constant(x))), keras=model)


def _of_onnx(path: Path) -> Network:
    try:
        import onnxruntime
    except ImportError as error:
        raise ToolMissing(f"teacher {path} cannot run: {error}", "pip install 'mcu-asc[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # sums in one fixed order
    options.log_severity_level = 4
    beside = [f for end in (".data", "_data") if (f := path.with_name(path.name + end)).is_file()]
    digest = store.key(*(f.read_bytes() for f in (path, *beside)))
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen kinds of its own
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"teacher {path} is no ONNX model that runs: {reason}", "export it again") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)":
        raise UsageError(
            f"teacher {path} takes {', '.join(f'{i.name} {i.type}' for i in inputs)}",
            "give it one float32 input",
        )
    shape = tuple(d if isinstance(d, int) and d > 0 else None for d in inputs[0].shape)
    name, first = inputs[0].name, outputs[0].name
    batch = shape[0] if shape else None

    def call(x: Floats) -> Floats:
        step = batch or len(x)
        padded = np.concatenate([x, np.zeros((-len(x) % step, *x.shape[1:]), np.float32)])
        parts = [session.run([first], {name: padded[i : i + step]})[0] for i in range(0, len(padded), step)]
        return np.asarray(np.concatenate(parts)[: len(x)], np.float32)

    found = Network(digest, shape, call)
    text = session.get_modelmeta().custom_metadata_map.get("mcu_asc")
    if text is None:
        return found
    card = config.card_from_json(text)
    return dataclasses.replace(
        found, labels=card.labels, front_end=card.front_end, multi_label=card.multi_label
    )


def read(path: Path) -> Network:
    """A run, a Keras model or an ONNX file; UsageError for everything else, in one line."""
    if path.is_dir() and rundir.RunDir(path).config.exists():
        return _of_run(path)
    if path.is_dir() and (path / "saved_model.pb").exists():
        return _of_keras(path)
    reader = SUFFIXES.get(path.suffix.lower())
    if not path.exists() or reader is None or path.is_dir():
        what = "is neither a run nor a model" if path.exists() else "is not there"
        raise UsageError(
            f"teacher {path} {what}", f"a run directory, a SavedModel folder, or one of {', '.join(SUFFIXES)}"
        )
    return reader(path)


SUFFIXES: Mapping[str, Callable[[Path], Network]] = {
    ".keras": _of_keras,
    ".h5": _of_keras,
    ".hdf5": _of_keras,
    ".onnx": _of_onnx,
}


# ---- does it fit? --------------------------------------------------------------------------------


def open_teachers(recipe: Recipe, labels: tuple[str, ...], tested: Sequence[str]) -> tuple[Teacher, ...]:
    """The recipe's teachers, read and checked; `tested` are the ids of the clips that only test.

    UsageError, one line, for a path that is no network and for one with other labels, another front end,
    another shape or test clips among those that it has learnt from; ToolMissing without onnxruntime.
    """
    return tuple(_fitting(name, recipe, labels, tested) for name in recipe.distill.teachers)


def _fitting(name: str, recipe: Recipe, labels: tuple[str, ...], tested: Sequence[str]) -> Teacher:
    network = read(Path(name))
    where = f"teacher {name}"
    if network.labels and network.labels != labels:
        raise UsageError(
            f"{where} answers {_some(network.labels)}, the student {_some(labels)}",
            "train it on the same labels in the same order",
        )
    if network.multi_label not in (None, recipe.multi_label):
        kinds = ("one label a clip", "several labels a clip")
        raise UsageError(
            f"{where} was trained for {kinds[bool(network.multi_label)]}, the student for"
            f" {kinds[recipe.multi_label]}",
            "train it on the same data set",
        )
    if network.front_end is not None:
        _check_front_end(where, network.front_end, recipe.front_end)
    dataset = recipe.data.dataset
    if leaked := [i for i in tested if network.seen.get(i) == dataset]:
        raise UsageError(
            f"{where} has learnt from {len(leaked)} of the student's test clips, {leaked[0]} among them",
            "train it on the student's training folds",
        )
    cfg = network.front_end or recipe.front_end
    layout = _layout(where, network, cfg, recipe.distill.layout)
    noise = np.random.default_rng(0).normal(0, 1, (PROBES, cfg.rows, cfg.bands, cfg.channels))
    out = network.call(arranged(noise.astype(np.float32), layout))
    if out.shape != (PROBES, len(labels)):
        raise UsageError(
            f"{where} gives {' x '.join(map(str, out.shape[1:]))} values a window,"
            f" the student has {len(labels)} labels",
            "give one whose output is (n, labels)",
        )
    means = outputs(recipe.multi_label)
    return Teacher(name, network, layout, means, means.are_probabilities(out.astype(np.float64)))


def _some(labels: Sequence[str]) -> str:
    return f"{len(labels)} labels ({', '.join(labels[:3])}{', ...' if len(labels) > 3 else ''})"


def _check_front_end(where: str, own: FrontEndConfig, student: FrontEndConfig) -> None:
    """What a teacher takes must follow from what the student takes: another standardisation, or no deltas."""
    for f in dataclasses.fields(FrontEndConfig):
        a, b = getattr(own, f.name), getattr(student, f.name)
        if f.name not in STATISTICS and a != b and (f.name, a) != ("deltas", 0):
            raise UsageError(
                f"{where} has another front end: {f.name} is {a}, the student's {b}",
                "its windows cannot be had from the student's: train it with the same [front_end]",
            )


def _layout(where: str, network: Network, cfg: FrontEndConfig, asked: str) -> str:
    sizes = {"n": None, "r": cfg.rows, "b": cfg.bands, "c": cfg.channels}

    def fits(layout: str) -> bool:
        if len(layout) != len(network.shape) or ("c" not in layout and cfg.channels > 1):
            return False
        return all(
            sizes[a] is None or d in (None, sizes[a]) for a, d in zip(layout, network.shape, strict=True)
        )

    known = [layout for layout in LAYOUTS if fits(layout)]
    if network.front_end is not None and network.keras is not None:
        known = known[:1]  # a student of ours
    if asked in known or len(known) == 1:
        return asked if asked in known else known[0]
    shown = f"({', '.join('any' if d is None else str(d) for d in network.shape)})"
    rows = f"{cfg.rows} rows of {cfg.bands} bands of {cfg.channels} channels".removesuffix(" of 1 channels")
    if not known:
        raise UsageError(
            f"{where} takes {shown}, the student's windows are {rows}",
            "rows, bands and channels must be the student's, in an order of " + ", ".join(LAYOUTS),
        )
    raise UsageError(
        f"{where} takes {shown}, which may be {' or '.join(known)} for {rows}",
        f'say which in [distill]: layout = "{known[0]}"',
    )
