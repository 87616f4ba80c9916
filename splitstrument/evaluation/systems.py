"""Trivial estimates that a model must beat, and the ceilings of masking.

Baselines know nothing of the track but its mixture:

- ``mixture``: the mixture as the estimate of instrument and of rest;
- ``silence``: zeros for both;
- ``eq``: the best fixed equalizer, one real gain per frequency fitted on training songs (`EqFit`);
- ``eq_ms``: the same with gains of their own for mid and side, for stereo tracks.

Ceilings know the references, with S, R and X the complex STFTs of instrument, rest and mixture:

- ``ibm``: ideal binary mask, 1 where ``|S| > |R|``;
- ``irm``: ideal ratio mask, ``|S| / (|S| + |R|)``;
- ``wiener``: ideal Wiener mask, ``|S|^2 / (|S|^2 + |R|^2)``;
- ``mpo``: mixture-phase oracle, ``|S| X / |X|``: the right magnitude with the phase of the mixture, which no mask can
  pass in magnitude error;
- ``irm_mono`` and ``irm_ms``: for stereo tracks, one ideal ratio mask from the channels' average for both, and one each
  for mid and side. The masks above have one per channel.

The estimate of the rest is mixture - instrument, except for ``mixture`` and ``silence``. All systems of a track share
one STFT of its references.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from splitstrument.errors import DatasetError
from splitstrument.spectrogram import istft_blocks, stft_blocks
from splitstrument.streams import ArrayQueue

Instrument = Callable[[NDArray, NDArray, NDArray], NDArray]

BASELINES = ("mixture", "silence", "eq", "eq_ms")
CEILINGS = ("ibm", "irm", "wiener", "mpo", "irm_mono", "irm_ms")
# what an estimate has to beat
BASES = ("mixture", "eq", "eq_ms")
STEREO_ONLY = ("eq_ms", "irm_mono", "irm_ms")
DESCRIPTIONS = {
    "mixture": "the mixture as estimate",
    "silence": "silence as estimate",
    "eq": "best fixed EQ fitted on training songs",
    "eq_ms": "best fixed EQ of mid and side",
    "ibm": "ideal binary mask",
    "irm": "ideal ratio mask",
    "wiener": "ideal Wiener mask",
    "mpo": "mixture-phase magnitude oracle",
    "irm_mono": "ideal ratio mask of the mono average",
    "irm_ms": "ideal ratio mask of mid and side",
}
PLAIN = ("mixture", "silence")
TINY = 1e-20
FRAMES_AT_ONCE = 96


@dataclass(frozen=True)
class Eq:
    """A fixed equalizer.

    Attributes
    ----------
    gains : (n_bins,) float32
        Gain at ``k * sample_rate_hz / n_fft``.
    tracks
        Names of the tracks it was fitted on.
    mid_side : (2, n_bins) float32
        Gains of mid and side; None where no song of the fit has a side.
    """

    gains: NDArray[np.float32]
    sample_rate_hz: int
    n_fft: int
    tracks: tuple[str, ...] = ()
    mid_side: NDArray[np.float32] | None = None

    def gains_at(self, sample_rate_hz: int, n_fft: int) -> NDArray[np.float32]:
        """Gains for another rate or n_fft, interpolated over frequency; the last gain goes on above its own range."""
        return self._at(self.gains, sample_rate_hz, n_fft)

    def mid_side_at(self, sample_rate_hz: int, n_fft: int) -> NDArray[np.float32]:
        """The same for mid and side, (2, n_bins); those for all channels twice where no song has a side."""
        both = np.stack([self.gains, self.gains]) if self.mid_side is None else self.mid_side
        return np.stack([self._at(gains, sample_rate_hz, n_fft) for gains in both])

    def _at(self, gains: NDArray, sample_rate_hz: int, n_fft: int) -> NDArray[np.float32]:
        own = np.arange(len(gains)) * self.sample_rate_hz / self.n_fft
        wanted = np.arange(n_fft // 2 + 1) * sample_rate_hz / n_fft
        return np.interp(wanted, own, gains).astype(np.float32)


class EqFit:
    """Least squares fit of one real gain per bin, over all frames of all songs.

    The gain is ``sum Re(conj(X) S) / sum |X|^2``. Both sums are kept per song, so that a song can be left out; those
    over all channels, of the mid and of the side, (3, 2, n_bins).
    """

    def __init__(self, sample_rate_hz: int, n_fft: int) -> None:
        self.sample_rate_hz, self.n_fft = sample_rate_hz, n_fft
        self.sums: dict[str, NDArray[np.float64]] = {}

    def add(self, name: str, references: Iterator[NDArray]) -> None:
        """Add a song, given as blocks (2, n_samples, n_channels) of instrument and rest at the fit's rate."""
        sums = np.zeros((3, 2, self.n_fft // 2 + 1))
        for spectrum in _spectra(references, self.n_fft):
            instrument, mixture = spectrum[0], spectrum.sum(axis=0)
            sums[0] += _products(instrument, mixture)
            if len(mixture) == 2:
                for row, i, x in zip(sums[1:], mid_side(instrument), mid_side(mixture), strict=True):
                    row += _products(i[None], x[None])
        self.sums[name] = sums

    def others(self, song: str | None) -> list[str]:
        """Names of the songs of the fit that are not `song`, sorted."""
        return sorted(name for name in self.sums if song is None or not _same_song(name, song))

    def eq(self, without: str | None = None) -> Eq:
        """Gains from all songs, or from all but those of one name; 0 in bins where no song has energy.

        Raises
        ------
        DatasetError
            If no song is left.
        """
        tracks = self.others(without)
        if not tracks:
            raise DatasetError("No song is left to fit the fixed EQ on: name a folder of other songs with --eq-from.")
        sums = reduce(np.add, (self.sums[name] for name in tracks))
        gains = (sums[:, 0] / np.maximum(sums[:, 1], TINY)).astype(np.float32)
        both = gains[1:] if sums[2, 1].any() else None
        return Eq(gains[0], self.sample_rate_hz, self.n_fft, tuple(tracks), both)


def _products(instrument: NDArray, mixture: NDArray) -> NDArray[np.float64]:
    """(2, n_bins): numerator and denominator of the gains."""
    product = np.sum((mixture.conj() * instrument).real, axis=(0, 2), dtype=np.float64)
    return np.stack([product, np.sum(mixture.real**2 + mixture.imag**2, axis=(0, 2), dtype=np.float64)])


def mid_side(stereo: NDArray) -> NDArray:
    """Left and right (2, ...) to mid and side: half their sum, half their difference."""
    return np.stack([(stereo[0] + stereo[1]) / 2, (stereo[0] - stereo[1]) / 2])


def left_right(both: NDArray) -> NDArray:
    """Undo `mid_side`."""
    return np.stack([both[0] + both[1], both[0] - both[1]])


def estimates_of(
    name: str, references: Iterator[NDArray], sample_rate_hz: int, n_fft: int, eq: Eq | None = None
) -> Iterator[NDArray]:
    """Estimates of one system, (2, n_samples, n_channels) in blocks of any size; see `beside_systems`."""
    for _, estimates in beside_systems((name,), references, sample_rate_hz, n_fft, eq):
        yield estimates[0]


def beside_systems(
    names: Sequence[str], references: Iterator[NDArray], sample_rate_hz: int, n_fft: int, eq: Eq | None = None
) -> Iterator[tuple[NDArray, NDArray]]:
    """References with what each system makes of them.

    Parameters
    ----------
    names
        Of `BASELINES` and `CEILINGS`.
    references
        Blocks (2, n_samples, n_channels): instrument and rest, whose sum is the mixture.
    n_fft
        Length of the STFT's window; the hop is a quarter of it.
    eq
        The fixed EQ, for ``eq`` and ``eq_ms`` only.

    Yields
    ------
    references : (2, n_samples, n_channels)
        The same samples, in blocks of another size.
    estimates : (n_systems, 2, n_samples, n_channels)
    """
    functions = {name: _instrument_of(name, sample_rate_hz, n_fft, eq) for name in names if name not in PLAIN}
    if not functions:
        yield from ((block, _estimates(names, block, {})) for block in references)
        return
    waiting = ArrayQueue(axis=1)

    def watched() -> Iterator[NDArray]:
        for block in references:
            waiting.push(block)
            yield block

    for instruments in _through_stft(watched(), list(functions.values()), n_fft):
        block = waiting.pop(instruments.shape[1])
        yield block, _estimates(names, block, dict(zip(functions, instruments, strict=True)))


def _estimates(names: Sequence[str], references: NDArray, instruments: dict[str, NDArray]) -> NDArray:
    mixture = references.sum(axis=0)
    estimates = np.zeros((len(names), *references.shape), np.float32)
    for name, estimate in zip(names, estimates, strict=True):
        if name in instruments:
            estimate[0] = instruments[name]
            estimate[1] = mixture - estimate[0]
        elif name == "mixture":
            estimate[:] = mixture
    return estimates


def _through_stft(references: Iterator[NDArray], functions: Sequence[Instrument], n_fft: int) -> Iterator[NDArray]:
    """Instruments (n_functions, n_samples, n_channels) that the functions make of the spectra."""
    n_samples = 0

    def counted() -> Iterator[NDArray]:
        nonlocal n_samples
        for block in references:
            n_samples += block.shape[1]
            yield block

    def masked() -> Iterator[NDArray]:
        for spectrum in _spectra(counted(), n_fft):
            mixture = spectrum.sum(axis=0)
            yield np.concatenate([function(spectrum[0], spectrum[1], mixture) for function in functions])

    for audio in istft_blocks(masked(), n_fft, n_fft // 4, lambda: n_samples):
        if len(audio):
            yield np.stack(np.split(audio, len(functions), axis=1))


def _spectra(references: Iterator[NDArray], n_fft: int) -> Iterator[NDArray]:
    """Spectra (2, n_channels, n_bins, n_frames) of instrument and rest."""
    flat = (np.concatenate(list(block), axis=1).astype(np.float32, copy=False) for block in references)
    for spectrum in stft_blocks(flat, n_fft, n_fft // 4, FRAMES_AT_ONCE):
        yield np.stack(np.split(spectrum, 2))


def _instrument_of(name: str, sample_rate_hz: int, n_fft: int, eq: Eq | None) -> Instrument:
    """Function of the spectra of instrument, rest and mixture that gives the estimate of the instrument."""
    if name in MASKED:
        return MASKED[name]
    if name not in ("eq", "eq_ms"):
        raise ValueError(f"name must be one of {', '.join((*BASELINES, *CEILINGS))}. Received: {name!r}")
    if eq is None:
        raise ValueError(f"the baseline {name!r} needs a fitted Eq. Received: eq=None")
    if name == "eq":
        gains = eq.gains_at(sample_rate_hz, n_fft)[:, None]
        return lambda s, r, x: gains * x
    both = eq.mid_side_at(sample_rate_hz, n_fft)[..., None]
    return lambda s, r, x: left_right(both * mid_side(x))


def _binary(s: NDArray, r: NDArray, x: NDArray) -> NDArray:
    return np.where(np.abs(s) > np.abs(r), x, 0)


def _ratio(s: NDArray, r: NDArray, x: NDArray) -> NDArray:
    magnitude = np.abs(s)
    return x * (magnitude / np.maximum(magnitude + np.abs(r), TINY))


def _ratio_mono(s: NDArray, r: NDArray, x: NDArray) -> NDArray:
    magnitude = np.abs(s.mean(axis=0))
    return x * (magnitude / np.maximum(magnitude + np.abs(r.mean(axis=0)), TINY))


def _ratio_mid_side(s: NDArray, r: NDArray, x: NDArray) -> NDArray:
    return left_right(_ratio(mid_side(s), mid_side(r), mid_side(x)))


def _wiener(s: NDArray, r: NDArray, x: NDArray) -> NDArray:
    power = s.real**2 + s.imag**2
    return x * (power / np.maximum(power + r.real**2 + r.imag**2, TINY))


def _mixture_phase(s: NDArray, r: NDArray, x: NDArray) -> NDArray:
    return x * (np.abs(s) / np.maximum(np.abs(x), TINY))


MASKED: dict[str, Instrument] = {
    "ibm": _binary,
    "irm": _ratio,
    "wiener": _wiener,
    "mpo": _mixture_phase,
    "irm_mono": _ratio_mono,
    "irm_ms": _ratio_mid_side,
}


def _same_song(one: str, other: str) -> bool:
    """Tell whether two tracks, each known by its name or its path, may be the same song."""
    return one.rpartition("/")[2] == other.rpartition("/")[2]
