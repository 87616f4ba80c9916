"""Print, as JSON, the losses of three training steps and a validation step under the backend in KERAS_BACKEND.

    KERAS_BACKEND=jax python tests/support/backend_losses.py [FOLDER]

With FOLDER, leave the trained weights and the masks of the last batch there. Batches and initial weights come from
NumPy, dropout is off: every backend should print the same numbers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))


def main() -> None:
    """Build, set the weights, step, print."""
    from splitstrument.training.backend import choose_backend

    choose_backend()
    from training_data import TINY_MODEL, tiny_settings

    from splitstrument.training.build import build_trainer

    network = {**TINY_MODEL["network"], "dropout": 0.0}
    optimizer = {"learning_rate": 1e-3, "clip_norm": 100.0, "ema": 0.9}
    settings = tiny_settings({"path": "x"}, model={**TINY_MODEL, "network": network}, optimizer=optimizer)
    trainer = build_trainer(settings)
    rng = np.random.default_rng(5)
    for variable in trainer.network.trainable_variables:
        if len(variable.shape) > 1:  # kernels; the others start alike everywhere
            variable.assign(
                rng.standard_normal(variable.shape).astype(np.float32) / np.prod(variable.shape[:-1]) ** 0.5
            )
    mixture = rng.random((4, 2, *settings.model.input_shape), np.float32)
    batches = [{"mixture": one, "target": one * rng.random(one.shape, np.float32)} for one in mixture]
    losses = []
    for batch in batches[:3]:
        trainer.reset_metrics()
        losses.append(float(trainer.train_on_batch(batch, return_dict=True)["loss"]))
    trainer.reset_metrics()
    losses.append(float(trainer.test_on_batch(batches[3], return_dict=True)["loss"]))
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1])
        trainer.network.save_weights(folder / "trained.weights.h5")
        np.savez(folder / "masks.npz", mixture=mixture[3], mask=trainer.network.predict_on_batch(mixture[3]))
    print(json.dumps(losses))


if __name__ == "__main__":
    main()
