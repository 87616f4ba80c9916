"""The training step as one Keras model, and averaged weights."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras

from splitstrument.network.batch_statistics import estimate_statistics, normalization_statistics
from splitstrument.training.settings import OptimizerSettings
from splitstrument.training.team import Alone, Team


class Trainer(keras.Model):
    """Maps a batch to masks and scores them with a loss of batch and masks.

    `compute_loss` is Keras's own hook for losses that need more than a target, so that the training step of each
    backend (TensorFlow, JAX, PyTorch) stays Keras's. Where several processes train together, `PartTrainer` of
    ``training/part_trainer.py`` takes its place.
    """

    team: Team = Alone()

    def __init__(self, network: keras.Model, loss: Callable[[dict[str, Any], Any], Any]) -> None:
        super().__init__(name="trainer")
        self.network, self.separation_loss = network, loss

    def call(self, batch: dict[str, Any], training: bool = False) -> Any:
        """Masks of the batch's mixtures."""
        return self.network(batch["mixture"], training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True) -> Any:
        """The loss of masks `y_pred` on batch `x`, which PyTorch's step hands over as it came: as NumPy arrays."""
        batch = {name: keras.ops.convert_to_tensor(value) for name, value in x.items()}
        masks = [keras.ops.cast(mask, "float32") for mask in (y_pred if isinstance(y_pred, list) else [y_pred])]
        return self.separation_loss(batch, masks)

    def take_step(self, batch: dict[str, Any]) -> float:
        """Train on one batch; return its loss."""
        self.reset_metrics()
        return float(self.train_on_batch(batch, return_dict=True)["loss"])

    def validation_loss(self, batch: dict[str, Any]) -> float:
        """The loss of one batch, without dropout."""
        self.reset_metrics()
        return float(self.test_on_batch(batch, return_dict=True)["loss"])


@contextlib.contextmanager
def weights_to_keep(trainer: Trainer, settings: OptimizerSettings, mixtures: Iterable[Any] = ()) -> Iterator[None]:
    """Put in the place of the weights those that validate and are saved, and take them out again.

    These are the moving average, where one is kept, and statistics of batch normalization estimated on `mixtures`.

    Parameters
    ----------
    mixtures
        Network inputs; without any, the statistics stay those that followed the training.
    """
    weights = trainer.trainable_variables
    variables = [*weights, *normalization_statistics(trainer.network)]
    kept = [keras.ops.convert_to_numpy(variable.value) for variable in variables]
    if settings.ema:
        trainer.optimizer.finalize_variable_values(weights)
        for variable in weights:  # its own array: JAX gives the weights' memory away, which is the average's
            variable.assign(keras.ops.convert_to_numpy(variable.value))
    try:
        estimate_statistics(trainer.network, mixtures)
        yield
    finally:
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)
