"""The training step of a process that sees a part of every batch (TensorFlow).

Keras's own step under a multi-worker strategy would clip each process's gradient before adding them up, and fails
where it reports the loss (keras issue 20585). Here gradients and loss are added first, and what follows is the step of
a single process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from keras import layers

from splitstrument.network.dropout import Dropout
from splitstrument.training.data.examples import Batch
from splitstrument.training.team import Workers
from splitstrument.training.trainer import Trainer


class PartTrainer(Trainer):
    """A trainer whose batches are parts of one batch: the loss and its gradient are those of the whole.

    Parameters
    ----------
    team
        The processes that share the batch.
    """

    team: Workers

    def __init__(self, network: Any, loss: Callable[..., Any], team: Workers) -> None:
        super().__init__(network, loss)
        self.team = team
        self._share = 1.0
        self._step: Callable[..., Any] | None = None
        for layer in network.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.synchronized = True
            elif isinstance(layer, Dropout):
                layer.part = (team.index, team.size)

    def train_on_batch(self, batch: dict[str, Any], return_dict: bool = True) -> dict[str, Any]:
        """Take one step with this process's part of a batch; the loss is the whole batch's."""
        if self._step is None:
            self._share = share_of_part(self.separation_loss, batch, self.team.size)
            self._step = tf.function(self._step_of)
        with self.team.watching():
            return {"loss": float(self._step({name: tf.convert_to_tensor(value) for name, value in batch.items()}))}

    def _step_of(self, batch: dict[str, Any]) -> Any:
        *gradients, loss = self.team.strategy.run(self._summed_gradients, args=(batch,))
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        return loss

    def _summed_gradients(self, batch: dict[str, Any]) -> list[Any]:
        with tf.GradientTape() as tape:
            loss = self._share * self.compute_loss(batch, y_pred=self(batch, training=True))
        gradients = tape.gradient(loss, self.trainable_weights)
        return self.team.all_reduce([*gradients, loss])


def share_of_part(loss: Callable[..., Any], batch: Batch, count: int) -> float:
    """Factor by which the loss of a part adds to the whole's: 1 if the loss sums over the batch, 1 / count for a mean.

    Found by asking the loss itself: of a batch put twice, a sum is double and a mean the same. `batch` gives names and
    shapes only.
    """
    rng = np.random.default_rng(0)
    arrays = {name: rng.random(values.shape, np.float32) for name, values in batch.items()}
    once, twice = (
        float(loss(each, [np.full(each["target"].shape, 0.5, np.float32)]))
        for each in (arrays, {name: np.concatenate([values, values]) for name, values in arrays.items()})
    )
    return 1.0 if abs(twice - 2 * once) < abs(twice - once) else 1.0 / count
