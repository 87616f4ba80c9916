"""The thesis's chunks, cut where the network trains: all audio lies in the memory of the graphics card.

The processor says which chunks (`ChunkSource` has the order), the card reads and transforms them. What it gives is what
`splitstrument.training.data.chunks` gives of audio in 16 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from splitstrument.network.chunks import chunk_start
from splitstrument.training.data.chunks import ChunkSource, SeekingReader
from splitstrument.training.data.device import FULL_SCALE, DeviceSource, Draw
from splitstrument.training.data.reading import Reader
from splitstrument.training.data.tracks import Track
from splitstrument.training.settings import TrainingSettings


class DeviceChunkSource(DeviceSource):
    """All chunks of some tracks, batch by batch, in the order of `ChunkSource`."""

    def __init__(self, tracks: tuple[Track, ...], settings: TrainingSettings, reader: Reader, phase: bool) -> None:
        super().__init__(tracks, settings, reader, phase)
        self.frames = SeekingReader(settings.model, reader, phase)
        self.chunks = ChunkSource(tracks, settings, self.frames)
        self.steps_per_epoch = self.chunks.steps_per_epoch

    def draw(self, epoch: int, step: int) -> Draw:
        """Where in the audio every sample of a batch lies, and which frames are there at all: nothing is random."""
        size = self.chunks.batch_size
        items = self.chunks.plan(epoch)[step * size : (step + 1) * size]
        found = [self._chunk(track, chunk_start(chunk, self.chunks.size, self.chunks.step)) for track, chunk in items]
        return {"index": np.stack([index for index, _ in found]), "there": np.stack([there for _, there in found])}

    def _chunk(self, track: int, start: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Samples (n_samples,) into the audio of a chunk that starts at frame `start`, and its frames (n_frames,)."""
        spectrogram, length = self.settings.model.spectrogram, int(self.lengths[track])
        numbers = start + np.arange(self.settings.model.n_frames)
        there = (numbers >= 0) & (numbers < self.frames.n_frames(self.tracks[track]))
        samples = start * spectrogram.hop - spectrogram.n_fft // 2 + np.arange(self.n_samples)
        return (self.starts[track] + reflected(samples, length)).astype(np.int32), there.astype(np.float32)

    def _side(self, audio: Any, index: int, draw: dict[str, Any]) -> tuple[Any, Any]:
        """Real and imaginary part (batch, n_bins, n_frames) of one side."""
        wave = ops.cast(ops.take(audio, draw["index"]), "float32") / FULL_SCALE
        there = draw["there"][:, None, :]
        real, imaginary = self._stft(wave)
        return real * there, imaginary * there


def reflected(samples: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Positions in a track of `length` samples that is reflected at its ends, as the whole-song STFT does."""
    if length < 2:
        return np.zeros_like(samples)
    period = 2 * (length - 1)
    within = samples % period
    return np.where(within < length, within, period - within)
