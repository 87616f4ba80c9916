"""Base of all effects, and chains of effects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from splitstrument.audio import Audio


class Effect(Protocol):
    """A stream processor; see the package's docstring."""

    def process(self, block: Audio) -> Audio:
        """Take in (n_samples, n_channels); give back what is ready, perhaps nothing."""

    def finish(self) -> Audio:
        """Give back what is left; nothing may come after it."""


def run(effects: Sequence[Effect], blocks: Iterable[Audio]) -> Iterator[Audio]:
    """Send a stream through effects, one after another; as long as it was."""
    for block in blocks:
        for effect in effects:
            block = effect.process(block)
        yield block
    for index, effect in enumerate(effects):
        tail = effect.finish()
        for later in effects[index + 1 :]:
            tail = later.process(tail)
        yield tail


def apply(effects: Sequence[Effect], audio: Audio) -> Audio:
    """Send a whole signal (n_samples, n_channels) through effects."""
    return np.concatenate(list(run(effects, [audio])))


class Delayed:
    """Keeps a stream back by `latency` samples and gives it out with the samples that it waited for.

    An effect with look-ahead hands over each block and gets the part of the stream that it can decide on now.
    """

    def __init__(self, latency: int, n_channels: int) -> None:
        self.latency = latency
        self._kept = np.zeros((0, n_channels), np.float32)

    def push(self, block: Audio) -> Audio:
        """Append a block; give back all but the last `latency` samples."""
        self._kept = np.concatenate([self._kept, block])
        n_ready = max(0, len(self._kept) - self.latency)
        ready, self._kept = self._kept[:n_ready], self._kept[n_ready:]
        return ready

    def flush(self) -> Audio:
        """Give back what is still kept."""
        ready, self._kept = self._kept, self._kept[:0]
        return ready
