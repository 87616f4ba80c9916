"""Losses on complex spectra."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from splitstrument.network.losses.common import TINY, Batch, Loss, _options, on_phases
from splitstrument.network.losses.magnitude import _bins_hz
from splitstrument.network.settings import ModelSettings

SMALL_RATIO = 1e-4  # -40 dB: below it, an exponent under 1 pulls no harder


@on_phases
def error_db(options: Mapping[str, Any], model: ModelSettings) -> Loss:
    """Energy of the error relative to the mixture, in decibels, averaged over the batch.

    The error is complex, ``target - mask * mixture``, so that a mask learns to turn down what arrives with another
    phase. In decibels every example pulls alike, a quiet one as a loud one, and one decibel of loss is one decibel of
    SDR (for a mask, error and mixture are the same for instrument and rest).

    Options
    -------
    floor_db
        Errors below this level (default -30) are good enough: no more is to be gained there.
    magnitude
        Share (default 0) of the same measure in absolute values instead of energies, which hears quiet bins better.
    """
    floor_db, share = _options("error_db", options, floor_db=-30.0, magnitude=0.0)
    floor = 10 ** (floor_db / 10)

    def loss(batch: Batch, mask: Any) -> Any:
        """Mean over the batch."""
        squared = _power(batch["target_stft"] - batch["mixture_stft"] * mask[..., :1])
        mixture = _power(batch["mixture_stft"])
        total = (1 - share) * _ratio_db(squared, mixture, floor)
        if share:
            magnitude = _ratio_db(ops.sqrt(squared + TINY), ops.sqrt(mixture + TINY), floor**0.5)
            total = total + share * 2 * magnitude
        return ops.mean(total)

    return loss


@on_phases
def relative_error(options: Mapping[str, Any], model: ModelSettings) -> Loss:
    """Energy of the complex error ``target - mask * mixture``, relative to the mixture's, averaged over the batch.

    Linear in the energy, where `error_db` is logarithmic: a network that cannot yet tell the instrument from the rest
    does best with the mean mask, and not with silence, at which `error_db` can get stuck (docs/results.md).

    Options
    -------
    emphasis
        Share (default 0.5) of the same measure on spectra whose energy is raised in proportion to the frequency, which
        about flattens music, so that the upper octaves count as well.
    power
        Exponent (default 1) of each example's ratio. At 0.5 the ratio is one of amplitudes: examples that are almost
        right, those without the instrument among them, pull harder, as in decibels, but the pull stays bounded.
    """
    emphasis, power = _options("relative_error", options, emphasis=0.5, power=1.0)
    weight = (_bins_hz(model) / _bins_hz(model)[-1]).astype(np.float32)[:, None]

    def loss(batch: Batch, mask: Any) -> Any:
        """Mean over the batch."""
        error = _power(batch["target_stft"] - batch["mixture_stft"] * mask[..., :1])
        mixture = _power(batch["mixture_stft"])
        ratio = (1 - emphasis) * _ratio(error, mixture) + emphasis * _ratio(weight * error, weight * mixture)
        return ops.mean(ratio if power == 1 else ops.power(ratio + SMALL_RATIO, power))

    return loss


@on_phases
def complex_l1(options: Mapping[str, Any], model: ModelSettings) -> Loss:
    """Absolute value of the complex error ``target - mask * mixture`` over the mixture's, averaged over the batch.

    Quiet bins pull nearly as hard as loud ones; in `relative_error` a few loud ones have most of the gradient. Networks
    learn faster by it, even measured in `relative_error` (docs/results.md).
    """
    _options("complex_l1", options)

    def loss(batch: Batch, mask: Any) -> Any:
        """Mean over the batch."""
        error, mixture = (
            ops.sqrt(_power(stft) + TINY)
            for stft in (batch["target_stft"] - batch["mixture_stft"] * mask[..., :1], batch["mixture_stft"])
        )
        return ops.mean(_ratio(error, mixture))

    return loss


def _ratio(numerator: Any, denominator: Any) -> Any:
    """Ratio of two sums over bins and frames: (batch,)."""
    return ops.sum(numerator, axis=(1, 2)) / (ops.sum(denominator, axis=(1, 2)) + TINY)


def _power(stft: Any) -> Any:
    """Squared magnitude (batch, n_bins, n_frames) of a real and imaginary pair."""
    return ops.sum(ops.square(stft), axis=-1)


def _ratio_db(numerator: Any, denominator: Any, floor: float) -> Any:
    """10 log10 of the ratio of two sums over bins and frames, not below `floor`: (batch,)."""
    above, below = (ops.sum(each, axis=(1, 2)) for each in (numerator, denominator))
    return ops.log((above + floor * below + TINY) / (below + TINY)) * (10 / math.log(10))
