"""Fingerprints: pairs of spectral peaks, as known from music identification, in a few hundred bytes a second.

A landmark is two peaks of the spectrogram and the frames between them. Gain and polarity do not change it, a shift
moves it in time, and two recordings that share many landmarks at one offset are the same audio.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from splitstrument import audio
from splitstrument.audio import Audio
from splitstrument.curation.checks.levels import to_mono
from splitstrument.curation.checks.tracks import rebuffered
from splitstrument.spectrogram import frames_stft

RATE_HZ, N_FFT, HOP = 8000, 1024, 128
FIRST_BIN, LAST_BIN = 8, 500
REACH_FRAMES, REACH_BINS = 10, 10  # a peak is the largest value this far around
CHUNK_FRAMES = 512
PEAKS_PER_CHUNK = 80
PARTNERS, MAX_GAP = 4, 127
FLOOR_DB = -75.0


@dataclass(frozen=True)
class Fingerprint:
    """Landmarks of one stem: hashes (n,) uint32 and the frame at which each starts (n,) int32."""

    hashes: np.ndarray
    frames: np.ndarray


def fingerprint(blocks: Iterable[Audio], sample_rate_hz: int) -> Fingerprint:
    """Fingerprint audio that comes in blocks (n_samples, n_channels)."""
    mono = (to_mono(block)[:, None] for block in blocks)
    return landmarks(peaks(audio.resample_blocks(mono, 1, sample_rate_hz, RATE_HZ)))


def peaks(blocks: Iterable[Audio]) -> np.ndarray:
    """Peaks (n, 2) of a mono signal at `RATE_HZ`, as frame and bin, in the order of time."""
    found, first = [np.zeros((0, 2), np.int64)], 0
    for chunk in _chunks(blocks):
        found.append(_chunk_peaks(chunk) + np.array([first, FIRST_BIN]))
        first += CHUNK_FRAMES
    return np.concatenate(found)


def landmarks(points: np.ndarray) -> Fingerprint:
    """Pair each peak with the next few."""
    hashes, frames = [np.zeros(0, np.uint32)], [np.zeros(0, np.int32)]
    for step in range(1, PARTNERS + 1):
        anchor, partner = points[:-step], points[step:]
        gap = partner[:, 0] - anchor[:, 0]
        usable = (gap > 0) & (gap <= MAX_GAP)
        # half the gap: a shift by part of a hop moves the rounded gap by one
        code = (anchor[:, 1] << 15) | (partner[:, 1] << 6) | gap // 2
        hashes.append(code[usable].astype(np.uint32))
        frames.append(anchor[usable, 0].astype(np.int32))
    return Fingerprint(np.concatenate(hashes), np.concatenate(frames))


def _chunks(blocks: Iterable[Audio]) -> Iterator[np.ndarray]:
    """Level in dB, (n_bins, n_frames), in chunks of `CHUNK_FRAMES` with `REACH_FRAMES` more at both ends."""
    n_new, n_context = CHUNK_FRAMES * HOP, REACH_FRAMES * HOP
    before = np.zeros((n_context, 1), np.float32)
    n_tail = N_FFT - HOP + n_context
    buffer = before
    for block in rebuffered(blocks, n_new):
        buffer = np.concatenate([buffer, block])
        while len(buffer) >= n_context + n_new + n_tail:
            yield _levels(buffer[: n_context + n_new + n_tail])
            buffer = buffer[n_new:]
    while len(buffer) > n_context:
        yield _levels(audio.fit_length(buffer, n_context + n_new + n_tail))
        buffer = buffer[n_new:]


def _levels(samples: Audio) -> np.ndarray:
    magnitude = np.abs(frames_stft(samples, N_FFT, HOP)[0, FIRST_BIN:LAST_BIN])
    return 20 * np.log10(magnitude / (N_FFT / 4) + 1e-9)


def running_max(values: np.ndarray, size: int) -> np.ndarray:
    """Maximum of every `size` rows, (n_rows - size + 1, ...): in as many steps as `size` has binary digits."""
    n_rows, width = len(values) - size + 1, 1
    while 2 * width <= size:
        values, width = np.maximum(values[:-width], values[width:]), 2 * width
    return np.maximum(values[:n_rows], values[size - width : size - width + n_rows])


def _chunk_peaks(levels: np.ndarray) -> np.ndarray:
    """Strongest local maxima of a chunk, (n, 2) frame and bin, without its context."""
    padded = np.pad(levels, ((REACH_BINS, REACH_BINS), (0, 0)), constant_values=-np.inf)
    highest = running_max(running_max(padded, 2 * REACH_BINS + 1).T, 2 * REACH_FRAMES + 1).T
    inner = levels[:, REACH_FRAMES : REACH_FRAMES + highest.shape[1]]
    floor = max(FLOOR_DB, float(levels.max()) - 50)
    bins, frames = np.nonzero((inner == highest) & (inner > floor))
    strongest = np.argsort(-inner[bins, frames], kind="stable")[:PEAKS_PER_CHUNK]
    points = np.stack([frames[strongest], bins[strongest]], axis=1)
    return points[np.lexsort((points[:, 1], points[:, 0]))]
