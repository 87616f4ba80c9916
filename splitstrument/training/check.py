"""A minute's look at a training before it takes a week: the data, the first steps, and how long it will take."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from splitstrument.network.registry import predict_masks
from splitstrument.training.build import build_trainer
from splitstrument.training.data.open import open_streams
from splitstrument.training.data.stream import Stream
from splitstrument.training.data.tracks import TrackSets, load_tracks
from splitstrument.training.doctor import (
    PATIENT_STEPS,
    PROBED_BATCHES,
    data_findings,
    mask_baselines,
    mask_findings,
    sampled_numbers,
)
from splitstrument.training.own_code import code_of, files_of
from splitstrument.training.settings import TrainingSettings
from splitstrument.training.trainer import Trainer, weights_to_keep
from splitstrument.user_code import UserCode, blaming

CHECK_S = 40.0
FIRST_STEPS = 3  # the first one builds the graph, the next two still warm up


@dataclass(frozen=True)
class Check:
    """Outcome of a check.

    Attributes
    ----------
    findings
        What is wrong, a sentence each; empty if nothing was found.
    step_s
        Seconds per step, and the share of them that the network waited for data.
    first_loss, last_loss
        Mean training loss over the first and the last tenth of the steps that were tried.
    training_baselines
        What a mask of 1 and of 0 score on the batches of that last tenth.
    validation_loss, baselines
        The network after these steps, and those masks, on the same validation batches; None and empty without any.
    epoch_s, training_s
        Extrapolated seconds of an epoch and of all epochs.
    """

    findings: list[str]
    steps: int
    step_s: float
    wait_share: float
    first_loss: float
    last_loss: float
    steps_per_epoch: int
    epoch_s: float
    training_s: float
    memory_mb: float
    training_baselines: dict[str, float] = field(default_factory=dict)
    validation_loss: float | None = None
    baselines: dict[str, float] = field(default_factory=dict)


def check_training(
    settings: TrainingSettings, recipe_folder: Path | None = None, seconds: float = CHECK_S, is_run: bool = False
) -> Check:
    """Probe the data, then train for some `seconds` without keeping anything.

    Parameters
    ----------
    is_run
        Whether `recipe_folder` is a run folder: its code then is run only if this machine allows it.

    Raises
    ------
    SplitstrumentError
        Whatever would also stop the training at its start.
    """
    code = code_of(recipe_folder, is_run)
    tracks = load_tracks(settings, recipe_folder)
    with blaming(files_of(code, settings)):
        return _checked(settings, tracks, code, seconds)


def _checked(settings: TrainingSettings, tracks: TrackSets, code: UserCode, seconds: float) -> Check:
    streams = open_streams(settings, tracks, code)
    findings = data_findings(tracks, streams)
    trainer = build_trainer(settings, code=code)
    losses, step_s, wait_share = try_steps(trainer, streams.training, settings, seconds)
    tenth = max(1, len(losses) // 10)
    first, last = (sum(part) / tenth for part in (losses[:tenth], losses[-tenth:]))
    last_tried = range(len(losses) - tenth, len(losses))[-PROBED_BATCHES:]
    with weights_to_keep(trainer, settings.optimizer, _mixtures(streams.training, len(losses), settings)):
        findings += step_findings(trainer, streams.validation or streams.training, losses)
        validation_loss, baselines = _validation(trainer, streams.validation)
    epoch_s = step_s * streams.training.steps_per_epoch
    return Check(
        findings,
        len(losses),
        step_s,
        wait_share,
        first,
        last,
        streams.training.steps_per_epoch,
        epoch_s,
        epoch_s * settings.epochs,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        mask_baselines(trainer, streams.training, last_tried),
        validation_loss,
        baselines,
    )


def _mixtures(stream: Stream, first: int, settings: TrainingSettings) -> Iterator[Any]:
    """Network inputs of the batches after those that were tried, as many as the training would take."""
    return (stream.batch(first + index)["mixture"] for index in range(settings.optimizer.batches_for_statistics))


def _validation(trainer: Trainer, stream: Stream | None) -> tuple[float | None, dict[str, float]]:
    """Loss of the network and of the trivial masks on the same sample of validation batches."""
    if stream is None:
        return None, {}
    numbers = sampled_numbers(stream)
    losses = [trainer.validation_loss(stream.batch(index)) for index in numbers]
    return sum(losses) / len(losses), mask_baselines(trainer, stream, numbers)


def step_findings(trainer: Trainer, stream: Stream, losses: list[float]) -> list[str]:
    """Return what is wrong with the steps tried, and with the masks after them if they were enough to learn."""
    if not np.isfinite(losses[-1]):
        return [f"The loss became {losses[-1]}: lower optimizer.learning_rate or set optimizer.clip_norm."]
    if not any(losses):
        return ["The loss is exactly 0 at every step: every target is silent or equals the mixture; check the pairs."]
    if len(losses) < PATIENT_STEPS:
        return []
    batch = stream.batch(0)
    return mask_findings(predict_masks(trainer.network, batch["mixture"]), batch)


def try_steps(
    trainer: Trainer, stream: Stream, settings: TrainingSettings, seconds: float
) -> tuple[list[float], float, float]:
    """Train for `seconds`, or for the whole training if that is shorter.

    Returns
    -------
    losses : one per step
    step_s : mean seconds per step after the first few
    wait_share : share of these that went by waiting for the batch
    """
    trainer.optimizer.learning_rate = settings.optimizer.learning_rate
    batches = stream.batches(0, stream.steps_per_epoch * settings.epochs)
    losses: list[float] = []
    waited, started = 0.0, time.monotonic()
    deadline = started + seconds
    while True:
        asked = time.monotonic()
        batch = next(batches, None)
        if batch is None or (asked > deadline and len(losses) > FIRST_STEPS):
            break
        waited += time.monotonic() - asked
        losses.append(trainer.take_step(batch))
        if len(losses) == FIRST_STEPS:
            waited, started = 0.0, time.monotonic()
    elapsed = time.monotonic() - started
    return losses, elapsed / max(1, len(losses) - FIRST_STEPS), waited / elapsed
