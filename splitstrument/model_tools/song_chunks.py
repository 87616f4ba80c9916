"""Songs as the network sees them, chunk by chunk: for what looks at songs without separating them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from splitstrument.audio import blocks, open_audio, resample_blocks
from splitstrument.network.chunks import normalisation_scale
from splitstrument.network.settings import ModelSettings
from splitstrument.network.stereo import cancels, exchanged, mid_side
from splitstrument.pairs import Pair
from splitstrument.spectrogram import Float, stft_blocks


def song_chunks(settings: ModelSettings, song: Path | Pair) -> Iterator[Float]:
    """Whole chunks of a song, or of a pair's mixture, as the network hears them: (n_views, n_bins, n_frames)."""
    spectrogram, in_stereo = settings.spectrogram, settings.channels == "mid_side"
    files = [song.instrument, song.rest] if isinstance(song, Pair) else [song]
    with open_audio(files[0]) as file:
        rate, n_channels = file.sample_rate_hz, file.n_channels if in_stereo else 1
    mixture = (sum(parts) for parts in zip(*(blocks(f) for f in files), strict=True))
    heard = mixture if in_stereo else (block.mean(axis=1, keepdims=True) for block in mixture)
    resampled = resample_blocks(heard, n_channels, rate, spectrogram.sample_rate_hz)
    for spectrum in stft_blocks(resampled, spectrogram.n_fft, spectrogram.hop, settings.n_frames):
        if spectrum.shape[-1] == settings.n_frames:
            yield _upright(mid_side(spectrum)) if in_stereo else np.abs(spectrum)


def _upright(views: Float) -> Float:
    return exchanged(views, cancels(views))


def normalised(chunk: Float, settings: ModelSettings) -> Float:
    """A chunk as the network's input: (1, n_bins, n_frames, n_views)."""
    n_views, n_bins, n_frames = chunk.shape
    scale = normalisation_scale(chunk.reshape(n_views * n_bins, n_frames), settings.normalisation)
    return np.moveaxis(chunk / scale, 0, -1)[None]
