"""The network: convolutions over mel bands and time, a view of some seconds, an answer each third of a second."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from splitstrument.recognition.features import CHUNK_FRAMES, N_MELS
from splitstrument.settings import Settings


class NetworkSettings(Settings):
    """Sizes of the network.

    Attributes
    ----------
    widths
        Channels of the four blocks; each halves frames and bands.
    heads
        ``single``: one layer answers all classes; ``each``: every class has two layers of its own.
    """

    widths: tuple[int, int, int, int] = (24, 48, 96, 128)
    hidden: int = Field(192, ge=8, le=2048)
    head_hidden: int = Field(32, ge=4, le=512)
    heads: Literal["single", "each"] = "single"
    dropout: float = Field(0.3, ge=0, lt=1)


def build(settings: NetworkSettings, n_classes: int, seed: int) -> Any:
    """Make the network: (n_frames, n_mels, 1) to logits (n_steps, n_classes)."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    inputs = keras.Input((CHUNK_FRAMES, N_MELS, 1))
    x = layers.BatchNormalization(axis=2, name="per_band")(inputs)
    for index, width in enumerate(settings.widths):
        # the first block steps over frames and bands where the others look for the maximum: half of all time saved
        stride = 2 if index == 0 else 1
        for _ in range(2 if index == 2 else 1):
            x = layers.Conv2D(width, 3, stride, padding="same", use_bias=False)(x)
            x = layers.Activation("relu")(layers.BatchNormalization()(x))
        x = layers.MaxPooling2D(2)(x) if index else x
    x = layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
    x = layers.Dropout(settings.dropout)(x)
    x = layers.Conv1D(settings.hidden, 3, padding="same", use_bias=False)(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = layers.Dropout(settings.dropout)(x)
    return keras.Model(inputs, _heads(x, settings, n_classes))


def _heads(x: Any, settings: NetworkSettings, n_classes: int) -> Any:
    from keras import layers

    if settings.heads == "single":
        return layers.Dense(n_classes, name="logits")(x)
    each = [layers.Dense(1)(layers.Dense(settings.head_hidden, activation="relu")(x)) for _ in range(n_classes)]
    return layers.Concatenate(name="logits")(each)


def known_cross_entropy(labels: Any, logits: Any) -> Any:
    """Binary cross-entropy over what is known: labels 0, 1, or NaN where nobody knows."""
    from keras import ops

    known = ops.cast(ops.logical_not(ops.isnan(labels)), "float32")
    wanted = ops.where(ops.isnan(labels), ops.zeros_like(labels), labels)
    loss = ops.maximum(logits, 0) - logits * wanted + ops.log1p(ops.exp(-ops.abs(logits)))
    return ops.sum(loss * known) / ops.maximum(ops.sum(known), 1.0)
