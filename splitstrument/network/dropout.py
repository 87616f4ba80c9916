"""Dropout that several processes can share: each drops in its part of a batch what one process would drop there."""

from __future__ import annotations

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="splitstrument")
class Dropout(layers.Dropout):
    """Keras's dropout, with the noise of the whole batch where a process sees only a part of it.

    Keeps the name of Keras's layer, which weights files are organised by.

    Attributes
    ----------
    part
        Which of how many equal parts of the batch the inputs are: ``(index, count)``.
    """

    part: tuple[int, int] = (0, 1)

    def call(self, inputs, training=False):
        """Drop a share `rate` of the inputs while training."""
        index, count = self.part
        if count == 1 or not training or not self.rate:
            return super().call(inputs, training=training)
        size = ops.shape(inputs)[0]
        whole = ops.ones((size * count, *ops.shape(inputs)[1:]), inputs.dtype)
        noise = keras.random.dropout(whole, self.rate, seed=self.seed_generator)
        return inputs * noise[index * size : (index + 1) * size]
