"""Measures that need no distortion filter, accumulated block by block for one source.

With reference s, estimate e, ``d = e - s`` and the best scale ``a = <e, s> / <s, s>``:

- **SI-SDR** ``|a s|^2 / |e - a s|^2`` and **SD-SDR** ``|a s|^2 / |d|^2`` (Le Roux et al. 2019; means are not removed);
- **uSDR** ``(|s|^2 + 1e-7) / (|d|^2 + 1e-7)``, the SDR of the Music Demixing Challenge 2021 (all channels together),
  defined for silence too;
- **log-spectral distance**: per STFT frame the root mean square over bins of the difference of both power spectra in
  dB, each floored at `LSD_FLOOR_DB` below a full-scale sine; the mean over frames where the reference is audible;
- **leakage**: energy of the estimate relative to the mixture's, in dB, over the seconds in which the reference is
  silent (under -50 dBFS, the thesis's rule).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from splitstrument.spectrogram import hann

SILENCE_DBFS = -50.0
SILENCE_BLOCK_S = 1.0
USDR_EPSILON = 1e-7
LSD_N_FFT = 2048
LSD_FLOOR_DB = -80.0
LEAKAGE_FLOOR_DB = -120.0


class Distortion:
    """SI-SDR, SD-SDR and uSDR of one source."""

    def __init__(self) -> None:
        self.reference = self.difference = self.product = self.estimate = 0.0

    def add(self, reference: NDArray, estimate: NDArray) -> None:
        """Add the next samples, any shape."""
        s = np.asarray(reference, np.float64).ravel()
        e = np.asarray(estimate, np.float64).ravel()
        d = e - s
        self.reference += float(s @ s)
        self.difference += float(d @ d)
        self.product += float(s @ d)
        self.estimate += float(e @ e)

    def scores(self) -> dict[str, float | None]:
        """SI-SDR and SD-SDR in dB are None where reference or estimate is silent; infinite for a perfect estimate."""
        usdr = _db(self.reference + USDR_EPSILON, self.difference + USDR_EPSILON)
        if not self.reference or not self.estimate:
            return {"si_sdr": None, "sd_sdr": None, "usdr": usdr}
        scale = 1 + self.product / self.reference
        target = scale**2 * self.reference
        # not <e, e> - <a s, a s>: that would lose all digits where the estimate is good
        error = max(0.0, self.difference - self.product**2 / self.reference)
        return {"si_sdr": _db(target, error), "sd_sdr": _db(target, self.difference), "usdr": usdr}


class LogSpectralDistance:
    """Mean distance of the log spectra of one source over its audible frames, in dB."""

    def __init__(self, n_channels: int, n_fft: int = LSD_N_FFT) -> None:
        self.n_fft, self.hop = n_fft, n_fft // 2
        self.total, self.n_frames = 0.0, 0
        self._pending = np.zeros((2, 0, n_channels), np.float32)
        self._floor = (n_fft / 4) ** 2 * 10 ** (LSD_FLOOR_DB / 10)

    def add(self, reference: NDArray, estimate: NDArray) -> None:
        """Add the next samples (n_samples, n_channels)."""
        signals = np.concatenate([self._pending, np.stack([reference, estimate]).astype(np.float32)], axis=1)
        n_frames = max(0, (signals.shape[1] - self.n_fft) // self.hop + 1)
        self._pending = signals[:, n_frames * self.hop :].copy()
        if not n_frames:
            return
        frames = sliding_window_view(signals, self.n_fft, axis=1)[:, :: self.hop]  # (2, n_frames, n_channels, n_fft)
        audible = np.mean(frames[0] ** 2, axis=-1) > 10 ** (SILENCE_DBFS / 10)
        if not audible.any():
            return
        spectrum = np.fft.rfft(frames[:, audible] * hann(self.n_fft))
        level = 10 * np.log10(np.maximum(spectrum.real**2 + spectrum.imag**2, self._floor))
        distance = np.sqrt(np.mean((level[0] - level[1]) ** 2, axis=-1))
        self.total += float(distance.sum())
        self.n_frames += len(distance)

    def score(self) -> float | None:
        """Distance in dB; None where the reference is never audible."""
        return self.total / self.n_frames if self.n_frames else None


@dataclass(frozen=True)
class SilenceScores:
    """What an estimate does where its reference is silent."""

    leakage_db: float | None
    silent_s: float
    silent_share: float


class Leakage:
    """Level of an estimate, relative to the mixture, in the seconds where its reference is silent."""

    def __init__(self, sample_rate_hz: int, n_channels: int) -> None:
        self.sample_rate_hz = sample_rate_hz
        self.block = max(1, round(SILENCE_BLOCK_S * sample_rate_hz))
        self.silent_samples = self.n_samples = 0
        self.estimate = self.mixture = 0.0
        self._pending = np.zeros((3, 0, n_channels))

    def add(self, reference: NDArray, estimate: NDArray, mixture: NDArray) -> None:
        """Add the next samples (n_samples, n_channels)."""
        signals = np.concatenate([self._pending, np.stack([reference, estimate, mixture]).astype(np.float64)], axis=1)
        n_blocks = signals.shape[1] // self.block
        whole = signals[:, : n_blocks * self.block].reshape(3, n_blocks, self.block * signals.shape[2])
        self._measure(whole, self.block)
        self._pending = signals[:, n_blocks * self.block :]

    def scores(self) -> SilenceScores:
        """Leakage is None where the reference is never silent or the mixture is silent as well."""
        left = self._pending.shape[1]
        if left:
            self._measure(self._pending.reshape(3, 1, -1), left)
            self._pending = self._pending[:, :0]
        leakage = max(LEAKAGE_FLOOR_DB, _db(self.estimate, self.mixture)) if self.mixture else None
        share = self.silent_samples / self.n_samples if self.n_samples else 0.0
        return SilenceScores(leakage, self.silent_samples / self.sample_rate_hz, share)

    def _measure(self, blocks: NDArray, n_samples: int) -> None:
        silent = np.mean(blocks[0] ** 2, axis=-1) < 10 ** (SILENCE_DBFS / 10)
        self.estimate += float(np.sum(blocks[1, silent] ** 2))
        self.mixture += float(np.sum(blocks[2, silent] ** 2))
        self.silent_samples += int(silent.sum()) * n_samples
        self.n_samples += len(silent) * n_samples


def _db(numerator: float, denominator: float) -> float:
    if numerator <= 0:
        return -np.inf
    return float("inf") if denominator == 0 else float(10 * np.log10(numerator / denominator))
