"""Muon for convolutional networks: updates of a kernel are made orthogonal, so that each direction of it learns alike.

Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024), with the scaling of Liu et al. (2025,
arXiv:2502.16982), by which learning rate and weight decay are those of AdamW. Keras has it for matrices only; here
kernels of convolutions are matrices too: (height * width * channels in, channels out).
"""

from __future__ import annotations

import keras
from keras import ops

NOT_HIDDEN = ("fold_",)  # in the name of the first and last layers, which Muon's authors leave to AdamW


@keras.saving.register_keras_serializable(package="splitstrument")
class ConvolutionalMuon(keras.optimizers.Muon):
    """`keras.optimizers.Muon` that also orthogonalises the kernels of convolutions; biases and scales go by AdamW."""

    def __init__(self, learning_rate=1e-3, weight_decay=4e-3, **kwargs) -> None:
        """Decay all weights alike, those that go by AdamW too."""
        super().__init__(learning_rate, weight_decay=weight_decay, **(kwargs | {"adam_weight_decay": weight_decay}))

    def _should_use_adamw(self, variable) -> bool:
        """Keras asks this when it makes its variables: vectors, and first and last layers."""
        return len(variable.shape) < 2 or any(name in variable.path for name in NOT_HIDDEN)

    def zeropower_via_newtonschulz5(self, x, steps: int):
        """The nearest orthogonal matrix to an update, in the shape of its kernel."""
        matrix = super().zeropower_via_newtonschulz5(ops.reshape(x, (-1, x.shape[-1])), steps)
        return ops.reshape(matrix, x.shape)

    def lr_adjust(self, x):
        """Scale an update by the larger side of its matrix, so that its entries are as large as AdamW's."""
        return ops.reshape(super().lr_adjust(ops.reshape(x, (-1, x.shape[-1]))), x.shape)
