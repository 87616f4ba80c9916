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

    def process(self, block: Audio) -> Audio:
        """See `splitstrument.mixing.effects`."""
        from scipy.signal import oaconvolve  # here: half a second that not every command needs

        if not len(block):
            return block
        full = oaconvolve(block.astype(np.float64), self.response, axes=0)
        full[: len(self._tail)] += self._tail
        self._tail = full[len(block) :]
        return full[: len(block)].astype(np.float32)

    def finish(self) -> Audio:
        """See `splitstrument.mixing.effects`."""
        return np.zeros((0, self._n_channels), np.float32)
