"""From settings to a Keras network."""

from __future__ import annotations

import keras

from splitstrument.network.settings import ModelSettings


def build_network(model: ModelSettings, seed: int = 0) -> keras.Model:
    """Build the network that `model` describes, with initial weights drawn from `seed`.

    Returns a model that maps (batch, *model.input_shape) to masks (batch, n_bins, n_frames, outputs), or to a list of
    them (one per hourglass module, the best one last).
    """
    if model.network.kind == "hourglass":
        from splitstrument.network.hourglass import build_hourglass

        return build_hourglass(model.network, model.input_shape, seed)
    from splitstrument.network.bandunet import build_bandunet

    return build_bandunet(model.network, model.input_shape, seed)
