"""How much compression brings a loudness range down: many settings are tried at once, on levels alone.

A compressor's gain follows from peaks that it sees every 32 samples, and loudness from energies: the range that each
setting would leave is computed without compressing any audio, in one pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splitstrument.audio import Audio
from splitstrument.loudness import OFFSET_DB, SHORT_TERM_STEPS, STEPS_PER_S, k_weighting, loudness_range
from splitstrument.mixing.effects.compressor import FLOOR_DB, STEP, Compressor

ATTACK_S, RELEASE_S = 0.03, 0.15


@dataclass(frozen=True)
class Compression:
    """Settings of a compressor; None of them stands for no compression."""

    threshold_dbfs: float
    ratio: float

    def effect(self, sample_rate_hz: int, n_channels: int) -> Compressor:
        """The compressor."""
        return Compressor(sample_rate_hz, n_channels, self.threshold_dbfs, self.ratio, ATTACK_S, RELEASE_S)


def candidates(peak_dbfs: float) -> list[Compression]:
    """Ever stronger settings, as the companion steps through them.

    From the lead's peak the threshold falls by 3 dB a step and the ratio grows by 0.1 from 3; below -30 dB by half a
    decibel, while the ratio grows by 1 up to 13.9.
    """
    first = [(-3.0 * step, 2.9 + 0.1 * step) for step in range(1, 11)]
    last = [(-30 - 0.5 * step, 3.9 + step) for step in range(1, 11)]
    return [Compression(round(peak_dbfs + below, 2), round(ratio, 1)) for below, ratio in first + last]


class RangeSearch:
    """Predicts the loudness range of a stream behind each of some compressors."""

    def __init__(self, settings: list[Compression], sample_rate_hz: int, n_channels: int) -> None:
        from scipy.signal import sosfilt  # here: half a second that not every command needs

        self._sosfilt = sosfilt
        self.settings = settings
        self._compressors = [one.effect(sample_rate_hz, n_channels) for one in settings]
        self._slower = np.exp(-STEP / (np.array([ATTACK_S, RELEASE_S]) * sample_rate_hz))
        self._filters = k_weighting(sample_rate_hz)
        self._state = np.zeros((len(self._filters), 2, n_channels))
        self._kept = np.zeros((2, 0, n_channels))
        self._gains_db = np.zeros(len(settings))
        self._steps_per_window = max(1, round(sample_rate_hz / (STEP * STEPS_PER_S)))
        self._open: list[NDArray[np.float64]] = []
        self._energies: list[NDArray[np.float64]] = []

    def add(self, block: Audio) -> None:
        """Take in (n_samples, n_channels)."""
        if not len(block):
            return
        samples = block.astype(np.float64)
        weighted, self._state = self._sosfilt(self._filters, samples, axis=0, zi=self._state)
        kept = np.concatenate([self._kept, np.stack([samples, weighted])], axis=1)
        n_steps = kept.shape[1] // STEP
        self._kept = kept[:, n_steps * STEP :]
        plain, weighted = kept[:, : n_steps * STEP].reshape(2, n_steps, -1)
        gains_db = self._smoothed(np.abs(plain).max(axis=1, initial=0.0))
        energies = np.square(weighted).sum(axis=1)[:, None] * 10 ** (gains_db / 10)
        self._collect(energies)

    def _smoothed(self, peaks: NDArray[np.float64]) -> NDArray[np.float64]:
        """Gains (n_steps, n_settings) in dB, as the compressors would have them."""
        levels = np.maximum(20 * np.log10(np.maximum(peaks, 1e-12)), FLOOR_DB)
        wanted = np.stack([one.static_db(levels) for one in self._compressors], axis=1)
        gains, gain = np.empty_like(wanted), self._gains_db
        attack, release = self._slower
        for step, goal in enumerate(wanted):
            gain = goal + np.where(goal < gain, attack, release) * (gain - goal)
            gains[step] = gain
        self._gains_db = gain
        return gains

    def _collect(self, energies: NDArray[np.float64]) -> None:
        """Sum energies over tenths of a second."""
        energies = np.concatenate([*self._open, energies])
        n_windows = len(energies) // self._steps_per_window
        whole = energies[: n_windows * self._steps_per_window]
        self._energies.append(whole.reshape(n_windows, self._steps_per_window, -1).sum(axis=1))
        self._open = [energies[len(whole) :]]

    def ranges_lu(self) -> list[float | None]:
        """Loudness range behind each compressor; None where it cannot be measured."""
        energies = np.concatenate([*self._energies, np.zeros((0, len(self.settings)))])
        if len(energies) < SHORT_TERM_STEPS:
            return [None] * len(self.settings)
        n_samples = SHORT_TERM_STEPS * self._steps_per_window * STEP
        sums = [np.convolve(column, np.ones(SHORT_TERM_STEPS), "valid") for column in energies.T]
        return [loudness_range(10 * np.log10(column / n_samples + 1e-30) + OFFSET_DB) for column in sums]
