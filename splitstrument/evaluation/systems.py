"""Trivial estimates that a model must beat, and the ceilings of masking.

Baselines know nothing of the track but its mixture:

- ``mixture``: the mixture as the estimate of instrument and of rest;
- ``silence``: zeros for both;
- ``eq``: the best fixed equalizer, one real gain per frequency fitted on training songs (`fit_eq`).

Ceilings know the references, with S, R and X the complex STFTs of instrument, rest and mixture:

- ``ibm``: ideal binary mask, 1 where ``|S| > |R|``;
- ``irm``: ideal ratio mask, ``|S| / (|S| + |R|)``;
- ``wiener``: ideal Wiener mask, ``|S|^2 / (|S|^2 + |R|^2)``;
- ``mpo``: mixture-phase oracle, ``|S| X / |X|``: the right magnitude with the phase of the mixture, which no mask can
  pass in magnitude error.

The estimate of the rest is mixture - instrument, the house's rule, except for ``mixture`` and ``silence``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from splitstrument.errors import DatasetError
from splitstrument.spectrogram import istft_blocks, stft_blocks

BASELINES = ("mixture", "silence", "eq")
CEILINGS = ("ibm", "irm", "wiener", "mpo")
DESCRIPTIONS = {
    "mixture": "the mixture as estimate",
    "silence": "silence as estimate",
    "eq": "best fixed EQ fitted on training songs",
    "ibm": "ideal binary mask",
    "irm": "ideal ratio mask",
    "wiener": "ideal Wiener mask",
    "mpo": "mixture-phase magnitude oracle",
}
TINY = 1e-20
FRAMES_AT_ONCE = 256


@dataclass(frozen=True)
class Eq:
    """A fixed equalizer.

    Attributes
    ----------
    gains : (n_bins,) float32
        Gain at ``k * sample_rate_hz / n_fft``.
    tracks
        Names of the tracks it was fitted on.
    """

    gains: NDArray[np.float32]
    sample_rate_hz: int
    n_fft: int
    tracks: tuple[str, ...] = ()

    def gains_at(self, sample_rate_hz: int, n_fft: int) -> NDArray[np.float32]:
        """Gains for another rate or n_fft, interpolated over frequency; the last gain goes on above its own range."""
        own = np.arange(len(self.gains)) * self.sample_rate_hz / self.n_fft
        wanted = np.arange(n_fft // 2 + 1) * sample_rate_hz / n_fft
        return np.interp(wanted, own, self.gains).astype(np.float32)


class EqFit:
    """Least squares fit of one real gain per bin, over all frames of all songs.

    The gain is ``sum Re(conj(X) S) / sum |X|^2``. Both sums are kept per song, so that a song can be left out.
    """

    def __init__(self, sample_rate_hz: int, n_fft: int) -> None:
        self.sample_rate_hz, self.n_fft = sample_rate_hz, n_fft
        self.sums: dict[str, NDArray[np.float64]] = {}

    def add(self, name: str, references: Iterator[NDArray]) -> None:
        """Add a song, given as blocks (2, n_samples, n_channels) of instrument and rest at the fit's rate."""
        sums = np.zeros((2, self.n_fft // 2 + 1))
        for spectrum in _spectra(references, self.n_fft):
            instrument, mixture = spectrum[0], spectrum.sum(axis=0)
            sums[0] += np.sum((mixture.conj() * instrument).real, axis=(0, 2), dtype=np.float64)
            sums[1] += np.sum(mixture.real**2 + mixture.imag**2, axis=(0, 2), dtype=np.float64)
        self.sums[name] = sums

    def eq(self, without: str | None = None) -> Eq:
        """Gains from all songs, or from all but one; 0 in bins where no song has energy.

        Raises
        ------
        DatasetError
            If no song is left.
        """
        tracks = sorted(set(self.sums) - {without})
        if not tracks:
            raise DatasetError("No song is left to fit the fixed EQ on: name a folder of other songs with --eq-from.")
        product, power = reduce(np.add, (self.sums[name] for name in tracks))
        gains = product / np.maximum(power, TINY)
        return Eq(gains.astype(np.float32), self.sample_rate_hz, self.n_fft, tuple(tracks))


def estimates_of(
    name: str, references: Iterator[NDArray], sample_rate_hz: int, n_fft: int, eq: Eq | None = None
) -> Iterator[NDArray]:
    """Estimates of instrument and rest by baseline or ceiling `name`.

    Parameters
    ----------
    name
        One of `BASELINES` or `CEILINGS`.
    references
        Blocks (2, n_samples, n_channels): instrument and rest, whose sum is the mixture.
    n_fft
        Length of the STFT's window; the hop is a quarter of it.
    eq
        The fixed EQ, for ``eq`` only.

    Yields
    ------
    (2, n_samples, n_channels), of the references' total length but in other blocks
    """
    if name == "mixture":
        return (np.repeat(block.sum(axis=0, keepdims=True), 2, axis=0) for block in references)
    if name == "silence":
        return (np.zeros_like(block) for block in references)
    return _through_stft(references, _spectrum_function(name, sample_rate_hz, n_fft, eq), n_fft)


def _through_stft(
    references: Iterator[NDArray], function: Callable[[NDArray], NDArray], n_fft: int
) -> Iterator[NDArray]:
    """Audio of what `function` makes of the spectra; as many samples as came in."""
    n_samples = 0

    def counted() -> Iterator[NDArray]:
        nonlocal n_samples
        for block in references:
            n_samples += block.shape[1]
            yield block

    spectra = (np.concatenate(function(spectrum)) for spectrum in _spectra(counted(), n_fft))
    for audio in istft_blocks(spectra, n_fft, n_fft // 4, lambda: n_samples):
        if len(audio):
            yield np.stack(np.split(audio, 2, axis=1))


def _spectra(references: Iterator[NDArray], n_fft: int) -> Iterator[NDArray]:
    """Spectra (2, n_channels, n_bins, n_frames) of instrument and rest."""
    flat = (np.concatenate(list(block), axis=1).astype(np.float32, copy=False) for block in references)
    for spectrum in stft_blocks(flat, n_fft, n_fft // 4, FRAMES_AT_ONCE):
        yield np.stack(np.split(spectrum, 2))


def _spectrum_function(name: str, sample_rate_hz: int, n_fft: int, eq: Eq | None) -> Callable[[NDArray], NDArray]:
    """Function of the spectra (2, ...) of instrument and rest that gives those of their estimates."""
    if name == "eq":
        if eq is None:
            raise ValueError("the baseline 'eq' needs a fitted Eq. Received: eq=None")
        gains = eq.gains_at(sample_rate_hz, n_fft)[:, None]
        instrument: Callable[[NDArray, NDArray, NDArray], NDArray] = lambda s, r, x: gains * x  # noqa: E731
    elif name in MASKED:
        instrument = MASKED[name]
    else:
        raise ValueError(f"name must be one of {', '.join((*BASELINES, *CEILINGS))}. Received: {name!r}")

    def function(spectrum: NDArray) -> NDArray:
        mixture = spectrum.sum(axis=0)
        estimate = instrument(spectrum[0], spectrum[1], mixture)
        return np.stack([estimate, mixture - estimate])

    return function


def _binary(s: NDArray, r: NDArray, x: NDArray) -> NDArray:
    return np.where(np.abs(s) > np.abs(r), x, 0)


def _ratio(s: NDArray, r: NDArray, x: NDArray) -> NDArray:
    magnitude = np.abs(s)
    return x * (magnitude / np.maximum(magnitude + np.abs(r), TINY))


def _wiener(s: NDArray, r: NDArray, x: NDArray) -> NDArray:
    power = s.real**2 + s.imag**2
    return x * (power / np.maximum(power + r.real**2 + r.imag**2, TINY))


def _mixture_phase(s: NDArray, r: NDArray, x: NDArray) -> NDArray:
    return x * (np.abs(s) / np.maximum(np.abs(x), TINY))


MASKED = {"ibm": _binary, "irm": _ratio, "wiener": _wiener, "mpo": _mixture_phase}
