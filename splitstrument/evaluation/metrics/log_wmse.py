"""log-WMSE: the logarithm of a frequency-weighted mean square error, defined for silent references too.

Audio at 44.1 kHz passes a filter that resembles the ear's sensitivity. Per channel, with m the root mean square of the
filtered mixture and d the filtered difference of estimate and reference, ``-4 ln(mean((d / m)^2) + 1e-8)``, where
values of d / m under -68 dB count as 0; the mean over channels. Higher is better: 73.7 is no audible difference. The
values are those of the package log-wmse-audio-quality 0.2.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import soxr
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from splitstrument.evaluation.metrics.metric import Block, Family, Metric, Track, Values

RATE_HZ = 44100
TOLERANCE = 10 ** (-68 / 20)
EPSILON = 1e-8
SCALE = -4.0
IR_N_FFT, IR_LENGTH = 8192, 4000
N_FFT = 16384
METRICS = (
    Metric(
        "log_wmse", "log-WMSE", "", "higher", False,
        "-4 times the logarithm of the mean square error after a filter like the ear's, relative to the mixture",
        "nomonosound, log-wmse-audio-quality", "errors under -68 dB; what masks what",
    ),
)  # fmt: skip


class LogWmse:
    """Meter of log-WMSE: the mixture's level in a first pass, the errors in a second one.

    Where a system's rest is the mixture less its instrument, both errors are the same but for their sign, and the
    second is not filtered again.
    """

    def __init__(self, track: Track) -> None:
        self.track = track
        self._mixture = _Filtered(track.sample_rate_hz, track.n_channels)
        self._power, self.n_samples = np.zeros(track.n_channels), 0
        self.mean_square = np.zeros(track.n_channels)
        self._complement = np.ones(track.n_systems, bool)
        self._largest = np.zeros(track.n_channels)

    def add(self, block: Block) -> None:
        """Measure the mixture, and see which systems' rest is its complement."""
        self._level(self._mixture.add(block.mixture))
        for system, (instrument, rest) in enumerate(block.estimates):
            if self._complement[system]:
                self._complement[system] = np.allclose(instrument + rest, block.mixture, rtol=0, atol=1e-6)

    def end_pass(self) -> bool:
        """Prepare the filters of the errors."""
        self._level(self._mixture.end())
        self.mean_square = self._power / max(1, self.n_samples)
        counts = [1 if complement else 2 for complement in self._complement]
        n_errors, n_channels = sum(counts), self.track.n_channels
        self._first = np.cumsum([0, *counts[:-1]])
        self._errors = [_Filtered(self.track.sample_rate_hz, n_channels) for _ in range(n_errors)]
        self._sums = np.zeros((n_errors, n_channels))
        return self.n_samples > 0

    def add_again(self, block: Block) -> None:
        """Add the errors."""
        for system, estimates in enumerate(block.estimates):
            for source in range(1 if self._complement[system] else 2):
                index = self._first[system] + source
                self._sum(index, self._errors[index].add(estimates[source] - block.references[source]))

    def finish(self) -> None:
        """Add the errors at the end."""
        for index, errors in enumerate(self._errors):
            self._sum(index, errors.end())

    def scores(self, system: int, source: int) -> Values:
        """Mean over channels; None for a track without samples."""
        if not self.n_samples:
            return {"log_wmse": None}
        index = self._first[system] + (0 if self._complement[system] else source)
        relative = np.where(self.mean_square > 0, self._sums[index] / self.n_samples, 0)
        relative /= np.where(self.mean_square > 0, self.mean_square, 1)
        return {"log_wmse": float(np.mean(SCALE * np.log(relative + EPSILON)))}

    def _level(self, filtered: NDArray) -> None:
        self._power += np.einsum("ct,ct->c", filtered, filtered, dtype=np.float64)
        self.n_samples += filtered.shape[1]

    def _sum(self, index: int, filtered: NDArray) -> None:
        threshold = (TOLERANCE * np.sqrt(self.mean_square))[:, None]
        audible = np.where(np.abs(filtered) < threshold, 0, filtered)
        self._sums[index] += np.einsum("ct,ct->c", audible, audible, dtype=np.float64)


FAMILY = Family(METRICS, LogWmse)


class _Filtered:
    """A stream (n_samples, n_channels) at 44.1 kHz through the filter: (n_channels, n_samples)."""

    def __init__(self, sample_rate_hz: int, n_channels: int) -> None:
        same = sample_rate_hz == RATE_HZ
        self._stream = None if same else soxr.ResampleStream(sample_rate_hz, RATE_HZ, n_channels, quality="HQ")
        self._pending = np.zeros((n_channels, IR_LENGTH - 1 - DELAY), np.float32)

    def add(self, samples: NDArray) -> NDArray:
        """Filter the next samples; what comes out lags behind."""
        samples = np.ascontiguousarray(samples, np.float32)
        return self._filter(self._stream.resample_chunk(samples) if self._stream else samples)

    def end(self) -> NDArray:
        """Give what is left."""
        n_channels = len(self._pending)
        nothing = np.zeros((0, n_channels), np.float32)
        last = self._stream.resample_chunk(nothing, last=True) if self._stream else nothing
        return self._filter(np.concatenate([last, np.zeros((DELAY, n_channels), np.float32)]), at_end=True)

    def _filter(self, samples: NDArray, at_end: bool = False) -> NDArray:
        joined = np.concatenate([self._pending, samples.reshape(-1, len(self._pending)).T], axis=1)
        hop_length = N_FFT - IR_LENGTH + 1
        ready = max(0, joined.shape[1] - IR_LENGTH + 1)
        n_frames = -(-ready // hop_length) if at_end else ready // hop_length
        if not n_frames:
            self._pending = joined
            return np.zeros((len(joined), 0), np.float32)
        padded = np.pad(joined, ((0, 0), (0, max(0, (n_frames - 1) * hop_length + N_FFT - joined.shape[1]))))
        frames = sliding_window_view(padded, N_FFT, axis=1)[:, ::hop_length][:, :n_frames]
        filtered = np.fft.irfft(np.fft.rfft(frames) * _response(), N_FFT)[..., IR_LENGTH - 1 :]
        self._pending = joined[:, n_frames * hop_length :].copy()
        return filtered.reshape(len(joined), -1)[:, : min(ready, n_frames * hop_length)]


# of the impulse response's middle, so that the filter has no phase
DELAY = (IR_LENGTH - 1) // 2


@lru_cache(maxsize=1)
def _response() -> NDArray[np.complex64]:
    return np.fft.rfft(impulse_response(), N_FFT).astype(np.complex64)


@lru_cache(maxsize=1)
def impulse_response() -> NDArray[np.float64]:
    """Zero-phase filter (4000,) at 44.1 kHz: shelf, high-pass, peak and low-pass of log-wmse-audio-quality."""
    w = np.linspace(0, np.pi, IR_N_FFT // 2 + 1)
    z = np.exp(-1j * w)
    magnitude = np.abs(_high_shelf(z, 1500, 5.0, 1 / np.sqrt(2)) * _peak(z, 500, 2.5, 1.5 / np.sqrt(2)))
    warped = np.tan(w[:-1] / 2)  # Butterworth filters by the bilinear transform
    low = np.append(1 / (1 + (warped / np.tan(np.pi * 10_000 / RATE_HZ)) ** 2), 0)  # first order, there and back
    high = np.append(1 / np.sqrt(1 + (np.tan(np.pi * 120 / RATE_HZ) / np.maximum(warped, 1e-30)) ** 4), 1)
    whole = np.fft.fftshift(np.fft.irfft(magnitude * low * high, IR_N_FFT))
    middle = IR_N_FFT // 2 + 1
    return whole[middle - IR_LENGTH // 2 : middle + IR_LENGTH // 2]


def _high_shelf(z: NDArray, hz: float, gain_db: float, q: float) -> NDArray:
    """Response of the shelf of the Audio EQ Cookbook at ``z = exp(-iw)``."""
    a, w = 10 ** (gain_db / 40), 2 * np.pi * hz / RATE_HZ
    cos, alpha = np.cos(w), np.sin(w) / (2 * q)
    slope = 2 * np.sqrt(a) * alpha
    b = a * (a + 1 + (a - 1) * cos + slope), -2 * a * (a - 1 + (a + 1) * cos), a * (a + 1 + (a - 1) * cos - slope)
    c = a + 1 - (a - 1) * cos + slope, 2 * (a - 1 - (a + 1) * cos), a + 1 - (a - 1) * cos - slope
    return (b[0] + b[1] * z + b[2] * z**2) / (c[0] + c[1] * z + c[2] * z**2)


def _peak(z: NDArray, hz: float, gain_db: float, q: float) -> NDArray:
    """Response of the peaking filter of the Audio EQ Cookbook."""
    a, w = 10 ** (gain_db / 40), 2 * np.pi * hz / RATE_HZ
    cos, alpha = np.cos(w), np.sin(w) / (2 * q)
    b, c = (1 + alpha * a, -2 * cos, 1 - alpha * a), (1 + alpha / a, -2 * cos, 1 - alpha / a)
    return (b[0] + b[1] * z + b[2] * z**2) / (c[0] + c[1] * z + c[2] * z**2)
