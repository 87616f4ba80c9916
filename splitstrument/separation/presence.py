"""Does the instrument play here at all? A gate for what is longer than a chunk.

A network hears seconds. Where an instrument does not play it still leaks a little, and where it plays alone it holds a
little back; over half a minute such a stretch is told apart by its level: the answer stays far below the song. There
the gate fades the answer out, and where the *rest* stays far below the song, it fades the rest out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from splitstrument.network.settings import GateSettings, SpectrogramSettings
from splitstrument.spectrogram import Complex, Float

TINY = 1e-20  # of power: a window of digital silence is left as it is
Levels = NDArray[np.float64]


def gated(
    masks: Iterator[tuple[Complex, Float]], gate: GateSettings, spectrogram: SpectrogramSettings
) -> Iterator[tuple[Complex, Float]]:
    """Pass a stream of spectra and masks through the gate, half a window late.

    Parameters
    ----------
    masks
        Blocks: spectrum (n_channels, n_bins, any number of frames) and mask (1 or n_channels, n_bins, as many frames).

    Yields
    ------
    The same blocks in the same order, the masks between 0 and 1; all views of a block have a gate of their own.
    """
    half = max(1, round(gate.window_s * spectrogram.sample_rate_hz / spectrogram.hop / 2))
    window = np.hanning(2 * half + 3)[1:-1]
    waiting: deque[tuple[Complex, Float]] = deque()
    levels: Levels | None = None  # of the frames from half a window before the first waiting block
    n_waiting = 0
    for spectrum, mask in masks:
        new = _levels(spectrum, mask)
        levels = _silence(new, half) if levels is None else levels
        levels = np.concatenate([levels, new], axis=-1)
        waiting.append((spectrum, mask))
        n_waiting += mask.shape[-1]
        while waiting and n_waiting >= waiting[0][1].shape[-1] + half:
            spectrum, mask = waiting.popleft()
            n_frames = mask.shape[-1]
            yield spectrum, _through(mask, levels[..., : n_frames + 2 * half], window, gate)
            levels = levels[..., n_frames:]
            n_waiting -= n_frames
    if levels is None:
        return
    levels = np.concatenate([levels, _silence(levels, half)], axis=-1)
    for spectrum, mask in waiting:
        n_frames = mask.shape[-1]
        yield spectrum, _through(mask, levels[..., : n_frames + 2 * half], window, gate)
        levels = levels[..., n_frames:]


def _levels(spectrum: Complex, mask: Float) -> Levels:
    """Power of instrument, rest and song: (3, n_views, n_frames)."""
    power = spectrum.real**2 + spectrum.imag**2
    if len(mask) < len(power):
        power = power.mean(axis=0, keepdims=True)
    gains = (mask**2, (1 - mask) ** 2, np.ones_like(mask))
    return np.stack([(gain * power).sum(axis=1, dtype=np.float64) for gain in gains])


def _silence(like: Levels, n_frames: int) -> Levels:
    return np.zeros((*like.shape[:-1], n_frames))


def _through(mask: Float, levels: Levels, window: Levels, gate: GateSettings) -> Float:
    """The mask of a block; `levels` reach half a window farther on both sides."""
    around = np.lib.stride_tricks.sliding_window_view(levels, len(window), axis=-1) @ window + TINY
    instrument, rest = (_open(part / around[2], gate)[:, None].astype(np.float32) for part in around[:2])
    return instrument * (1 - rest * (1 - mask))


def _open(share: Levels, gate: GateSettings) -> Levels:
    """Gain of a part that has this share of the song's power: from 0 to 1."""
    above_db = 10 * np.log10(share) - gate.threshold_db
    return 1 / (1 + np.exp(-above_db / gate.width_db))
