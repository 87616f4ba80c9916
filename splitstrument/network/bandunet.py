"""The fast network: a U-Net on folded bands, with frequency-wide layers and one look at the whole chunk.

What it does differently from the hourglass, and why it needs a hundredth of its arithmetic:

1. **Folded bands.** Neighbouring bins go together as channels, few where music has its energy and many above, so that
   1,024 bins become 256 rows on a roughly logarithmic axis; frames are folded by pairs likewise.
2. **Time-frequency blocks with a frequency-wide layer** (TFC-TDF, Choi et al., ISMIR 2020): two 3x3 convolutions see
   the neighbourhood, a dense layer along the rows sees all harmonics of a note at once.
3. **A long chunk and a gate** (squeeze-and-excitation, Hu et al. 2018) at the bottom: what the whole chunk holds
   decides which channels speak, so that a chunk without the instrument can be told from one with it.
4. **Its own normalisation**: magnitudes are divided by the chunk's root mean square, compressed, and standardised bin
   by bin with learned statistics, so that masks do not depend on the level.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import keras
import numpy as np
from keras import layers, ops

from splitstrument.network.kinds import BandUnetSettings

BN_MOMENTUM = 0.98  # statistics of the last hundred batches: trainings here are short
GATE_REDUCTION = 4
MEMBER_SEEDS = 7919
STANDARDISE = ("standardise", "standardise_side")  # each input has statistics of its own
SILENCE = 1e-7  # magnitude (full scale 1.0) below which a chunk counts as silent and is not amplified further
COMPRESSION_FLOOR = 1e-4  # of the chunk's root mean square: -80 dB


def build_bandunet(settings: BandUnetSettings, input_shape: tuple[int, int, int], seed: int = 0) -> keras.Model:
    """Build the network.

    Input shape
        (batch, n_bins, n_frames, inputs) magnitudes at any level: of the song, or of mid and side.
    Output shape
        (batch, n_bins, n_frames, outputs) masks between 0 and 1; DC has the mask of the bin above it.

    Raises
    ------
    ValueError
        If bins or frames cannot be folded and halved as `settings` say.
    """
    settings.check(input_shape[0] - 1, input_shape[1])
    inputs = keras.Input(input_shape, name="mixture")
    compressed = compress(inputs[:, 1:], settings.compression)
    masks = [_member(settings, compressed, input_shape[1], seed, index) for index in range(settings.members)]
    return keras.Model(inputs, masks[0] if len(masks) == 1 else layers.Average()(masks), name="bandunet")


def member_of(network: keras.Model, index: int) -> keras.Model:
    """One member of a network, sharing its weights; its weights are in the order of a network with one member."""
    return keras.Model(network.input, network.get_layer(f"mask{_suffix(index)}").output)


def weights_of_outputs(
    weights: list[np.ndarray], names: list[str], outputs: int, kept: Sequence[int]
) -> list[np.ndarray]:
    """Weights of the network that gives the outputs `kept` alone, from those of one with `outputs` of them.

    Parameters
    ----------
    weights, names
        As `keras.Model.get_weights` orders them, with the path of each variable: only the layers ``unfold_...`` have
        numbers of their own for each output, side by side on their last axis, and outputs change fastest.
    """

    def cut(weight: np.ndarray) -> np.ndarray:
        by_output = weight.reshape(*weight.shape[:-1], -1, outputs)[..., list(kept)]
        return by_output.reshape(*weight.shape[:-1], -1)

    return [cut(weight) if "unfold_" in name else weight for weight, name in zip(weights, names, strict=True)]


def _member(settings: BandUnetSettings, compressed, n_frames: int, seed: int, index: int):
    """Masks of one member."""
    unet = _Unet(settings, seed + index * MEMBER_SEEDS, _suffix(index))
    views = [
        layers.BatchNormalization(
            axis=1, momentum=BN_MOMENTUM, scale=False, center=False, name=f"{name}{_suffix(index)}"
        )(compressed[..., view : view + 1])
        for view, name in enumerate(STANDARDISE[: settings.inputs])
    ]
    standardised = views[0] if len(views) == 1 else ops.concatenate(views, axis=-1)
    masks = ops.sigmoid(unet.unfold(unet.body(unet.fold(standardised)), n_frames))
    masks = ops.concatenate([masks[:, :1], masks], axis=1)
    return layers.Identity(name=f"mask{_suffix(index)}")(masks)


def _suffix(index: int) -> str:
    """Return the suffix that tells a member's layers from those of the first one."""
    return f"_{index}" * bool(index)


def compress(magnitudes, exponent: float):
    """Divide each chunk (batch, n_bins, n_frames, inputs) by its root mean square and raise it to `exponent`.

    The energies of mid and side are added, so that both keep their balance and a mono song counts as it does alone.
    """
    energy = ops.sum(ops.square(magnitudes), axis=3, keepdims=True)
    rms = ops.sqrt(ops.mean(energy, axis=(1, 2, 3), keepdims=True))
    return ops.power(magnitudes / (rms + SILENCE) + COMPRESSION_FLOOR, exponent)


@keras.saving.register_keras_serializable(package="splitstrument")
class FrequencyDense(layers.Layer):
    """A dense layer along the rows, the same for every frame and channel.

    Input shape
        (batch, n_rows, n_frames, channels)
    Output shape
        (batch, units, n_frames, channels)
    """

    def __init__(self, units: int, kernel_initializer="glorot_uniform", **kwargs) -> None:
        super().__init__(**kwargs)
        self.units, self.kernel_initializer = units, keras.initializers.get(kernel_initializer)

    def build(self, input_shape) -> None:
        """Make the (units, n_rows) kernel and the bias."""
        self.kernel = self.add_weight(
            shape=(self.units, input_shape[1]), initializer=self.kernel_initializer, name="kernel"
        )
        self.bias = self.add_weight(shape=(self.units, 1), initializer="zeros", name="bias")

    def call(self, x):
        """Multiply: (units, rows) by (batch, rows, frames * channels)."""
        _, rows, frames, channels = x.shape
        flat = ops.reshape(x, (-1, rows, frames * channels))
        return ops.reshape(ops.matmul(self.kernel, flat) + self.bias, (-1, self.units, frames, channels))

    def compute_output_shape(self, input_shape):
        """Rows become units."""
        return (input_shape[0], self.units, *input_shape[2:])

    def get_config(self):
        """For saving a whole model."""
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), "units": self.units, "kernel_initializer": initializer}


class _Unet:
    """The parts of one network; draws a seed of its own for every kernel."""

    def __init__(self, settings: BandUnetSettings, seed: int, suffix: str = "") -> None:
        self.settings, self.suffix = settings, suffix
        self.next_seed = iter(range(seed * 1_000_003, 2**62)).__next__

    def glorot(self):
        """A new initializer."""
        return keras.initializers.GlorotUniform(self.next_seed())

    def fold(self, x):
        """(batch, bins, frames, inputs) to (batch, rows, frames / time_fold, width), a projection for each band."""
        rows = [
            layers.Dense(self.settings.width, kernel_initializer=self.glorot(), name=f"fold_{index}{self.suffix}")(
                _fold(x[:, start:stop], fold, self.settings.time_fold)
            )
            for index, (start, stop, fold) in enumerate(self.settings.bands(x.shape[1]))
        ]
        return ops.concatenate(rows, axis=1)

    def unfold(self, x, n_frames: int):
        """The reverse, to (batch, bins, n_frames, outputs) before the sigmoid."""
        settings = self.settings
        parts, row = [], 0
        for index, (start, stop, fold) in enumerate(settings.bands(settings.n_bins_of(x.shape[1]))):
            n_rows = (stop - start) // fold
            units = fold * settings.time_fold * settings.outputs
            band = layers.Dense(units, kernel_initializer=self.glorot(), name=f"unfold_{index}{self.suffix}")(
                x[:, row : row + n_rows]
            )
            parts.append(_unfold(band, fold, settings.time_fold, settings.outputs, n_frames))
            row += n_rows
        return ops.concatenate(parts, axis=1)

    def body(self, x):
        """Down, the bottom with its gate, and up again, adding what was seen on the way down."""
        widths = [self.settings.width + level * self.settings.growth for level in range(self.settings.levels + 1)]
        seen = []
        for width, below in pairwise(widths):
            x = self.block(x, width)
            seen.append(x)
            x = self.convolution(x, below, 2, stride=2)
        x = self.gate(self.block(x, widths[-1]))
        for width in reversed(widths[:-1]):
            x = layers.Conv2DTranspose(width, 2, strides=2, kernel_initializer=self.glorot())(x)
            x = self.block(layers.Add()([x, seen.pop()]), width)
        return x

    def block(self, x, width: int):
        """Convolutions with a frequency-wide layer between them, and a way around all."""
        around = x
        x = self.convolution(x, width)
        x = self.frequency_wide(x)
        for _ in range(self.settings.blocks - 1):
            x = self.convolution(x, width)
        return layers.Add()([x, around])

    def convolution(self, x, width: int, kernel: int = 3, stride: int = 1):
        """Convolution -> batch normalization -> ReLU."""
        x = layers.Conv2D(
            width, kernel, strides=stride, padding="same", use_bias=False, kernel_initializer=self.glorot()
        )(x)
        return layers.ReLU()(layers.BatchNormalization(momentum=BN_MOMENTUM)(x))

    def frequency_wide(self, x):
        """Two dense layers along the rows, through a bottleneck, added to what came in."""
        if not self.settings.bottleneck:
            return x
        hidden = layers.ReLU()(FrequencyDense(max(1, x.shape[1] // self.settings.bottleneck), self.glorot())(x))
        return layers.Add()([x, FrequencyDense(x.shape[1], self.glorot())(hidden)])

    def gate(self, x):
        """Scale the channels by what the whole chunk holds."""
        width = x.shape[-1]
        mean = layers.GlobalAveragePooling2D(keepdims=True)(x)
        hidden = layers.Dense(width // GATE_REDUCTION, activation="relu", kernel_initializer=self.glorot())(mean)
        return layers.Multiply()([x, layers.Dense(width, "sigmoid", kernel_initializer=self.glorot())(hidden)])


def _fold(x, fold: int, time_fold: int):
    """(batch, bins, frames, inputs) to (batch, bins / fold, frames / time_fold, fold * time_fold * inputs)."""
    _, bins, frames, inputs = x.shape
    x = ops.reshape(x, (-1, bins // fold, fold, frames // time_fold, time_fold * inputs))
    width = fold * time_fold * inputs
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4)), (-1, bins // fold, frames // time_fold, width))


def _unfold(x, fold: int, time_fold: int, outputs: int, n_frames: int):
    """(batch, rows, frames, fold * time_fold * outputs) to (batch, rows * fold, n_frames, outputs)."""
    _, rows, frames, _ = x.shape
    x = ops.reshape(x, (-1, rows, frames, fold, time_fold * outputs))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4)), (-1, rows * fold, n_frames, outputs))
