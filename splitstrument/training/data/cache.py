"""Spectrograms on disk: computed once per audio content and settings, read chunk by chunk through the page cache.

An entry is a ``.npy`` file of float32 (n_frames, n_planes, n_bins): frames first, so that a chunk is one stretch of the
file. Its name is a hash of both audio files and of everything that shapes the numbers, so that a changed file or
setting never meets a stale entry. Entries are written whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from splitstrument import audio
from splitstrument.errors import DatasetError
from splitstrument.files import atomic_path, sha256_of
from splitstrument.network.chunks import cut_chunk
from splitstrument.network.settings import ModelSettings
from splitstrument.spectrogram import n_frames_of
from splitstrument.training.data.chunks import SeekingReader
from splitstrument.training.data.examples import Float
from splitstrument.training.data.reading import Reader
from splitstrument.training.data.tracks import Track

FORMAT = 1
BLOCK_FRAMES = 2048


class CachedReader:
    """Gives chunks from cached spectrograms, and resamples tracks of another rate on the way in."""

    def __init__(self, model: ModelSettings, reader: Reader, phase: bool, folder: str | Path) -> None:
        self.model, self.reader, self.phase = model, reader, phase
        self.folder = Path(folder)
        self.entries: dict[str, np.ndarray] = {}

    def n_frames(self, track: Track) -> int:
        """STFT frames of the whole track at the model's rate."""
        return n_frames_of(_length(track, self.model.spectrogram.sample_rate_hz), self.model.spectrogram.hop)

    def chunk(self, track: Track, start: int) -> Float:
        """Planes (n_planes, n_bins, n_frames) from frame `start` on."""
        entry = self.entries.get(track.key)
        if entry is None:
            entry = self.entries[track.key] = np.load(self.entry_path(track), mmap_mode="r")
        size, total = self.model.n_frames, len(entry)
        first, last = max(0, start), min(total, start + size)
        return cut_chunk(np.moveaxis(entry[first:last], 0, -1), start - first, size)

    def entry_path(self, track: Track) -> Path:
        """Path of the track's entry, which is computed if it is not there."""
        path = self.folder / f"{self._key(track)}.npy"
        if not path.is_file():
            try:
                self._compute(track, path)
            except OSError as error:
                raise DatasetError(
                    f"The spectrogram cache {self.folder} cannot be written ({error.strerror}): free some space, or "
                    "set data.cache to another folder or to null."
                ) from None
        return path

    def _key(self, track: Track) -> str:
        kind = [FORMAT, self.model.network.outputs, self.phase, self.model.spectrogram.model_dump(mode="json")]
        files = [sha256_of(track.pair.instrument), sha256_of(track.pair.rest)]
        return hashlib.sha256(json.dumps([kind, files], sort_keys=True).encode()).hexdigest()[:32]

    def _compute(self, track: Track, path: Path) -> None:
        """Fill the entry block by block: memory does not grow with the track (but where it must be resampled)."""
        total = self.n_frames(track)
        track, blocks = self._block_reader(track)
        with atomic_path(path) as temporary:
            shape = (total, blocks.n_planes, self.model.spectrogram.n_bins)
            entry = np.lib.format.open_memmap(temporary, "w+", np.float32, shape)
            with temporary.open("r+b") as file:  # or a full disk would end the process (signal 7) at the first block
                os.posix_fallocate(file.fileno(), 0, temporary.stat().st_size)
            for first in range(0, total, BLOCK_FRAMES):
                last = min(total, first + BLOCK_FRAMES)
                entry[first:last] = np.moveaxis(blocks.planes(track, first, last), -1, 0)
            entry.flush()

    def _block_reader(self, track: Track) -> tuple[Track, SeekingReader]:
        """The track at the model's rate, and what computes its blocks."""
        rate_hz = self.model.spectrogram.sample_rate_hz
        if track.info.sample_rate_hz == rate_hz:
            return track, SeekingReader(self.model, self.reader, self.phase)
        songs = {path: self._resampled(path, track) for path in (track.pair.instrument, track.pair.rest)}
        info = replace(track.info, sample_rate_hz=rate_hz, n_samples=_length(track, rate_hz))
        memory: Reader = lambda path, start, n_samples: songs[path][start : start + n_samples]  # noqa: E731
        return replace(track, info=info), SeekingReader(self.model, memory, self.phase)

    def _resampled(self, path: Path, track: Track) -> Float:
        samples = self.reader(path, 0, track.info.n_samples).mean(axis=1, keepdims=True)
        return audio.resample(samples, track.info.sample_rate_hz, self.model.spectrogram.sample_rate_hz)


def _length(track: Track, rate_hz: int) -> int:
    return audio.resampled_length(track.info.n_samples, track.info.sample_rate_hz, rate_hz)
