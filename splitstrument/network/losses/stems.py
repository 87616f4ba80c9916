"""The loss of networks that answer several instruments, of which an example may know only some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from splitstrument.network.losses.common import TINY, Batch, Loss, _options
from splitstrument.network.settings import ModelSettings


def stem_error(options: Mapping[str, float], model: ModelSettings) -> Loss:
    """Energy of each stem's complex error, against the stem's own energy and the rest's, over the stems that are known.

    For a mask the error of an instrument is the error of its rest, ``stem - mask * mixture``. What it costs is the mean
    of error / (stem + floor * mixture) and error / (rest + floor * mixture), in energies of mid and side together: both
    are what is wrong in what somebody hears. `splitstrument.training.data.stem_source` says what a batch holds.

    Options
    -------
    floor
        Share (default 0.25) of the mixture's energy below which a quiet stem, or a quiet rest, pulls no harder.
    guitar, piano, bass, drums, voice, other
        Weight (default 1) of each stem that the model answers.
    """
    floor, *weights = _options("stem_error", options, floor=0.25, **dict.fromkeys(model.names, 1.0))
    weight, n_stems = np.array(weights, np.float32), len(weights)

    def loss(batch: Batch, mask: Any) -> Any:
        """Mean over the known stems of the batch."""
        mixture, known = batch["mixture"], batch["known"] * weight
        masked = mask * ops.tile(mixture, (1, 1, 1, n_stems))
        beyond = ops.sum(masked * (masked - 2 * batch["target"]), axis=(1, 2))
        error = batch["energy"] + ops.sum(ops.reshape(beyond, (-1, n_stems, model.n_views)), axis=2)
        small = floor * ops.sum(ops.square(mixture), axis=(1, 2, 3))[:, None] + TINY
        cost = error / (batch["energy"] + small) + error / (batch["rest_energy"] + small)
        return ops.sum(known * cost) / (2 * ops.sum(known) + TINY)

    return loss
