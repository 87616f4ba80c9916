"""Training losses behind one interface: a batch and the masks in, one scalar out.

A batch is a dict of tensors, all of one chunk length and normalised by the same scale:

- ``mixture`` (batch, n_bins, n_frames, 1): magnitudes, the network's input;
- ``target`` (batch, n_bins, n_frames, outputs): magnitudes of the instrument (and of the rest, where outputs is 2);
- ``mixture_stft``, ``target_stft`` (batch, n_bins, n_frames, 2): real and imaginary parts, present only where
  `needs_phase` says that the loss wants them;
- ``second_stft``, likewise, where output 1 extracts a second instrument: such losses are added up for both.

Masks are (batch, n_bins, n_frames, outputs), or a list of these for several hourglass modules, whose losses add up.
Written with `keras.ops`, so that every backend computes the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from splitstrument.network.settings import ModelSettings
from splitstrument.network.waveform import waveform

Batch = dict[str, Any]
Loss = Callable[[Batch, Any], Any]
LossFactory = Callable[[Mapping[str, float], ModelSettings], Loss]

RESOLUTIONS = (512, 1024, 2048)
TINY = 1e-10  # keeps roots and logarithms of silence finite
SMALL_RATIO = 1e-4  # -40 dB: below it, an exponent under 1 pulls no harder


def make_loss(name: str, options: Mapping[str, float], model: ModelSettings) -> Loss:
    """Make the loss called `name`; it takes (batch, masks) and returns a scalar.

    Parameters
    ----------
    name
        A key of `LOSSES`.
    options
        Numbers that the loss understands; an unknown one is an error.
    model
        What the network sees, for losses that leave the magnitude domain.

    Raises
    ------
    ValueError
        Unknown name or option.
    """
    if name not in LOSSES:
        raise ValueError(f"Unknown loss; choose one of {', '.join(LOSSES)}. Received: {name!r}")
    single = LOSSES[name](options, model)

    def of_all(batch: Batch, masks: Any) -> Any:
        """The sum over modules and instruments."""
        masks = masks if isinstance(masks, list) else [masks]
        return sum(single(part, each) for mask in masks for part, each in _by_instrument(batch, mask))

    return of_all


def _by_instrument(batch: Batch, mask: Any) -> list[tuple[Batch, Any]]:
    """The batch and its mask as they are; or, of two instruments with their phases, a batch and a mask for each."""
    if "second_stft" not in batch:
        return [(batch, mask)]
    first = batch | {"target": batch["target"][..., :1]}
    second = batch | {"target": batch["target"][..., 1:], "target_stft": batch["second_stft"]}
    return [(first, mask[..., :1]), (second, mask[..., 1:])]


def needs_phase(name: str) -> bool:
    """Tell whether the loss reads ``mixture_stft`` and ``target_stft``."""
    return name in PHASE_LOSSES


def l11(options: Mapping[str, float], model: ModelSettings) -> Loss:
    """The thesis's "L1,1": the sum over the batch of ``|target - mixture * mask|``; the mask is not clipped."""
    _options("l11", options)
    return lambda batch, mask: ops.sum(ops.abs(batch["target"] - batch["mixture"] * mask))


def error_db(options: Mapping[str, float], model: ModelSettings) -> Loss:
    """Energy of the error relative to the mixture, in decibels, averaged over the batch.

    The error is complex, ``target - mask * mixture``, so that a mask learns to turn down what arrives with another
    phase. In decibels every example pulls alike, a quiet one as a loud one, and one decibel of loss is one decibel of
    SDR (for a mask, error and mixture are the same for instrument and rest).

    Options
    -------
    floor_db
        Errors below this level (default -30) are good enough: no more is to be gained there.
    magnitude
        Share (default 0) of the same measure in absolute values instead of energies, which hears quiet bins better.
    """
    floor_db, share = _options("error_db", options, floor_db=-30.0, magnitude=0.0)
    floor = 10 ** (floor_db / 10)

    def loss(batch: Batch, mask: Any) -> Any:
        """Mean over the batch."""
        squared = _power(batch["target_stft"] - batch["mixture_stft"] * mask[..., :1])
        mixture = _power(batch["mixture_stft"])
        total = (1 - share) * _ratio_db(squared, mixture, floor)
        if share:
            magnitude = _ratio_db(ops.sqrt(squared + TINY), ops.sqrt(mixture + TINY), floor**0.5)
            total = total + share * 2 * magnitude
        return ops.mean(total)

    return loss


def relative_error(options: Mapping[str, float], model: ModelSettings) -> Loss:
    """Energy of the complex error ``target - mask * mixture``, relative to the mixture's, averaged over the batch.

    Linear in the energy, where `error_db` is logarithmic: a network that cannot yet tell the instrument from the rest
    does best with the mean mask, and not with silence, at which `error_db` can get stuck (see docs/experiments.md).

    Options
    -------
    emphasis
        Share (default 0.5) of the same measure on spectra whose energy is raised in proportion to the frequency, which
        about flattens music, so that the upper octaves count as well.
    power
        Exponent (default 1) of each example's ratio. At 0.5 the ratio is one of amplitudes: examples that are almost
        right, those without the instrument among them, pull harder, as in decibels, but the pull stays bounded.
    """
    emphasis, power = _options("relative_error", options, emphasis=0.5, power=1.0)
    weight = (_bins_hz(model) / _bins_hz(model)[-1]).astype(np.float32)[:, None]

    def loss(batch: Batch, mask: Any) -> Any:
        """Mean over the batch."""
        error = _power(batch["target_stft"] - batch["mixture_stft"] * mask[..., :1])
        mixture = _power(batch["mixture_stft"])
        ratio = (1 - emphasis) * _ratio(error, mixture) + emphasis * _ratio(weight * error, weight * mixture)
        return ops.mean(ratio if power == 1 else ops.power(ratio + SMALL_RATIO, power))

    return loss


def complex_l1(options: Mapping[str, float], model: ModelSettings) -> Loss:
    """Absolute value of the complex error ``target - mask * mixture`` over the mixture's, averaged over the batch.

    Quiet bins pull nearly as hard as loud ones; in `relative_error` a few loud ones have most of the gradient. Networks
    learn faster by it, even measured in `relative_error` (``benchmarks/losses.py``, docs/experiments.md).
    """
    _options("complex_l1", options)

    def loss(batch: Batch, mask: Any) -> Any:
        """Mean over the batch."""
        error, mixture = (
            ops.sqrt(_power(stft) + TINY)
            for stft in (batch["target_stft"] - batch["mixture_stft"] * mask[..., :1], batch["mixture_stft"])
        )
        return ops.mean(_ratio(error, mixture))

    return loss


def _ratio(numerator: Any, denominator: Any) -> Any:
    """Ratio of two sums over bins and frames: (batch,)."""
    return ops.sum(numerator, axis=(1, 2)) / (ops.sum(denominator, axis=(1, 2)) + TINY)


def l2(options: Mapping[str, float], model: ModelSettings) -> Loss:
    """The sum over the batch of ``(target - mixture * mask)^2``: loud bins count for more than in `l11`."""
    _options("l2", options)
    return lambda batch, mask: ops.sum(ops.square(batch["target"] - batch["mixture"] * mask))


def frequency_weighted(options: Mapping[str, float], model: ModelSettings) -> Loss:
    """`l11` with a weight for each bin: the A-weighting of IEC 61672, to the power of `strength` (default 1).

    Named in the thesis's outlook (section 8.3): errors count for more where the ear is keen, 1 to 5 kHz.
    """
    (strength,) = _options("frequency_weighted", options, strength=1.0)
    weight = (a_weighting(_bins_hz(model)) ** strength).astype(np.float32)[:, None, None]
    return lambda batch, mask: ops.sum(weight * ops.abs(batch["target"] - batch["mixture"] * mask))


def perceptual(options: Mapping[str, float], model: ModelSettings) -> Loss:
    """Difference in loudness: A-weighted power in bands one ERB wide, to the power of `exponent` (default 0.3).

    A coarse model of hearing: bands as Glasberg and Moore (1990), loudness as Stevens's power law. Sums over the
    batch; what a louder neighbour in the same band hides costs little.
    """
    (exponent,) = _options("perceptual", options, exponent=0.3)
    bands = (erb_bands(_bins_hz(model)) * a_weighting(_bins_hz(model)) ** 2).astype(np.float32)

    def loudness(magnitudes: Any) -> Any:
        """(batch, n_bins, n_frames, outputs) to (batch, n_bands, n_frames, outputs)."""
        return ops.power(ops.einsum("kf,bfto->bkto", bands, ops.square(magnitudes)) + TINY, exponent)

    return lambda batch, mask: ops.sum(ops.abs(loudness(batch["target"]) - loudness(batch["mixture"] * mask)))


def energy_conserving(options: Mapping[str, float], model: ModelSettings) -> Loss:
    """`l11` of instrument and rest together, where the rest has the energy that the instrument's mask leaves over.

    With one output the rest's mask is ``sqrt(1 - mask^2)``; with two, `weight` (default 1) times the energy that
    both masks together lose or invent is added. Masks beyond 0 to 1 are clipped.
    """
    (weight,) = _options("energy_conserving", options, weight=1.0)

    def loss(batch: Batch, mask: Any) -> Any:
        """Sum over the batch."""
        mixture, target = batch["mixture"], batch["target"]
        mask = ops.clip(mask, 0.0, 1.0)
        error = ops.sum(ops.abs(target - mixture * mask))
        if mask.shape[-1] == 1:
            left_over = ops.sqrt(1 - ops.square(mask) + TINY)
            rest = ops.sqrt(ops.maximum(ops.square(mixture) - ops.square(target), 0.0) + TINY)
            return error + ops.sum(ops.abs(rest - mixture * left_over))
        lost = ops.abs(1 - ops.sum(ops.square(mask), axis=-1, keepdims=True))
        return error + weight * ops.sum(mixture * lost)

    return loss


def time_l1(options: Mapping[str, float], model: ModelSettings) -> Loss:
    """Mean absolute error of the waveforms, relative to the mean absolute value of the mixture's."""
    _options("time_l1", options)

    def loss(batch: Batch, mask: Any) -> Any:
        """Mean over the batch."""
        estimate, target, mixture = _waveforms(batch, mask, model)
        return ops.mean(_mean_abs(target - estimate) / (_mean_abs(mixture) + TINY))

    return loss


def si_sdr(options: Mapping[str, float], model: ModelSettings) -> Loss:
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


def multi_resolution(options: Mapping[str, float], model: ModelSettings) -> Loss:
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


def _power(stft: Any) -> Any:
    """Squared magnitude (batch, n_bins, n_frames) of a real and imaginary pair."""
    return ops.sum(ops.square(stft), axis=-1)


def _ratio_db(numerator: Any, denominator: Any, floor: float) -> Any:
    """10 log10 of the ratio of two sums over bins and frames, not below `floor`: (batch,)."""
    above, below = (ops.sum(each, axis=(1, 2)) for each in (numerator, denominator))
    return ops.log((above + floor * below + TINY) / (below + TINY)) * (10 / math.log(10))


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


def _bins_hz(model: ModelSettings) -> NDArray[np.float64]:
    frequencies = np.fft.rfftfreq(model.spectrogram.n_fft, 1 / model.spectrogram.sample_rate_hz)
    return frequencies.astype(np.float64, copy=False)


def a_weighting(frequencies_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Amplitude factor of IEC 61672's A-weighting, 1 at 1 kHz."""

    def response(hz: NDArray[np.float64]) -> NDArray[np.float64]:
        square = np.square(hz)
        poles = (square + 20.6**2) * np.sqrt((square + 107.7**2) * (square + 737.9**2)) * (square + 12194.0**2)
        return 12194.0**2 * square**2 / poles

    return response(frequencies_hz) / response(np.array(1000.0))


def erb_bands(frequencies_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Triangular bands, one ERB apart, that add up to 1 at every frequency: (n_bands, n_bins)."""
    numbers = 21.4 * np.log10(1 + 0.00437 * frequencies_hz)
    centres = np.arange(np.ceil(numbers.max()) + 1)
    return np.maximum(0, 1 - np.abs(numbers[None, :] - centres[:, None]))


def _options(name: str, given: Mapping[str, float], **defaults: float) -> tuple[float, ...]:
    """Values of the options a loss knows, in the order of `defaults`."""
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        known = f"the options {', '.join(defaults)}" if defaults else "no options"
        raise ValueError(f"The loss {name} knows {known}. Received: {unknown}")
    return tuple(given.get(key, value) for key, value in defaults.items())


LOSSES: dict[str, LossFactory] = {
    "l11": l11,
    "l2": l2,
    "frequency_weighted": frequency_weighted,
    "perceptual": perceptual,
    "energy_conserving": energy_conserving,
    "relative_error": relative_error,
    "complex_l1": complex_l1,
    "error_db": error_db,
    "time_l1": time_l1,
    "si_sdr": si_sdr,
    "multi_resolution": multi_resolution,
}
PHASE_LOSSES = frozenset({"relative_error", "complex_l1", "error_db", "time_l1", "si_sdr", "multi_resolution"})
