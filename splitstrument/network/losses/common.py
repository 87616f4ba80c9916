"""What all losses share: their types and the reading of their options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from splitstrument.network.settings import ModelSettings

Batch = dict[str, Any]


Loss = Callable[[Batch, Any], Any]


LossFactory = Callable[[Mapping[str, float], ModelSettings], Loss]


TINY = 1e-10  # keeps roots and logarithms of silence finite


def _options(name: str, given: Mapping[str, float], **defaults: float) -> tuple[float, ...]:
    """Values of the options a loss knows, in the order of `defaults`."""
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        known = f"the options {', '.join(defaults)}" if defaults else "no options"
        raise ValueError(f"The loss {name} knows {known}. Received: {unknown}")
    return tuple(given.get(key, value) for key, value in defaults.items())
