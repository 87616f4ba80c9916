"""Songs and excerpts as pages show them: waveform peaks and spectrograms.

Everything is read block by block, so memory does not grow with the song. Pictures have log frequency from
`LOWEST_HZ` up and a fixed range in dB; they are PNG files written here, so that the base install needs no plot
library.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitstrument.audio import Audio, blocks, probe
from splitstrument.files import atomic_path
from splitstrument.spectrogram import Float, frames_stft, stft

MIXTURE = "mixture"
N_PEAKS = 2400
PICTURE_WIDTH, PICTURE_HEIGHT = 1200, 192
EXCERPT_COLUMNS, EXCERPT_HOP = 420, 512
LOWEST_HZ = 50.0
N_FFT = 2048
RANGE_DB = 75.0
MASK_FLOOR_DB = -60.0
BLOCK = 1 << 16
# anchors of the colour scale from silence to full level (dark violet over red to pale yellow); lightness rises evenly
COLOURS = ((10, 8, 30), (62, 20, 98), (132, 32, 107), (201, 62, 76), (242, 121, 47), (250, 193, 63), (252, 254, 190))


@dataclass(frozen=True)
class SongView:
    """Pictures of one song.

    Attributes
    ----------
    duration_s, sample_rate_hz
        Of the song.
    peaks
        stem name -> (n_peaks,) largest magnitude of each slice of the song, 0 to 1.
    pictures
        Name -> (height, width) uint8, low frequencies in the last row: ``mixture`` and each stem in dB below the
        mixture's loudest bin, and the share of each instrument under its `mask_name`.
    """

    duration_s: float
    sample_rate_hz: int
    peaks: dict[str, Float]
    pictures: dict[str, NDArray[np.uint8]]


def draw_song(stems: Mapping[str, str | Path]) -> SongView:
    """Compute peaks and spectrogram pictures of the stems and of the mixture, which is their sum.

    The masks that are shown are those that the stems imply: the share of a stem in the mixture's magnitude.

    Parameters
    ----------
    stems
        Stem -> its file, the rest among them under its name.
    """
    info = probe(next(iter(stems.values())))
    columns = _Columns(info.n_samples, PICTURE_WIDTH)
    spectra = {name: _Spectrum(columns, info.sample_rate_hz) for name in (MIXTURE, *stems)}
    peaks = {name: np.zeros(min(N_PEAKS, max(1, info.n_samples)), np.float32) for name in spectra}
    position = 0
    for parts in zip(*(blocks(path, BLOCK) for path in stems.values()), strict=True):
        for name, audio in zip(spectra, (np.sum(parts, axis=0), *parts), strict=True):
            _add_peaks(peaks[name], audio, position, info.n_samples)
            spectra[name].add(audio)
        position += len(parts[0])
    levels = {name: spectrum.finish() for name, spectrum in spectra.items()}
    loudest = max(float(levels[MIXTURE].max()), 1e-12)
    pictures = {name: _decibel_picture(level / loudest) for name, level in levels.items()}
    masks = {mask_name(stem): _mask_picture(levels[stem], levels[MIXTURE], loudest) for stem in stems if stem != "rest"}
    return SongView(info.duration_s, info.sample_rate_hz, peaks, pictures | masks)


def mask_name(stem: str) -> str:
    """Return the name of the picture of a stem's mask: ``mask`` where there is one instrument."""
    return "mask" if stem == "instrument" else f"mask-{stem}"


@dataclass(frozen=True)
class _Columns:
    """Columns of a picture, and the samples that fall into each."""

    n_samples: int
    width: int

    def of(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.minimum(samples * self.width // max(1, self.n_samples), self.width - 1)


def _add_peaks(peaks: Float, audio: Audio, position: int, n_samples: int) -> None:
    level = np.abs(audio).max(axis=1)
    index = (np.arange(position, position + len(level)) * len(peaks)) // max(1, n_samples)
    index = np.minimum(index, len(peaks) - 1)
    starts = np.flatnonzero(np.diff(index, prepend=-1))
    found = np.maximum.reduceat(level, starts)
    np.maximum.at(peaks, index[starts], found)


class _Spectrum:
    """Collects the loudest magnitude of each column and row while a song passes; frames do not end with the blocks."""

    def __init__(self, columns: _Columns, rate_hz: int) -> None:
        self.columns, self.rate_hz = columns, rate_hz
        self.hop_length = max(1, min(N_FFT // 2, columns.n_samples // (2 * columns.width)))
        self.level = np.zeros((PICTURE_HEIGHT, columns.width), np.float32)
        self._waiting = np.zeros((N_FFT // 2, 1), np.float32)
        self._middle = 0  # sample in the middle of the next frame

    def add(self, audio: Audio) -> None:
        """Add (n_samples, n_channels)."""
        self._waiting = np.concatenate([self._waiting, audio.mean(axis=1, keepdims=True)])
        n_frames = (len(self._waiting) - N_FFT) // self.hop_length + 1
        if n_frames < 1:
            return
        magnitudes = np.abs(frames_stft(self._waiting, N_FFT, self.hop_length))[0]
        middles = np.minimum(self._middle + self.hop_length * np.arange(n_frames), self.columns.n_samples - 1)
        self._raise(middles, _rows(magnitudes, self.rate_hz))
        self._waiting = self._waiting[n_frames * self.hop_length :]
        self._middle += n_frames * self.hop_length

    def finish(self) -> Float:
        """The picture's levels: (height, width)."""
        self.add(np.zeros((N_FFT // 2, 1), np.float32))
        return self.level

    def _raise(self, middles: NDArray[np.int64], rows: Float) -> None:
        """Raise the columns from the first frame's to the last one's; with few frames a column takes the nearest."""
        np.maximum.at(self.level.T, self.columns.of(middles), rows.T)
        first, last = self.columns.of(middles[[0, -1]])
        wanted = np.arange(first, self.columns.width if middles[-1] == self.columns.n_samples - 1 else last + 1)
        samples = wanted * self.columns.n_samples // self.columns.width
        nearest = np.searchsorted(middles, samples).clip(0, len(middles) - 1)
        np.maximum(self.level[:, wanted], rows[:, nearest], out=self.level[:, wanted[0] : wanted[-1] + 1])


def _rows(magnitudes: Float, rate_hz: int) -> Float:
    """Linear bins to rows of log frequency, highest first; a row takes the loudest of its bins, or its nearest bin."""
    edges = np.geomspace(LOWEST_HZ, max(rate_hz / 2, 2 * LOWEST_HZ), PICTURE_HEIGHT + 1) * N_FFT / rate_hz
    first = np.clip(np.round(edges[:-1]).astype(int), 0, len(magnitudes) - 1)
    last = np.clip(np.round(edges[1:]).astype(int), first + 1, len(magnitudes))
    rows = np.stack([magnitudes[a:b].max(axis=0) for a, b in zip(first, last, strict=True)])
    return rows[::-1]


def excerpt_pictures(signals: dict[str, Audio], sample_rate_hz: int) -> dict[str, bytes]:
    """Draw mixture, instrument and estimate, and the mask that leads from mixture to estimate, as PNG files.

    Parameters
    ----------
    signals
        ``mixture``, ``instrument``, ``estimate``: each (n_samples, n_channels). Levels are relative to the mixture's
        loudest bin.
    """
    levels = {name: _excerpt_level(signal, sample_rate_hz) for name, signal in signals.items()}
    loudest = max(float(levels["mixture"].max()), 1e-9)
    pictures = {name: png(_decibel_picture(level / loudest)) for name, level in levels.items()}
    return {**pictures, "mask": png(_mask_picture(levels["estimate"], levels["mixture"], loudest))}


def _excerpt_level(signal: Audio, sample_rate_hz: int) -> Float:
    """(PICTURE_HEIGHT, up to EXCERPT_COLUMNS); neighbouring frames are joined by their maximum."""
    magnitude = np.abs(stft(signal.mean(axis=1, keepdims=True), N_FFT, EXCERPT_HOP)[0])
    joined = -(-magnitude.shape[1] // EXCERPT_COLUMNS)
    n_columns = magnitude.shape[1] // joined
    columns = magnitude[:, : n_columns * joined].reshape(len(magnitude), n_columns, joined).max(axis=2)
    return _rows(columns, sample_rate_hz)


def _decibel_picture(level: Float) -> NDArray[np.uint8]:
    decibels = 20 * np.log10(np.maximum(level, 1e-9))
    return np.round(255 * np.clip(1 + decibels / RANGE_DB, 0, 1)).astype(np.uint8)


def _mask_picture(instrument: Float, mixture: Float, loudest: float) -> NDArray[np.uint8]:
    """Share of the instrument, dark where there is nothing to share."""
    audible = mixture > loudest * 10 ** (MASK_FLOOR_DB / 20)
    share = np.divide(instrument, mixture, out=np.zeros_like(mixture), where=audible)
    return np.round(255 * np.clip(share, 0, 1)).astype(np.uint8)


def write_png(path: str | Path, values: NDArray[np.uint8]) -> None:
    """Write (height, width) values as a PNG with the colour scale of this module."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(png(values))


def png(values: NDArray[np.uint8]) -> bytes:
    """Encode (height, width) values as a PNG with the colour scale of this module."""
    height, width = values.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row starts with filter type 0
    rows[:, 1:] = values
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", palette().tobytes()), (b"IDAT", zlib.compress(rows.tobytes(), 9)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_part(*chunk) for chunk in (*chunks, (b"IEND", b"")))


def palette() -> NDArray[np.uint8]:
    """The colour scale: (256, 3)."""
    anchors = np.linspace(0, 255, len(COLOURS))
    channels = [np.interp(np.arange(256), anchors, column) for column in zip(*COLOURS, strict=True)]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8)


def _png_part(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def peak_of(paths: Sequence[str | Path]) -> float:
    """Largest magnitude in several files."""
    return max((float(np.abs(block).max()) for path in paths for block in blocks(path, BLOCK)), default=0.0)
