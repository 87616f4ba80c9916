"""Convolution of a stream with an impulse response."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splitstrument.audio import Audio


class Convolution:
    """Convolves each channel with a channel of `response`; what rings on after the last sample is cut off.

    Parameters
    ----------
    response
        (n_taps, n_channels), or (n_taps, 1) for all channels alike.

    Raises
    ------
    ValueError
        If the response has another number of channels than 1 or `n_channels`.
    """

    def __init__(self, response: NDArray, n_channels: int) -> None:
        response = np.asarray(response, np.float64)
        if response.ndim != 2 or response.shape[1] not in (1, n_channels) or not len(response):
            raise ValueError(f"a response is (n_taps, 1 or {n_channels}). Received: {response.shape}")
        self.response, self._n_channels = response, n_channels
        self._tail = np.zeros((len(response) - 1, n_channels))
        self._n_fft, self._spectrum = 0, np.zeros((0, 1), complex)

    def process(self, block: Audio) -> Audio:
        """See `splitstrument.mixing.effects`."""
        if not len(block):
            return block
        full = self._convolved(block.astype(np.float64))
        full[: len(self._tail)] += self._tail
        self._tail = full[len(block) :]
        return full[: len(block)].astype(np.float32)

    def _convolved(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """The block with what rings on; the response's spectrum is kept, since most blocks are equally long."""
        from scipy import fft  # here: a fifth of a second that not every command needs

        length = len(block) + len(self.response) - 1
        n_fft = fft.next_fast_len(length, real=True)
        if n_fft != self._n_fft:
            self._n_fft, self._spectrum = n_fft, fft.rfft(self.response, n_fft, axis=0)
        return fft.irfft(fft.rfft(block, n_fft, axis=0) * self._spectrum, n_fft, axis=0)[:length]

    def finish(self) -> Audio:
        """See `splitstrument.mixing.effects`."""
        return np.zeros((0, self._n_channels), np.float32)
