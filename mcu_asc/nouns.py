"""The types that cross rooms: frozen dataclasses, facts only, units in the names.

Nothing here opens a file, prints or computes more than a property of its own fields.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# ---- audio -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FrontEndConfig:
    """Everything that decides which int8 values the network sees for given int16 samples.

    A row is one frame's log2 band energies; a window is `rows` consecutive rows, the network's input
    of shape (1, rows, bands, 1).  The per-band standardisation and the quantisation are part of it,
    so one fingerprint covers all that could make host and device differ.

    int8 = clamp(round((log2(E + floor) - mean[b]) / std[b] / scale) + zero_point)

    With `deltas` each band has two values in a row, log2 and its slope per row after it, and the network's
    input is (1, rows, bands, 2); mean and std then have an entry for each of the two.
    """

    sample_rate_hz: int = 16_000
    window: int = 1024  # samples under the analysis window
    hop: int = 320  # samples from one row to the next
    fft: int = 1024  # 256, 512, 1024, 2048 or 4096; >= window
    window_shape: str = "hann"
    bank: str = "mel-htk"
    bands: int = 64
    f_min_hz: float = 50.0
    f_max_hz: float = 8_000.0
    floor_fs2: float = 1e-4  # added to each band's power before the log; full scale (1.0) squared
    rows: int = 50
    mean: tuple[float, ...] = ()  # per band, in log2 units of LSB^2; () = 0
    std: tuple[float, ...] = ()  # per band, in log2 units; () = 1
    scale: float = 1.0  # quantisation of the network's input
    zero_point: int = 0
    spectrum: str = "power"  # what the bands sum: "power" |X|^2, or "magnitude" |X|
    norm: str = "none"  # "slaney": each triangle's area in Hz is 1; "none": its peak is
    deltas: int = 0  # rows of the regression that gives each value's slope: 3, 5, 7 or 9; 0: no deltas

    @property
    def canonical(self) -> str:
        """The text that is hashed: JSON; a field that came later appears where it says something new."""
        fields = asdict(self)
        for name in ("spectrum", "norm", "deltas"):
            if fields[name] == getattr(FrontEndConfig, name):
                del fields[name]
        return json.dumps(fields, sort_keys=True, separators=(",", ":"))

    @property
    def fingerprint(self) -> bytes:
        """First 8 bytes of SHA-256 over `canonical`."""
        return hashlib.sha256(self.canonical.encode()).digest()[:8]

    @property
    def channels(self) -> int:
        """Values of one band in a row: 2 with deltas."""
        return 2 if self.deltas else 1

    @property
    def values(self) -> int:
        """Values of one row."""
        return self.bands * self.channels

    @property
    def side(self) -> int:
        """Rows that a delta looks at on each side."""
        return self.deltas // 2

    @property
    def first_samples(self) -> int:
        """Samples needed for the first row: a delta looks at the rows around it."""
        return self.window + 2 * self.side * self.hop

    @property
    def samples(self) -> int:
        """Samples needed for one window of `rows` rows."""
        return self.first_samples + (self.rows - 1) * self.hop

    @property
    def seconds(self) -> float:
        """Of sound in one window: from its first row's first sample to its last row's last."""
        return self.samples / self.sample_rate_hz


@dataclass(frozen=True)
class Decision:
    """How the windows of one clip become one answer.

    A window starts every `hop_rows` rows.  A row is alive when its level (mean band power, dB re full
    scale squared) exceeds `alive_db`.  Windows with fewer than `min_alive` alive rows are left out,
    unless none is left: then those with the most alive rows count.  The answer is the softmax of the
    mean log-softmax of the rest; where several labels may hold, the mean of their sigmoids.
    """

    hop_rows: int = 25
    alive_db: float = -40.0
    min_alive: float = 0.5  # share of the window's rows

    def __post_init__(self) -> None:
        if self.hop_rows < 1:
            raise ValueError("hop_rows must be at least 1")


@dataclass(frozen=True)
class ModelCard:
    """What a .tflite file of ours says of itself in its metadata (entry `mcu_asc`, JSON)."""

    name: str
    labels: tuple[str, ...]
    front_end: FrontEndConfig
    decision: Decision = Decision()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    version: int = 1
    multi_label: bool = False  # several labels may hold: each logit through a sigmoid of its own


@dataclass(frozen=True)
class Clip:
    """One labelled recording of a data set."""

    id: str  # unique within the data set; the file name where there is one
    label: str  # of a multi-label clip its first tag, "" where it has none
    fold: int
    group: str  # the recording it was cut from: a group never crosses a split
    path: Path | None = None  # None: made by code, see the data set's loader
    device: str = ""
    city: str = ""
    tags: tuple[str, ...] = ()  # of a multi-label clip: every label that holds
    shares: tuple[tuple[str, float], ...] = ()  # and which share of those asked heard it, where anyone did
    offset: int = 0  # bytes into `path`, where one file holds many clips


# ---- the compiled model ------------------------------------------------------------------------


@dataclass(frozen=True)
class Quant:
    """real = scale * (q - zero_point); one entry, or one per index along `axis`."""

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int = 0


@dataclass(frozen=True, eq=False)
class Tensor:
    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str  # "int8", "int16", "int32", "float32", ...
    quant: Quant | None = None
    data: NDArray[Any] | None = None  # constants only

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.elements * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, eq=False)
class Op:
    index: int
    kind: str  # the TFLite builtin name, "CONV_2D"
    inputs: tuple[int, ...]  # tensor indices; -1 = absent optional input
    outputs: tuple[int, ...]
    attrs: Any = None  # one frozen class per kind, defined beside the op in compiler/ops
    form: str = ""  # of its weights in flash, one of compiler/dsp/forms.py; "": what pays by itself
    skips: bool = True  # zero blocks of its weights, where that pays


@dataclass(frozen=True, eq=False)
class Graph:
    """A validated int8 model: every op is one that we can compile."""

    name: str
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    whole: Graph | None = None  # set where this holds some rows of one op of that graph: compiler/bands.py
    opens: bool = True  # of those rows, where the op adds up all: whether they are the first
    closes: bool = True  # and the last


@dataclass(frozen=True, eq=False)
class Model:
    """A .tflite file, read and accepted."""

    graph: Graph
    card: ModelCard | None
    content: bytes  # the file itself: what the TFLM interpreter runs and what is hashed

    @property
    def fingerprint(self) -> bytes:
        """First 8 bytes of SHA-256 over the file; covers front end and weights alike."""
        return hashlib.sha256(self.content).digest()[:8]


@dataclass(frozen=True)
class Band:
    """Ops first .. last run together, a few rows at a time: compiler/bands.py."""

    first: int  # op index
    last: int
    rows: int  # output rows a call, at most


@dataclass(frozen=True)
class Schedule:
    """Which ops run in bands; the others run whole, each after the one before it."""

    bands: tuple[Band, ...] = ()  # disjoint, in order
    extra_cycles: int = 0  # what the bands cost at most, an estimate
    cycles: int = 0  # of all ops run whole, by the same estimate


@dataclass(frozen=True)
class Move:
    """A tensor makes room before an op, or a band, that reads it last and writes over it."""

    op: int  # the first of the band
    tensor: int  # as the op names it
    target: int  # offset; the source is where `MemoryPlan.offsets` has the tensor
    bytes: int


@dataclass(frozen=True)
class MemoryPlan:
    """Where each activation lies in the arena; bytes, 16-aligned."""

    offsets: Mapping[int, int]  # tensor index -> offset; of its line buffer where `windows` names it
    scratch: Mapping[int, tuple[int, int]]  # op index -> (offset, bytes)
    arena_bytes: int
    live_bytes: tuple[int, ...]  # largest live set at each op, the lower bound of the arena
    peak_op: int  # op index of the largest live set
    schedule: Schedule = Schedule()
    windows: Mapping[int, int] = field(default_factory=dict)  # tensor index -> rows that exist at a time
    sums: Mapping[int, tuple[int, int]] = field(default_factory=dict)  # as scratch; kept all through a band
    moves: tuple[Move, ...] = ()
    flavour: str = "ref"  # whose kernels it has room for: compiler/lower.py

    @property
    def lower_bound_bytes(self) -> int:
        return max(self.live_bytes, default=0)


@dataclass(frozen=True)
class LayerCount:
    """What one op costs by counting alone."""

    index: int
    name: str  # output tensor's name
    kind: str
    macs: int
    params: int  # weights and biases, zeros included
    zeros: int
    param_bytes: int
    output_shape: tuple[int, ...]
    moved_bytes: int  # inputs, output and parameters, each once


@dataclass(frozen=True)
class WeightBlock:
    """Weights that are zero together cost no time: so many output channels, input channels, taps of a row.

    Taps are grouped from the left; those left over at a row's end are blocks of one tap.
    """

    channels: int = 2
    depth: int = 4
    taps: int = 3

    def columns(self, width: int) -> NDArray[np.int64]:
        """The block that each tap of a row of `width` taps belongs to."""
        grouped = width // self.taps * self.taps
        return np.array(
            [x // self.taps if x < grouped else x - grouped + grouped // self.taps for x in range(width)],
            np.int64,
        )


BLOCK = WeightBlock()  # what the kernels for a Cortex-M4 skip; what training with blocks zeroes


# ---- limits ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ArduinoCore:
    """The Arduino core of a board: what it is called, and what it takes for itself."""

    fqbn: str  # arduino-cli's name of the board, "arduino:mbed_nano:nano33ble"
    platform: str  # the core and its version, "arduino:mbed_nano (4.6.0)"
    flash_bytes: int  # what a sketch cannot have
    ram_bytes: int
    index_url: str = ""  # where arduino-cli finds the core; "" = Arduino's own index
    platformio: str = ""  # PlatformIO's platform and its name of the board, "nordicnrf52 nano33ble"


@dataclass(frozen=True)
class Board:
    """A board as data: boards/NAME.toml.  Pins are numbers as the port counts them; None: no such pin."""

    name: str
    title: str
    soc: str  # names the port in firmware/ports
    cpu: str  # gcc -mcpu
    clock_hz: int
    flash_bytes: int  # of the chip
    ram_bytes: int
    baud: int  # of the UART below
    uart_tx: int
    uart_rx: int
    led: int
    fpu: str = ""  # gcc -mfpu; "" = no FPU
    flash_address: int = 0  # where flash and RAM lie in the core's memory map
    ram_address: int = 0x2000_0000
    app_offset_bytes: int = 0  # where in flash the application starts
    app_end_bytes: int = 0  # and ends; 0 = the end of flash
    stack_bytes: int = 4096
    led_active_low: bool = False
    led_rgb: tuple[int, ...] = ()  # red, green, blue, lit when low; () = no colour LED
    pdm_clk: int | None = None
    pdm_din: int | None = None
    pdm_power: int | None = None
    mic_rates_hz: tuple[int, ...] = ()  # () = no microphone
    usb_vid: int = 0  # 0 = no USB connector on the chip
    usb_pids: tuple[int, ...] = ()
    usb_boot_pids: tuple[int, ...] = ()
    bootloader: str = ""  # what it speaks: "bossa"; "" = nothing that is spoken here
    flash_wait_states: int = 0  # added per data read from flash in estimates
    arduino: ArduinoCore | None = None  # None: a sketch cannot be written for it

    def __post_init__(self) -> None:
        if not 0 <= self.app_offset_bytes < (self.app_end_bytes or self.flash_bytes) <= self.flash_bytes:
            raise ValueError("app_offset_bytes < app_end_bytes <= flash_bytes must hold")

    @property
    def app_flash_bytes(self) -> int:
        return (self.app_end_bytes or self.flash_bytes) - self.app_offset_bytes


@dataclass(frozen=True)
class Budget:
    """A challenge's complexity limits: mcu_asc/budgets/NAME.toml; 0 = no limit."""

    name: str
    title: str
    source: str
    max_params: int
    max_param_bytes: int
    max_macs: int
    count_zeros: bool
    window_s: float  # the MAC limit is for one inference on this much audio


@dataclass(frozen=True)
class CountView:
    """Parameters and MACs of one model by one counting rule."""

    rule: str
    params: int
    param_bytes: int
    macs: int
    note: str = ""


@dataclass(frozen=True)
class ExpandedLayer:
    """Weights that take more flash than as int8, for speed."""

    index: int  # of the op
    name: str  # the layer's
    form: str
    bytes: int  # of flash, more than as int8
    cycles_saved: int  # an inference, an estimate


@dataclass(frozen=True)
class Expansion:
    """What all expanded weights of a model cost and save."""

    bytes: int = 0
    cycles_saved: int = 0
    layers: tuple[ExpandedLayer, ...] = ()


@dataclass(frozen=True)
class SparseLayer:
    """A layer whose kernel skips the zero blocks of its weights."""

    index: int  # of the op
    name: str  # the layer's
    blocks: int
    zero_blocks: int
    macs: int  # zeros included
    macs_skipped: int
    bytes_saved: int  # of flash, against all blocks stored
    cycles_saved: int  # an inference, an estimate


@dataclass(frozen=True)
class Sparsity:
    """What all zero blocks of a model save; 0 where no layer skips any."""

    blocks: int = 0  # of the layers that skip
    zero_blocks: int = 0
    macs: int = 0  # of them, zeros included
    macs_skipped: int = 0
    bytes_saved: int = 0
    cycles_saved: int = 0
    layers: tuple[SparseLayer, ...] = ()


@dataclass(frozen=True)
class CheckResult:
    """Does a model fit a board and a budget?  RAM and flash are estimates until it is linked."""

    fits: bool
    params: int  # exact, folded, zeros included
    macs: int  # exact
    arena_bytes: int
    ram_bytes: int
    ram_limit_bytes: int
    flash_bytes: int
    flash_limit_bytes: int
    peak_layer: str  # where the arena is fullest: a layer, or "first to last" of a band
    views: tuple[CountView, ...]
    reasons: tuple[str, ...]  # one sentence for each limit that is exceeded
    warnings: tuple[str, ...] = ()
    banded_layers: int = 0  # that run a few rows at a time
    whole_arena_bytes: int = 0  # the arena if none did
    extra_cycles: float = 0.0  # share of the cycles that bands cost, an estimate
    expansion: Expansion = Expansion()
    sparsity: Sparsity = Sparsity()
    window_s: float | None = None  # sound that one window spans; None where no card says it


@dataclass(frozen=True)
class FitResult:
    """The widest version of a student that fits; nothing of it is trained."""

    student: str
    width: float
    rows: int
    bands: int
    classes: int
    check: CheckResult
    latency_ms: float  # of one inference without the front end: an estimate
    latency_limit_ms: float
    stopped_by: tuple[str, ...]  # what the next wider one exceeds


# ---- firmware ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class FirmwareProject:
    """A project as it will lie on disk: relative POSIX path -> content."""

    name: str
    board: str
    files: Mapping[str, bytes]
    manifest: Mapping[str, Any]  # also written as project.json: how to build and talk to it


@dataclass(frozen=True)
class Image:
    """A linked firmware."""

    elf: Path
    text_bytes: int  # as arm-none-eabi-size counts them
    data_bytes: int
    bss_bytes: int
    stack_bytes: int  # reserved by the linker script

    @property
    def flash_bytes(self) -> int:
        return self.text_bytes + self.data_bytes

    @property
    def ram_bytes(self) -> int:
        """Static RAM and the reserved stack."""
        return self.data_bytes + self.bss_bytes


# ---- device ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DeviceInfo:
    """The answer to HELLO."""

    protocol: int
    firmware: str
    board: str
    fingerprint: bytes
    input_bytes: int
    output_bytes: int
    sample_rate_hz: int  # 0: no front end on the device
    clock_hz: int
    layers: int
    window: int  # samples under the analysis window
    hop: int  # samples from one row to the next
    rows: int  # of one input of the network
    bands: int
    cell_bytes: int  # most bytes of samples in one frame

    @property
    def samples(self) -> int:
        """Samples needed for one input of the network."""
        return self.window + (self.rows - 1) * self.hop


@dataclass(frozen=True)
class WindowResult:
    index: int
    logits: bytes  # the output tensor, one int8 a byte
    alive_rows: int
    features_crc: int  # CRC-32 of the int8 input tensor
    frontend_cycles: int  # since the previous window
    model_cycles: int


@dataclass(frozen=True)
class LiveDecision:
    """What the device made of one window from its microphone."""

    index: int  # of those decided
    time_s: float  # of the window's end, since the microphone's start
    logits: bytes  # the output tensor, one int8 a byte
    alive_rows: int
    dropped: int  # samples lost so far; no window contains a hole
    skipped: int  # decisions so far that came due while another was computed
    latency_s: float  # from the window's last sample to the decision
    features_crc: int  # CRC-32 of the int8 input tensor
    frontend_cycles: int  # since the previous decision
    model_cycles: int


@dataclass(frozen=True)
class LiveEnd:
    """How a live run ended, and what it came to."""

    reason: str  # "stopped", "time", "ended": the microphone gave no more
    decisions: int
    dropped: int
    skipped: int
    time_s: float


@dataclass(frozen=True)
class ClipResult:
    windows: tuple[WindowResult, ...]
    features: NDArray[np.int8] | None = None  # (rows, bands), where asked for


Classify = Callable[[NDArray[np.int16]], ClipResult]
"""int16 mono PCM at the front end's rate -> result: device, emulator, Renode, host are interchangeable."""


@dataclass(frozen=True)
class LayerCycles:
    name: str
    op: str
    macs: int
    cycles: int
    moved_bytes: int


@dataclass(frozen=True)
class BenchResult:
    """Cycles of one window; estimates where an emulator counted them."""

    frontend_cycles: int
    layers: tuple[LayerCycles, ...]
    total_cycles: int  # front end + model
    arena_bytes: int
    ram_bytes: int
    stack_bytes: int  # deepest seen, by painting
    flash_bytes: int
    code_bytes: int  # flash less weights and tables
    estimated: bool
    sparsity: Sparsity = Sparsity()


@dataclass(frozen=True)
class Report:
    """Scores over the clips of a run."""

    clips: int
    correct: int
    accuracy: float
    log_loss: float
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]  # [truth][answer]
    compared: int
    equal: int
