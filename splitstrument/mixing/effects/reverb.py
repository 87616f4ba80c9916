"""Reverberation: a room made of decaying noise, or a measured impulse response."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from splitstrument.audio import Audio
from splitstrument.mixing.effects.convolution import Convolution

DENSE_DB = -60.0  # the decay by which a reverberation time is defined
HIGH_DECAY_HZ = 4000.0  # above, a room's decay is faster: air and walls swallow it


class Reverb:
    """Adds a room to a signal.

    Parameters
    ----------
    response
        (n_taps, n_channels) or (n_taps, 1), such as `room` makes; it is scaled to unit energy.
    wet_db
        Level of the room against the dry signal.
    """

    def __init__(self, response: NDArray, n_channels: int, wet_db: float = -12.0) -> None:
        energy = np.sqrt(np.square(response).sum(axis=0, keepdims=True))
        self._room = Convolution(response / np.maximum(energy, 1e-12), n_channels)
        self._wet = np.float32(10 ** (wet_db / 20))

    def process(self, block: Audio) -> Audio:
        """See `splitstrument.mixing.effects`."""
        return block + self._wet * self._room.process(block)

    def finish(self) -> Audio:
        """See `splitstrument.mixing.effects`."""
        return self._room.finish()


def room(rt60_s: float, sample_rate_hz: int, n_channels: int, seed: int = 0, pre_delay_s: float = 0.01) -> NDArray:
    """Impulse response (n_samples, n_channels) of exponentially decaying noise, other noise in every channel.

    Parameters
    ----------
    rt60_s
        Time in which the energy falls by 60 dB.
    seed
        Of the noise.
    pre_delay_s
        Silence before the first reflection.

    Raises
    ------
    ValueError
        If the reverberation time is not positive.
    """
    if rt60_s <= 0:
        raise ValueError(f"a reverberation time is positive. Received: {rt60_s}")
    n_samples = math.ceil(rt60_s * sample_rate_hz)
    time = np.arange(n_samples)[:, None] / sample_rate_hz
    noise = np.random.default_rng(seed).standard_normal((n_samples, n_channels))
    decay = 10 ** (DENSE_DB / 20 * time / rt60_s)
    silence = np.zeros((round(pre_delay_s * sample_rate_hz), n_channels))
    return np.concatenate([silence, noise * decay])


def rt60_of(response: NDArray, sample_rate_hz: int) -> float:
    """Reverberation time in seconds of an impulse response (n_samples, n_channels).

    By Schroeder's backward integration: twice the time from -5 to -35 dB (T30, ISO 3382-1).
    """
    energy = np.square(np.asarray(response, float)).sum(axis=1)
    left = np.cumsum(energy[::-1])[::-1]
    decay_db = 10 * np.log10(left / left[0] + 1e-30)
    first, last = (int(np.argmax(decay_db <= level)) for level in (-5.0, -35.0))
    return 2 * (last - first) / sample_rate_hz
