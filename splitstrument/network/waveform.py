"""From a spectrogram to a waveform inside a loss, on every Keras backend.

`keras.ops.istft` is wrong at the edges on TensorFlow, and wants the centred form; this one inverts
`splitstrument.spectrogram.frames_stft` exactly. A complex spectrogram is a pair of real tensors on the last axis:
(batch, n_bins, n_frames, 2).
"""

from __future__ import annotations

import numpy as np
from keras import ops

from splitstrument.network.settings import SpectrogramSettings
from splitstrument.spectrogram import TINY, frames_istft, hann


def waveform(stft, settings: SpectrogramSettings):
    """Inverse of `splitstrument.spectrogram.frames_stft`: (batch, n_bins, n_frames, 2) to (batch, n_samples).

    Only samples that some window reaches come back; those at the very ends, where the window is near 0, are 0.

    Raises
    ------
    ValueError
        If the hop does not divide n_fft.
    """
    n_fft, hop = settings.n_fft, settings.hop
    if n_fft % hop:
        raise ValueError(f"the hop must divide n_fft for a loss in the time domain. Received: n_fft={n_fft}, hop={hop}")
    n_frames = stft.shape[2]
    spectra = ops.transpose(stft, (0, 2, 1, 3))
    frames = ops.irfft((spectra[..., 0], spectra[..., 1]), fft_length=n_fft) * hann(n_fft)
    return overlap_add(frames, hop) * inverse_weight(n_frames, n_fft, hop)


def overlap_add(frames, hop: int):
    """Add (batch, n_frames, n_fft) where each frame starts `hop` after the one before: (batch, n_samples).

    Each frame is `n_fft / hop` pieces; piece k of all frames lies side by side, k hops from the start.
    """
    _, n_frames, n_fft = frames.shape
    pieces = n_fft // hop
    total = 0
    for piece in range(pieces):
        row = ops.reshape(frames[:, :, piece * hop : (piece + 1) * hop], (-1, n_frames * hop))
        total = total + ops.pad(row, ((0, 0), (piece * hop, (pieces - 1 - piece) * hop)))
    return total


def inverse_weight(n_frames: int, n_fft: int, hop: int) -> np.ndarray:
    """What to multiply the overlap-added frames by: (n_samples,), 0 where the windows are."""
    _, weight = frames_istft(np.zeros((1, n_fft // 2 + 1, n_frames), np.complex64), n_fft, hop)
    floor = 1e-3 * weight.max()  # the first and last samples, where dividing would blow up rounding
    return np.where(weight > max(floor, TINY), 1 / np.maximum(weight, floor), 0).astype(np.float32)
