"""Equalizers: parametric bands, and any curve as a minimum-phase filter.

References
----------
Bristow-Johnson, "Cookbook formulae for audio equalizer biquad filter coefficients" (W3C note, 2021): the bands.
Oppenheim and Schafer, "Discrete-Time Signal Processing", chapter 13: minimum phase by the real cepstrum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from splitstrument.audio import Audio
from splitstrument.mixing.effects.convolution import Convolution

Shape = Literal["peak", "low_shelf", "high_shelf", "low_pass", "high_pass"]
# centres of the 40 bands of Audealize and SocialEQ: one ERB apart from 20 Hz to 20 kHz
BAND_EDGES_HZ = (20.0, 20_000.0)
N_BANDS = 40
FILTER_S = 0.1  # length of a curve's filter: resolves 10 Hz


@dataclass(frozen=True)
class Band:
    """One band of a parametric equalizer.

    Attributes
    ----------
    hertz
        Centre of a peak, middle of a shelf's slope, or the -3 dB point of a pass.
    gain_db
        At a peak's centre or on a shelf; passes have none.
    quality
        Q: 1 is about an octave and a half.
    """

    shape: Shape
    hertz: float
    gain_db: float = 0.0
    quality: float = 1 / math.sqrt(2)

    def section(self, sample_rate_hz: int) -> list[float]:
        """The band as a second-order section ``[b0, b1, b2, a0, a1, a2]``, a0 being 1.

        Raises
        ------
        ValueError
            If the frequency does not lie below half the rate, or Q is not positive.
        """
        if not 0 < self.hertz < sample_rate_hz / 2 or self.quality <= 0:
            raise ValueError(
                f"a band lies between 0 and {sample_rate_hz / 2:g} Hz and has a positive Q. "
                f"Received: {self.hertz:g} Hz, Q {self.quality:g}"
            )
        angle = 2 * math.pi * self.hertz / sample_rate_hz
        cosine, alpha = math.cos(angle), math.sin(angle) / (2 * self.quality)
        section = _SHAPES[self.shape](cosine, alpha, 10 ** (self.gain_db / 40))
        return [value / section[3] for value in section]


def _peak(cosine: float, alpha: float, a: float) -> list[float]:
    return [1 + alpha * a, -2 * cosine, 1 - alpha * a, 1 + alpha / a, -2 * cosine, 1 - alpha / a]


def _shelf(cosine: float, alpha: float, a: float, sign: int) -> list[float]:
    """A low shelf for sign 1, a high shelf for -1."""
    plus, minus, root = a + 1, sign * (a - 1), 2 * math.sqrt(a) * alpha
    top = [a * (plus - minus * cosine + root), 2 * a * (minus - plus * cosine), a * (plus - minus * cosine - root)]
    bottom = [plus + minus * cosine + root, -2 * (minus + plus * cosine), plus + minus * cosine - root]
    return [*top, *bottom]


def _pass(cosine: float, alpha: float, sign: int) -> list[float]:
    """A low-pass for sign 1, a high-pass for -1."""
    side = (1 - sign * cosine) / 2
    return [side, sign * 2 * side, side, 1 + alpha, -2 * cosine, 1 - alpha]


_SHAPES = {
    "peak": _peak,
    "low_shelf": lambda cosine, alpha, a: _shelf(cosine, alpha, a, 1),
    "high_shelf": lambda cosine, alpha, a: _shelf(cosine, alpha, a, -1),
    "low_pass": lambda cosine, alpha, a: _pass(cosine, alpha, 1),
    "high_pass": lambda cosine, alpha, a: _pass(cosine, alpha, -1),
}


class ParametricEqualizer:
    """Bands one after another."""

    def __init__(self, bands: Sequence[Band], sample_rate_hz: int, n_channels: int) -> None:
        self.sections = np.array([band.section(sample_rate_hz) for band in bands]).reshape(-1, 6)
        self._state = np.zeros((len(self.sections), 2, n_channels))
        self._n_channels = n_channels

    def process(self, block: Audio) -> Audio:
        """See `splitstrument.mixing.effects`."""
        from scipy.signal import sosfilt  # here: half a second that not every command needs

        if not len(self.sections) or not len(block):
            return block
        filtered, self._state = sosfilt(self.sections, block.astype(np.float64), axis=0, zi=self._state)
        return filtered.astype(np.float32)

    def finish(self) -> Audio:
        """See `splitstrument.mixing.effects`."""
        return np.zeros((0, self._n_channels), np.float32)


def band_centres_hz(n_bands: int = N_BANDS) -> NDArray[np.float64]:
    """Centres of `n_bands` bands, equally far apart in ERB (Glasberg and Moore 1990) from 20 Hz to 20 kHz."""
    low, high = (21.4 * math.log10(1 + 0.00437 * hertz) for hertz in BAND_EDGES_HZ)
    return (10 ** (np.linspace(low, high, n_bands) / 21.4) - 1) / 0.00437


def curve_equalizer(
    centres_hz: Sequence[float], gains_db: Sequence[float], sample_rate_hz: int, n_channels: int
) -> Convolution:
    """Make an equalizer that follows a curve, as a minimum-phase filter: no latency, no pre-echo.

    Parameters
    ----------
    centres_hz, gains_db
        Points of the curve, rising in frequency; straight lines over log frequency between them, level outside.
    """
    return Convolution(minimum_phase(centres_hz, gains_db, sample_rate_hz)[:, None], n_channels)


def minimum_phase(centres_hz: Sequence[float], gains_db: Sequence[float], sample_rate_hz: int) -> NDArray[np.float64]:
    """Impulse response (n_taps,) of the minimum-phase filter with a curve's magnitudes; see `curve_equalizer`.

    Raises
    ------
    ValueError
        If the points do not rise, or their numbers differ.
    """
    centres, gains = np.asarray(centres_hz, float), np.asarray(gains_db, float)
    if centres.shape != gains.shape or centres.ndim != 1 or not len(centres) or np.any(np.diff(centres) <= 0):
        raise ValueError(f"a curve needs rising frequencies and a gain for each. Received: {centres_hz}, {gains_db}")
    n_taps = 1 << math.ceil(math.log2(FILTER_S * sample_rate_hz))
    n_fft = 8 * n_taps  # so that the cepstrum does not fold into itself
    hertz = np.maximum(np.fft.rfftfreq(n_fft, 1 / sample_rate_hz), 1e-3)
    curve_db = np.interp(np.log(hertz), np.log(centres), gains)
    cepstrum = np.fft.irfft(curve_db * (math.log(10) / 20))
    cepstrum[1 : n_fft // 2] *= 2
    cepstrum[n_fft // 2 + 1 :] = 0
    response = np.fft.irfft(np.exp(np.fft.rfft(cepstrum)))[:n_taps]
    fade = np.cos(np.linspace(0, np.pi / 2, n_taps // 4)) ** 2  # what lies so late is the last of a slow decay
    response[-len(fade) :] *= fade
    return response
