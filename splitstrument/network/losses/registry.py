"""Training losses behind one interface: a batch and the masks in, one scalar out.

A batch is a dict of tensors, all of one chunk length and normalised by the same scale:

- ``mixture`` (batch, n_bins, n_frames, 1): magnitudes, the network's input;
- ``target`` (batch, n_bins, n_frames, outputs): magnitudes of the instrument (and of the rest, where outputs is 2);
- ``mixture_stft``, ``target_stft`` (batch, n_bins, n_frames, 2): real and imaginary parts, present only where
  `needs_phase` says that the loss wants them;
- ``second_stft``, likewise, where output 1 extracts a second instrument: such losses are added up for both.

Masks are (batch, n_bins, n_frames, outputs), or a list of these for several hourglass modules, whose losses add up.
Written with `keras.ops`, so that every backend computes the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitstrument.network.losses.common import Batch, Loss, LossFactory
from splitstrument.network.settings import ModelSettings
from splitstrument.registry import Registry
from splitstrument.user_code import UserCode, is_reference


def make_loss(name: str, options: Mapping[str, Any], model: ModelSettings, code: UserCode | None = None) -> Loss:
    """Make the loss called `name`; it takes (batch, masks) and returns a scalar.

    Parameters
    ----------
    name
        A member of `LOSSES`, or ``module:function`` of the user's own, which takes the same and returns the same.
    options
        What the loss understands; an unknown one is an error. Ours take numbers.
    model
        What the network sees, for losses that leave the magnitude domain.
    code
        Where the user's own functions are; None knows none that are allowed.

    Raises
    ------
    SettingsError, ModelError
        Unknown name, or code that cannot be loaded or is not allowed.
    ValueError
        Unknown option.
    """
    single = loss_factory(name, code)(options, model)

    def of_all(batch: Batch, masks: Any) -> Any:
        """The sum over modules and instruments."""
        masks = masks if isinstance(masks, list) else [masks]
        return sum(single(part, each) for mask in masks for part, each in _by_instrument(batch, mask))

    return of_all


def _by_instrument(batch: Batch, mask: Any) -> list[tuple[Batch, Any]]:
    """The batch and its mask as they are; or, of two instruments with their phases, a batch and a mask for each."""
    if "second_stft" not in batch:
        return [(batch, mask)]
    first = batch | {"target": batch["target"][..., :1]}
    second = batch | {"target": batch["target"][..., 1:], "target_stft": batch["second_stft"]}
    return [(first, mask[..., :1]), (second, mask[..., 1:])]


def loss_factory(name: str, code: UserCode | None = None) -> LossFactory:
    """The member of `LOSSES`, or the user's own function, that makes the loss called `name`."""
    return (code or UserCode()).load(name) if is_reference(name) else LOSSES.get(name)


def needs_phase(name: str, code: UserCode | None = None) -> bool:
    """Tell whether the loss reads ``mixture_stft`` and ``target_stft`` (see `splitstrument.network.losses.common`)."""
    return getattr(loss_factory(name, code), "needs_phase", False)


LOSSES: Registry[LossFactory] = Registry(
    "loss",
    "splitstrument.losses",
    {
        "l11": "splitstrument.network.losses.magnitude:l11",
        "l2": "splitstrument.network.losses.magnitude:l2",
        "frequency_weighted": "splitstrument.network.losses.magnitude:frequency_weighted",
        "perceptual": "splitstrument.network.losses.magnitude:perceptual",
        "energy_conserving": "splitstrument.network.losses.magnitude:energy_conserving",
        "relative_error": "splitstrument.network.losses.spectrum:relative_error",
        "complex_l1": "splitstrument.network.losses.spectrum:complex_l1",
        "error_db": "splitstrument.network.losses.spectrum:error_db",
        "time_l1": "splitstrument.network.losses.waveform:time_l1",
        "si_sdr": "splitstrument.network.losses.waveform:si_sdr",
        "multi_resolution": "splitstrument.network.losses.waveform:multi_resolution",
        "stem_error": "splitstrument.network.losses.stems:stem_error",
    },
)
