"""A true-peak limiter: nothing passes the ceiling, between the samples either.

The gain of a sample is the least that any peak within the look-ahead asks for, smoothed by a window of the same length,
so that it has arrived where the peak is.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
import soxr
from numpy.typing import NDArray

from splitstrument.audio import Audio

OVERSAMPLING = 4
EDGE = 64  # samples around a block that oversampling needs to be exact
HEADROOM = 10 ** (-0.05 / 20)  # for what interpolation by four still misses


class Limiter:
    """Turns peaks down to `ceiling_dbtp`.

    Parameters
    ----------
    ceiling_dbtp
        At most 0.
    look_ahead_s
        Half of the time that the gain takes to reach a peak, and to come back.

    Raises
    ------
    ValueError
        For a ceiling above 0 dBTP or a look-ahead of less than a sample.
    """

    def __init__(
        self, sample_rate_hz: int, n_channels: int, ceiling_dbtp: float = -1.0, look_ahead_s: float = 0.005
    ) -> None:
        self._reach = round(look_ahead_s * sample_rate_hz)
        if ceiling_dbtp > 0 or self._reach < 1:
            raise ValueError(
                "a limiter has a ceiling of at most 0 dBTP and looks ahead. "
                f"Received: {ceiling_dbtp} dBTP, {look_ahead_s} s"
            )
        self._ceiling = 10 ** (ceiling_dbtp / 20) * HEADROOM
        window = np.hanning(2 * self._reach + 3)[1:-1]
        self._window = window / window.sum()
        # what is needed on both sides of a sample: smoothing, the least gain, oversampling
        self._margin = 2 * self._reach + EDGE
        self._kept = np.zeros((self._margin, n_channels), np.float32)
        self._n_in = self._n_out = 0

    def process(self, block: Audio) -> Audio:
        """See `splitstrument.mixing.effects`."""
        self._n_in += len(block)
        self._kept = np.concatenate([self._kept, block])
        n_ready = len(self._kept) - 2 * self._margin
        return self._limited(n_ready) if n_ready > 0 else block[:0]

    def finish(self) -> Audio:
        """See `splitstrument.mixing.effects`."""
        left = self._n_in - self._n_out
        silence = np.zeros((self._margin, self._kept.shape[1]), np.float32)
        self._kept = np.concatenate([self._kept, silence])
        return self._limited(left) if left else self._kept[:0]

    def _limited(self, n_ready: int) -> Audio:
        """Limit the next `n_ready` samples, and forget what is not needed for those after them."""
        span = self._kept[: n_ready + 2 * self._margin]
        gain = self._gain(true_peaks(span))[self._margin : self._margin + n_ready]
        out = span[self._margin : self._margin + n_ready] * gain.astype(np.float32)[:, None]
        self._kept = self._kept[n_ready:]
        self._n_out += n_ready
        return out

    def _gain(self, peaks: NDArray[np.float64]) -> NDArray[np.float64]:
        from scipy.ndimage import minimum_filter1d  # here: half a second that not every command needs

        wanted = np.minimum(1.0, self._ceiling / np.maximum(peaks, 1e-12))
        least = minimum_filter1d(wanted, 2 * self._reach + 1, mode="nearest")
        return np.convolve(least, self._window, "same")


def true_peaks(audio: Audio) -> NDArray[np.float64]:
    """Largest magnitude over the channels around each sample, a quarter of a sample apart: (n_samples,)."""
    up = _loudest_channel(soxr.resample(audio, 1, OVERSAMPLING, quality="HQ"))
    up = np.pad(up, (0, max(0, OVERSAMPLING * len(audio) - len(up))))[: OVERSAMPLING * len(audio)]
    at_sample, *between = (up[shift::OVERSAMPLING] for shift in range(OVERSAMPLING))
    after = reduce(np.maximum, between)
    # a sample owns what lies between it and the next on either side, so that a peak between two turns both down
    before = np.concatenate([np.zeros(1, after.dtype), after[:-1]])
    return reduce(np.maximum, [at_sample, after, before, _loudest_channel(audio)]).astype(np.float64)


def _loudest_channel(audio: Audio) -> NDArray[np.float32]:
    """Largest magnitude over the channels; by columns, which is several times as fast as by rows of two."""
    return reduce(np.maximum, np.abs(audio).T)
