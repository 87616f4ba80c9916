"""Resample with soxr: whole signals and streams of blocks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

Audio = NDArray[np.float32]

RESAMPLE_QUALITY = "HQ"


def resample(audio: Audio, from_hz: int, to_hz: int) -> Audio:
    """Resample (n_samples, n_channels); the result has ``ceil(n_samples * to / from)`` samples."""
    if from_hz == to_hz:
        return audio
    wanted = resampled_length(len(audio), from_hz, to_hz)
    return fit_length(soxr.resample(audio, from_hz, to_hz, quality=RESAMPLE_QUALITY), wanted)


def resampled_length(n_samples: int, from_hz: int, to_hz: int) -> int:
    """Number of samples after resampling: the last one covers the end of the input."""
    return -(-n_samples * to_hz // from_hz)


def fit_length(audio: Audio, n_samples: int) -> Audio:
    """Cut, or extend with zeros, to exactly `n_samples`."""
    if len(audio) >= n_samples:
        return audio[:n_samples]
    return np.pad(audio, ((0, n_samples - len(audio)), (0, 0)))


def resample_blocks(audio_blocks: Iterator[Audio], n_channels: int, from_hz: int, to_hz: int) -> Iterator[Audio]:
    """Resample a stream of blocks; the concatenation does not depend on how the input is cut into blocks.

    The total length is `resampled_length` of the total input length.
    """
    if from_hz == to_hz:
        yield from audio_blocks
        return
    stream = soxr.ResampleStream(from_hz, to_hz, n_channels, dtype="float32", quality=RESAMPLE_QUALITY)
    n_in = n_out = 0
    for block in audio_blocks:
        n_in += len(block)
        out = stream.resample_chunk(np.ascontiguousarray(block))
        n_out += len(out)
        if len(out):
            yield out.reshape(-1, n_channels)
    last = stream.resample_chunk(np.zeros((0, n_channels), np.float32), last=True).reshape(-1, n_channels)
    rest = fit_length(last, max(0, resampled_length(n_in, from_hz, to_hz) - n_out))
    if len(rest):
        yield rest
