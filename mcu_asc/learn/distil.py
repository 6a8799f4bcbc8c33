"""Distillation: teachers' answers beside the labels, and their maps to be matched.

The loss of a window, z the student's logits, y its label shares:

    (1 - alpha) CE(y, softmax z)  +  alpha T^2 KL(q || softmax z/T)  +  features * mean over teachers of R

q is the mean of the teachers' softmax(z_i / T).  T^2 keeps the size of the gradient (Hinton et al. 2015); KL
is their cross-entropy without q's own entropy: the same gradient, and 0 where student and teachers agree.  R
is the share of a teacher's map that a learnt 1 x 1 projection of the student's map leaves unexplained
(FitNets, Romero et al. 2015): squared error over variance, after both maps have been averaged down to the
smaller one's places.  It is 1 for a projection that knows the mean only, whatever the map's units.

Where several labels may hold, sigmoids stand for softmax and losses are means over the labels.

A teacher hears what the student hears: the augmented, mixed and masked window itself, not the clips that it
came from.  Windows are drawn from (seed, stage, epoch), so a teacher's logits for them can be kept: one cache
entry an epoch, found by teacher, front end, clips and epoch, and each batch in it checked against a hash of
its windows.  A run that is resumed, and another student with the same seed and augmentation, find them there.
`pool_epochs` = K goes on with the windows of the first K epochs again: then a teacher answers K times only.
Maps are too large to keep: matching runs the teachers at every step.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_asc import paths, store
from mcu_asc.errors import UsageError
from mcu_asc.learn import keras
from mcu_asc.learn.keras import Keras
from mcu_asc.learn.outputs import ONE, Outputs, outputs
from mcu_asc.learn.recipe import Distill
from mcu_asc.learn.teachers import Floats, Teacher
from mcu_asc.learn.windows import TrainingSet

FORMAT = b"teacher 1"  # raise it when the layout of an entry changes
FIELDS = ("windows", "logits")
Lesson = tuple[NDArray[np.float32], ...]  # q where answers are asked for, then a map of each teacher


def softened(logits: Sequence[Floats], temperature: float, means: Outputs = ONE) -> Floats:
    """The mean over teachers of the probabilities of logits / temperature: (n, classes)."""
    each = [means.probabilities(z.astype(np.float64) / temperature) for z in logits]
    out: Floats = np.mean(each, axis=0).astype(np.float32)
    return out


def soft_loss(q: Any, logits: Any, temperature: float, means: Outputs = ONE) -> Any:
    """T^2 times the mean over windows of KL(q || softmax(logits / T)); TensorFlow tensors (n, classes)."""
    return temperature**2 * (means.loss(q, logits / temperature) - means.entropy(q))


def averaging(source: int, target: int) -> Floats:
    """(target, source): row i averages the i-th of `target` equal parts of `source` places."""
    edges = np.arange(target + 1) * source / target
    low, high = edges[:-1, None], edges[1:, None]
    place = np.arange(source)
    overlap = np.clip(np.minimum(high, place + 1) - np.maximum(low, place), 0, None)
    out: Floats = (overlap * target / source).astype(np.float32)
    return out


# ---- maps ----------------------------------------------------------------------------------------


def map_layer(model: Keras, name: str, where: str) -> Keras:
    """The layer of that name whose output is a map (n, rows, bands, channels).

    "" is the last map before the classifier.  UsageError, naming the maps that there are, for any other.
    Quantised layers go by their plain name.
    """
    maps: dict[str, Keras] = {}
    last = ""
    for layer in model.layers:
        if any("kernel" in w.name for w in layer.weights):
            last = next(reversed(maps), "")  # what the last layer with a kernel gets
        shape = getattr(layer, "output_shape", None)
        if isinstance(shape, tuple) and len(shape) == 4 and not _passes_on(layer):
            maps[layer.name.removeprefix("quant_")] = layer
    if found := maps.get(name or last):
        return found
    raise UsageError(
        f"{where} has no map '{name}'" if name else f"{where} has no map before its classifier",
        "maps: " + ", ".join(maps) if maps else "set features to 0",
    )


def _passes_on(layer: Keras) -> bool:
    kinds = keras.keras().layers
    return isinstance(layer, kinds.InputLayer | kinds.Dropout) or "quantize_layer" in layer.name


@dataclass(frozen=True, eq=False)
class Match:
    """One teacher's map and the student's, and what is learnt between them."""

    rows: tuple[Any, Any]  # averaging of the student's and of the teacher's rows
    bands: tuple[Any, Any]
    kernel: Any  # (student's channels, teacher's channels), learnt
    bias: Any

    def unexplained(self, student: Any, teacher: Any) -> Any:
        """Squared error of the projected student's map over the variance of the teacher's."""
        tf = keras.tensorflow()
        ours, theirs = (
            tf.einsum("ir,jb,nrbc->nijc", r, b, x)
            for r, b, x in zip(self.rows, self.bands, (student, teacher), strict=True)
        )
        projected = tf.einsum("nijc,cd->nijd", ours, self.kernel) + self.bias
        variance = tf.reduce_mean(tf.math.reduce_variance(theirs, axis=[0, 1, 2]))
        return tf.reduce_mean((projected - theirs) ** 2) / (variance + 1e-6)


def match(student: Sequence[int], teacher: Sequence[int], rng: np.random.Generator) -> Match:
    """A fresh projection between maps of shapes (rows, bands, channels)."""
    tf = keras.tensorflow()
    rows, bands = (
        tuple(tf.constant(averaging(n, min(a, b))) for n in (a, b))
        for a, b in zip(student[:2], teacher[:2], strict=True)
    )
    width = student[2]
    kernel = rng.normal(0, width**-0.5, (width, teacher[2])).astype(np.float32)
    return Match(
        rows,
        bands,
        tf.Variable(kernel, name="projection/kernel"),
        tf.Variable(tf.zeros(teacher[2]), name="projection/bias"),
    )


class Pupil:
    """A stage's student among its teachers: what is looked at, what is learnt beside it, the loss."""

    def __init__(
        self, spec: Distill, model: Keras, maps: Sequence[Keras], seed: int, means: Outputs = ONE
    ) -> None:
        self.spec, self.means = spec, means
        self.matches: tuple[Match, ...] = ()
        self.network = model
        if maps:
            layer = map_layer(model, spec.student_layer, "the student")
            self.network = keras.keras().Model(model.input, [model.output, layer.output])
            rng = np.random.default_rng([seed, len(maps)])
            self.matches = tuple(match(layer.output_shape[1:], m.output_shape[1:], rng) for m in maps)

    @property
    def variables(self) -> list[Any]:
        """What is learnt beside the student and thrown away with the stage."""
        return [v for m in self.matches for v in (m.kernel, m.bias)]

    def loss(self, x: Any, hard: Any, lesson: Sequence[Any]) -> Any:
        """The whole loss of a batch; `hard` makes the labels' loss out of the logits."""
        tf = keras.tensorflow()
        out = self.network(x, training=True)
        logits, *found = out if self.matches else (out,)
        alpha, taught = self.spec.alpha, list(lesson)
        loss = (1 - alpha) * hard(logits)
        if alpha:
            loss += alpha * soft_loss(taught.pop(0), logits, self.spec.temperature, self.means)
        if self.matches:
            left = [m.unexplained(found[0], t) for m, t in zip(self.matches, taught, strict=True)]
            loss += self.spec.features * tf.add_n(left) / len(left)
        return loss


# ---- lessons -------------------------------------------------------------------------------------


class Tutor:
    """The teachers of a run: what they say to each batch, kept on disk."""

    def __init__(
        self,
        spec: Distill,
        teachers: Sequence[Teacher],
        data: TrainingSet,
        clips: bytes,
        cache: Path | None = None,
    ) -> None:
        """`clips` names the training clips and their sounds; `cache` defaults to paths.cache_dir()."""
        tf, k = keras.tensorflow(), keras.keras()
        self.spec, self.teachers, self.front_end = spec, teachers, data.front_end
        self.folder = (cache or paths.cache_dir()) / "teachers"
        self.means = outputs(data.recipe.multi_label)
        train = data.recipe.train
        drawn = [train.seed, train.batch, train.windows_per_clip, dataclasses.asdict(data.recipe.augment)]
        self._key = store.key(FORMAT, self.front_end.canonical.encode(), clips, json.dumps(drawn).encode())
        self.maps: list[Keras] = []  # the teachers' layers
        self._see: list[Any] = []
        for teacher in teachers if spec.features else ():
            where, model = f"teacher {teacher.name}", teacher.network.keras
            if model is None:
                raise UsageError(f"{where} shows no maps: only Keras networks do", "set features to 0")
            layer = map_layer(model, spec.teacher_layer, where)
            view = k.Model(model.input, layer.output)
            self.maps.append(layer)
            self._see.append(tf.function(lambda v, view=view: view(v, training=False)))

    def pupil(self, model: Keras, seed: int) -> Pupil:
        """A stage's student among us."""
        return Pupil(self.spec, model, self.maps, seed, self.means)

    def drawn(self, epoch: int) -> int:
        """Whose windows an epoch has."""
        return epoch % self.spec.pool_epochs if self.spec.pool_epochs else epoch

    def lessons(
        self, stage: str, drawn: int, batches: Iterable[tuple[Floats, Floats]]
    ) -> Iterator[tuple[Floats, Floats, Lesson]]:
        """Each batch x, y with its lesson; answers that were not kept yet are, at the end of the epoch."""
        books = [_Book(t, self._entry(t, stage, drawn)) for t in self.teachers if self.spec.alpha]
        for x, y in batches:
            heard = hashlib.sha256(x.tobytes()).digest()
            answers = [book.answer(x, heard, self.front_end) for book in books]
            lesson = [softened(answers, self.spec.temperature, self.means)] if books else []
            for teacher, see in zip(self.teachers, self._see, strict=False):
                lesson.append(see(teacher.inputs(x, self.front_end)).numpy())
            yield x, y, tuple(lesson)
        for book in books:
            book.close()

    def _entry(self, teacher: Teacher, stage: str, drawn: int) -> Path:
        epoch = f"{stage} {drawn}".encode()
        return store.entry(self.folder, store.key(self._key, teacher.network.digest, epoch))


class _Book:
    """One teacher's logits for the batches of one epoch."""

    def __init__(self, teacher: Teacher, path: Path) -> None:
        self.teacher, self.path = teacher, path
        found = store.read(path, FIELDS)
        self._known: dict[bytes, Floats] = {}
        if found is not None:
            self._known = {w.tobytes(): z for w, z in zip(found["windows"], found["logits"], strict=False)}
        self._said: dict[bytes, Floats] = {}
        self._new = False

    def answer(self, x: Floats, heard: bytes, front_end: Any) -> Floats:
        kept = self._known.get(heard)
        if kept is None:
            self._new = True
            kept = self.teacher.logits(x, front_end)
        self._said[heard] = kept
        return kept

    def close(self) -> None:
        if self._new:
            windows = np.stack([np.frombuffer(w, np.uint8) for w in self._said])
            store.write(self.path, {"windows": windows, "logits": np.stack(list(self._said.values()))})
