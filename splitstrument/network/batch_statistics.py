"""Statistics of batch normalization, estimated anew on other inputs than the training's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np


def estimate_statistics(network: keras.Model, mixtures: Iterable[Any], share: float = 1.0) -> None:
    """Move the statistics of every batch normalization to their mean over `mixtures`; without any they stay.

    Parameters
    ----------
    mixtures
        Batches of network inputs.
    share
        Of the way from the statistics that the network has: 0 changes nothing, 1 forgets them.
    """
    layers, statistics = _normalizations(network), normalization_statistics(network)
    known = [_read(variable) for variable in statistics]
    momenta = [layer.momentum for layer in layers]
    seen: list[list[Any]] = []
    try:
        for layer in layers:
            layer.momentum = 0.0  # the moving statistics are then those of the batch at hand
        for mixture in mixtures:
            network(mixture, training=True)
            seen.append([_read(variable) for variable in statistics])
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    if seen:
        for variable, old, values in zip(statistics, known, zip(*seen, strict=True), strict=True):
            variable.assign((1 - share) * old + share * np.mean(values, axis=0))


def normalization_statistics(network: keras.Model) -> list[Any]:
    """Moving mean and variance of every batch normalization."""
    return [variable for layer in _normalizations(network) for variable in (layer.moving_mean, layer.moving_variance)]


def _normalizations(network: keras.Model) -> list[keras.layers.BatchNormalization]:
    return [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]


def _read(variable: Any) -> Any:
    return keras.ops.convert_to_numpy(variable.value)
