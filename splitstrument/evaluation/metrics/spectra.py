"""Magnitude spectra of a track's references and estimates, frame by frame as blocks come in.

Each estimate's spectra are formed when its turn comes, so that those of one system are in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from splitstrument.evaluation.metrics.metric import Block, stacked
from splitstrument.spectrogram import hann, reflect_pad

Float = NDArray[np.float32]


@dataclass(frozen=True)
class Framing:
    """How signals are cut into frames.

    Attributes
    ----------
    window
        ``hann`` (periodic) or ``boxcar``.
    padding
        Samples put at both ends, half a frame each: ``reflect``, ``zeros``, or ``none``.
    """

    n_fft: int
    hop_length: int
    window: Literal["hann", "boxcar"] = "hann"
    padding: Literal["reflect", "zeros", "none"] = "none"


class Frames:
    """Frames of all signals of a track: (n_signals, n_channels, n_frames, n_fft), block after block."""

    def __init__(self, framing: Framing) -> None:
        self.framing = framing
        self.pad = 0 if framing.padding == "none" else framing.n_fft // 2
        self._pending: Float | None = None
        self._opened = self.pad == 0
        self._last: Float | None = None

    def add(self, block: Block) -> NDArray | None:
        """Give the frames that are complete with this block; None where there are none."""
        signals = stacked(block).astype(np.float32, copy=False)
        joined = signals if self._pending is None else np.concatenate([self._pending, signals], axis=1)
        self._pending = joined
        if not self._opened:
            if joined.shape[1] <= self.pad:
                return None
            joined = np.concatenate([self._edge(joined[:, self.pad : 0 : -1]), joined], axis=1)
            self._opened = True
        if self.pad:
            self._last = joined[:, -self.pad - 1 :].copy()
        return self._cut(joined)

    def end(self) -> NDArray | None:
        """Give the last frames, into which the padding at the end reaches."""
        if not self.pad or self._pending is None:
            return None
        if self._opened:
            assert self._last is not None
            return self._cut(np.concatenate([self._pending, self._edge(self._last[:, -2::-1])], axis=1))
        return self._cut(np.stack([self._both_edges(signal) for signal in self._pending]))

    def _both_edges(self, signal: NDArray) -> NDArray:
        """A signal no longer than half a frame."""
        if self.framing.padding == "reflect":
            return reflect_pad(signal, self.pad)
        return np.pad(signal, ((self.pad, self.pad), (0, 0)))

    def _edge(self, reflected: NDArray) -> NDArray:
        return reflected if self.framing.padding == "reflect" else np.zeros_like(reflected)

    def _cut(self, joined: NDArray) -> NDArray | None:
        n_fft, hop_length = self.framing.n_fft, self.framing.hop_length
        n_frames = max(0, (joined.shape[1] - n_fft) // hop_length + 1)
        self._pending = joined[:, n_frames * hop_length :].copy()
        if not n_frames:
            return None
        frames = sliding_window_view(joined[:, : (n_frames - 1) * hop_length + n_fft], n_fft, axis=1)[:, ::hop_length]
        return frames.swapaxes(1, 2)


def magnitudes(frames: NDArray, framing: Framing) -> Float:
    """Magnitudes (..., n_frames, n_fft / 2 + 1) of frames (..., n_frames, n_fft)."""
    windowed = frames * hann(framing.n_fft) if framing.window == "hann" else frames
    spectrum = np.fft.rfft(windowed)
    return np.sqrt(spectrum.real**2 + spectrum.imag**2).astype(np.float32, copy=False)


def systems_of(frames: NDArray, framing: Framing) -> Iterator[Float]:
    """Magnitudes (2, n_channels, n_frames, n_bins) of each system's estimates in turn, from what `Frames` gives."""
    for first in range(2, len(frames), 2):
        yield magnitudes(frames[first : first + 2], framing)
