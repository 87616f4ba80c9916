"""Mid and side: how a network hears a song of any number of channels, and what its masks do to them.

The one place that training and separation share. A song's spectrum (..., n_channels, n_bins, n_frames) has a *mid*, the
mean of its channels, and *differences*, what each channel has beyond the mid. The network sees two magnitudes, mid and
side, where the side is the root mean square of the differences; in stereo mid = (left + right) / 2 and
|side| = |left - right| / 2. It answers two masks, and a channel of an instrument is

    mask[mid] * mid + mask[side] * (channel - mid)

so that a song of one channel has no side, and swapped channels give swapped outputs.

**Upright.** Where one channel is inverted, what belongs to the middle arrives in the side. Whatever chunk has more
energy in the side than in the mid is therefore shown to the network with both exchanged, and so are the masks that come
back: a song whose channels cancel comes out as well as the song itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splitstrument.spectrogram import Complex, Float, weighted

MID, SIDE = 0, 1


def mid_side(spectrum: Complex) -> Float:
    """Magnitudes of mid and side: (..., n_channels, n_bins, n_frames) to (..., 2, n_bins, n_frames)."""
    mid = spectrum.mean(axis=-3, keepdims=True)
    side = np.sqrt(np.mean(np.abs(spectrum - mid) ** 2, axis=-3, keepdims=True))
    return np.concatenate([np.abs(mid), side], axis=-3)


def cancels(views: Float) -> NDArray[np.bool_]:
    """Tell which chunks (..., 2, n_bins, n_frames) have more energy in the side than in the mid: (...)."""
    energy = np.sum(np.square(views, dtype=np.float64), axis=(-2, -1))
    return energy[..., SIDE] > energy[..., MID]


def exchanged(views: NDArray, where: NDArray[np.bool_]) -> NDArray:
    """Exchange mid and side of (..., 2, n_bins, n_frames) in those chunks that `where` (...) names.

    Shows the network an upright song, and turns its masks back: done twice, it changes nothing.
    """
    return np.where(where[..., None, None, None], views[..., ::-1, :, :], views)


def apply_mid_side(spectrum: Complex, masks: Float) -> Complex:
    """An instrument's spectrum, of the input's shape, by its masks (..., 2, n_bins, n_frames)."""
    mid = spectrum.mean(axis=-3, keepdims=True)
    stems = weighted(masks[..., 1:, :, :], spectrum - mid)
    stems += weighted(masks[..., :1, :, :], mid)
    return stems
