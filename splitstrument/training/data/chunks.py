"""The thesis's examples: chunks of a fixed number of frames, cut side by side from every track.

Where a chunk starts and how many there are is `splitstrument.network.chunks`; which ones an epoch trains on, and in
what order, is a function of seed and epoch alone, so that a training can be resumed anywhere.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from splitstrument.errors import DatasetError
from splitstrument.network.chunks import chunk_count, chunk_start, cut_chunk
from splitstrument.network.settings import ModelSettings
from splitstrument.spectrogram import frames_stft, n_frames_of
from splitstrument.training.data.examples import ALL, Float, planes_of
from splitstrument.training.data.reading import Reader, read_mono
from splitstrument.training.data.tracks import Track
from splitstrument.training.settings import TrainingSettings

ITEMS_REFERENCE_N_FFT = 1536
TRACK_ORDER_STREAM, CHUNK_STREAM = 1, 2


class ChunkReader(Protocol):
    """Gives the planes of one chunk of one track."""

    def n_frames(self, track: Track) -> int:
        """STFT frames of the whole track."""

    def chunk(self, track: Track, start: int) -> Float:
        """Planes (n_planes, n_bins, n_frames) from frame `start` on, which may lie outside the track."""


class SeekingReader:
    """Computes each chunk from just the samples it covers; equal to cutting it from the whole track's STFT."""

    def __init__(self, model: ModelSettings, reader: Reader, phase: bool) -> None:
        self.model, self.reader, self.phase = model, reader, phase

    def n_frames(self, track: Track) -> int:
        """STFT frames of the whole track."""
        rate_hz = self.model.spectrogram.sample_rate_hz
        if track.info.sample_rate_hz != rate_hz:
            raise DatasetError(
                f"{track.pair.instrument} has {track.info.sample_rate_hz} Hz, but the model hears {rate_hz} Hz: make "
                f"pairs at that rate with `splitstrument dataset mix`, or set data.cache to resample once."
            )
        return n_frames_of(track.info.n_samples, self.model.spectrogram.hop)

    @property
    def n_planes(self) -> int:
        """Planes of an example."""
        return 4 if self.phase else 1 + self.model.network.outputs

    def chunk(self, track: Track, start: int) -> Float:
        """Planes of the chunk that starts at frame `start`."""
        size, total = self.model.n_frames, self.n_frames(track)
        first, last = max(0, start), min(total, start + size)
        if first >= last:  # with a small step the last chunk may lie behind the song
            return np.zeros((self.n_planes, self.model.spectrogram.n_bins, size), np.float32)
        return cut_chunk(self.planes(track, first, last), start - first, size)

    def planes(self, track: Track, first: int, last: int) -> Float:
        """Planes of frames ``[first, last)``, all of which exist."""
        instrument, rest = (self._stft(path, track, first, last) for path in (track.pair.instrument, track.pair.rest))
        return planes_of(instrument, rest, self.model.network.outputs, self.phase)

    def _stft(self, path: Path, track: Track, first: int, last: int) -> NDArray[np.complex64]:
        """Frames ``[first, last)`` of the centred STFT: (n_bins, last - first)."""
        n_fft, hop_length = self.model.spectrogram.n_fft, self.model.spectrogram.hop
        begin, end = first * hop_length - n_fft // 2, (last - 1) * hop_length + n_fft - n_fft // 2
        samples = _read_reflected(self.reader, path, track, begin, end)
        return frames_stft(samples[:, None], n_fft, hop_length)[0]


class ChunkSource:
    """All chunks of some tracks, batch by batch.

    Parameters
    ----------
    shuffle
        False gives every chunk in order, as validation wants it.
    """

    def __init__(
        self, tracks: tuple[Track, ...], settings: TrainingSettings, chunks: ChunkReader, shuffle: bool = True
    ) -> None:
        self.tracks, self.chunks, self.shuffle = tracks, chunks, shuffle
        self.seed, self.batch_size, self.order = settings.seed, settings.batch_size, settings.data.order
        self.size = settings.model.n_frames
        self.step = settings.data.chunk_step or self.size
        self.counts = [chunk_count(chunks.n_frames(track), self.size, self.step) for track in tracks]
        self.limit = items_limit(settings) if shuffle else None
        self.most = None if shuffle else settings.data.validation_chunks
        self.plan = lru_cache(maxsize=2)(self._plan)

    @property
    def n_items(self) -> int:
        """Chunks per epoch."""
        total = sum(min(count, self.limit or count) for count in self.counts)
        return min(total, self.most or total)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches per epoch; what is left over is dropped, unless it is all there is."""
        return max(1, self.n_items // self.batch_size)

    def planes(self, epoch: int, step: int, rows: slice = ALL) -> Float:
        """Planes of one batch, or of some rows of it: (batch, n_planes, n_bins, n_frames)."""
        items = self.plan(epoch)[step * self.batch_size : (step + 1) * self.batch_size][rows]
        return np.stack(
            [self.chunks.chunk(self.tracks[track], chunk_start(chunk, self.size, self.step)) for track, chunk in items]
        )

    def _plan(self, epoch: int) -> NDArray[np.int64]:
        """(n_items, 2): track and chunk of every example of an epoch, in order."""
        per_track = [self._track_plan(track, epoch) for track in range(len(self.tracks))]
        plan = np.concatenate(per_track)
        if self.shuffle and self.order == "shuffled":
            np.random.default_rng([self.seed, epoch, TRACK_ORDER_STREAM]).shuffle(plan)
        if self.most and self.most < len(plan):
            plan = plan[np.linspace(0, len(plan) - 1, self.most).round().astype(int)]
        return plan

    def _track_plan(self, track: int, epoch: int) -> NDArray[np.int64]:
        chunks = np.arange(self.counts[track])
        if self.shuffle:
            np.random.default_rng([self.seed, epoch, CHUNK_STREAM, track]).shuffle(chunks)
        chunks = chunks[: self.limit]
        return np.stack([np.full(len(chunks), track), chunks], axis=1)


def items_limit(settings: TrainingSettings) -> int | None:
    """Chunks per track and epoch, scaled by 1536 / n_fft as in the thesis."""
    limit = settings.data.chunks_per_track
    if limit is None:
        return None
    return max(1, limit * ITEMS_REFERENCE_N_FFT // settings.model.spectrogram.n_fft)


def _read_reflected(reader: Reader, path: Path, track: Track, begin: int, end: int) -> Float:
    """Samples ``[begin, end)``, the track reflected at both of its ends as the whole-song STFT does."""
    n_samples = track.info.n_samples
    low, high = max(0, begin), min(n_samples, end)
    # a reflection shorter than what it mirrors needs the mirrored samples too
    low = max(0, min(low, 2 * n_samples - 1 - end))
    high = min(n_samples, max(high, 1 - begin))
    samples = read_mono(reader, path, track.info, low, high - low)
    before, after = max(0, -begin), max(0, end - n_samples)
    padded = np.pad(samples, (before, after), mode="reflect" if len(samples) > 1 else "edge")
    offset = begin - (low - before)
    return padded[offset : offset + end - begin]
