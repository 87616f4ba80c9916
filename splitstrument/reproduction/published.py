"""The thesis's trainings as numbers: what our recipes compute beside what was printed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from splitstrument.training.data.chunks import items_limit
from splitstrument.training.data.tracks import mix_counts, validation_count
from splitstrument.training.describe import describe_model
from splitstrument.training.settings import TrainingSettings

HEADER = (
    "training",
    "target",
    "trainable parameters",
    "published parameters",
    "G operations a chunk",
    "tracks by the rule",
    "published tracks",
    "train + validate",
    "chunks a track",
    "steps an epoch",
    "epochs",
    "published: stopped after",
    "published epoch time",
    "published SDR, instrument / rest (dB)",
)


def published_rows(recipes: Iterable[TrainingSettings]) -> list[list[Any]]:
    """One row per training under `HEADER`; networks of one shape are built once."""
    models: dict[str, dict[str, Any]] = {}
    rows = []
    for settings in recipes:
        key = settings.model.model_copy(update={"target": "guitar"}).model_dump_json()
        if key not in models:
            models[key] = describe_model(settings.model)
        rows.append(_row(settings, models[key]))
    return rows


def _row(settings: TrainingSettings, model: dict[str, Any]) -> list[Any]:
    published = settings.published
    if published is None:
        raise ValueError(f"Only trainings with published numbers have a row. Received: {settings.name}")
    counts = track_counts(settings)
    limit = items_limit(settings)
    training = sum(count - held for count, held in counts) if counts else None
    return [
        settings.name,
        settings.model.target,
        f"{model['trainable_parameters']:,}",
        f"{published.trainable_parameters:,}",
        f"{model['operations_per_chunk'] / 1e9:.1f}",
        _plus(count for count, _ in counts) if counts else "not printed",
        _plus(published.tracks) if published.tracks else "not printed",
        f"{training} + {sum(held for _, held in counts)}" if counts else "not printed",
        limit or "all",
        training * limit // settings.batch_size if training and limit else "by length",
        settings.epochs,
        published.stopped_after_epochs or "not printed",
        published.epoch_time,
        f"{published.instrument.sdr} / {published.rest.sdr}",
    ]


def track_counts(settings: TrainingSettings) -> list[tuple[int, int]]:
    """Per dataset: tracks taken, and how many of them validate; empty where the thesis printed no size."""
    sizes = settings.published.dataset_tracks if settings.published else None
    if sizes is None:
        return []
    counts = mix_counts(sizes, settings)
    return [
        (count, validation_count(count, source, settings.validation_ratio))
        for count, source in zip(counts, settings.datasets, strict=True)
    ]


def _plus(numbers: Iterable[int]) -> str:
    return " + ".join(map(str, numbers))
