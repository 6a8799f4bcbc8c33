"""Triangular filter banks on FFT bins, as segments between neighbouring band centres."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def _htk_mel(f: Floats) -> Floats:
    return 2595.0 * np.log10(1.0 + f / 700.0)


def _htk_hz(m: Floats) -> Floats:
    return 700.0 * (10.0 ** (m / 2595.0) - 1.0)


def _slaney_mel(f: Floats) -> Floats:
    linear = f / (200.0 / 3.0)
    return np.where(f < 1000.0, linear, 15.0 + 27.0 * np.log(np.maximum(f, 1000.0) / 1000.0) / np.log(6.4))


def _slaney_hz(m: Floats) -> Floats:
    return np.where(m < 15.0, m * (200.0 / 3.0), 1000.0 * 6.4 ** ((np.maximum(m, 15.0) - 15.0) / 27.0))


BANKS: dict[str, tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]] = {
    "mel-htk": (_htk_mel, _htk_hz),  # Young et al., The HTK Book; O'Shaughnessy 1987
    "mel-slaney": (
        _slaney_mel,
        _slaney_hz,
    ),  # Slaney, Auditory Toolbox 1998; peaks of 1, no area normalisation
}
"""Name -> (Hz to scale, scale to Hz).  A new bank is a row here."""


@dataclass(frozen=True, eq=False)
class Bank:
    """Triangles that share their edges with the neighbours' centres, so each bin feeds two bands at most.

    Segment s lies between the centres of the bands s-1 and s; segment 0 rises to band 0 only, the last one
    falls from the last band only.
    """

    first_bin: int
    segments: NDArray[np.int64]  # (bands + 1,) bins in each
    rising: Floats  # (sum of segments,) each bin's weight in the band to its right; the left one has 1 - w

    @property
    def bands(self) -> int:
        return self.segments.size - 1

    def matrix(self, bins: int) -> Floats:
        """Dense weights, (bands, bins): row b holds the weight of each FFT bin in band b."""
        out = np.zeros((self.bands, bins))
        segment = np.repeat(np.arange(self.bands + 1), self.segments)
        k = self.first_bin + np.arange(segment.size)
        right, left = segment < self.bands, segment > 0
        out[segment[right], k[right]] = self.rising[right]
        out[segment[left] - 1, k[left]] = 1.0 - self.rising[left]
        return out


def edges_hz(bank: str, bands: int, f_min_hz: float, f_max_hz: float) -> Floats:
    """(bands + 2,) Hz: lower edge, the centres, upper edge; evenly spaced on the bank's scale."""
    forward, back = BANKS[bank]
    low, high = forward(np.array([f_min_hz, f_max_hz]))
    edges = back(np.linspace(low, high, bands + 2))
    edges[0], edges[-1] = f_min_hz, f_max_hz
    return edges


def triangles(bank: str, bands: int, f_min_hz: float, f_max_hz: float, fft: int, rate_hz: int) -> Bank:
    """Triangles linear in Hz with peaks of 1 at the centres; DC and Nyquist belong to none."""
    edges = edges_hz(bank, bands, f_min_hz, f_max_hz)
    k = np.arange(1, fft // 2)
    f = k * rate_hz / fft
    segment = np.searchsorted(edges, f, "right") - 1
    inside = (segment >= 0) & (segment <= bands)
    k, f, segment = k[inside], f[inside], segment[inside]
    return Bank(
        first_bin=int(k[0]) if k.size else 1,
        segments=np.bincount(segment, minlength=bands + 1),
        rising=(f - edges[segment]) / (edges[segment + 1] - edges[segment]),
    )
