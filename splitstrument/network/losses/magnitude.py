"""Losses on magnitudes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from splitstrument.network.losses.common import TINY, Batch, Loss, _options
from splitstrument.network.settings import ModelSettings


def l11(options: Mapping[str, Any], model: ModelSettings) -> Loss:
    """The thesis's "L1,1": the sum over the batch of ``|target - mixture * mask|``; the mask is not clipped."""
    _options("l11", options)
    return lambda batch, mask: ops.sum(ops.abs(batch["target"] - batch["mixture"] * mask))


def l2(options: Mapping[str, Any], model: ModelSettings) -> Loss:
    """The sum over the batch of ``(target - mixture * mask)^2``: loud bins count for more than in `l11`."""
    _options("l2", options)
    return lambda batch, mask: ops.sum(ops.square(batch["target"] - batch["mixture"] * mask))


def frequency_weighted(options: Mapping[str, Any], model: ModelSettings) -> Loss:
    """`l11` with a weight for each bin: the A-weighting of IEC 61672, to the power of `strength` (default 1).

    Named in the thesis's outlook (section 8.3): errors count for more where the ear is keen, 1 to 5 kHz.
    """
    (strength,) = _options("frequency_weighted", options, strength=1.0)
    weight = (a_weighting(_bins_hz(model)) ** strength).astype(np.float32)[:, None, None]
    return lambda batch, mask: ops.sum(weight * ops.abs(batch["target"] - batch["mixture"] * mask))


def perceptual(options: Mapping[str, Any], model: ModelSettings) -> Loss:
    """Difference in loudness: A-weighted power in bands one ERB wide, to the power of `exponent` (default 0.3).

    A coarse model of hearing: bands as Glasberg and Moore (1990), loudness as Stevens's power law. Sums over the
    batch; what a louder neighbour in the same band hides costs little.
    """
    (exponent,) = _options("perceptual", options, exponent=0.3)
    bands = (erb_bands(_bins_hz(model)) * a_weighting(_bins_hz(model)) ** 2).astype(np.float32)

    def loudness(magnitudes: Any) -> Any:
        """(batch, n_bins, n_frames, outputs) to (batch, n_bands, n_frames, outputs)."""
        return ops.power(ops.einsum("kf,bfto->bkto", bands, ops.square(magnitudes)) + TINY, exponent)

    return lambda batch, mask: ops.sum(ops.abs(loudness(batch["target"]) - loudness(batch["mixture"] * mask)))


def energy_conserving(options: Mapping[str, Any], model: ModelSettings) -> Loss:
    """`l11` of instrument and rest together, where the rest has the energy that the instrument's mask leaves over.

    With one output the rest's mask is ``sqrt(1 - mask^2)``; with two, `weight` (default 1) times the energy that
    both masks together lose or invent is added. Masks beyond 0 to 1 are clipped.
    """
    (weight,) = _options("energy_conserving", options, weight=1.0)

    def loss(batch: Batch, mask: Any) -> Any:
        """Sum over the batch."""
        mixture, target = batch["mixture"], batch["target"]
        mask = ops.clip(mask, 0.0, 1.0)
        error = ops.sum(ops.abs(target - mixture * mask))
        if mask.shape[-1] == 1:
            left_over = ops.sqrt(1 - ops.square(mask) + TINY)
            rest = ops.sqrt(ops.maximum(ops.square(mixture) - ops.square(target), 0.0) + TINY)
            return error + ops.sum(ops.abs(rest - mixture * left_over))
        lost = ops.abs(1 - ops.sum(ops.square(mask), axis=-1, keepdims=True))
        return error + weight * ops.sum(mixture * lost)

    return loss


def _bins_hz(model: ModelSettings) -> NDArray[np.float64]:
    frequencies = np.fft.rfftfreq(model.spectrogram.n_fft, 1 / model.spectrogram.sample_rate_hz)
    return frequencies.astype(np.float64, copy=False)


def a_weighting(frequencies_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Amplitude factor of IEC 61672's A-weighting, 1 at 1 kHz."""

    def response(hz: NDArray[np.float64]) -> NDArray[np.float64]:
        square = np.square(hz)
        poles = (square + 20.6**2) * np.sqrt((square + 107.7**2) * (square + 737.9**2)) * (square + 12194.0**2)
        return 12194.0**2 * square**2 / poles

    return response(frequencies_hz) / response(np.array(1000.0))


def erb_bands(frequencies_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Triangular bands, one ERB apart, that add up to 1 at every frequency: (n_bands, n_bins)."""
    numbers = 21.4 * np.log10(1 + 0.00437 * frequencies_hz)
    centres = np.arange(np.ceil(numbers.max()) + 1)
    return np.maximum(0, 1 - np.abs(numbers[None, :] - centres[:, None]))
