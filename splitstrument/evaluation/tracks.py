"""Tracks as streams of blocks: references from files, and estimates brought to the same blocks.

A block of signals is (2, n_samples, n_channels) float32: instrument and rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitstrument import audio
from splitstrument.errors import DatasetError
from splitstrument.evaluation.metrics.score import BLOCK, Score, score_blocks
from splitstrument.pairs import Pair

Estimates = Callable[[], Iterator[NDArray]]


def pair_blocks(pair: Pair, block_size: int = BLOCK) -> Iterator[NDArray]:
    """Blocks of a pair's instrument and rest; ends with the shorter file."""
    both = zip(audio.blocks(pair.instrument, block_size), audio.blocks(pair.rest, block_size), strict=False)
    for instrument, rest in both:
        n_samples = min(len(instrument), len(rest))
        yield np.stack([instrument[:n_samples], rest[:n_samples]])


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


def score_system(pair: Pair, estimates: Estimates, framewise: bool = True) -> Score:
    """Score what `estimates` yields (in blocks of any size) against a pair's references.

    Estimates that end early go on as zeros; what is longer than the references is not looked at.
    """
    info = audio.probe(pair.instrument)

    def blocks() -> Iterator[tuple[NDArray, NDArray]]:
        return aligned(pair_blocks(pair), estimates())

    return score_blocks(blocks, info.n_channels, info.sample_rate_hz, framewise)


def aligned(references: Iterator[NDArray], estimates: Iterator[NDArray]) -> Iterator[tuple[NDArray, NDArray]]:
    """Cut `estimates` into the blocks of `references`."""
    pending: list[NDArray] = []
    for reference in references:
        wanted, have = reference.shape[1], sum(block.shape[1] for block in pending)
        while have < wanted and (block := next(estimates, None)) is not None:
            pending.append(block)
            have += block.shape[1]
        joined = np.concatenate([*pending, np.zeros((*reference.shape[:1], 0, reference.shape[2]), np.float32)], axis=1)
        pending = [joined[:, wanted:]]
        missing = max(0, wanted - have)
        yield reference, np.pad(joined[:, :wanted], ((0, 0), (0, missing), (0, 0)))


def file_blocks(path: Path, sample_rate_hz: int, n_channels: int) -> Iterator[NDArray]:
    """Blocks (n_samples, n_channels) of one file, resampled and its channels averaged or repeated where they differ."""
    info = audio.probe(path)
    blocks = audio.resample_blocks(audio.blocks(path, BLOCK), info.n_channels, info.sample_rate_hz, sample_rate_hz)
    for block in blocks:
        yield block if info.n_channels == n_channels else np.repeat(block.mean(1, keepdims=True), n_channels, axis=1)


def estimates_in_files(pair: Pair, instrument: Path | None, rest: Path | None) -> Estimates:
    """Estimates that lie in files, brought to the pair's rate, channels and length.

    One of the files may be missing: its source is then the mixture minus the other.
    """
    given = instrument or rest
    if given is None:
        raise DatasetError(f"{pair.name} has no estimate: expected an instrument file, a rest file or both.")
    info = audio.probe(pair.instrument)

    def fitted(path: Path) -> Iterator[NDArray]:
        """Blocks (1, n_samples, n_channels) of the sizes that `pair_blocks` gives."""
        blocks = (block[None] for block in file_blocks(path, info.sample_rate_hz, info.n_channels))
        return (estimate for _, estimate in aligned((block[:1] for block in pair_blocks(pair)), blocks))

    def estimates() -> Iterator[NDArray]:
        if instrument and rest:
            yield from (np.concatenate(both) for both in zip(fitted(instrument), fitted(rest), strict=True))
            return
        for references, part in zip(pair_blocks(pair), fitted(given), strict=True):
            other = references.sum(axis=0, keepdims=True) - part
            yield np.concatenate([part, other] if instrument else [other, part])

    return estimates
