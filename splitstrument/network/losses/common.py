"""Types that all losses share, and the reading of their options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from splitstrument.network.settings import ModelSettings

Batch = dict[str, Any]


Loss = Callable[[Batch, Any], Any]


LossFactory = Callable[[Mapping[str, Any], ModelSettings], Loss]


def on_phases(factory: LossFactory) -> LossFactory:
    """Mark a loss that reads ``mixture_stft`` and ``target_stft``, which batches hold only where it is asked for."""
    factory.needs_phase = True  # type: ignore[attr-defined]
    return factory


TINY = 1e-10  # keeps roots and logarithms of silence finite


def _options(name: str, given: Mapping[str, Any], **defaults: float) -> tuple[float, ...]:
    """Values of the options that a loss knows, all of them numbers, in the order of `defaults`."""
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        known = f"the options {', '.join(defaults)}" if defaults else "no options"
        raise ValueError(f"The loss {name} knows {known}. Received: {unknown}")
    for key, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"The option {key} of the loss {name} is a number. Received: {value!r}")
    return tuple(given.get(key, value) for key, value in defaults.items())
