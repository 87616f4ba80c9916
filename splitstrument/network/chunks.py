"""Chunks of a spectrogram as the network sees them: cutting and normalising, for training and separation alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]


def chunk_count(n_frames: int, size: int, step: int) -> int:
    """Number of chunks that cover `n_frames`: ``ceil((n_frames + size / 2) / step)``, as in the thesis."""
    return -(-(n_frames + size // 2) // step)


def chunk_start(index: int, size: int, step: int) -> int:
    """First frame of chunk `index`; the first chunk starts half a chunk before the song."""
    return step * index - size // 2


def cut_chunk(spectrogram: NDArray, start: int, size: int) -> NDArray:
    """Frames ``[start, start + size)`` of (..., n_frames), with zeros outside the song."""
    n_frames = spectrogram.shape[-1]
    first, last = max(0, start), min(n_frames, start + size)
    chunk = np.zeros((*spectrogram.shape[:-1], size), spectrogram.dtype)
    if last > first:
        chunk[..., first - start : last - start] = spectrogram[..., first:last]
    return chunk


def normalisation_scale(mixture_chunk: Float, kind: str) -> Float:
    """Return the divisor of each chunk: shape (..., 1, 1) for chunks (..., n_bins, n_frames).

    ``chunk_maximum``: the largest magnitude of the mixture's chunk, 1 where that is 0; ``none``: 1.
    """
    if kind == "none":
        return np.ones((*mixture_chunk.shape[:-2], 1, 1), np.float32)
    maximum = mixture_chunk.max(axis=(-2, -1), keepdims=True)
    return np.where(maximum > 0, maximum, np.float32(1)).astype(np.float32)
