"""Streams of batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from splitstrument.network.settings import ModelSettings
from splitstrument.training.data.examples import ALL, Batch, Float, batch_of
from splitstrument.training.data.loader import load_batches
from splitstrument.training.settings import DataSettings


class Source(Protocol):
    """Examples of one side, as a function of epoch and step."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches per epoch."""

    def planes(self, epoch: int, step: int, rows: slice = ALL) -> Float:
        """Planes of one batch, or of some rows of it."""


@dataclass(frozen=True)
class Stream:
    """Batches of one side, numbered from 0 over all epochs.

    Attributes
    ----------
    rows
        The part of every batch that is made; all of it unless several processes share it.
    """

    source: Source
    model: ModelSettings
    data: DataSettings
    phase: bool
    steps_per_epoch: int
    rows: slice = field(default_factory=lambda: ALL)

    def batch(self, index: int) -> Batch:
        """Make batch `index` from nothing but the files, as NumPy arrays: what makes resuming exact."""
        planes = self.source.planes(*divmod(index, self.steps_per_epoch), self.rows)
        return batch_of(planes, self.model, self.phase)

    def batches(self, start: int, stop: int, stride: int = 1) -> Iterator[dict[str, Any]]:
        """Every `stride`-th of the batches ``[start, stop)``, prepared ahead in parallel."""
        numbers = range(start, stop, stride)
        return load_batches(lambda index: self.batch(numbers[index]), 0, len(numbers), self.data)


@dataclass(frozen=True)
class Streams:
    """Data streams of a training; `validation` is None where there are no validation tracks."""

    training: Stream
    validation: Stream | None
