"""What the recogniser hears: mel spectra in dB of the mean power of the channels, at a low frame rate.

The power of a channel is taken before channels are averaged, so that a song with one channel inverted sounds the same.
Levels are relative to the loudest frame of a chunk, so that a quiet master is heard like a loud one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from splitstrument.spectrogram import Complex, Float, frames_stft, stft_blocks

RATE_HZ = 22_050
N_FFT, HOP = 1024, 512
N_MELS, LOWEST_HZ, HIGHEST_HZ = 80, 40.0, 10_500.0
STEP_FRAMES = 16  # frames of one answer: 0.37 s
CHUNK_STEPS = 8
CHUNK_FRAMES = STEP_FRAMES * CHUNK_STEPS  # 2.97 s
STEP_S = STEP_FRAMES * HOP / RATE_HZ
FLOOR_DB, QUIETEST_DB = -80.0, -45.0  # the second is some -60 dBFS: below, sound is noise and stays low
FULL_SCALE_DB = 10 * np.log10((N_FFT / 4) ** 2)  # power of a full-scale sine in its bin


@lru_cache(maxsize=4)
def mel_filters(n_mels: int = N_MELS) -> Float:
    """Triangles of equal area on the mel scale (Slaney's), as librosa has them: (n_mels, n_bins)."""
    hertz = np.linspace(0, RATE_HZ / 2, N_FFT // 2 + 1)
    edges = _to_hertz(np.linspace(_to_mel(LOWEST_HZ), _to_mel(HIGHEST_HZ), n_mels + 2))
    widths = np.diff(edges)[:, None]
    ramps = edges[:, None] - hertz
    filters = np.maximum(0, np.minimum(-ramps[:-2] / widths[:-1], ramps[2:] / widths[1:]))
    return (filters * 2 / (edges[2:] - edges[:-2])[:, None]).astype(np.float32)


def _to_mel(hertz: float) -> float:
    """Slaney's scale: linear to 1 kHz, then logarithmic."""
    return 3 * hertz / 200 if hertz < 1000 else 15 + 27 * float(np.log(hertz / 1000) / np.log(6.4))


def _to_hertz(mels: NDArray) -> NDArray:
    return np.where(mels < 15, 200 * mels / 3, 1000 * 6.4 ** ((mels - 15) / 27))


def mel_power(spectrum: Complex) -> Float:
    """Power in mel bands, mean of the channels: (n_channels, n_bins, n_frames) to (n_frames, n_mels)."""
    power = (spectrum.real**2 + spectrum.imag**2).mean(axis=0)
    return (mel_filters() @ power).T


def chunk_mels(audio: Float) -> Float:
    """Mel powers of one excerpt without centring: (n_samples, n_channels) to (n_frames, n_mels)."""
    from scipy.fft import rfft  # twice as fast as NumPy's on many frames

    return mel_power(frames_stft(audio, N_FFT, HOP, rfft))


def mel_blocks(audio_blocks: Iterator[Float], n_frames: int = 128) -> Iterator[Float]:
    """Mel powers of a stream at `RATE_HZ`, centred frames: (at most `n_frames`, n_mels) a block."""
    for spectrum in stft_blocks(audio_blocks, N_FFT, HOP, n_frames):
        yield mel_power(spectrum)


def chunk_samples(n_frames: int = CHUNK_FRAMES) -> int:
    """Samples at `RATE_HZ` that frames without centring cover."""
    return (n_frames - 1) * HOP + N_FFT


def to_network(mels: Float) -> Float:
    """Levels in dB as the network takes them: (..., n_frames, n_mels) powers to values around -1 to 1.

    0 dB is the loudest frame's mean band of each chunk; what is below -80 dB of it is flat, and so is silence.
    """
    loudest = mels.mean(axis=-1).max(axis=-1)[..., None, None]
    reference = 10 * np.log10(np.maximum(loudest, 10 ** (QUIETEST_DB / 10)))
    levels = 10 * np.log10(np.maximum(mels, 1e-12)) - reference
    return (np.maximum(levels, FLOOR_DB).astype(np.float32) + 40) / np.float32(20)
