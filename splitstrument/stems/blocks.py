"""Small tools for streams of audio blocks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from splitstrument.audio import Audio


def to_channels(block: Audio, n_channels: int) -> Audio:
    """Mono is copied to all channels; anything else is averaged to mono first."""
    if block.shape[1] == n_channels:
        return block
    return np.repeat(block.mean(axis=1, keepdims=True), n_channels, axis=1)


def reblock(blocks: Iterator[Audio], size: int) -> Iterator[Audio]:
    """Cut a stream into blocks of exactly `size` samples; the last may be shorter."""
    held: list[Audio] = []
    n_held = 0
    for block in blocks:
        held.append(block)
        n_held += len(block)
        if n_held < size:
            continue
        joined = np.concatenate(held)
        whole = n_held - n_held % size
        yield from np.split(joined[:whole], whole // size)
        held, n_held = [joined[whole:]], n_held - whole
    if n_held:
        yield np.concatenate(held)
