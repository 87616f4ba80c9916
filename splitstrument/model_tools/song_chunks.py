"""Songs as the network sees them, chunk by chunk: for what looks at songs without separating them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from splitstrument.audio import blocks, open_audio, resample_blocks
from splitstrument.network.chunks import normalisation_scale
from splitstrument.network.settings import ModelSettings
from splitstrument.pairs import Pair
from splitstrument.spectrogram import Float, stft_blocks


def song_chunks(settings: ModelSettings, song: Path | Pair) -> Iterator[Float]:
    """Whole chunks of a song or of a pair's mixture, end to end, as one channel: (n_bins, n_frames) magnitudes."""
    spectrogram = settings.spectrogram
    files = [song.instrument, song.rest] if isinstance(song, Pair) else [song]
    with open_audio(files[0]) as file:
        rate = file.sample_rate_hz
    mono = (sum(parts).mean(axis=1, keepdims=True) for parts in zip(*(blocks(f) for f in files), strict=True))
    resampled = resample_blocks(mono, 1, rate, spectrogram.sample_rate_hz)
    for spectrum in stft_blocks(resampled, spectrogram.n_fft, spectrogram.hop, settings.n_frames):
        if spectrum.shape[-1] == settings.n_frames:
            yield np.abs(spectrum[0])


def normalised(chunk: Float, settings: ModelSettings) -> Float:
    """A chunk as the network's input: (1, n_bins, n_frames, 1)."""
    return (chunk / normalisation_scale(chunk, settings.normalisation))[None, ..., None]
