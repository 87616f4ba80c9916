"""Tempo of a song, from how its onsets repeat.

Autocorrelation of the spectral flux, averaged over windows of some seconds, weighted towards 120 beats a minute (Ellis,
"Beat tracking by dynamic programming", JNMR 2007). Half and double of the tempo are the usual errors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splitstrument.audio import Audio

FRAMES_PER_S = 100
WINDOW_FRAMES = 800
SLOWEST_BPM, FASTEST_BPM, USUAL_BPM = 40.0, 240.0, 120.0
SPREAD_OCTAVES = 1.0


class TempoMeter:
    """Estimates the tempo of a stream in flat memory."""

    def __init__(self, sample_rate_hz: int) -> None:
        self.sample_rate_hz = sample_rate_hz
        self._n_fft = 1 << round(np.log2(sample_rate_hz / 40))
        self._window = np.hanning(self._n_fft)
        self._samples = np.zeros(0)
        self._first = 0  # sample of the stream that `_samples` begins with
        self._frame = 0
        self._last = np.zeros(self._n_fft // 2 + 1)
        self._flux = np.zeros(0)
        self._repeats = np.zeros(WINDOW_FRAMES)

    def add(self, block: Audio | NDArray[np.float64]) -> None:
        """Take in (n_samples, n_channels)."""
        self._samples = np.append(self._samples, block.mean(axis=1))
        starts = self._starts()
        if not len(starts):
            return
        frames = np.lib.stride_tricks.sliding_window_view(self._samples, self._n_fft)[starts - self._first]
        spectra = np.log1p(100 * np.abs(np.fft.rfft(frames * self._window)))
        rises = np.maximum(0, np.diff(spectra, axis=0, prepend=self._last[None])).mean(axis=1)
        self._last = spectra[-1]
        self._frame += len(starts)
        gone = self._start_of(self._frame) - self._first
        self._samples, self._first = self._samples[gone:], self._first + gone
        self._flux = np.append(self._flux, rises)
        while len(self._flux) >= WINDOW_FRAMES:
            self._repeats += _autocorrelation(self._flux[:WINDOW_FRAMES])
            self._flux = self._flux[WINDOW_FRAMES // 2 :]

    def _start_of(self, frame: int) -> int:
        return frame * self.sample_rate_hz // FRAMES_PER_S

    def _starts(self) -> NDArray[np.int64]:
        """Starts of the frames that have come in whole."""
        last = self._first + len(self._samples) - self._n_fft
        n_frames = max(0, (last * FRAMES_PER_S) // self.sample_rate_hz + 2 - self._frame)
        starts = np.arange(self._frame, self._frame + n_frames, dtype=np.int64) * self.sample_rate_hz // FRAMES_PER_S
        return starts[starts <= last]

    def tempo_bpm(self) -> float | None:
        """Beats a minute; None where nothing repeats or the song is shorter than some seconds."""
        repeats = self._repeats if self._repeats.any() else _autocorrelation(self._flux)
        lags = np.arange(round(60 * FRAMES_PER_S / FASTEST_BPM), round(60 * FRAMES_PER_S / SLOWEST_BPM) + 1)
        if len(repeats) < lags[-1] + 2 or repeats[0] <= 0:
            return None
        octaves = np.log2(60 * FRAMES_PER_S / lags / USUAL_BPM)
        weighted = repeats[lags] * np.exp(-0.5 * (octaves / SPREAD_OCTAVES) ** 2)
        lag = lags[int(np.argmax(weighted))]
        if repeats[lag] <= 0:
            return None
        before, here, after = repeats[lag - 1 : lag + 2]
        bend = before - 2 * here + after  # the top of a parabola lies between the frames
        shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
        return float(60 * FRAMES_PER_S / (lag + np.clip(shift, -0.5, 0.5)))


def _autocorrelation(flux: NDArray[np.float64]) -> NDArray[np.float64]:
    """Autocorrelation of the flux less its mean, (n_frames,), each lag by the number of products in it."""
    if not len(flux):
        return flux
    spectrum = np.fft.rfft(flux - flux.mean(), 2 * len(flux))
    return np.fft.irfft(np.abs(spectrum) ** 2)[: len(flux)] / np.arange(len(flux), 0, -1)
