"""Filter banks on FFT bins.  `make` gives a bank by name; a new one is a row of SCALES or BANKS.

Two shapes of table: triangles that share their edges need one weight a bin (`Triangles`); anything else has a
list of weights for each band (`Sparse`).  DC and Nyquist belong to no band.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# ---- frequency scales --------------------------------------------------------------------------


def _htk_mel(f: Floats) -> Floats:
    return 2595.0 * np.log10(1.0 + f / 700.0)


def _htk_hz(m: Floats) -> Floats:
    return 700.0 * (10.0 ** (m / 2595.0) - 1.0)


def _slaney_mel(f: Floats) -> Floats:
    linear = f / (200.0 / 3.0)
    return np.where(f < 1000.0, linear, 15.0 + 27.0 * np.log(np.maximum(f, 1000.0) / 1000.0) / np.log(6.4))


def _slaney_hz(m: Floats) -> Floats:
    return np.where(m < 15.0, m * (200.0 / 3.0), 1000.0 * 6.4 ** ((np.maximum(m, 15.0) - 15.0) / 27.0))


def _fant_mel(f: Floats) -> Floats:
    return 1000.0 * np.log2(1.0 + f / 1000.0)


def _fant_hz(m: Floats) -> Floats:
    return 1000.0 * (2.0 ** (m / 1000.0) - 1.0)


EAR_Q, MIN_ERB_HZ = 9.26449, 24.7  # Glasberg and Moore 1990: ERB = 24.7 (4.37 kHz + 1)


def _erb_rate(f: Floats) -> Floats:
    return EAR_Q * np.log(1.0 + f / (EAR_Q * MIN_ERB_HZ))


def _erb_hz(e: Floats) -> Floats:
    return EAR_Q * MIN_ERB_HZ * (np.exp(e / EAR_Q) - 1.0)


Scale = tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]  # (Hz to scale, scale to Hz)

SCALES: dict[str, Scale] = {
    "mel-htk": (_htk_mel, _htk_hz),  # Young et al., The HTK Book; O'Shaughnessy 1987
    "mel-slaney": (_slaney_mel, _slaney_hz),  # Slaney, Auditory Toolbox, 1998
    "mel-fant": (_fant_mel, _fant_hz),  # Fant 1968; vivo2023's formula
    "gammatone": (_erb_rate, _erb_hz),
    "cqt": (np.log2, np.exp2),
}


def edges_hz(bank: str, bands: int, f_min_hz: float, f_max_hz: float) -> Floats:
    """(bands + 2,) Hz: lower edge, the centres, upper edge; evenly spaced on the bank's scale."""
    forward, back = SCALES[bank]
    low, high = forward(np.array([f_min_hz, f_max_hz]))
    edges = back(np.linspace(low, high, bands + 2))
    edges[0], edges[-1] = f_min_hz, f_max_hz
    return edges


# ---- triangles ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Triangles:
    """Triangles that share their edges with the neighbours' centres, so each bin feeds two bands at most.

    Segment s lies between the centres of the bands s-1 and s; segment 0 rises to band 0 only, the last one
    falls from the last band only.
    """

    first: int  # bin of the first segment
    segments: NDArray[np.int64]  # (bands + 1,) bins in each
    rising: Floats  # (sum of segments,) each bin's weight in the band to its right; the left one has 1 - w

    @property
    def bands(self) -> int:
        return self.segments.size - 1

    def matrix(self, bins: int) -> Floats:
        """Dense weights, (bands, bins): row b holds the weight of each FFT bin in band b."""
        out = np.zeros((self.bands, bins))
        segment = np.repeat(np.arange(self.bands + 1), self.segments)
        k = self.first + np.arange(segment.size)
        right, left = segment < self.bands, segment > 0
        out[segment[right], k[right]] = self.rising[right]
        out[segment[left] - 1, k[left]] = 1.0 - self.rising[left]
        return out

    @property
    def function(self) -> str:
        """The C that sums these bands."""
        return "asc_bank_triangles"

    def tables(self) -> tuple[int, NDArray[np.uint16], NDArray[np.uint16]]:
        """(first, segments, weights) of asc_fe."""
        return self.first, self.segments.astype(np.uint16), _u16(self.rising)

    def empty(self) -> int | None:
        """The first band without a bin of weight, where there is one."""
        segment = np.repeat(np.arange(self.bands + 1), self.segments)
        rising = np.round(self.rising * 65536)
        right = np.bincount(segment, rising, self.bands + 1)[:-1]
        left = np.bincount(segment, 65536 - rising, self.bands + 1)[1:]
        return _first(right + left == 0)


def triangles(bank: str, bands: int, f_min_hz: float, f_max_hz: float, fft: int, rate_hz: int) -> Triangles:
    """Triangles linear in Hz with peaks of 1 at the centres."""
    edges = edges_hz(bank, bands, f_min_hz, f_max_hz)
    k = np.arange(1, fft // 2)
    f = k * rate_hz / fft
    segment = np.searchsorted(edges, f, "right") - 1
    inside = (segment >= 0) & (segment <= bands)
    k, f, segment = k[inside], f[inside], segment[inside]
    return Triangles(
        first=int(k[0]) if k.size else 1,
        segments=np.bincount(segment, minlength=bands + 1),
        rising=(f - edges[segment]) / (edges[segment + 1] - edges[segment]),
    )


# ---- bands of any shape ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Sparse:
    """Bands with a run of weights each."""

    first: NDArray[np.int64]  # (bands,) first bin
    count: NDArray[np.int64]  # (bands,) bins
    weights: Floats  # (sum of count,) 0 .. 1

    @property
    def bands(self) -> int:
        return self.first.size

    def matrix(self, bins: int) -> Floats:
        """As Triangles.matrix."""
        out = np.zeros((self.bands, bins))
        band = np.repeat(np.arange(self.bands), self.count)
        start = np.cumsum(self.count) - self.count
        out[band, np.arange(band.size) - start[band] + self.first[band]] = self.weights
        return out

    @property
    def function(self) -> str:
        return "asc_bank_sparse"

    def tables(self) -> tuple[int, NDArray[np.uint16], NDArray[np.uint16]]:
        """(0, first and count of each band, square roots of the weights) of asc_fe."""
        segments = np.stack([self.first, self.count], axis=1).astype(np.uint16)
        return 0, segments.ravel(), _u16(np.sqrt(self.weights))

    def empty(self) -> int | None:
        """As Triangles.empty."""
        return _first(self.count == 0)


LEAST_WEIGHT = 1e-4  # of a power; smaller ones are left out


def _sparse(matrix: Floats) -> Sparse:
    """The run from the first to the last weight of each row; (bands, bins) with 0 at DC and Nyquist."""
    used = matrix > 0
    any_used = used.any(axis=1)
    first = np.where(any_used, used.argmax(axis=1), 1)
    end = np.where(any_used, matrix.shape[1] - used[:, ::-1].argmax(axis=1), 1)
    runs = [row[a:b] for row, a, b in zip(matrix, first, end, strict=True)]
    return Sparse(first, end - first, np.concatenate(runs))


def _bins_hz(fft: int, rate_hz: int) -> Floats:
    """(fft / 2 + 1,) Hz; DC and Nyquist infinitely far from every band."""
    f = np.arange(fft // 2 + 1) * rate_hz / fft
    f[[0, -1]] = np.inf
    return f


def gammatone(bands: int, f_min_hz: float, f_max_hz: float, fft: int, rate_hz: int) -> Sparse:
    """Fourth-order gammatone filters as power weights (1 + ((f - f_c) / b)^2)^-4 with b = 1.019 ERB(f_c).

    Centres evenly on the ERB-rate scale, bandwidths after Glasberg and Moore (1990); the shape is the usual
    symmetric form of the filter's response (Patterson, Holdsworth et al. 1992).
    """
    centre = edges_hz("gammatone", bands, f_min_hz, f_max_hz)[1:-1, None]
    width = 1.019 * (MIN_ERB_HZ + centre / EAR_Q)
    weights = (1.0 + ((_bins_hz(fft, rate_hz) - centre) / width) ** 2) ** -4
    return _sparse(np.where(weights < LEAST_WEIGHT, 0.0, weights))


def cqt(bands: int, f_min_hz: float, f_max_hz: float, fft: int, rate_hz: int) -> Sparse:
    """Constant-Q bands as power weights: cos^2 from centre to the width's end, centres in geometric steps.

    A band reaches half the distance between its two neighbours' centres to each side, but never less than
    one bin: below that the window decides the resolution, and a band stays two bins wide.
    """
    edges = edges_hz("cqt", bands, f_min_hz, f_max_hz)
    reach = np.maximum((edges[2:] - edges[:-2]) / 2.0, rate_hz / fft)
    away = np.abs(_bins_hz(fft, rate_hz) - edges[1:-1, None]) / reach[:, None]
    weights = np.cos(np.pi / 2.0 * np.minimum(away, 1.0)) ** 2
    return _sparse(np.where(weights < LEAST_WEIGHT, 0.0, weights))


# ---- all of them -------------------------------------------------------------------------------

Bank = Triangles | Sparse

TRIANGULAR = ("mel-htk", "mel-slaney", "mel-fant")
SHAPES: dict[str, Callable[[int, float, float, int, int], Sparse]] = {"gammatone": gammatone, "cqt": cqt}
BANKS = (*TRIANGULAR, *SHAPES)


def make(
    bank: str, bands: int, f_min_hz: float, f_max_hz: float, fft: int, rate_hz: int, magnitude: bool = False
) -> Bank:
    """The bank by name.  For magnitudes, the weights of shaped banks are amplitudes: their square roots."""
    if bank in TRIANGULAR:
        return triangles(bank, bands, f_min_hz, f_max_hz, fft, rate_hz)
    found = SHAPES[bank](bands, f_min_hz, f_max_hz, fft, rate_hz)
    return Sparse(found.first, found.count, np.sqrt(found.weights)) if magnitude else found


def slaney_norm(bank: str, bands: int, f_min_hz: float, f_max_hz: float) -> Floats:
    """(bands,) factors that make the area of each triangle 1 in Hz."""
    edges = edges_hz(bank, bands, f_min_hz, f_max_hz)
    return np.asarray(2.0 / (edges[2:] - edges[:-2]))


def _u16(x: Floats) -> NDArray[np.uint16]:
    """Q16, 1 as the largest below it."""
    return np.minimum(np.round(x * 65536), 65535).astype(np.uint16)


def _first(mask: NDArray[np.bool_]) -> int | None:
    found = np.flatnonzero(mask)
    return int(found[0]) if found.size else None
