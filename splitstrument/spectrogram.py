"""The one STFT of the project and its inverse, with the thesis's conventions.

Periodic Hann window of length ``n_fft``, ``hop_length = n_fft / 4`` unless set otherwise, frames centred on multiples
of the hop length (the signal is extended by ``n_fft / 2`` reflected samples at both ends), no scaling: what
``librosa.stft(..., pad_mode="reflect")`` computes. Audio is ``(n_samples, n_channels)`` float32, an STFT
``(n_channels, n_bins, n_frames)`` complex64 with ``n_bins = n_fft / 2 + 1`` and
``n_frames = 1 + n_samples // hop_length``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from splitstrument.streams import ArrayQueue

Float = NDArray[np.float32]
Complex = NDArray[np.complex64]

TINY = float(np.finfo(np.float32).tiny)


@lru_cache(maxsize=16)
def hann(n_fft: int) -> Float:
    """Periodic Hann window, shape (n_fft,), read-only."""
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
    window.flags.writeable = False
    return window


def n_frames_of(n_samples: int, hop_length: int) -> int:
    """Number of centred frames of a signal of `n_samples`."""
    return 1 + n_samples // hop_length


def frames_stft(padded: Float, n_fft: int, hop_length: int, rfft: Callable[..., Any] = np.fft.rfft) -> Complex:
    """STFT without centring: frame i covers samples ``[i * hop_length, i * hop_length + n_fft)`` of `padded`.

    Parameters
    ----------
    padded
        (n_samples, n_channels); samples after the last whole frame are not used.
    rfft
        Another implementation of the transform: SciPy's is twice as fast on many frames at once.

    Returns
    -------
    (n_channels, n_bins, n_frames) complex64
    """
    _check(n_fft, hop_length)
    channels = np.ascontiguousarray(padded.T)  # windows are read sample after sample: faster
    frames = sliding_window_view(channels, n_fft, axis=1)[:, ::hop_length]  # (n_channels, n_frames, n_fft)
    spectrum = rfft(frames * hann(n_fft), axis=-1)
    return np.ascontiguousarray(spectrum.transpose(0, 2, 1)).astype(np.complex64, copy=False)


def frames_istft(stft: Complex, n_fft: int, hop_length: int) -> tuple[Float, Float]:
    """Overlap-add of windowed inverse frames, not yet divided by the window's own overlap-add.

    Returns
    -------
    summed : (n_fft + hop_length * (n_frames - 1), n_channels) float32
    weight : (same length,) sum of the squared windows
    """
    _check(n_fft, hop_length)
    n_frames = stft.shape[-1]
    frames = np.fft.irfft(stft, n=n_fft, axis=1).astype(np.float32, copy=False) * hann(n_fft)[:, None]
    square = np.broadcast_to((hann(n_fft) ** 2)[None, :, None], (1, n_fft, n_frames))
    return np.ascontiguousarray(_overlap_add(frames, hop_length).T), _overlap_add(square, hop_length)[0]


def _overlap_add(frames: Float, hop_length: int) -> Float:
    """Sum frames (n_channels, n_fft, n_frames) that are `hop_length` apart: (n_channels, n_samples).

    Every frame is cut into pieces of one hop length, so that there is one addition per piece and not one per frame.
    """
    n_channels, n_fft, n_frames = frames.shape
    summed = np.zeros((n_channels, n_frames - 1 - (-n_fft // hop_length), hop_length), np.float32)
    for piece, start in enumerate(range(0, n_fft, hop_length)):
        part = frames[:, start : start + hop_length].transpose(0, 2, 1)
        summed[:, piece : piece + n_frames, : part.shape[-1]] += part
    return summed.reshape(n_channels, -1)[:, : n_fft + hop_length * (n_frames - 1)]


def stft(audio: Float, n_fft: int, hop_length: int | None = None) -> Complex:
    """Centred STFT of `audio` (n_samples, n_channels); see the module's docstring.

    Signals shorter than ``n_fft / 2`` are reflected as often as needed, so that any length from one sample on works.
    """
    hop_length = hop_length or n_fft // 4
    return frames_stft(reflect_pad(np.asarray(audio, np.float32), n_fft // 2), n_fft, hop_length)


def istft(stft: Complex, n_samples: int, n_fft: int, hop_length: int | None = None) -> Float:
    """Inverse of `stft`, exactly `n_samples` long: (n_samples, n_channels) float32.

    Samples after the last frame's reach are zero, as in librosa.
    """
    hop_length = hop_length or n_fft // 4
    summed, weight = frames_istft(stft, n_fft, hop_length)
    np.divide(summed, weight[:, None], out=summed, where=weight[:, None] > TINY)
    audio = summed[n_fft // 2 : n_fft // 2 + n_samples]
    missing = n_samples - len(audio)
    return np.pad(audio, ((0, missing), (0, 0))) if missing > 0 else audio


def reflect_pad(audio: Float, n_pad: int) -> Float:
    """Extend (n_samples, n_channels) by `n_pad` reflected samples at both ends."""
    if len(audio) == 0:
        return np.zeros((2 * n_pad, audio.shape[1]), np.float32)
    return np.pad(audio, ((n_pad, n_pad), (0, 0)), mode="reflect" if len(audio) > 1 else "edge")


def _check(n_fft: int, hop_length: int) -> None:
    if n_fft < 2 or n_fft % 2 or hop_length < 1 or hop_length > n_fft:
        raise ValueError(
            f"n_fft must be even and hop_length between 1 and n_fft. Received: n_fft={n_fft}, hop_length={hop_length}"
        )


def weighted(masks: Float, stft: Complex) -> Complex:
    """Masks times an STFT, broadcast together; NumPy's own product makes the masks complex and takes thrice as long."""
    product: Complex = np.empty(np.broadcast_shapes(masks.shape, stft.shape), np.complex64)
    np.multiply(masks, stft.real, out=product.real)
    np.multiply(masks, stft.imag, out=product.imag)
    return product


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
