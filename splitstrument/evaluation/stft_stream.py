"""Pass audio of any length through STFT, a function of the spectra, and back, block by block.

Frames are centred on multiples of the hop as in `splitstrument.spectrogram`, with zeros before and after the track.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from splitstrument.spectrogram import TINY, frames_istft, frames_stft

# (n_signals, n_channels, n_bins, n_frames) -> (n_outputs, n_channels, n_bins, n_frames)
SpectrumFunction = Callable[[NDArray], NDArray]


def process_blocks(
    blocks: Iterator[NDArray], function: SpectrumFunction, n_fft: int, hop_length: int | None = None
) -> Iterator[NDArray]:
    """Yield what `function` makes of the spectra, as audio of the input's total length.

    Parameters
    ----------
    blocks
        Each (n_signals, n_samples, n_channels).
    function
        Sees whole frames, each exactly once and in order.

    Yields
    ------
    (n_outputs, n_samples, n_channels) float32
        Not in the blocks of the input.
    """
    hop = hop_length or n_fft // 4
    to_skip, left, summed, weight = n_fft // 2, 0, None, None
    for spectrum, n_new in spectra(blocks, n_fft, hop):
        left += n_new
        parts = [frames_istft(output, n_fft, hop) for output in function(spectrum)]
        signals = np.stack([part[0] for part in parts])
        total = parts[0][1].copy()
        if summed is not None:
            signals[:, : summed.shape[1]] += summed
            total[: len(weight)] += weight
        ready = hop * spectrum.shape[-1]
        done = signals[:, :ready] / np.maximum(total[:ready], TINY)[:, None]
        summed, weight = signals[:, ready:], total[ready:]
        done = done[:, to_skip:]
        to_skip -= min(to_skip, ready)
        if done.shape[1]:
            yield done[:, :left]
            left -= min(left, done.shape[1])


def spectra(blocks: Iterator[NDArray], n_fft: int, hop: int) -> Iterator[tuple[NDArray, int]]:
    """Yield the next whole frames of all signals, and how many samples were read for them.

    Yields
    ------
    spectrum : (n_signals, n_channels, n_bins, n_frames) complex64
    n_new : samples of the input that were taken in
    """
    pending: NDArray | None = None
    for block in blocks:
        if pending is None:
            pending = np.zeros((block.shape[0], n_fft // 2, block.shape[2]), np.float32)
        pending = np.concatenate([pending, block.astype(np.float32)], axis=1)
        n_frames = (pending.shape[1] - n_fft) // hop + 1
        if n_frames > 0:
            yield _stft_all(pending, n_fft, hop), block.shape[1]
            pending = pending[:, n_frames * hop :]
        else:
            yield _stft_all(pending[:, :0], n_fft, hop), block.shape[1]
    if pending is not None:
        yield _stft_all(np.pad(pending, ((0, 0), (0, n_fft + n_fft // 2), (0, 0))), n_fft, hop), 0


def _stft_all(signals: NDArray, n_fft: int, hop: int) -> NDArray:
    if signals.shape[1] < n_fft:
        return np.zeros((signals.shape[0], signals.shape[2], n_fft // 2 + 1, 0), np.complex64)
    return np.stack([frames_stft(signal, n_fft, hop) for signal in signals])
