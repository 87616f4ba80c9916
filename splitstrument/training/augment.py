"""Training-time augmentation of waveform segments, before the STFT.

The pipeline calls ``augment(instrument, rest, rng)`` on every training batch of the ``segments`` source: both are
float32 (batch, n_samples), `rng` is a generator of this very batch, so that a training can be resumed at any step.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from splitstrument.settings import Settings

Float = NDArray[np.float32]
Augmentation = Callable[[Float, Float, np.random.Generator], tuple[Float, Float]]


class AugmentationSettings(Settings):
    """What to do to a batch; the defaults do nothing."""


def make_augmentation(settings: AugmentationSettings, sample_rate_hz: int) -> Augmentation:
    """Make the function that augments one batch."""
    return lambda instrument, rest, rng: (instrument, rest)
