"""Training losses behind one interface: a batch and the masks in, one scalar out.

A batch is a dict of tensors, all of one chunk length and normalised by the same scale:

- ``mixture`` (batch, n_bins, n_frames, 1): magnitudes, the network's input;
- ``target`` (batch, n_bins, n_frames, outputs): magnitudes of the instrument (and of the rest, where outputs is 2);
- ``mixture_stft``, ``target_stft`` (batch, n_bins, n_frames, 2): real and imaginary parts, present only where
  `needs_phase` says that the loss wants them.

Masks are (batch, n_bins, n_frames, outputs), or a list of these for several hourglass modules, whose losses add up.
Written with `keras.ops`, so that every backend computes the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from keras import ops

from splitstrument.network.settings import ModelSettings

Batch = dict[str, Any]
Loss = Callable[[Batch, Any], Any]
LossFactory = Callable[[Mapping[str, float], ModelSettings], Loss]

TINY = 1e-10  # keeps roots and logarithms of silence finite


def make_loss(name: str, options: Mapping[str, float], model: ModelSettings) -> Loss:
    """Make the loss called `name`; it takes (batch, masks) and returns a scalar.

    Parameters
    ----------
    name
        A key of `LOSSES`.
    options
        Numbers that the loss understands; an unknown one is an error.
    model
        What the network sees, for losses that leave the magnitude domain.

    Raises
    ------
    ValueError
        Unknown name or option.
    """
    if name not in LOSSES:
        raise ValueError(f"Unknown loss; choose one of {', '.join(LOSSES)}. Received: {name!r}")
    single = LOSSES[name](options, model)
    return lambda batch, masks: sum(single(batch, mask) for mask in (masks if isinstance(masks, list) else [masks]))


def needs_phase(name: str) -> bool:
    """Tell whether the loss reads ``mixture_stft`` and ``target_stft``."""
    return name in PHASE_LOSSES


def l11(options: Mapping[str, float], model: ModelSettings) -> Loss:
    """The thesis's "L1,1": the sum over the batch of ``|target - mixture * mask|``; the mask is not clipped."""
    _no_options("l11", options)
    return lambda batch, mask: ops.sum(ops.abs(batch["target"] - batch["mixture"] * mask))


def error_db(options: Mapping[str, float], model: ModelSettings) -> Loss:
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


def _power(stft: Any) -> Any:
    """Squared magnitude (batch, n_bins, n_frames) of a real and imaginary pair."""
    return ops.sum(ops.square(stft), axis=-1)


def _ratio_db(numerator: Any, denominator: Any, floor: float) -> Any:
    """10 log10 of the ratio of two sums over bins and frames, not below `floor`: (batch,)."""
    above, below = (ops.sum(each, axis=(1, 2)) for each in (numerator, denominator))
    return ops.log((above + floor * below + TINY) / (below + TINY)) * (10 / math.log(10))


def _options(name: str, given: Mapping[str, float], **defaults: float) -> tuple[float, ...]:
    """Values of the options a loss knows, in the order of `defaults`."""
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        raise ValueError(f"The loss {name} knows the options {', '.join(defaults)}. Received: {unknown}")
    return tuple(given.get(key, value) for key, value in defaults.items())


def _no_options(name: str, options: Mapping[str, float]) -> None:
    if options:
        raise ValueError(f"The loss {name} has no options. Received: {sorted(options)}")


LOSSES: dict[str, LossFactory] = {"l11": l11, "error_db": error_db}
PHASE_LOSSES: frozenset[str] = frozenset({"error_db"})
