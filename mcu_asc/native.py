"""The door to the firmware's own C on this machine: typed wrappers of the extension `mcu_asc._native`.

Nothing else imports the extension.  Calls release the GIL, so threads run the C side by side.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_asc.errors import ToolMissing

BAND = np.dtype([("floor", "u8"), ("one", "i4"), ("mul", "i4"), ("add", "i4"), ("bits", "i4")])
"""asc_fe_band, as C lays it out."""


@dataclass(frozen=True, eq=False)
class FrontEndTables:
    """The fields of `asc_fe` (firmware/asc/asc_frontend.h), which says what each means."""

    n: int
    window_table: NDArray[np.int32]  # (n,)
    steps: NDArray[np.int16]  # (n / 4 or n / 8,)
    twiddles: NDArray[np.int32]  # (6 * ...,)
    power: str  # name of the transform's function
    window: int
    hop: int
    bands: int
    first: int
    magnitude: str  # name of a function, or NULL
    bank: str  # name of a function
    segments: NDArray[np.uint16]  # (bands + 1,), or (2 * bands,) for asc_bank_sparse
    weights: NDArray[np.uint16]
    band: NDArray[np.void]  # (bands,) of BAND
    delta: NDArray[np.void]  # (bands,) of BAND, or (0,)
    level_one: int
    delta_scale: int
    side: int
    energy_bits: int  # fractional bits of energies; not in the C, where `one` has them


@functools.cache
def _module() -> Any:
    try:
        return importlib.import_module("mcu_asc._native")
    except ImportError as e:
        raise ToolMissing(f"the C extension mcu_asc._native does not load: {e}", "pip install .") from e


@functools.cache
def version() -> bytes:
    """SHA-256 of the extension's file: another C, another version.  Part of the key of all that is cached."""
    return hashlib.sha256(Path(_module().__file__).read_bytes()).digest()


class FrontEnd:
    """One stream of samples through asc_fe_push; starts empty."""

    def __init__(self, tables: FrontEndTables) -> None:
        t, ffi = tables, _module().ffi
        self._keep: list[Any] = []  # the C struct points into these

        def pointer(kind: str, array: NDArray[Any]) -> Any:
            view = ffi.from_buffer(f"{kind}[]", np.ascontiguousarray(array, f"{kind.removesuffix('_t')}"))
            self._keep.append(view)
            return view

        def function(name: str) -> Any:
            return ffi.NULL if name == "NULL" else ffi.addressof(_module().lib, name)

        def records(array: NDArray[np.void]) -> Any:
            return (
                ffi.cast("asc_fe_band *", pointer("uint8_t", array.view(np.uint8)))
                if array.size
                else ffi.NULL
            )

        self._values, self._hop = t.bands * (2 if t.delta.size else 1), t.hop
        self._fe = ffi.new("asc_fe *")
        self._fe.fft.n = t.n
        self._fe.fft.window = pointer("int32_t", t.window_table)
        self._fe.fft.steps = pointer("int16_t", t.steps)
        self._fe.fft.twiddles = pointer("int32_t", t.twiddles)
        self._fe.fft.power = function(t.power)
        for name in ("magnitude", "bank"):
            setattr(self._fe, name, function(getattr(t, name)))
        for name in ("segments", "weights"):
            setattr(self._fe, name, pointer("uint16_t", getattr(t, name)))
        for name in ("band", "delta"):
            setattr(self._fe, name, records(getattr(t, name)))
        for name in ("window", "hop", "bands", "first", "level_one", "delta_scale", "side"):
            setattr(self._fe, name, getattr(t, name))
        self._memory = ffi.new("uint64_t[]", self.state_bytes // 8 + 1)
        self.reset()

    @property
    def state_bytes(self) -> int:
        """RAM of the stream: frame, spectrum and energies."""
        return int(_module().lib.asc_fe_state_bytes(self._fe))

    def reset(self) -> None:
        """Forgets all samples."""
        self._state = _module().lib.asc_fe_init(self._memory, self._fe)

    def push(self, pcm: NDArray[np.int16]) -> tuple[NDArray[np.int16], NDArray[np.int8], NDArray[np.int16]]:
        """The rows that complete: log2 Q9 (rows, values), int8 (rows, values), level Q9 (rows,)."""
        x = np.ascontiguousarray(pcm, np.int16)
        room = x.size // self._hop + 1
        log2 = np.empty((room, self._values), np.int16)
        q = np.empty((room, self._values), np.int8)
        level = np.empty(room, np.int16)
        ffi, lib = _module().ffi, _module().lib
        rows = lib.asc_fe_rows(
            self._state,
            self._fe,
            ffi.from_buffer("int16_t[]", x),
            x.size,
            ffi.from_buffer("int16_t[]", log2),
            ffi.from_buffer("int8_t[]", q),
            ffi.from_buffer("int16_t[]", level),
        )
        return log2[:rows], q[:rows], level[:rows]

    def power(self, frame: NDArray[np.int16]) -> NDArray[np.uint64]:
        """|X|^2 of one frame of n samples, bins 1 .. n/2-1, with `energy_bits` fractional bits."""
        ffi = _module().ffi
        x = np.ascontiguousarray(frame, np.int16)
        n = self._fe.fft.n
        if x.size != n:
            raise ValueError(f"{x.size} samples instead of {n}")
        buf = np.empty(n, np.uint32)
        self._fe.fft.power(
            ffi.addressof(self._fe, "fft"), ffi.from_buffer("int16_t[]", x), ffi.from_buffer("int32_t[]", buf)
        )
        return buf[1 : n // 2].astype(np.uint64) | buf[: n // 2 : -1].astype(np.uint64) << np.uint64(32)


def log2_q16(v: int) -> int:
    """asc_log2_q16 of a uint64."""
    return int(_module().lib.asc_log2_q16(v))
