"""From mono networks of one instrument to one in mid and side for many: the same body, heard with a second ear.

At the start the side does not change what the network answers, so that a mono song gets the masks that the mono
networks give; the side's masks are those of the mid, as if one mask were used for both channels.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from numpy.typing import NDArray

from splitstrument.network.settings import ModelSettings

NEW_STEM = 0.2  # the mask of an instrument that none of the mono networks knows: its usual share of a song
Weights = list[NDArray[np.float32]]


def widen(network: keras.Model, model: ModelSettings, sources: Mapping[str, Weights]) -> None:
    """Set the weights of a network with ``channels: mid_side`` from those of mono ones.

    Parameters
    ----------
    network, model
        As `build_network` made it from `model`, one member.
    sources
        By target, the weights of mono networks with the same settings but for inputs and outputs, one output each. The
        body is the first one's; a stem that none has as its target starts at `NEW_STEM`.

    Raises
    ------
    ValueError
        If their weights do not fit.
    """
    shared = [variable for variable in network.weights if "standardise_side" not in variable.path]
    body = next(iter(sources.values()))
    for name, weights in sources.items():
        if len(weights) != len(shared):
            raise ValueError(f"The network of {name} has {len(weights)} tensors; expected {len(shared)} of such a one.")
    for index, variable in enumerate(shared):
        if "unfold_" in variable.path:
            value = _heads(variable, model, {name: weights[index] for name, weights in sources.items()})
        elif "fold_" in variable.path and len(variable.shape) == 2:
            value = np.zeros(variable.shape, np.float32)
            value[0::2] = body[index]  # rows of mid and side by turns
        else:
            value = body[index]
        variable.assign(value)
    _copy_statistics(network)


def _heads(variable, model: ModelSettings, known: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Kernel or bias of the last layer: outputs change fastest, mid and side of each stem side by side."""
    value = np.zeros(variable.shape, np.float32)
    if len(variable.shape) == 1:
        value += np.log(NEW_STEM / (1 - NEW_STEM))
    for index, name in enumerate(model.names):
        if name in known:
            for output in (2 * index, 2 * index + 1):
                value[..., output :: 2 * len(model.names)] = known[name]
    return value


def _copy_statistics(network: keras.Model) -> None:
    """The side begins with the mid's statistics."""
    mid, side = network.get_layer("standardise"), network.get_layer("standardise_side")
    side.set_weights(mid.get_weights())
