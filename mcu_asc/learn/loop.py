"""The training loop of one stage, and how it survives a kill.

A stage is a network, a schedule and what it does between steps.  Its whole state (weights, optimiser,
averages, masks) is written after each epoch; every epoch draws from generators seeded by (seed, stage,
epoch), so a run that was stopped and resumed computes what an unbroken one computes.
"""

from __future__ import annotations

import itertools
import math
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_asc import store
from mcu_asc.errors import UsageError
from mcu_asc.learn import keras, prune
from mcu_asc.learn.distil import Lesson, Pupil, Tutor
from mcu_asc.learn.keras import Keras
from mcu_asc.learn.outputs import Outputs, outputs
from mcu_asc.learn.progress import Progress
from mcu_asc.learn.windows import TrainingSet

NO_DECAY = ("gamma", "beta", "bias")


@dataclass(frozen=True)
class Stage:
    """What one stage does with its network."""

    name: str
    epochs: int
    lr: float  # peak
    warmup: float = 0.0  # share of the steps with a linear rise
    weight_decay: float = 0.0
    ema: float = 0.0
    sparsity: float = 0.0  # at the end
    ramp: float = 0.6  # share of the steps in which the sparsity grows
    mask_every: int = 10  # steps
    kind: str = "magnitude"  # of prune.KINDS
    block_sparsity: float = 0.0  # of "channel+block"


def learning_rate(stage: Stage, step: int, total: int) -> float:
    """A cosine from `lr` to 0, times a linear warm-up."""
    warm = min(1.0, (step + 1) / max(1.0, stage.warmup * total))
    return stage.lr * warm * 0.5 * (1 + math.cos(math.pi * step / total))


def sparsity(stage: Stage, step: int, total: int) -> tuple[float, float]:
    """Zhu and Gupta's polynomial schedule: s (1 - (1 - k / K)^3), then held at s.

    Of blocks beside channels each has half of the K steps, channels first: which weights make a block is
    known when it is known which channels stay.
    """
    done = step / max(1.0, stage.ramp * total)

    def grown(part: float) -> float:
        return 1 - (1 - min(1.0, max(0.0, part))) ** 3

    if not stage.block_sparsity:
        return stage.sparsity * grown(done), 0.0
    return stage.sparsity * grown(2 * done), stage.block_sparsity * grown(2 * done - 1)


def generator(seed: int, stage: str, epoch: int) -> np.random.Generator:
    """Randomness of one epoch."""
    return np.random.default_rng([seed, zlib.crc32(stage.encode()), epoch])


Rows = list[dict[str, Any]]
Evaluate = Callable[[Keras], Mapping[str, float]]


def run_stage(
    stage: Stage,
    model: Keras,
    data: TrainingSet,
    evaluate: Evaluate,
    checkpoint: Path,
    metrics: Callable[[dict[str, Any]], None],
    progress: Progress,
    tutor: Tutor | None = None,
) -> None:
    """Train `model` in place, going on from `checkpoint` where it exists, by its labels and by `tutor`.

    `metrics` gets one row an epoch; `evaluate` is asked about ten times, with the averaged weights:
    the first of its figures is the one that progress tells.
    Raises UsageError when the loss is no number any more.
    """
    trainer = _Trainer(
        stage,
        model,
        outputs(data.recipe.multi_label),
        tutor.pupil(model, data.recipe.train.seed) if tutor else None,
    )
    epoch = trainer.restore(checkpoint)
    steps = data.steps_per_epoch
    total = steps * stage.epochs
    every = max(1, stage.epochs // 10)
    text = ""
    while epoch < stage.epochs:
        rng = generator(data.recipe.train.seed, stage.name, epoch)
        trainer.reseed(int(rng.integers(2**31)))
        losses = []
        for i, (x, y, lesson) in enumerate(_batches(stage, data, rng, epoch, tutor)):
            step = epoch * steps + i
            losses.append(trainer.step(x, y, lesson, step, total))
            progress(stage.name, step + 1, total, f"loss {losses[-1]:.3f} {text}".rstrip())
        loss = float(np.mean(losses))
        if not math.isfinite(loss):
            raise UsageError(
                f"the loss of stage {stage.name} is no number any more (epoch {epoch + 1})", "lower its lr"
            )
        epoch += 1
        row = {"stage": stage.name, "epoch": epoch, "lr": learning_rate(stage, epoch * steps - 1, total)}
        row["loss"] = loss
        if stage.sparsity:
            part, blocks = sparsity(stage, epoch * steps - 1, total)
            row["sparsity"] = 1 - (1 - part) * (1 - blocks) if blocks else part
        if epoch % every == 0 or epoch == stage.epochs:
            with trainer.averaged():
                scores = evaluate(model)
            row |= scores
            text = f"test {100 * next(iter(scores.values())):.1f} %"
        metrics(row)
        trainer.save(checkpoint, epoch)
    trainer.finish()


def _batches(
    stage: Stage, data: TrainingSet, rng: np.random.Generator, epoch: int, tutor: Tutor | None
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32], Lesson]]:
    """An epoch's batches; those of an earlier one where the tutor's pool is used up."""
    if tutor is None:
        return ((x, y, ()) for x, y in data.epoch(rng))
    drawn = tutor.drawn(epoch)
    if drawn != epoch:
        rng = generator(data.recipe.train.seed, stage.name, drawn)
        rng.integers(2**31)  # what dropout was seeded by
    return tutor.lessons(stage.name, drawn, data.epoch(rng))


class _Trainer:
    """The moving parts of a stage: network, optimiser, averages, masks."""

    def __init__(self, stage: Stage, model: Keras, means: Outputs, pupil: Pupil | None) -> None:
        tf, k = keras.tensorflow(), keras.keras()
        self.means = means
        self.stage, self.model, self.pupil = stage, model, pupil
        self.beside = pupil.variables if pupil else []
        self.optimiser = k.optimizers.AdamW(learning_rate=0.0, weight_decay=stage.weight_decay)
        self.optimiser.exclude_from_weight_decay(var_names=list(NO_DECAY))
        self.optimiser.build([*model.trainable_variables, *self.beside])
        floats = [w for w in model.weights if w.dtype.is_floating]
        self.averages = [(w, tf.Variable(w, trainable=False)) for w in floats] if stage.ema else []
        self.pruned = prune.pruned(model, stage.kind) if stage.sparsity else []
        masked = [w for _, variables in self.pruned for w in variables]
        self.masks = [(w, tf.Variable(tf.ones_like(w), trainable=False)) for w in masked]
        self._train = tf.function(self._step)

    # What follows is one optimiser step; TensorFlow traces it once.
    def _step(self, x: Any, y: Any, lesson: Any, ema: Any) -> Any:
        tf = keras.tensorflow()

        def hard(logits: Any) -> Any:
            return self.means.loss(y, logits)

        with tf.GradientTape() as tape:
            loss = self.pupil.loss(x, hard, lesson) if self.pupil else hard(self.model(x, training=True))
        variables = [*self.model.trainable_variables, *self.beside]
        self.optimiser.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        for w, mask in self.masks:
            w.assign(w * mask)
        for w, average in self.averages:
            average.assign(average * ema + w * (1 - ema))
        return loss

    def step(
        self, x: NDArray[np.float32], y: NDArray[np.float32], lesson: Lesson, step: int, total: int
    ) -> float:
        tf = keras.tensorflow()
        if self.masks and (step % self.stage.mask_every == 0 or step == total - 1):
            choose, among = prune.KINDS[self.stage.kind], [target for target, _ in self.pruned]
            new = choose(among, *sparsity(self.stage, step, total))
            for (_, mask), value in zip(self.masks, itertools.chain(*new), strict=True):
                mask.assign(value)
        self.optimiser.learning_rate.assign(learning_rate(self.stage, step, total))
        ema = min(self.stage.ema, (step + 1) / (step + 10))  # young averages forget faster
        taught = tuple(map(tf.constant, lesson))
        return float(self._train(tf.constant(x), tf.constant(y), taught, tf.constant(ema, tf.float32)))

    def reseed(self, seed: int) -> None:
        for layer in self.model.layers:
            random = getattr(layer, "_random_generator", None)
            if random is not None and random._generator is not None:
                random._generator.reset_from_seed(seed)

    def averaged(self) -> _Swap:
        """A context in which the model has its averaged weights."""
        return _Swap(self.averages)

    def finish(self) -> None:
        """Leave the averaged weights in the model."""
        for w, average in self.averages:
            w.assign(average)

    def _state(self) -> Sequence[Any]:
        pairs = [*self.averages, *self.masks]
        return [*self.model.weights, *self.beside, *self.optimiser.variables, *(extra for _, extra in pairs)]

    def save(self, path: Path, epoch: int) -> None:
        """Write the state, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        with new.open("wb") as file:
            values = {f"v{i}": v.numpy() for i, v in enumerate(self._state())}
            np.savez(file, epoch=np.int64(epoch), **values)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)

    def restore(self, path: Path) -> int:
        """Take the state of an earlier process; the number of epochs done, 0 without one."""
        if not path.exists():
            return 0
        variables = self._state()
        try:
            with np.load(path) as saved:
                found = [saved[f"v{i}"] for i in range(len(saved.files) - 1)]
                epoch = int(saved["epoch"])
        except store.DAMAGED as error:
            raise UsageError(f"{path} is damaged: {error}", "delete it: the stage starts anew") from error
        if [v.shape for v in found] != [tuple(v.shape) for v in variables]:
            raise UsageError(f"{path} is the state of another network", "delete it: the stage starts anew")
        for v, value in zip(variables, found, strict=True):
            v.assign(value)
        return epoch


class _Swap:
    """Exchange weights with their averages, and back."""

    def __init__(self, pairs: Sequence[tuple[Any, Any]]) -> None:
        self._pairs = pairs

    def _swap(self) -> None:
        for w, average in self._pairs:
            value = w.numpy()
            w.assign(average)
            average.assign(value)

    def __enter__(self) -> None:
        self._swap()

    def __exit__(self, *_: object) -> None:
        self._swap()
