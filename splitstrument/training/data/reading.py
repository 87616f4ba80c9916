"""Read stretches of audio files for training: one interface, soundfile by default, tensorflow-io as an extra.

Every function takes and gives mono float32 (n_samples,): channels are averaged, as in the thesis's data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from splitstrument import audio
from splitstrument.audio import AudioInfo
from splitstrument.errors import missing_extra

Float = NDArray[np.float32]


class Reader(Protocol):
    """Decode samples ``[start, start + n_samples)`` of a file, all of which exist: (n_samples, n_channels)."""

    def __call__(self, path: Path, start: int, n_samples: int) -> Float:
        """Read."""


def make_reader(name: str) -> Reader:
    """Give the reader called ``soundfile`` or ``tfio``.

    Raises
    ------
    MissingExtraError
        If tensorflow-io is not installed, or does not work with this TensorFlow.
    """
    return _tfio_reader() if name == "tfio" else read_soundfile


def read_soundfile(path: Path, start: int, n_samples: int) -> Float:
    """Seek and decode with libsndfile."""
    return audio.read(path, start=start, n_samples=n_samples)[0]


def read_mono(reader: Reader, path: Path, info: AudioInfo, start: int, n_samples: int) -> Float:
    """Read ``[start, start + n_samples)`` as mono; samples outside the file are 0."""
    first, last = max(0, start), min(info.n_samples, start + n_samples)
    out = np.zeros(n_samples, np.float32)
    if last > first:
        samples = reader(path, first, last - first)
        out[first - start : first - start + len(samples)] = samples.mean(axis=1)
    return out


def read_resampled(reader: Reader, path: Path, info: AudioInfo, start: int, n_samples: int, rate_hz: int) -> Float:
    """Read a stretch of `n_samples` at `rate_hz`; `start` counts samples of the file's own rate."""
    if info.sample_rate_hz == rate_hz:
        return read_mono(reader, path, info, start, n_samples)
    n_source = -(-n_samples * info.sample_rate_hz // rate_hz) + 1
    samples = read_mono(reader, path, info, start, n_source)
    return audio.fit_length(audio.resample(samples[:, None], info.sample_rate_hz, rate_hz), n_samples)[:, 0]


def _tfio_reader() -> Reader:
    try:
        import tensorflow_io as tfio

        tfio.audio.AudioIOTensor  # noqa: B018  the native library loads here, and fails with another TensorFlow
    except (ImportError, NotImplementedError, AttributeError):
        raise missing_extra("The reader 'tfio'", "tfio") from None

    def read(path: Path, start: int, n_samples: int) -> Float:
        samples = tfio.audio.AudioIOTensor(str(path))[start : start + n_samples].numpy()
        # integers fill their type: 24 bits come as the upper ones of 32
        full_scale = -float(np.iinfo(samples.dtype).min) if samples.dtype.kind == "i" else 1.0
        return samples.astype(np.float32) / np.float32(full_scale)

    return read
