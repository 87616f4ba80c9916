"""Description of a recipe: parameters, operations, data and arithmetic of its epochs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from splitstrument.errors import DatasetError
from splitstrument.network.settings import ModelSettings
from splitstrument.training.data.open import streams_of
from splitstrument.training.data.tracks import TrackSets, load_tracks
from splitstrument.training.settings import TrainingSettings
from splitstrument.user_code import UserCode


def describe_model(model: ModelSettings, code: UserCode | None = None) -> dict[str, Any]:
    """Parameters and operations of a network; builds it, by the user's own `code` if that is where it comes from.

    Returns
    -------
    Plain data: ``trainable_parameters``, ``other_parameters``, ``input_shape``, ``chunk_s`` (seconds of audio that a
    chunk advances by), ``operations_per_chunk`` and ``operations_per_second`` of audio: floating-point operations of
    convolutions and matrix products, two per multiply-add, of one forward pass.
    """
    from splitstrument.network.registry import build_network

    network = build_network(model, code=code)
    operations = count_operations(network)
    trainable = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)
    return {
        "trainable_parameters": trainable,
        "other_parameters": network.count_params() - trainable,
        "input_shape": list(model.input_shape),
        "chunk_s": model.chunk_s,
        "operations_per_chunk": operations,
        "operations_per_second": operations / model.chunk_s,
    }


def count_operations(network: Any) -> int:
    """Operations of a forward pass on one chunk: two per multiply-add of every layer that has a kernel."""
    return sum(2 * _multiply_adds(layer) for layer in network.layers if getattr(layer, "kernel", None) is not None)


def _multiply_adds(layer: Any) -> int:
    """Every element of a kernel is used once at every position.

    Positions are those of the output, but for a transposed convolution, which spreads every position of its input.
    """
    kernel = [int(n) for n in layer.kernel.shape]
    transposed = "Transpose" in type(layer).__name__
    elements = int(np.prod((layer.input if transposed else layer.output).shape[1:]))
    per_position = getattr(layer, "units", kernel[-1])  # a dense layer along another axis has its units elsewhere
    return int(np.prod(kernel)) * elements // per_position


# operations a second of training steps, as measured (docs/trainings.md): the thesis's network and the fast one on two
# processor cores, the fast one on an H200
CORES = {"hourglass": 0.3e12, "bandunet": 0.06e12}
CARD = 50e12
STEP_OPERATIONS = 3  # times those of a forward pass: gradients of inputs and of weights cost as much again each


def describe_arithmetic(settings: TrainingSettings, model: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """Estimate operations and hours of a whole training; `splitstrument train --check` measures instead.

    Returns
    -------
    Plain data: ``operations`` of all training steps, and ``hours`` by kind of machine; empty where data are missing.
    """
    if "problem" in data:
        return {}
    chunks = data["chunks_per_epoch"] * settings.epochs
    operations = STEP_OPERATIONS * model["operations_per_chunk"] * chunks
    speeds = {"two processor cores": CORES.get(settings.model.network.kind, min(CORES.values())), "an H200": CARD}
    return {"operations": operations, "hours": {name: operations / speed / 3600 for name, speed in speeds.items()}}


def describe_data(settings: TrainingSettings, recipe_folder: Path | None = None) -> dict[str, Any]:
    """Tracks, hours and steps of a training, or what is missing.

    Returns
    -------
    Plain data: ``datasets`` (a list), ``steps_per_epoch``, ``validation_steps``; where a dataset is missing,
    ``problem`` says so in one sentence instead.
    """
    try:
        tracks = load_tracks(settings, recipe_folder)
        streams = streams_of(settings, tracks, phase=False)
    except DatasetError as error:
        return {"problem": str(error), "datasets": [{"name": source.label} for source in settings.datasets]}
    return {
        "datasets": [_dataset_row(index, settings, tracks) for index in range(len(settings.datasets))],
        "steps_per_epoch": streams.training.steps_per_epoch,
        "chunks_per_epoch": streams.training.steps_per_epoch * settings.batch_size,
        "validation_steps": streams.validation.steps_per_epoch if streams.validation else 0,
    }


def _dataset_row(index: int, settings: TrainingSettings, tracks: TrackSets) -> dict[str, Any]:
    sides = {
        side: [track for track in getattr(tracks, side) if track.dataset == index]
        for side in ("training", "validation")
    }
    source = settings.datasets[index]
    row: dict[str, Any] = {"name": source.label, "ratio": source.ratio}
    for side, chosen in sides.items():
        row[f"{side}_tracks"] = len(chosen)
        row[f"{side}_hours"] = sum(track.info.duration_s for track in chosen) / 3600
    return row
