"""Random search: the trials that a queue's entry stands for, and which of them are not worth finishing."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Discriminator, Field, Tag, model_validator

from splitstrument.settings import Settings

SIGNIFICANT_DIGITS = 3  # of a drawn number, so that a table of trials can be read and typed again


class Range(Settings):
    """Numbers to draw from, evenly, or evenly on a logarithmic scale; `whole` draws integers, both ends included."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Range:
        if not (math.isfinite(self.low) and self.low < self.high and math.isfinite(self.high)):
            raise ValueError(f"low must be below high, but they are {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range needs a positive low, but it is {self.low}")
        return self

    def draw(self, rng: np.random.Generator) -> float | int:
        """Draw one number."""
        if self.whole and not self.log:
            return int(rng.integers(round(self.low), round(self.high) + 1))
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        value = rng.uniform(low, high)
        value = math.exp(value) if self.log else value
        return round(value) if self.whole else float(f"{value:.{SIGNIFICANT_DIGITS}g}")


Values = Annotated[
    Annotated[list[Any], Tag("list")] | Annotated[Range, Tag("range")],
    Discriminator(lambda value: "list" if isinstance(value, list | tuple) else "range"),
]


class PruneSettings(Settings):
    """When to give up a trial: its best validation loss is above the median of the others' at the same epoch.

    Attributes
    ----------
    after_epochs
        Not before so many epochs.
    trials
        Nor while fewer trials than this have come that far.
    """

    after_epochs: int = Field(2, ge=1)
    trials: int = Field(4, ge=1)


class SearchSettings(Settings):
    """Random search over settings.

    Attributes
    ----------
    seed
        Of the draws. Trial 3 is the same whether 4 or 40 trials are asked for.
    space
        Dotted settings, each with a list of values or a `Range`.
    prune
        Null finishes every trial.
    """

    trials: int = Field(ge=1, le=10_000)
    seed: int = Field(0, ge=0)
    space: dict[str, Values] = Field(min_length=1)
    prune: PruneSettings | None = None

    @model_validator(mode="after")
    def _something_to_draw(self) -> SearchSettings:
        empty = [key for key, values in self.space.items() if isinstance(values, list) and not values]
        if empty:
            raise ValueError(f"the space of {empty[0]} is an empty list: give it values, or low and high")
        return self

    def draws(self) -> list[dict[str, Any]]:
        """Return the changes of every trial, in order."""
        return [self._draw(np.random.default_rng([self.seed, trial])) for trial in range(self.trials)]

    def _draw(self, rng: np.random.Generator) -> dict[str, Any]:
        return {
            key: values.draw(rng) if isinstance(values, Range) else values[int(rng.integers(len(values)))]
            for key, values in self.space.items()
        }


def hopeless(own: Sequence[float], others: Sequence[Sequence[float]], prune: PruneSettings) -> str | None:
    """Say why a trial is not worth going on with; None while it is.

    Parameters
    ----------
    own, others
        Validation losses, epoch by epoch, of the trial and of each other one of its search.
    """
    epochs = len(own)
    if epochs < prune.after_epochs:
        return None
    reached = [min(losses[:epochs]) for losses in others if len(losses) >= epochs]
    if len(reached) < prune.trials:
        return None
    middle, best = statistics.median(reached), min(own)
    if best <= middle:
        return None
    return f"pruned after epoch {epochs}: {best:.5g} is above the others' median, {middle:.5g}"
