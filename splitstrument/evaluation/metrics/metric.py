"""Metrics, and the interface of the meters that compute them.

A meter sees a track once or twice, block by block, together with the estimates of all systems under test, so that what
depends on the references alone is computed once. References are ``(2, n_samples, n_channels)`` float32, instrument and
rest; estimates ``(n_systems, 2, n_samples, n_channels)``. A value that is undefined is None, never NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

SOURCES = ("instrument", "rest")

Values = dict[str, float | None]
Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Metric:
    """One number that describes an estimate.

    Attributes
    ----------
    key
        Name in files and in Python.
    label
        Short name for the head of a column.
    unit
        Such as dB; empty for a plain number.
    better
        Which direction is better; ``neither`` for what describes the reference.
    shown
        Whether it stands in the main tables; all metrics are in the CSV and the YAML.
    definition, source
        One sentence each: what is computed, and who says so.
    blind_to
        What changes in the sound without changing the number.
    """

    key: str
    label: str
    unit: str
    better: Better
    shown: bool
    definition: str
    source: str
    blind_to: str


@dataclass(frozen=True)
class Track:
    """Facts that meters get before a track passes by.

    Attributes
    ----------
    n_systems
        Number of systems whose estimates come with every block.
    wanted
        Keys of the metrics that are asked for.
    """

    n_systems: int
    n_channels: int
    sample_rate_hz: int
    wanted: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Block:
    """The next samples of the references and of all estimates."""

    references: NDArray
    estimates: NDArray

    @cached_property
    def mixture(self) -> NDArray:
        """(n_samples, n_channels): sum of the references."""
        return self.references.sum(axis=0)


class Meter(Protocol):
    """Computes some metrics for all systems and both sources of one track."""

    def add(self, block: Block) -> None:
        """Take the next block of the first pass."""

    def end_pass(self) -> bool:
        """Tell whether another pass over the same track is needed."""

    def add_again(self, block: Block) -> None:
        """Take the next block of the second pass."""

    def finish(self) -> None:
        """Called once, after the last pass."""

    def scores(self, system: int, source: int) -> Values:
        """Values of one estimate, by the metrics' keys."""


@dataclass(frozen=True)
class Family:
    """Metrics that one meter computes together.

    Attributes
    ----------
    open
        Makes the meter of one track.
    """

    metrics: tuple[Metric, ...]
    open: Callable[[Track], Meter] = field(repr=False)


class OnePass:
    """Base of meters that need a track only once."""

    def end_pass(self) -> bool:
        """No second pass."""
        return False

    def add_again(self, block: Block) -> None:
        """Never called."""

    def finish(self) -> None:
        """Nothing is left to do."""


class EstimateMeter(Protocol):
    """Computes some metrics for one estimate of one source: the simplest way to add a metric."""

    def add(self, reference: NDArray, estimate: NDArray, mixture: NDArray) -> None:
        """Take the next samples, each (n_samples, n_channels) float32."""

    def scores(self) -> Values:
        """Values by the metrics' keys."""


class ForEachEstimate(OnePass):
    """A meter made of one `EstimateMeter` for every system and source."""

    def __init__(self, track: Track, one: Callable[[Track], EstimateMeter]) -> None:
        self.meters = [[one(track) for _ in SOURCES] for _ in range(track.n_systems)]

    def add(self, block: Block) -> None:
        """Hand every estimate to its own meter."""
        for meters, estimates in zip(self.meters, block.estimates, strict=True):
            for meter, reference, estimate in zip(meters, block.references, estimates, strict=True):
                meter.add(reference, estimate, block.mixture)

    def scores(self, system: int, source: int) -> Values:
        """Values of one estimate."""
        return self.meters[system][source].scores()


def for_each_estimate(one: Callable[[Track], EstimateMeter]) -> Callable[[Track], Meter]:
    """Make the `open` of a family from a meter of a single estimate."""
    return lambda track: ForEachEstimate(track, one)


def mean_channels(signals: NDArray) -> NDArray:
    """(..., n_samples, n_channels) -> (..., n_samples), in float64 where there is something to average."""
    return signals.mean(axis=-1, dtype=np.float64) if signals.shape[-1] > 1 else signals[..., 0]


def split_channels(signals: NDArray) -> NDArray:
    """(n_signals, n_samples, n_channels) -> (n_signals * n_channels, n_samples)."""
    return signals.transpose(0, 2, 1).reshape(-1, signals.shape[1])


def db(numerator: float, denominator: float) -> float:
    """Ratio of two energies in dB; -inf where the numerator is 0, inf where only the denominator is."""
    if numerator <= 0:
        return -np.inf
    return float("inf") if denominator == 0 else float(10 * np.log10(numerator / denominator))


def stacked(block: Block) -> NDArray:
    """References and estimates as one array: (2 + 2 * n_systems, n_samples, n_channels)."""
    return np.concatenate([block.references, block.estimates.reshape(-1, *block.references.shape[1:])])
