"""Bleedless and fullness: what an estimate has too much and too little of, as MSST and MVSEP define them.

Mel spectra in dB (Hann windows of 4096 samples, hop 1024, zeros at the ends, 512 mel bands of Slaney's scale and norm,
each spectrogram floored 80 dB under its own loudest band), estimate minus reference. With p the mean of all positive
differences and n that of all negative ones, bleedless is ``100 / (1 + p)`` and fullness ``100 / (1 - n)``. The floor
needs the loudest band first, hence two passes.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from splitstrument.evaluation.metrics.metric import Block, Family, Metric, Track, Values
from splitstrument.evaluation.metrics.spectra import Frames, Framing, magnitudes, systems_of

Float = NDArray[np.float32]

FRAMING = Framing(4096, 1024, "hann", "zeros")
N_MELS = 512
FLOOR_DB = 80.0
TINY = np.float32(1e-10)
# Slaney's mel scale: linear up to 1 kHz, then logarithmic
LINEAR_HZ, LOG_FROM_HZ, LOG_STEP = 200 / 3, 1000.0, np.log(6.4) / 27
DB_PER_NEPER = np.float32(20 / np.log(10))
MSST = "Solovyev's Music-Source-Separation-Training (MSST), MVSEP"
METRICS = (
    Metric(
        "bleedless", "bleedless", "", "higher", True,
        "100 / (1 + mean of all dB by which mel bands of the estimate lie above the reference)", MSST,
        "phase, what is missing; silence has no bleed",
    ),
    Metric(
        "fullness", "fullness", "", "higher", True,
        "100 / (1 + mean of all dB by which mel bands of the estimate lie below the reference)", MSST,
        "phase, what is too much: the mixture is full",
    ),
)  # fmt: skip


class BleedFull:
    """Meter of bleedless and fullness."""

    def __init__(self, track: Track) -> None:
        self.bank = MelBank(track.sample_rate_hz)
        self.peaks = np.zeros((track.n_systems + 1, 2), np.float32)  # of the references first
        self.sums, self.counts = np.zeros((2, 2, track.n_systems, 2))  # above and below the reference
        self._frames, self._n_frames = Frames(FRAMING), 0

    def add(self, block: Block) -> None:
        """Look for the loudest bands."""
        self._watch(self._frames.add(block))

    def end_pass(self) -> bool:
        """Floors are known; the differences need a second pass."""
        self._watch(self._frames.end())
        self.floors = np.maximum(TINY, self.peaks * np.float32(10 ** (-FLOOR_DB / 20)))
        self._frames = Frames(FRAMING)
        return self._n_frames > 0

    def add_again(self, block: Block) -> None:
        """Add the differences."""
        self._compare(self._frames.add(block))

    def finish(self) -> None:
        """Add the differences of the last frames."""
        self._compare(self._frames.end())

    def scores(self, system: int, source: int) -> Values:
        """Out of 100, 100 where there is no difference; None for a track without samples."""
        if not self._n_frames:
            return {"bleedless": None, "fullness": None}
        above, below = self.sums[:, system, source] / np.maximum(1, self.counts[:, system, source])
        return {"bleedless": float(100 / (1 + above)), "fullness": float(100 / (1 + below))}

    def _watch(self, frames: NDArray | None) -> None:
        if frames is None:
            return
        self._n_frames += frames.shape[2]
        for index, magnitude in enumerate((magnitudes(frames[:2], FRAMING), *systems_of(frames, FRAMING))):
            self.peaks[index] = np.maximum(self.peaks[index], self.bank(magnitude).max(axis=(1, 2, 3)))

    def _compare(self, frames: NDArray | None) -> None:
        if frames is None:
            return
        reference = self._level(magnitudes(frames[:2], FRAMING), 0)
        for system, magnitude in enumerate(systems_of(frames, FRAMING)):
            difference = self._level(magnitude, system + 1) - reference
            for side, part in enumerate((np.maximum(difference, 0), np.maximum(-difference, 0))):
                self.sums[side, system] += DB_PER_NEPER * part.sum(axis=(1, 2, 3), dtype=np.float64)
                self.counts[side, system] += np.count_nonzero(part, axis=(1, 2, 3))

    def _level(self, magnitude: Float, index: int) -> Float:
        """Natural logarithm of the mel bands, floored."""
        return np.log(np.maximum(self.bank(magnitude), self.floors[index][:, None, None, None]))


class MelBank:
    """Mel bands (Slaney's scale and norm) of magnitudes, as ``librosa.filters.mel`` weighs them.

    A bin lies on the rising side of at most one band and on the falling side of at most one other, so that two sums
    over neighbouring bins replace a product with a matrix that is nearly empty.
    """

    def __init__(self, sample_rate_hz: int, n_fft: int = FRAMING.n_fft, n_mels: int = N_MELS) -> None:
        edges = mel_edges_hz(sample_rate_hz / 2, n_mels)
        frequencies = np.arange(n_fft // 2 + 1) * sample_rate_hz / n_fft
        segment = np.searchsorted(edges, frequencies, side="right") - 1  # edges[segment] <= frequency
        inside = (segment >= 0) & (segment <= n_mels)
        segment = np.clip(segment, 0, n_mels)
        position = (frequencies - edges[segment]) / np.diff(edges)[segment]
        norm = np.concatenate([[0], 2 / (edges[2:] - edges[:-2]), [0]])  # of the bands around each segment
        self.rising = np.where(inside, position * norm[segment + 1], 0).astype(np.float32)
        self.falling = np.where(inside, (1 - position) * norm[segment], 0).astype(np.float32)
        self.starts, first = np.unique(np.where(inside, segment, n_mels), return_index=True)
        self._first, self.n_mels = first, n_mels

    def __call__(self, magnitude: Float) -> Float:
        """(..., n_bins) -> (..., n_mels)."""
        bands = np.zeros((*magnitude.shape[:-1], self.n_mels + 2), np.float32)
        bands[..., self.starts + 1] = np.add.reduceat(magnitude * self.rising, self._first, axis=-1)
        bands[..., self.starts] += np.add.reduceat(magnitude * self.falling, self._first, axis=-1)
        return bands[..., 1:-1]


@lru_cache(maxsize=8)
def mel_edges_hz(highest_hz: float, n_mels: int) -> NDArray[np.float64]:
    """Corner frequencies (n_mels + 2,) from 0 to `highest_hz`, equally spaced on Slaney's mel scale."""
    top = highest_hz / LINEAR_HZ if highest_hz < LOG_FROM_HZ else LOG_FROM_HZ / LINEAR_HZ + np.log(
        highest_hz / LOG_FROM_HZ
    ) / LOG_STEP  # fmt: skip
    mels = np.linspace(0, top, n_mels + 2)
    log = LOG_FROM_HZ * np.exp(LOG_STEP * (mels - LOG_FROM_HZ / LINEAR_HZ))
    return np.where(mels >= LOG_FROM_HZ / LINEAR_HZ, log, LINEAR_HZ * mels)


FAMILY = Family(METRICS, BleedFull)
