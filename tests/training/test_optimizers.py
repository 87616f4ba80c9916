"""Muon for kernels of convolutions: orthogonal updates, AdamW for the rest, and a network that learns by it."""

import keras
import numpy as np
import pytest

from splitstrument.training.optimizers import make_optimizer
from splitstrument.training.settings import OptimizerSettings

LEARNING_RATE = 0.01
RMS_RATE = 0.2  # Liu et al. 2025: what makes an update as large as one of AdamW's


@pytest.fixture
def network():
    return keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            keras.layers.Dense(4, name="fold_0"),
            keras.layers.Conv2D(8, 3, padding="same"),
            keras.layers.ReLU(),
            keras.layers.Conv2D(6, 3),
        ]
    )


def values_of(network):
    """Copies of all trainable variables."""
    return [keras.ops.convert_to_numpy(variable).copy() for variable in network.trainable_variables]


def step(network, optimizer, seed=0):
    """One update by random gradients; what it added to each variable."""
    before = values_of(network)
    random = np.random.default_rng(seed)
    gradients = [keras.ops.convert_to_tensor(random.normal(size=value.shape).astype(np.float32)) for value in before]
    optimizer.apply(gradients, network.trainable_variables)
    paths = [variable.path for variable in network.trainable_variables]
    return {path: new - old for path, new, old in zip(paths, values_of(network), before, strict=True)}


def make(**options):
    return make_optimizer(OptimizerSettings(name="muon", learning_rate=LEARNING_RATE, **options))


def test_updates_of_kernels_are_nearly_orthogonal_matrices(network):
    updates = step(network, make(weight_decay=0.0))
    kernels = [update for path, update in updates.items() if update.ndim == 4]
    assert len(kernels) == 2
    for update in kernels:
        matrix = update.reshape(-1, update.shape[-1])
        singular = np.linalg.svd(matrix, compute_uv=False) / (LEARNING_RATE * RMS_RATE * np.sqrt(max(matrix.shape)))
        assert singular.min() > 0.5
        assert singular.max() < 1.3  # Newton-Schulz stops near 1, not at it


def test_first_layers_and_biases_are_left_to_adamw(network):
    updates = step(network, make(weight_decay=0.0))
    left = [update for path, update in updates.items() if "fold_" in path or update.ndim == 1]
    assert len(left) == 4
    for update in left:  # Adam's first step is the learning rate, whatever the gradient
        np.testing.assert_allclose(np.abs(update), LEARNING_RATE, rtol=1e-3)


def test_the_average_of_weights_is_kept_for_validation(network):
    optimizer = make(ema=0.5)
    step(network, optimizer)
    first = values_of(network)
    step(network, optimizer, seed=1)
    second = values_of(network)
    optimizer.finalize_variable_values(network.trainable_variables)
    for average, one, other in zip(values_of(network), first, second, strict=True):
        np.testing.assert_allclose(average, (one + other) / 2, atol=1e-6)


def test_a_network_learns_what_a_filter_does(network):
    sounds = np.random.default_rng(1).normal(size=(64, 16, 16, 1)).astype(np.float32)
    target = keras.layers.Conv2D(6, 3, padding="same")(sounds)[:, 1:-1, 1:-1]
    network.compile(make(), loss="mse")
    losses = network.fit(sounds, target, epochs=12, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < 0.2 * losses[0]
