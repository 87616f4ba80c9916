"""Does the instrument play here at all? A gate for what is longer than a chunk.

A network hears seconds. Where an instrument does not play it still leaks a little, and where it plays alone it holds a
little back; over half a minute such a stretch is told apart by its level: the answer stays far below the song. There
the gate fades the answer out, and where the *rest* stays far below the song, it fades the rest out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from splitstrument.network.settings import SpectrogramSettings
from splitstrument.separation.hearing import channel_powers
from splitstrument.spectrogram import Complex, Float

WINDOW_S = 40.0
WIDTH_DB = 2.0  # so far above the threshold a part is lowered by 2.7 dB, so far below it by 11
TINY = 1e-20  # of power: in digital silence nothing stands out, and nothing is lowered
Levels = NDArray[np.float64]


@dataclass(frozen=True)
class Gate:
    """Levels against the song, over a window, at which the instrument (the rest) is lowered by 6 dB; None: never."""

    instrument_db: float | None = None
    rest_db: float | None = None


def gated(
    masks: Iterator[tuple[Complex, Float]],
    gate: Gate,
    spectrogram: SpectrogramSettings,
    powers: Callable[[Complex], Float] = channel_powers,
    window_s: float = WINDOW_S,
) -> Iterator[tuple[Complex, Float]]:
    """Pass a stream of spectra and masks through the gate, half a window late.

    Parameters
    ----------
    masks
        Blocks: spectrum (n_channels, n_bins, any number of frames) and masks (n_stems, n_views, n_bins, as many
        frames).
    powers
        Powers of the views of a spectrum (see `splitstrument.separation.hearing`).
    window_s
        Length of the window (Hann), in seconds.

    Yields
    ------
    The same blocks in the same order, the masks between 0 and 1; each view of each stem has a gate of its
    own, which takes what is not this stem for its rest.
    """
    half = max(1, round(window_s * spectrogram.sample_rate_hz / spectrogram.hop / 2))
    window = np.hanning(2 * half + 3)[1:-1]
    waiting: deque[tuple[Complex, Float]] = deque()
    levels: Levels | None = None  # from half a window before the first frame that waits
    for block in chain(masks, [None]):  # None: the song has ended
        if block is not None:
            waiting.append(block)
            new = _levels(powers(block[0]), block[1])
            levels = np.concatenate([_silence(new, half) if levels is None else levels, new], axis=-1)
        elif levels is not None:
            levels = np.concatenate([levels, _silence(levels, half)], axis=-1)
        while waiting and levels is not None and levels.shape[-1] >= waiting[0][1].shape[-1] + 2 * half:
            spectrum, mask = waiting.popleft()
            n_frames = mask.shape[-1]
            yield spectrum, _through(mask, levels[..., : n_frames + 2 * half], window, gate)
            levels = levels[..., n_frames:]


def _levels(power: Float, masks: Float) -> Levels:
    """Power of instrument, rest and song: (3, n_stems, n_views, n_frames)."""
    if masks.shape[1] < len(power):
        power = power.mean(axis=0, keepdims=True)
    return np.stack([_levels_of_stem(power, mask) for mask in masks], axis=1).astype(np.float64)


def _levels_of_stem(power: Float, mask: Float) -> Float:
    instrument = mask * power
    rest = power - instrument
    parts = (np.einsum("vbt,vbt->vt", mask, instrument), np.einsum("vbt,vbt->vt", 1 - mask, rest), power.sum(axis=1))
    return np.stack(parts)


def _silence(like: Levels, n_frames: int) -> Levels:
    return np.zeros((*like.shape[:-1], n_frames))


def _through(mask: Float, levels: Levels, window: Levels, gate: Gate) -> Float:
    """The masks of a block; `levels` reach half a window farther on both sides."""
    around = np.lib.stride_tricks.sliding_window_view(levels, len(window), axis=-1) @ window + TINY
    instrument, rest = (
        _open(part / around[2], threshold_db)[..., None, :].astype(np.float32)
        for part, threshold_db in zip(around[:2], (gate.instrument_db, gate.rest_db), strict=True)
    )
    return instrument * (1 - rest * (1 - mask))


def _open(share: Levels, threshold_db: float | None) -> Levels:
    """Gain of a part that has this share of the song's power: from 0 to 1."""
    if threshold_db is None:
        return np.ones_like(share)
    return 1 / (1 + np.exp((threshold_db - 10 * np.log10(share)) / WIDTH_DB))
