"""What the trivial masks would score: the lines that a training must get below."""

from __future__ import annotations

import numpy as np

from splitstrument.training.pipeline import Stream
from splitstrument.training.step import Trainer

PASS_THROUGH, SILENCE = "mask 1", "mask 0"


def mask_baselines(trainer: Trainer, stream: Stream) -> dict[str, float]:
    """Mean loss over a stream of the mask that passes everything and of the one that passes nothing."""
    losses: dict[str, list[float]] = {PASS_THROUGH: [], SILENCE: []}
    for index in range(stream.steps_per_epoch):
        batch = stream.batch(index)
        for name, value in ((PASS_THROUGH, 1.0), (SILENCE, 0.0)):
            losses[name].append(float(trainer.separation_loss(batch, np.full_like(batch["target"], value))))
    return {name: float(np.mean(values)) for name, values in losses.items()}
