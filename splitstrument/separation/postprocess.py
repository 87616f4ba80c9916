"""After the mask: what can be changed without running the network again.

In this order: strength, clean-up, floor, dry. Every step keeps a mask between 0 and 1, and every step but the clean-up
looks at one value at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from splitstrument.network.settings import SpectrogramSettings
from splitstrument.separation.hearing import channel_powers
from splitstrument.separation.options import MaskOptions
from splitstrument.spectrogram import Complex, Float

SMOOTHING_S = 0.1
WINDOW_S = 1.5
SUB_WINDOWS = 8
BIAS = 1.5  # the minimum of a smoothed power lies below its mean by about this factor (Martin 2001)


class MaskProcessor:
    """Applies `MaskOptions` to one stem's stream of masks; keeps the state of the clean-up between blocks.

    Parameters
    ----------
    powers
        Powers of the views of a spectrum (see `splitstrument.separation.hearing`).
    """

    def __init__(
        self,
        options: MaskOptions,
        spectrogram: SpectrogramSettings,
        powers: Callable[[Complex], Float] = channel_powers,
    ) -> None:
        self.options, self._powers = options, powers
        self._bed = SteadyBed(spectrogram) if options.cleanup else None

    def __call__(self, mask: Float, spectrum: Complex) -> Float:
        """Process a block.

        Parameters
        ----------
        mask : (n_views, n_bins, n_frames)
        spectrum : (n_channels, n_bins, n_frames)
        """
        options = self.options
        if options.strength != 1:
            mask = mask**options.strength
        if self._bed:
            mask = mask * self._bed.gain(mask, self._powers(spectrum), options.cleanup)
        if options.floor_db is not None:
            mask = np.maximum(mask, np.float32(10 ** (options.floor_db / 20)))
        if options.dry:
            mask = options.dry + (1 - options.dry) * mask
        return mask.astype(np.float32, copy=False)


class SteadyBed:
    """Clean-up by minimum statistics (Martin 2001, with plain smoothing): what never stops is no note.

    Per bin the power of the estimate is smoothed over `SMOOTHING_S`; the smallest value of the last `WINDOW_S` seconds
    is the steady bed (hiss, hum, wash of cymbals), and its power is subtracted.
    """

    def __init__(self, spectrogram: SpectrogramSettings) -> None:
        frames_per_s = spectrogram.sample_rate_hz / spectrogram.hop
        self._keep = np.float32(np.exp(-1 / (SMOOTHING_S * frames_per_s)))
        self._sub_length = max(1, round(WINDOW_S * frames_per_s / SUB_WINDOWS))
        self._smooth: Float = np.zeros(0, np.float32)  # nothing heard yet

    def gain(self, mask: Float, powers: Float, amount: float) -> Float:
        """Gain per bin and frame, between 0 and 1; `amount` 0 leaves everything."""
        power = (mask**2 * powers).mean(axis=0)
        if not self._smooth.size:
            self._start(power[:, 0])
        bed = np.stack([self._track(frame) for frame in power.T], axis=-1)
        left = np.maximum(power - BIAS * amount * bed, 0)
        return np.sqrt(np.divide(left, power, out=np.zeros_like(power), where=power > 0))[None]

    def _start(self, power: Float) -> None:
        self._smooth = power.copy()
        # nothing is known of the time before the song: no bed until a window has passed
        self._minima = np.zeros((SUB_WINDOWS, len(power)), np.float32)
        self._current = self._smooth.copy()
        self._count = 0

    def _track(self, power: Float) -> Float:
        self._smooth = self._keep * self._smooth + (1 - self._keep) * power
        self._current = np.minimum(self._current, self._smooth)
        self._count += 1
        if self._count == self._sub_length:
            self._minima = np.concatenate([self._minima[1:], self._current[None]])
            self._current, self._count = self._smooth.copy(), 0
        return np.minimum(self._minima.min(axis=0), self._current)
