"""The stacked hourglass network of the thesis, after arXiv 1805.08559 and unmix-io.

With its defaults and 256 / 192 / 92 filters it has 12,546,689 / 7,713,857 / 2,671,757 trainable parameters, as
published. Input and output shapes are in `build_hourglass`.
"""

from __future__ import annotations

import keras
from keras import layers

from splitstrument.network.dropout import Dropout
from splitstrument.network.kinds import HourglassSettings

# Keras' own defaults, written out because the thesis's numbers depend on them
BN_MOMENTUM, BN_EPSILON = 0.99, 1e-3


def build_hourglass(settings: HourglassSettings, input_shape: tuple[int, int, int], seed: int = 0) -> keras.Model:
    """Build the network.

    Input shape
        (batch, n_bins, n_frames, 1) magnitudes; ``n_bins - 1`` and ``n_frames`` are divisible by ``2**levels``.
    Output shape
        (batch, n_bins, n_frames, outputs) masks, unbounded; with several modules a list of these, the best one last.
        The row of DC is always 0: it is cropped before the network and padded back, as in the thesis.

    Raises
    ------
    ValueError
        If the input cannot be halved `levels` times.
    """
    factor = 2**settings.levels
    if (input_shape[0] - 1) % factor or input_shape[1] % factor:
        raise ValueError(
            f"n_bins - 1 and n_frames must be divisible by 2^levels = {factor}. Received: input_shape={input_shape}"
        )
    blocks = _Blocks(settings, seed)
    inputs = keras.Input(input_shape, name="mixture")
    x = layers.Cropping2D(((1, 0), (0, 0)), name="crop_dc")(inputs)
    for index, width in enumerate(settings.initial_widths):
        x = blocks.block(x, width, 7 if index == 0 else 3)
    masks = []
    for module in range(settings.modules):
        features = blocks.hourglass(x, settings.levels)
        features, mask = blocks.end(features)
        masks.append(layers.ZeroPadding2D(((1, 0), (0, 0)), name=f"mask_{module}")(mask))
        if module < settings.modules - 1:
            x = blocks.inject(x, features, mask)
    return keras.Model(inputs, masks if len(masks) > 1 else masks[0], name="hourglass")


class _Blocks:
    """The building blocks of one network; draws a seed of its own for every random layer."""

    def __init__(self, settings: HourglassSettings, seed: int) -> None:
        self.settings = settings
        self.next_seed = iter(range(seed * 1_000_003, 2**62)).__next__

    def conv(self, x, width: int, kernel: int, activation: str | None = "relu"):
        """'same' convolution with bias, stride 1, Glorot uniform."""
        initializer = keras.initializers.GlorotUniform(self.next_seed())
        return layers.Conv2D(width, kernel, padding="same", activation=activation, kernel_initializer=initializer)(x)

    def dropout(self, x):
        return Dropout(self.settings.dropout, seed=self.next_seed())(x) if self.settings.dropout else x

    def block(self, x, width: int, kernel: int = 3):
        """Convolution -> ReLU -> batch normalization -> dropout."""
        x = self.conv(x, width, kernel)
        if self.settings.batch_normalization:
            x = layers.BatchNormalization(momentum=BN_MOMENTUM, epsilon=BN_EPSILON)(x)
        return self.dropout(x)

    def hourglass(self, x, levels: int):
        """One level: a skip at full resolution, and the rest of the hourglass at half of it."""
        width = self.settings.filters
        skip = self.block(x, width)
        low = self.block(layers.MaxPooling2D(2)(x), width)
        low = self.hourglass(low, levels - 1) if levels > 1 else self.block(low, width)
        low = self.block(low, width)
        return layers.Add()([layers.UpSampling2D(2, interpolation="nearest")(low), skip])

    def end(self, x):
        """Features (3x3 block, then 1x1 without batch normalization) and the masks (1x1, linear)."""
        x = self.block(x, self.settings.end_width)
        x = self.dropout(self.conv(x, self.settings.end_width, 1))
        return x, self.conv(x, self.settings.outputs, 1, activation=None)

    def inject(self, x, features, mask):
        """Input of the next module: this one's input, features and masks, added (arXiv 1805.08559, figure 2)."""
        width = x.shape[-1]
        return layers.Add()([x, self.conv(features, width, 1, None), self.conv(mask, width, 1, None)])
