"""The same training step on every Keras backend that is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from training_data import TINY_MODEL

from splitstrument.network.settings import ModelSettings
from splitstrument.training.backend import BACKENDS

SCRIPT = Path(__file__).parent / "backend_losses.py"
INSTALLED = [name for name, module in BACKENDS.items() if importlib.util.find_spec(module)]


def run_backend(name, weights):
    """Losses that a backend prints; it leaves its weights behind."""
    run = subprocess.run(
        [sys.executable, str(SCRIPT), str(weights)],
        env={**os.environ, "KERAS_BACKEND": name},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.skipif(len(INSTALLED) < 2, reason="needs a second Keras backend (pip install jax, or torch)")
def test_every_backend_gives_the_same_losses_and_its_weights_come_back(tmp_path):
    losses = {name: run_backend(name, tmp_path / f"{name}.weights.h5") for name in INSTALLED}
    reference = losses[INSTALLED[0]]
    for name in INSTALLED[1:]:
        assert losses[name] == pytest.approx(reference, rel=1e-5), name
    from splitstrument.network.build import build_network

    network = build_network(ModelSettings.model_validate(TINY_MODEL))
    chunk = np.random.default_rng(0).random((1, *network.input_shape[1:]), np.float32)
    masks = []
    for name in INSTALLED:
        network.load_weights(tmp_path / f"{name}.weights.h5")
        masks.append(network.predict_on_batch(chunk))
    for mask in masks[1:]:
        np.testing.assert_allclose(mask, masks[0], atol=1e-4)
