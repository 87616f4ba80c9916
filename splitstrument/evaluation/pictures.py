"""Spectrograms as PNG files, without a plotting library: log frequency, level in dB.

The frequency axis runs from `LOWEST_HZ` to the Nyquist frequency, low notes at the bottom; the level spans `RANGE_DB`
below the loudest bin of the mixture, so that pictures of one excerpt can be compared.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from splitstrument.spectrogram import stft

N_FFT, HOP = 2048, 512
LOWEST_HZ = 50.0
ROWS, MAX_COLUMNS = 180, 420
RANGE_DB = 70.0
# anchors of a dark-to-bright colour map with steadily rising lightness
COLOURS = np.array(
    [
        [4, 5, 20],
        [40, 12, 84],
        [101, 21, 110],
        [159, 42, 99],
        [212, 72, 66],
        [245, 125, 21],
        [250, 193, 39],
        [252, 255, 164],
    ]
)


def excerpt_pictures(signals: dict[str, NDArray], sample_rate_hz: int) -> dict[str, bytes]:
    """PNG files of mixture, instrument and estimate, and of the mask that leads from mixture to estimate.

    Parameters
    ----------
    signals
        ``mixture``, ``instrument``, ``estimate``: each (n_samples, n_channels).
    """
    magnitudes = {name: log_rows(_magnitude(signal), sample_rate_hz) for name, signal in signals.items()}
    loudest = max(float(magnitudes["mixture"].max()), 1e-9)
    pictures = {}
    for name, magnitude in magnitudes.items():
        level = 20 * np.log10(np.maximum(magnitude / loudest, 1e-9))
        pictures[name] = png(coloured(1 + level / RANGE_DB))
    mask = magnitudes["estimate"] / np.maximum(magnitudes["mixture"], 1e-6 * loudest)
    pictures["mask"] = png(coloured(mask))
    return pictures


def log_rows(magnitude: NDArray, sample_rate_hz: int) -> NDArray:
    """(n_bins, n_frames) -> (ROWS, n_frames) on a log frequency axis, low notes in the last row.

    A row shows the loudest bin of its band, so that no tone falls between two rows; bands narrower than a bin are
    interpolated.
    """
    step = (sample_rate_hz / 2 / LOWEST_HZ) ** (0.5 / (ROWS - 1))  # half a row, as a ratio of frequencies
    rows = []
    for frequency in np.geomspace(sample_rate_hz / 2, LOWEST_HZ, ROWS):
        first, last = (round(hz * N_FFT / sample_rate_hz) for hz in (frequency / step, frequency * step))
        if last > first:
            rows.append(magnitude[first : last + 1].max(axis=0))
            continue
        at = frequency * N_FFT / sample_rate_hz
        lower = min(int(at), len(magnitude) - 2)
        rows.append((1 - (at - lower)) * magnitude[lower] + (at - lower) * magnitude[lower + 1])
    return np.stack(rows)


def coloured(values: NDArray) -> NDArray[np.uint8]:
    """Values in [0, 1] -> (..., 3) RGB."""
    position = np.clip(values, 0, 1) * (len(COLOURS) - 1)
    lower = np.minimum(position.astype(int), len(COLOURS) - 2)
    part = (position - lower)[..., None]
    return np.rint((1 - part) * COLOURS[lower] + part * COLOURS[lower + 1]).astype(np.uint8)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode (height, width, 3) as a PNG file."""
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _magnitude(signal: NDArray) -> NDArray:
    """(n_bins, up to MAX_COLUMNS); neighbouring frames are joined by their maximum."""
    magnitude = np.abs(stft(signal.mean(axis=1, keepdims=True), N_FFT, HOP)[0])
    joined = -(-magnitude.shape[1] // MAX_COLUMNS)
    n_columns = magnitude.shape[1] // joined
    return magnitude[:, : n_columns * joined].reshape(len(magnitude), n_columns, joined).max(axis=2)
