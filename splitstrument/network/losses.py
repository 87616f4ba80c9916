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

from collections.abc import Callable, Mapping
from typing import Any

from keras import ops

from splitstrument.network.settings import ModelSettings

Batch = dict[str, Any]
Loss = Callable[[Batch, Any], Any]
LossFactory = Callable[[Mapping[str, float], ModelSettings], Loss]


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


def _no_options(name: str, options: Mapping[str, float]) -> None:
    if options:
        raise ValueError(f"The loss {name} has no options. Received: {sorted(options)}")


LOSSES: dict[str, LossFactory] = {"l11": l11}
PHASE_LOSSES: frozenset[str] = frozenset()
