"""How a network hears the channels of a song, and how its masks act on them.

What a network sees of a spectrum (n_channels, n_bins, n_frames) are its *views*, magnitudes (n_views, n_bins,
n_frames); it answers a mask of each stem for each view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from splitstrument.network.stereo import apply_mid_side, cancels, exchanged, mid_side
from splitstrument.spectrogram import Complex, Float, weighted

Channels = Literal["mix", "magnitude", "each"]


class Hearing(Protocol):
    """The channels as a network hears them."""

    def views(self, spectrum: Complex) -> Float:
        """Magnitudes that the network sees: (n_views, n_bins, n_frames)."""
        ...

    def asked(self, chunks: Float) -> Float:
        """The views that the network is asked about, of chunks (n_chunks, views, n_bins, n_frames)."""
        ...

    def powers(self, spectrum: Complex) -> Float:
        """Powers (n, n_bins, n_frames) whose mean is that of the channels; n is n_views where that is not 1."""
        ...

    def apply(self, spectrum: Complex, masks: Float) -> Complex:
        """Stems by their masks: (n_stems, n_views, n_bins, n_frames) to (n_stems, n_channels, n_bins, n_frames)."""
        ...


def channel_powers(spectrum: Complex) -> Float:
    """Power of each bin of each channel."""
    return spectrum.real**2 + spectrum.imag**2


@dataclass(frozen=True)
class InMono:
    """One magnitude at a time: of the average of the channels, the average of the magnitudes, or of each channel.

    In a chunk where the channels mostly cancel in the average, what they differ by takes its place: a song with one
    channel inverted gets the masks of the song itself (`splitstrument.network.stereo`).
    """

    channels: Channels = "mix"

    def views(self, spectrum: Complex) -> Float:
        """See `Hearing`: n_channels views where each has one, mid and side of a mix, else 1."""
        if self.channels == "mix":
            return mid_side(spectrum) if len(spectrum) > 1 else np.abs(spectrum)
        magnitudes = np.abs(spectrum)
        return magnitudes if self.channels == "each" else magnitudes.mean(axis=0, keepdims=True)

    def asked(self, chunks: Float) -> Float:
        """See `Hearing`: of mid and side the one with more energy in the chunk."""
        if self.channels != "mix" or chunks.shape[1] == 1:
            return chunks
        return exchanged(chunks, cancels(chunks))[:, :1]

    def powers(self, spectrum: Complex) -> Float:
        """See `Hearing`: those of the channels."""
        return channel_powers(spectrum)

    def apply(self, spectrum: Complex, masks: Float) -> Complex:
        """See `Hearing`."""
        return weighted(masks, spectrum)


class InMidSide:
    """Mid and side together (see `splitstrument.network.stereo`)."""

    def views(self, spectrum: Complex) -> Float:
        """See `Hearing`: 2 views of any number of channels."""
        return mid_side(spectrum)

    def asked(self, chunks: Float) -> Float:
        """See `Hearing`: both."""
        return chunks

    def powers(self, spectrum: Complex) -> Float:
        """See `Hearing`: twice those of mid and side, which together are the mean power of the channels."""
        return 2 * np.square(mid_side(spectrum))

    def apply(self, spectrum: Complex, masks: Float) -> Complex:
        """See `Hearing`."""
        return apply_mid_side(spectrum, masks)


def hearing_of(model_channels: Literal["mono", "mid_side"], channels: Channels | None) -> Hearing:
    """How a model hears, and which `channels` were chosen for one that hears in mono."""
    return InMidSide() if model_channels == "mid_side" else InMono(channels or "mix")
