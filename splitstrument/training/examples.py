"""From two STFTs to the batch that network and loss take.

Between audio and batch an example is a stack of *planes*, float32 (n_planes, n_bins, n_frames): the magnitudes of
mixture, instrument and, for two outputs, rest; or, where the loss wants the phase, real and imaginary part of mixture
and instrument. Planes of a whole song can be cached and cut into chunks; those of a chunk are cut from it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splitstrument.network.chunks import normalisation_scale
from splitstrument.network.settings import ModelSettings

Float = NDArray[np.float32]
Complex = NDArray[np.complex64]
Batch = dict[str, Float]
ALL = slice(None)


def planes_of(instrument: Complex, rest: Complex, outputs: int, phase: bool) -> Float:
    """Stack what a batch needs of two STFTs (..., n_bins, n_frames): (..., n_planes, n_bins, n_frames).

    The mixture's STFT is the sum of the two, as in the thesis.
    """
    mixture = instrument + rest
    if phase:
        planes = [mixture.real, mixture.imag, instrument.real, instrument.imag]
    else:
        planes = [np.abs(stft) for stft in (mixture, instrument, rest)[: 1 + outputs]]
    return np.stack(planes, axis=-3).astype(np.float32, copy=False)


def batch_of(planes: Float, model: ModelSettings, phase: bool) -> Batch:
    """Make the normalised batch from planes (batch, n_planes, n_bins, n_frames).

    Returns
    -------
    The dict of arrays that `splitstrument.network.losses` describes.
    """
    if phase:
        return _phase_batch(planes, model)
    scale = normalisation_scale(planes[:, 0], model.normalisation)
    planes = planes / scale[:, None]
    return {"mixture": _last(planes[:, :1]), "target": _last(planes[:, 1:])}


def _phase_batch(planes: Float, model: ModelSettings) -> Batch:
    mixture = np.hypot(planes[:, 0], planes[:, 1])
    planes = planes / normalisation_scale(mixture, model.normalisation)[:, None]
    parts = [planes[:, 0] + 1j * planes[:, 1], planes[:, 2] + 1j * planes[:, 3]]
    targets = [parts[1], parts[0] - parts[1]][: model.network.outputs]
    return {
        "mixture": np.abs(parts[0])[..., None],
        "target": _last(np.stack([np.abs(target) for target in targets], axis=1)),
        "mixture_stft": _last(planes[:, :2]),
        "target_stft": _last(planes[:, 2:]),
    }


def _last(planes: Float) -> Float:
    """(batch, n_planes, n_bins, n_frames) to (batch, n_bins, n_frames, n_planes)."""
    return np.ascontiguousarray(np.moveaxis(planes, 1, -1), dtype=np.float32)
