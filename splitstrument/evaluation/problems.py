"""Problems of an estimate before it is scored: each has a name for the table and a sentence.

Problems never stop the scoring of other tracks. A `missing`, `unreadable` or `empty` estimate cannot be scored; the
others are scored as they are, so that the number stays comparable, and named beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitstrument import audio
from splitstrument.errors import AudioFileError
from splitstrument.evaluation.tracks import EstimateFiles, pair_blocks
from splitstrument.pairs import Pair

SWAP_MARGIN_DB = 3.0
SWAP_RESEMBLANCE = 0.05  # squared correlation: what is late by some milliseconds resembles neither reference
INVERTED_CORRELATION = -0.5
MAX_SHIFT_S = 1.0
EXCERPT_S = 20.0
SHIFT_CORRELATION = 0.3
SHIFT_MARGIN = 1.2
CLIP_LEVEL = 0.999
CLIP_RUN = 4
CLIP_COUNT = 10


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes
    ----------
    kind
        Short name: missing, unreadable, empty, silent, wrong length, wrong rate, wrong channels, swapped, shifted,
        inverted, clipped.
    sentence
        What was found, what was expected and what was done.
    """

    kind: str
    sentence: str


def file_problems(estimate: Path | None, source: str, pair: Pair) -> tuple[bool, list[Problem]]:
    """Compare an estimate's header with its reference's.

    Returns
    -------
    usable
        False if there is nothing to score.
    problems
    """
    if estimate is None:
        return False, [
            Problem("missing", f"{pair.name}: there is no {source} estimate; expected a file {source}*.wav.")
        ]
    try:
        info = audio.probe(estimate)
    except AudioFileError as error:
        kind = "empty" if estimate.is_file() and estimate.stat().st_size == 0 else "unreadable"
        return False, [Problem(kind, str(error))]
    if info.n_samples == 0:
        return False, [Problem("empty", f"{estimate} holds no samples, so it cannot be scored.")]
    return True, list(_header_differences(info, audio.probe(pair.instrument), source))


def _header_differences(info: audio.AudioInfo, wanted: audio.AudioInfo, source: str) -> Iterator[Problem]:
    name = f"{info.path.parent.name}: the {source} estimate"
    if info.sample_rate_hz != wanted.sample_rate_hz:
        yield Problem(
            "wrong rate",
            f"{name} has {info.sample_rate_hz} Hz, its reference {wanted.sample_rate_hz} Hz; it was resampled.",
        )
    length = audio.resampled_length(info.n_samples, info.sample_rate_hz, wanted.sample_rate_hz)
    if length != wanted.n_samples:
        done = "the missing end counts as silence" if length < wanted.n_samples else "its end was not looked at"
        yield Problem("wrong length", f"{name} has {length} samples, its reference {wanted.n_samples}; {done}.")
    if info.n_channels != wanted.n_channels:
        yield Problem(
            "wrong channels",
            f"{name} has {info.n_channels} channels, its reference {wanted.n_channels}; their mean was used.",
        )


class SignalProblems:
    """Looks for silence, clipping, swapping and shifts while a pair and its estimates pass by once."""

    def __init__(self, pair: Pair, estimates: EstimateFiles) -> None:
        self.name = pair.name
        info = audio.probe(pair.instrument)
        self.rate = info.sample_rate_hz
        self.products = np.zeros((2, 2))  # estimate x reference
        self.energy = np.zeros(2)
        self.reference_energy = np.zeros(2)
        self.clipped = np.zeros((2, 2), int)  # estimate or reference, source
        self.excerpt: NDArray | None = None
        self._loudest = -1.0
        self._watch(estimates.beside(pair_blocks(pair, round(EXCERPT_S * self.rate))))

    def _watch(self, blocks: Iterator[tuple[NDArray, NDArray]]) -> None:
        for references, estimates in blocks:
            flat_r, flat_e = references.reshape(2, -1).astype(np.float64), estimates.reshape(2, -1).astype(np.float64)
            self.products += np.einsum("it,jt->ij", flat_e, flat_r)
            self.energy += np.einsum("ij,ij->i", flat_e, flat_e)
            self.reference_energy += np.einsum("ij,ij->i", flat_r, flat_r)
            self.clipped += [[clipped_samples(signal) for signal in group] for group in (estimates, references)]
            loudness = float(min(np.sum(flat_r**2, axis=1)))
            if loudness > self._loudest:
                self._loudest = loudness
                self.excerpt = np.stack([references.mean(axis=2), estimates.mean(axis=2)])

    def problems(self, sources: tuple[str, ...] = ("instrument", "rest")) -> list[Problem]:
        """Everything that was found."""
        found = [problem for index, source in enumerate(sources) for problem in self._of_source(index, source)]
        if self._swapped():
            sentence = f"{self.name}: instrument and rest seem to be swapped; they were scored as they are named."
            found.append(Problem("swapped", sentence))
        return found

    def _of_source(self, index: int, source: str) -> Iterator[Problem]:
        name = f"{self.name}: the {source} estimate"
        if self.energy[index] == 0:
            yield Problem("silent", f"{name} is silent, so its ratios are undefined; uSDR and leakage are given.")
            return
        if self.clipped[0, index] >= CLIP_COUNT and self.clipped[0, index] > 2 * self.clipped[1, index]:
            yield Problem("clipped", f"{name} is clipped at {self.clipped[0, index]} samples; its reference is not.")
        if not self._swapped() and self.excerpt is not None:
            shift = find_shift(self.excerpt[0, index], self.excerpt[1, index], round(MAX_SHIFT_S * self.rate))
            if shift:
                late = "late" if shift > 0 else "early"
                yield Problem(
                    "shifted",
                    f"{name} is {abs(shift)} samples ({1000 * abs(shift) / self.rate:.1f} ms) {late}; "
                    "it was scored as it is, align it first.",
                )
            elif self._correlation(index) < INVERTED_CORRELATION:
                yield Problem("inverted", f"{name} has the opposite polarity of its reference; it was scored as it is.")

    def _correlation(self, index: int) -> float:
        """Correlation of an estimate with its own reference, in [-1, 1]."""
        norm = np.sqrt(self.energy[index] * self.reference_energy[index])
        return float(self.products[index, index] / norm) if norm else 0.0

    def _swapped(self) -> bool:
        """Both estimates resemble the other's reference more than their own."""
        if not (self.energy.all() and self.reference_energy.all()):
            return False
        match = self.products**2 / np.outer(self.energy, self.reference_energy)
        margin = 10 ** (SWAP_MARGIN_DB / 10)
        crossed = match[0, 1] > margin * match[0, 0] and match[1, 0] > margin * match[1, 1]
        return bool(crossed and min(match[0, 1], match[1, 0]) > SWAP_RESEMBLANCE)


def clipped_samples(signal: NDArray) -> int:
    """Samples of (n_samples, n_channels) that lie at full scale in runs of at least `CLIP_RUN` equal ones."""
    count = 0
    for channel in signal.T:
        flat = (np.abs(channel) >= CLIP_LEVEL) & (np.abs(channel) <= 1.0)
        flat[1:] &= (channel[1:] == channel[:-1]) | ~flat[:-1]
        edges = np.flatnonzero(np.diff(np.concatenate([[0], flat.view(np.int8), [0]])))
        runs = edges[1::2] - edges[::2]
        count += int(runs[runs >= CLIP_RUN].sum())
    return count


def find_shift(reference: NDArray, estimate: NDArray, max_shift: int) -> int:
    """Delay of `estimate` (n_samples,) in samples; 0 if no other delay matches clearly better than none."""
    n_fft = 1 << (len(reference) + max_shift).bit_length()
    spectrum = np.fft.rfft(reference, n_fft).conj() * np.fft.rfft(estimate, n_fft)
    correlation = np.fft.irfft(spectrum, n_fft)
    lags = np.arange(-max_shift, max_shift + 1)
    values = np.abs(correlation[lags]) / np.sqrt(max(float(reference @ reference) * float(estimate @ estimate), 1e-30))
    best = int(np.argmax(values))
    clear = values[best] > SHIFT_CORRELATION and values[best] > SHIFT_MARGIN * values[max_shift]
    return int(lags[best]) if clear else 0
