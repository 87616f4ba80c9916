"""From two STFTs to the batch that network and loss take.

Between audio and batch an example is a stack of *planes*, float32 (n_planes, n_bins, n_frames): the magnitudes of
mixture, instrument and, for two outputs, rest; or, where the loss wants the phase, real and imaginary part of mixture
and instrument. Joint trainings have a second instrument in the place of the rest, then with its phase where wanted.
Planes of a whole song can be cached and cut into chunks; those of a chunk are cut from it.
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


def joint_planes_of(first: Complex, second: Complex, rest: Complex, phase: bool) -> Float:
    """As `planes_of`, for two instruments and the rest of both; the planes are mixture, first, second."""
    stfts = (first + second + rest, first, second)
    planes = [part for stft in stfts for part in ((stft.real, stft.imag) if phase else (np.abs(stft),))]
    return np.stack(planes, axis=-3).astype(np.float32, copy=False)


def batch_of(planes: Float, model: ModelSettings, phase: bool) -> Batch:
    """Make the normalised batch from planes (batch, n_planes, n_bins, n_frames).

    Returns
    -------
    The dict of arrays that `splitstrument.network.losses.registry` describes.
    """
    if phase:
        return _phase_batch(planes, model)
    scale = normalisation_scale(planes[:, 0], model.normalisation)
    planes = planes / scale[:, None]
    return {"mixture": _last(planes[:, :1]), "target": _last(planes[:, 1:])}


def _phase_batch(planes: Float, model: ModelSettings) -> Batch:
    mixture = _magnitude(planes[:, 0], planes[:, 1])
    if model.normalisation != "none":
        scale = normalisation_scale(mixture, model.normalisation)
        mixture, planes = mixture / scale, planes / scale[:, None]
    joint = planes.shape[1] > 4
    second = planes[:, 4:] if joint else planes[:, :2] - planes[:, 2:]
    targets = [planes[:, 2:4], second][: model.network.outputs]
    batch = {
        "mixture": mixture[..., None],
        "target": _last(np.stack([_magnitude(target[:, 0], target[:, 1]) for target in targets], axis=1)),
        "mixture_stft": _last(planes[:, :2]),
        "target_stft": _last(planes[:, 2:4]),
    }
    return batch | {"second_stft": _last(second)} if joint else batch


def _magnitude(real: Float, imaginary: Float) -> Float:
    """Root of the sum of squares; `numpy.hypot` guards against overflow, which takes eight times as long."""
    return np.sqrt(real * real + imaginary * imaginary)


def _last(planes: Float) -> Float:
    """(batch, n_planes, n_bins, n_frames) to (batch, n_bins, n_frames, n_planes)."""
    moved = np.empty((*planes.shape[:1], *planes.shape[2:], planes.shape[1]), np.float32)
    for plane in range(planes.shape[1]):  # one plane at a time: copying pair by pair takes three times as long
        moved[..., plane] = planes[:, plane]
    return moved
