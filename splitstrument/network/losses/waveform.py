"""Losses on waveforms, through an inverse STFT."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from splitstrument.network.losses.common import TINY, Batch, Loss, _options, on_phases
from splitstrument.network.settings import ModelSettings, SpectrogramSettings
from splitstrument.spectrogram import TINY as SMALLEST
from splitstrument.spectrogram import frames_istft, hann

RESOLUTIONS = (512, 1024, 2048)


@on_phases
def time_l1(options: Mapping[str, Any], model: ModelSettings) -> Loss:
    """Mean absolute error of the waveforms, relative to the mean absolute value of the mixture's."""
    _options("time_l1", options)

    def loss(batch: Batch, mask: Any) -> Any:
        """Mean over the batch."""
        estimate, target, mixture = _waveforms(batch, mask, model)
        return ops.mean(_mean_abs(target - estimate) / (_mean_abs(mixture) + TINY))

    return loss


@on_phases
def si_sdr(options: Mapping[str, Any], model: ModelSettings) -> Loss:
    """Negative scale-invariant SDR in dB (Le Roux et al. 2019), averaged over the batch.

    `floor_db` (default -30, relative to the mixture) bounds it on both sides, so that a silent instrument or a perfect
    estimate gives a finite number and a gradient.
    """
    (floor_db,) = _options("si_sdr", options, floor_db=-30.0)
    floor = 10 ** (floor_db / 10)

    def loss(batch: Batch, mask: Any) -> Any:
        """Mean over the batch."""
        estimate, target, mixture = _waveforms(batch, mask, model)
        small = floor * ops.sum(ops.square(mixture), axis=-1) + TINY
        scale = ops.sum(estimate * target, axis=-1) / (ops.sum(ops.square(target), axis=-1) + small)
        projected = scale[:, None] * target
        signal, noise = (ops.sum(ops.square(each), axis=-1) + small for each in (projected, estimate - projected))
        return ops.mean(ops.log(noise / signal)) * (10 / math.log(10))

    return loss


@on_phases
def multi_resolution(options: Mapping[str, Any], model: ModelSettings) -> Loss:
    """Spectral convergence and log-magnitude error of the waveform at three resolutions (Yamamoto et al. 2020).

    `floor_db` (default -60, relative to the mixture's mean) is where magnitudes stop mattering.
    """
    (floor_db,) = _options("multi_resolution", options, floor_db=-60.0)
    floor = 10 ** (floor_db / 20)

    def at(waves: tuple[Any, ...], n_fft: int) -> Any:
        """Both errors at one resolution, averaged over the batch."""
        estimate, target, mixture = (_magnitudes(wave, n_fft) for wave in waves)
        small = floor * ops.mean(mixture, axis=(1, 2), keepdims=True) + TINY
        distance = ops.sqrt(ops.sum(ops.square(target - estimate), axis=(1, 2)) + TINY)
        convergence = distance / (ops.sqrt(ops.sum(ops.square(target), axis=(1, 2))) + small[:, 0, 0])
        return ops.mean(convergence) + ops.mean(ops.abs(ops.log((target + small) / (estimate + small))))

    def loss(batch: Batch, mask: Any) -> Any:
        """Mean of the resolutions."""
        waves = _waveforms(batch, mask, model)
        return sum(at(waves, n_fft) for n_fft in RESOLUTIONS) / len(RESOLUTIONS)

    return loss


def _waveforms(batch: Batch, mask: Any, model: ModelSettings) -> tuple[Any, Any, Any]:
    """Waveforms (batch, n_samples) of estimate, target and mixture."""
    mixture, target = batch["mixture_stft"], batch["target_stft"]
    return tuple(waveform(stft, model.spectrogram) for stft in (mixture * mask[..., :1], target, mixture))


def _magnitudes(wave: Any, n_fft: int) -> Any:
    """Magnitudes (batch, n_frames, n_bins) with a hop of a quarter, without centring."""
    real, imaginary = ops.stft(wave, n_fft, n_fft // 4, n_fft, center=False)
    return ops.sqrt(ops.square(real) + ops.square(imaginary) + TINY)


def _mean_abs(wave: Any) -> Any:
    return ops.mean(ops.abs(wave), axis=-1)


def waveform(stft, settings: SpectrogramSettings):
    """Inverse of `splitstrument.spectrogram.frames_stft`: (batch, n_bins, n_frames, 2) to (batch, n_samples).

    Only samples that some window reaches come back; those at the very ends, where the window is near 0, are 0.

    Raises
    ------
    ValueError
        If the hop length does not divide n_fft.
    """
    n_fft, hop_length = settings.n_fft, settings.hop
    if n_fft % hop_length:
        raise ValueError(
            f"hop_length must divide n_fft for a loss in the time domain. "
            f"Received: n_fft={n_fft}, hop_length={hop_length}"
        )
    n_frames = stft.shape[2]
    spectra = ops.transpose(stft, (0, 2, 1, 3))
    frames = ops.irfft((spectra[..., 0], spectra[..., 1]), fft_length=n_fft) * hann(n_fft)
    return overlap_add(frames, hop_length) * inverse_weight(n_frames, n_fft, hop_length)


def overlap_add(frames, hop_length: int):
    """Add (batch, n_frames, n_fft) where each frame starts `hop_length` after the one before: (batch, n_samples).

    Each frame is `n_fft / hop_length` pieces; piece k of all frames lies side by side, k hops from the start.
    """
    _, n_frames, n_fft = frames.shape
    pieces = n_fft // hop_length
    total = 0
    for piece in range(pieces):
        row = ops.reshape(frames[:, :, piece * hop_length : (piece + 1) * hop_length], (-1, n_frames * hop_length))
        total = total + ops.pad(row, ((0, 0), (piece * hop_length, (pieces - 1 - piece) * hop_length)))
    return total


def inverse_weight(n_frames: int, n_fft: int, hop_length: int) -> np.ndarray:
    """Return the factor of the overlap-added frames: (n_samples,), 0 where the windows are."""
    _, weight = frames_istft(np.zeros((1, n_fft // 2 + 1, n_frames), np.complex64), n_fft, hop_length)
    floor = 1e-3 * weight.max()  # the first and last samples, where dividing would blow up rounding
    return np.where(weight > max(floor, SMALLEST), 1 / np.maximum(weight, floor), 0).astype(np.float32)
