"""One function over many tracks: progress, and one failure does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from splitstrument.errors import SplitstrumentError
from splitstrument.executor import map_tracks
from splitstrument.progress import progress

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class Batch(Generic[Result]):
    """Results and failures of a batch, both by the item's name."""

    results: dict[str, Result] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def run_batch(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    executor: Executor,
    description: str,
    name_of: Callable[[Item], str] = str,
    quiet: bool = False,
) -> Batch[Result]:
    """Run `function` over `items`.

    Errors that a user can mend, and those of the file system, are recorded as failures of their item; anything else is
    a bug and ends the batch.
    """
    batch: Batch[Result] = Batch()
    with progress(description, len(items), "tracks", quiet) as advance:
        for outcome in map_tracks(function, items, executor):
            name = name_of(outcome.item)
            if outcome.error is None:
                batch.results[name] = outcome.result  # type: ignore[assignment]
            elif isinstance(outcome.error, SplitstrumentError | OSError):
                batch.failures[name] = str(outcome.error)
            else:
                raise outcome.error
            advance(1, name)
    batch.results = dict(sorted(batch.results.items()))
    batch.failures = dict(sorted(batch.failures.items()))
    return batch
