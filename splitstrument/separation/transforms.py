"""The STFT and its inverse on endless streams; equal to `splitstrument.spectrogram` on the whole signal.

Blocks of audio are (n_samples, n_channels), of spectra (n_channels, n_bins, n_frames).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from splitstrument.separation.queues import ArrayQueue
from splitstrument.spectrogram import TINY, Complex, Float, frames_istft, frames_stft, reflect_pad


def stft_blocks(audio_blocks: Iterator[Float], n_fft: int, hop_length: int, n_frames: int) -> Iterator[Complex]:
    """Centred STFT of a stream, `n_frames` at a time (fewer in the last block)."""
    queue = ArrayQueue()
    needed = (n_frames - 1) * hop_length + n_fft
    for block in _reflected(audio_blocks, n_fft // 2):
        queue.push(block)
        while len(queue) >= needed:
            yield frames_stft(queue.peek(needed), n_fft, hop_length)
            queue.drop(n_frames * hop_length)
    if len(queue) >= n_fft:
        yield frames_stft(queue.peek(len(queue)), n_fft, hop_length)


def _reflected(audio_blocks: Iterator[Float], n_pad: int) -> Iterator[Float]:
    """The stream, extended by `n_pad` reflected samples at both ends."""
    opening = ArrayQueue()
    for block in audio_blocks:
        opening.push(block)
        if len(opening) > n_pad:
            break
    if not len(opening):
        return
    first = opening.peek(len(opening))
    if len(first) <= n_pad:
        yield reflect_pad(first, n_pad)
        return
    yield first[n_pad:0:-1]
    yield first
    last = first[-n_pad - 1 :]
    for block in audio_blocks:
        yield block
        last = np.concatenate([last, block])[-n_pad - 1 :]
    yield last[-2::-1]


def istft_blocks(
    spectra: Iterator[Complex], n_fft: int, hop_length: int, n_samples: Callable[[], int]
) -> Iterator[Float]:
    """Inverse of `stft_blocks`: overlap-add, divided by the windows' own overlap-add.

    Parameters
    ----------
    n_samples
        Called when `spectra` has ended: the length of the signal in samples, to which the stream is cut.
    """
    tail: tuple[Float, Float] | None = None  # sum and weight of what the next frames reach, too
    skip, n_out = n_fft // 2, 0
    for spectrum in spectra:
        summed, weight = frames_istft(spectrum, n_fft, hop_length)
        if tail is not None:
            summed[: len(tail[0])] += tail[0]
            weight[: len(tail[1])] += tail[1]
        ready = spectrum.shape[-1] * hop_length
        done = _normalised(summed[:ready], weight[:ready])
        tail = summed[ready:], weight[ready:]
        done, skip = done[skip:], max(0, skip - len(done))
        n_out += len(done)
        yield done
    if tail is not None:
        yield _normalised(*tail)[skip:][: max(0, n_samples() - n_out)]


def _normalised(summed: Float, weight: Float) -> Float:
    return np.divide(summed, weight[:, None], out=np.zeros_like(summed), where=weight[:, None] > TINY)
