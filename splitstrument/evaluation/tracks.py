"""Tracks as streams of blocks: references from files, and estimates brought to the same blocks.

A block of signals is (2, n_samples, n_channels) float32: instrument and rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitstrument import audio
from splitstrument.errors import DatasetError
from splitstrument.evaluation.metrics.score import BLOCK, Score, score_blocks
from splitstrument.evaluation.systems import Eq, beside_systems
from splitstrument.pairs import Pair
from splitstrument.streams import ArrayQueue


def pair_blocks(pair: Pair, block_size: int = BLOCK) -> Iterator[NDArray]:
    """Blocks of a pair's instrument and rest; ends with the shortest file."""
    files = (audio.blocks(path, block_size) for path in (pair.instrument, *pair.rests))
    for instrument, *rests in zip(*files, strict=False):
        n_samples = min(map(len, (instrument, *rests)))
        yield np.stack([instrument[:n_samples], sum(rest[:n_samples] for rest in rests)])


def resampled_pair_blocks(pair: Pair, sample_rate_hz: int) -> Iterator[NDArray]:
    """The same at another rate."""
    info = audio.probe(pair.instrument)
    if info.sample_rate_hz == sample_rate_hz:
        yield from pair_blocks(pair)
        return
    n_channels = info.n_channels
    flat = (np.concatenate(list(block), axis=1) for block in pair_blocks(pair))
    for block in audio.resample_blocks(flat, 2 * n_channels, info.sample_rate_hz, sample_rate_hz):
        yield np.stack([block[:, :n_channels], block[:, n_channels:]])


@dataclass(frozen=True)
class EstimateFiles:
    """Estimates that lie in files; one of them may be missing: its source is then the mixture minus the other.

    Attributes
    ----------
    sample_rate_hz, n_channels
        Of the references, to which the estimates are brought.
    """

    instrument: Path | None
    rest: Path | None
    sample_rate_hz: int
    n_channels: int

    def beside(self, references: Iterator[NDArray]) -> Iterator[tuple[NDArray, NDArray]]:
        """References (2, n_samples, n_channels) with estimates of the same samples.

        Estimates that end early go on as zeros; what is longer than the references is not looked at.
        """
        paths = (self.instrument, self.rest)
        streams = [self._cut(path) if path else None for path in paths]
        for block in references:
            given = [stream.next(block.shape[1]) if stream else None for stream in streams]
            known = sum(signal for signal in given if signal is not None)  # one of them, where the other is missing
            yield block, np.stack([block.sum(axis=0) - known if signal is None else signal for signal in given])

    def _cut(self, path: Path) -> _Cut:
        return _Cut(file_blocks(path, self.sample_rate_hz, self.n_channels), self.n_channels)


class _Cut:
    """A stream of blocks (n_samples, n_channels) cut into pieces of any length, zeros after its end."""

    def __init__(self, blocks: Iterator[NDArray], n_channels: int) -> None:
        self._blocks, self._queue = blocks, ArrayQueue()
        self._nothing = np.zeros((0, n_channels), np.float32)

    def next(self, n_samples: int) -> NDArray:
        """Give the next `n_samples`."""
        while len(self._queue) < n_samples and (block := next(self._blocks, None)) is not None:
            self._queue.push(block)
        piece = self._queue.pop(n_samples) if len(self._queue) else self._nothing
        return np.pad(piece, ((0, n_samples - len(piece)), (0, 0)))


def file_blocks(path: Path, sample_rate_hz: int, n_channels: int) -> Iterator[NDArray]:
    """Blocks (n_samples, n_channels) of one file, resampled and its channels averaged or repeated where they differ."""
    info = audio.probe(path)
    blocks = audio.resample_blocks(audio.blocks(path, BLOCK), info.n_channels, info.sample_rate_hz, sample_rate_hz)
    for block in blocks:
        yield block if info.n_channels == n_channels else np.repeat(block.mean(1, keepdims=True), n_channels, axis=1)


def estimates_in_files(pair: Pair, instrument: Path | None, rest: Path | None) -> EstimateFiles:
    """Estimates for a pair's references, brought to their rate, channels and length.

    Raises
    ------
    DatasetError
        If both are missing.
    """
    if not (instrument or rest):
        raise DatasetError(f"{pair.name} has no estimate: expected an instrument file, a rest file or both.")
    info = audio.probe(pair.instrument)
    return EstimateFiles(instrument, rest, info.sample_rate_hz, info.n_channels)


def score_systems(
    pair: Pair,
    systems: Sequence[str],
    n_fft: int,
    eq: Eq | None = None,
    estimates: EstimateFiles | None = None,
    framewise: bool = True,
    threads: int = 1,
) -> list[Score]:
    """Score baselines, oracles and estimates against a pair's references, which are decoded once for each pass.

    Parameters
    ----------
    systems, n_fft, eq
        See `beside_systems`.
    threads
        Metrics that are computed at the same time.

    Returns
    -------
    scores
        Of `systems` in their order, then of `estimates` where there are any.
    """
    info = audio.probe(pair.instrument)

    def passes() -> Iterator[tuple[NDArray, NDArray]]:
        rows = beside_systems(systems, pair_blocks(pair), info.sample_rate_hz, n_fft, eq)
        if estimates is None:
            yield from rows
            return
        others: ArrayQueue = ArrayQueue(axis=2)

        def references() -> Iterator[NDArray]:
            for block, made in rows:
                others.push(made)
                yield block

        for block, given in estimates.beside(references()):
            yield block, np.concatenate([others.pop(block.shape[1]), given[None]])

    n_systems = len(systems) + (estimates is not None)
    return score_blocks(passes, n_systems, info.n_channels, info.sample_rate_hz, framewise, threads)
