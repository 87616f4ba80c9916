"""Look for a learning rate: steps at rates that rise from too low to too high (Smith 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from splitstrument.errors import TrainingError
from splitstrument.training.build import build_trainer
from splitstrument.training.data.open import open_streams
from splitstrument.training.data.tracks import load_tracks
from splitstrument.training.own_code import code_of, files_of
from splitstrument.training.settings import TrainingSettings
from splitstrument.user_code import blaming

LOWEST, HIGHEST = 1e-6, 1.0
SMOOTHING = 0.9
DIVERGED = 4.0  # times the lowest smoothed loss
LOOK_BACK = 8  # steps over which a slope is measured


@dataclass(frozen=True)
class RateSweep:
    """Losses at rising learning rates.

    Attributes
    ----------
    losses
        Smoothed, one per rate.
    suggestion
        Where the loss falls steepest on a logarithmic scale of rates.
    diverged
        Whether the sweep ended because the loss grew.
    """

    rates: list[float]
    losses: list[float]
    suggestion: float
    diverged: bool


def find_rate(settings: TrainingSettings, recipe_folder: Path | None = None, steps: int = 100) -> RateSweep:
    """Train for `steps` steps at rates from 1e-6 to 1, without keeping anything.

    Raises
    ------
    TrainingError
        If the loss never falls.
    SplitstrumentError
        Whatever would also stop the training at its start.
    """
    code = code_of(recipe_folder)
    with blaming(files_of(code, settings)):
        stream = open_streams(settings, load_tracks(settings, recipe_folder), code).training
        trainer = build_trainer(settings, code=code)
        rates, raw = list(np.geomspace(LOWEST, HIGHEST, steps)), []
        for rate, batch in zip(rates, stream.batches(0, steps), strict=True):
            trainer.optimizer.learning_rate = rate
            raw.append(trainer.take_step(batch))
            losses = smoothed(raw)
            if not math.isfinite(losses[-1]) or losses[-1] > DIVERGED * abs(min(losses)) + abs(losses[0]):
                return RateSweep(rates[: len(raw)], losses, steepest(rates, losses), True)
    return RateSweep(rates, losses, steepest(rates, losses), False)


def smoothed(losses: list[float]) -> list[float]:
    """Running mean that forgets by `SMOOTHING` a step and begins without a bias."""
    mean, found = 0.0, []
    for index, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        found.append(mean / (1 - SMOOTHING**index))
    return found


def steepest(rates: list[float], losses: list[float]) -> float:
    """The rate at the end of the steps over which the loss falls most.

    Raises
    ------
    TrainingError
        If it falls nowhere.
    """
    falls = [losses[index - LOOK_BACK] - losses[index] for index in range(LOOK_BACK, len(losses))]
    if not falls or not max(falls) > 0:
        raise TrainingError(
            f"The loss fell at no rate between {LOWEST:g} and {HIGHEST:g}: look at the data with --check."
        )
    return float(f"{rates[int(np.nanargmax(falls)) + LOOK_BACK]:.2g}")
