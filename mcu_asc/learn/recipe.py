"""A recipe: everything that decides what is trained, as strict TOML.

Unknown keys, wrong types and values out of range are refused when the file is read, in one line that names
the file, the place and the remedy.  Every key with its unit and range is a field below.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcu_asc import config
from mcu_asc.errors import UsageError
from mcu_asc.nouns import Decision, FrontEndConfig

MEASURED = ("mean", "std", "scale", "zero_point")  # of the front end: learnt from data, not written by hand


STAGES = ("float", "prune", "qat")  # of training, in order

# A field that came after students had been shipped: their cards must go on saying what they said, so that it
# appears in `as_dict` only where it is not the default.
LATER = {"later": True}
LATER_FRONT_END = ("spectrum", "norm", "deltas")


def _in(low: float, high: float, default: Any = dataclasses.MISSING, later: bool = False) -> Any:
    """A field whose value lies in [low, high]."""
    return field(default=default, metadata={"range": (low, high), "later": later})


def _check_ranges(section: Any) -> None:
    """ValueError naming the first field outside its range."""
    for f in dataclasses.fields(section):
        low, high = f.metadata.get("range", (None, None))
        value = getattr(section, f.name)
        if low is not None and value is not None and not low <= value <= high:
            raise ValueError(f"{f.name} is {value}, it must be in {low:g} .. {high:g}")


@dataclass(frozen=True)
class Section:
    """A table of the recipe."""

    def __post_init__(self) -> None:
        _check_ranges(self)


@dataclass(frozen=True)
class Data(Section):
    """[data]: which clips teach and which only test."""

    dataset: str  # a name of audio.datasets.DATASETS
    train_folds: tuple[int, ...]
    test_folds: tuple[int, ...]
    labels: tuple[str, ...] = ()  # a subset of the classes; () = all
    annotator_shares: bool = field(default=False, metadata=LATER)  # learn how many heard a label, not a vote

    def __post_init__(self) -> None:
        if not self.train_folds or not self.test_folds:
            raise ValueError("train_folds and test_folds must each name a fold")
        if shared := set(self.train_folds) & set(self.test_folds):
            raise ValueError(f"fold {min(shared)} is in train_folds and in test_folds")


@dataclass(frozen=True)
class Student(Section):
    """[student]: which network, how wide."""

    name: str  # a name of students.STUDENTS
    width: float = _in(0.1, 8.0, 1.0)  # multiplies the channels of every layer
    dropout: float = _in(0.0, 0.9, 0.2)  # before the last layer, while training


@dataclass(frozen=True)
class Train(Section):
    """[train]: the float stage, and what all stages share."""

    epochs: int = _in(1, 10_000, 100)
    windows_per_clip: int = _in(1, 1000, 4)  # drawn in each epoch
    batch: int = _in(1, 4096, 64)  # windows
    lr: float = _in(0.0, 1.0, 3e-3)  # peak; linear warm-up, then a cosine to 0
    warmup: float = _in(0.0, 1.0, 0.05)  # share of the steps
    weight_decay: float = _in(0.0, 1.0, 1e-3)  # AdamW's, on kernels only
    ema: float = _in(0.0, 0.9999, 0.99)  # averaging of weights; 0 = the last weights
    seed: int = _in(0, 2**31 - 1, 0)
    min_alive: float | None = _in(0.0, 1.0, None, later=True)  # share of a window's rows; unset: [decision]'s


@dataclass(frozen=True)
class Augment(Section):
    """[augment]: amounts; 0 switches a step off."""

    floor_fs2: float = _in(1e-12, 1.0, 1e-6)  # under the power that is stretched, shifted and amplified
    stretch: float = _in(0.0, 0.5, 0.1)  # tempo within 1 -+ this
    pitch_bands: float = _in(0.0, 8.0, 1.5)  # shift along the bands within -+ this
    gain_db: float = _in(0.0, 40.0, 8.7)  # level within -+ this
    eq_db: float = _in(0.0, 20.0, 4.3)  # standard deviation at the knots of a random equaliser
    eq_knots: int = _in(2, 64, 6)
    mix: float = _in(0.0, 1.0, 0.4)  # share of windows mixed with another one
    mask_bands: int = _in(0, 64, 8)  # one mask of at most so many bands
    mask_rows: int = _in(0, 200, 8)  # one mask of at most so many rows
    masks: int = _in(1, 8, 1, later=True)  # so many masks along each axis
    roll_rows: int = _in(0, 1000, 0, later=True)  # turn within -+ so many rows
    mixup: float = _in(0.0, 1.0, 0.0, later=True)  # share of windows whose input is mixed with another one's
    mixup_alpha: float = _in(0.01, 10.0, 0.2, later=True)
    mixstyle: float = _in(0.0, 1.0, 0.0, later=True)  # share of windows with another one's band statistics
    mixstyle_alpha: float = _in(0.01, 10.0, 0.4, later=True)
    spectrum_modulation: float = _in(0.0, 1.0, 0.0, later=True)  # share with another device's mean spectrum
    devices: int = _in(0, 16, 0, later=True)  # each clip also as so many made-up devices would record it


@dataclass(frozen=True)
class Prune(Section):
    """[prune]: zeros in the convolutions' kernels, stem and last layer left dense.

    kind  "magnitude": the smallest weights, which saves flash when packed, not time; "block": the blocks of
          2 x 4 x 3 weights that the device skips (nouns.BLOCK); "channel": whole channels, which are removed;
          "channel+block": `sparsity` of the channels is removed, then `block_sparsity` of the blocks in what
          is left is zeroed, in the first and the second half of the ramp
    """

    kind: str = field(default="magnitude", metadata=LATER)
    sparsity: float = _in(0.0, 0.95, 0.5)  # share of zeros at the end; 0 = no pruning
    epochs: int = _in(0, 10_000, 20)  # 0 = no pruning
    lr: float = _in(0.0, 1.0, 1e-3)
    ramp: float = _in(0.0, 1.0, 0.6)  # share of the steps in which the sparsity grows
    every_steps: int = _in(1, 10_000, 10)  # steps between choices of what to zero
    block_sparsity: float = _in(0.0, 0.95, 0.0, later=True)  # "channel+block": share of zero blocks

    def __post_init__(self) -> None:
        super().__post_init__()
        mixed = self.kind == "channel+block"
        if self.block_sparsity and not mixed:
            raise ValueError(
                f'block_sparsity goes with kind = "channel+block", not "{self.kind}": use sparsity'
            )
        if mixed and self.sparsity and not self.block_sparsity:
            raise ValueError('kind = "channel+block" needs block_sparsity, as in block_sparsity = 0.5')


@dataclass(frozen=True)
class Qat(Section):
    """[qat]: quantisation-aware training that keeps the zeros."""

    epochs: int = _in(0, 10_000, 10)  # 0 = quantise after training, calibrated on training windows
    lr: float = _in(0.0, 1.0, 3e-4)


@dataclass(frozen=True)
class Distill(Section):
    """[distill]: what the student learns from teachers beside the labels (distil.py has the loss).

    teachers  run directories of `mcu-asc train`, .onnx, .keras or .h5 files, SavedModel folders; several
              teach by the mean of their softened probabilities
    stages    of STAGES, those in which they teach
    layout    how a file without a card takes windows: of teachers.LAYOUTS; "" = as its shape says
    """

    teachers: tuple[str, ...] = ()
    temperature: float = _in(0.1, 100.0, 2.0)
    alpha: float = _in(0.0, 1.0, 0.7)  # weight of the teachers' answers; the labels have the rest
    features: float = _in(0.0, 1000.0, 0.0)  # weight of matching the Keras teachers' maps; 0 = none
    student_layer: str = ""  # whose map is matched; "" = the last map
    teacher_layer: str = ""
    pool_epochs: int = _in(0, 10_000, 0)  # windows repeat after so many epochs; 0 = they are always new
    stages: tuple[str, ...] = ("float",)
    layout: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.stages or set(self.stages) - set(STAGES):
            raise ValueError(f"stages must name some of {', '.join(STAGES)}")
        if not self.alpha and not self.features:
            raise ValueError("alpha and features are both 0: nothing would be learnt from the teachers")


@dataclass(frozen=True)
class Limits(Section):
    """[budget]: what the student must keep to; refused before the first step of training when it does not."""

    name: str = ""  # of a budget, or the path of its TOML file; "" = none
    board: str = ""  # of a board, or the path of its TOML file: RAM and flash count too


@dataclass(frozen=True)
class Recipe(Section):
    """The whole file."""

    name: str  # of the student that comes out
    data: Data
    student: Student
    front_end: FrontEndConfig = field(default_factory=FrontEndConfig)
    train: Train = Train()
    augment: Augment = Augment()
    prune: Prune = Prune()
    qat: Qat = Qat()
    decision: Decision = field(default_factory=Decision)
    licence: str = "Apache-2.0"  # of the weights
    budget: Limits = field(default=Limits(), metadata=LATER)
    distill: Distill = field(default=Distill(), metadata=LATER)

    @property
    def multi_label(self) -> bool:
        """Several labels of a clip may hold."""
        from mcu_asc.audio.datasets import DATASETS

        return DATASETS[self.data.dataset].multi_label

    @property
    def taught_alive(self) -> float:
        """Share of alive rows (`decision.alive_db`) that a training window needs; a clip's best ones do."""
        own = self.train.min_alive
        return self.decision.min_alive if own is None else own

    @property
    def prunes(self) -> bool:
        return self.prune.epochs > 0 and self.prune.sparsity > 0

    @property
    def narrows(self) -> bool:
        """Pruned channels are removed."""
        from mcu_asc.learn.prune import removes_channels

        return self.prunes and removes_channels(self.prune.kind)


def as_dict(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain JSON types, every default spelt out."""
    values = dataclasses.asdict(recipe)
    for key in MEASURED:
        del values["front_end"][key]
    for key in LATER_FRONT_END:
        if values["front_end"][key] == getattr(FrontEndConfig, key):
            del values["front_end"][key]
    _forget_defaults(recipe, values)
    plain: dict[str, Any] = _plain(values)
    return plain


def _forget_defaults(section: Any, values: dict[str, Any]) -> None:
    for f in dataclasses.fields(section):
        value = getattr(section, f.name)
        if f.metadata.get("later") and value == f.default:
            del values[f.name]
        elif isinstance(value, Section):
            _forget_defaults(value, values[f.name])


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return list(value) if isinstance(value, tuple) else value


def load(path: Path) -> Recipe:
    """Read and check a recipe; UsageError for everything that is wrong with it."""
    recipe = parse(config.read_toml(path), str(path))
    # Not in `parse`: runs that were made before anyone looked at these stay readable.
    alive, labels = recipe.decision.min_alive, recipe.data.labels
    if not 0 <= alive <= 1:
        raise UsageError(
            f"{path}: decision: min_alive is {alive:g}, it must be in 0 .. 1", "a share of the window's rows"
        )
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise UsageError(f"{path}: data: labels names '{twice[0]}' twice", "remove one")
    return recipe


def parse(values: dict[str, Any], where: str) -> Recipe:
    """A recipe from a mapping (the inverse of `as_dict`); `where` names it in messages."""
    front_end = values.get("front_end", {})
    if isinstance(front_end, dict) and (learnt := [k for k in front_end if k in MEASURED]):
        raise UsageError(
            f"{where}: front_end: '{learnt[0]}' is measured in training, not set", "remove the key"
        )
    recipe = config.build(Recipe, values, where)
    _check_names(recipe, where)
    if "distill" in values and not recipe.distill.teachers:
        raise UsageError(f"{where}: distill: no teachers", 'name some: teachers = ["runs/NAME"]')
    return recipe


def _check_names(recipe: Recipe, where: str) -> None:
    from mcu_asc.audio.datasets import DATASETS
    from mcu_asc.learn.prune import KINDS
    from mcu_asc.learn.students import STUDENTS
    from mcu_asc.learn.teachers import LAYOUTS

    for key, name, known in (
        ("data: dataset", recipe.data.dataset, DATASETS),
        ("student: name", recipe.student.name, STUDENTS),
        ("prune: kind", recipe.prune.kind, KINDS),
        ("distill: layout", recipe.distill.layout, ("", *LAYOUTS)),
    ):
        if name not in known:
            raise UsageError(f"{where}: {key}: unknown '{name}'", f"known: {', '.join(known)}")
    if not recipe.name or not all(c.isalnum() or c in "-_." for c in recipe.name):
        raise UsageError(f"{where}: name '{recipe.name}' cannot be a folder", "use letters, digits, - and _")
