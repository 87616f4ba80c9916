"""Training-time augmentation of waveform segments, before the STFT.

The pipeline calls ``augment(instrument, rest, rng)`` on every training batch of the ``segments`` source: both are
float32 (batch, n_samples), `rng` is a generator of this very batch, so that a training can be resumed at any step.

What it is for: a network that has only heard songs as they are learns which songs have which sounds. Instruments and
rests of different songs together, at other levels, spectra, pitches and drives, leave it only what makes a guitar a
guitar. Segments are mono, so there are no channels to swap; there is no round trip through a lossy codec yet.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import soxr
from numpy.typing import NDArray
from pydantic import Field

from splitstrument.settings import Settings

Float = NDArray[np.float32]
Augmentation = Callable[[Float, Float, np.random.Generator], tuple[Float, Float]]
JointAugmentation = Callable[[Float, Float, Float, np.random.Generator], tuple[Float, ...]]

Probability = Field(0.0, ge=0, le=1)

EQ_NODES_HZ = (60.0, 180.0, 500.0, 1400.0, 3500.0, 8000.0)
DRIVE_DB = (6.0, 34.0)  # from a warm overdrive to a square wave
DRIVE_BITE = 0.3  # a third of the drive is asymmetric at most: valves and fuzz boxes make even harmonics too
LOW_PASS_HZ = (3500.0, 10_000.0)
LOW_PASS_ORDER = 16
NO_LOW_PASS = np.inf
DOUBLE_DB = (-12.0, 0.0)


class AugmentationSettings(Settings):
    """Settings of the augmentation; the defaults do nothing.

    Attributes
    ----------
    remix
        Share of the segments whose rest comes from another segment of the batch.
    double
        Share of the segments that get a second instrument from another segment of the batch, 0 to 12 dB lower.
    speed
        Play faster or slower by up to this share, pitch included (0.06: a semitone); instrument and rest together
        where they belong together, each on its own where they were remixed.
    drive, drive_rest
        Share of the segments whose instrument (or rest) goes through an overdrive of 6 to 34 dB.
    equalizer_db
        Boost or cut by up to so many dB, smoothly over frequency, instrument and rest each on its own.
    low_pass
        Share of the segments without anything above a frequency between 3.5 and 10 kHz, as old or compressed
        recordings are.
    gain_db
        Change the instrument's level against the rest by up to so many dB either way.
    polarity
        Share of the segments whose instrument is inverted.
    absent, solo
        Share of the segments without the instrument, or with nothing else.
    """

    remix: float = Probability
    double: float = Probability
    speed: float = Field(0.0, ge=0, le=0.5)
    drive: float = Probability
    drive_rest: float = Probability
    equalizer_db: float = Field(0.0, ge=0, le=40)
    low_pass: float = Probability
    gain_db: float = Field(0.0, ge=0, le=40)
    polarity: float = Probability
    absent: float = Probability
    solo: float = Probability


def make_augmentation(settings: AugmentationSettings, sample_rate_hz: int) -> Augmentation:
    """Make the function that augments one batch; it leaves its arguments as they are."""

    def augment(instrument: Float, rest: Float, rng: np.random.Generator) -> tuple[Float, Float]:
        """Sources first, then sounds, then levels, then what is there at all."""
        size = len(instrument)
        instrument, rest = double(instrument, settings.double, rng), rest.copy()
        rest, remixed = remix(rest, settings.remix, rng)
        if settings.speed:
            instrument, rest = change_speed(instrument, rest, settings.speed, remixed, rng)
        instrument = overdrive(instrument, settings.drive, rng)
        rest = overdrive(rest, settings.drive_rest, rng)
        if settings.equalizer_db or settings.low_pass:
            low_pass_hz = low_pass(settings.low_pass, size, rng)
            instrument = equalize(instrument, settings.equalizer_db, low_pass_hz, sample_rate_hz, rng)
            rest = equalize(rest, settings.equalizer_db, low_pass_hz, sample_rate_hz, rng)
        gain = from_db(rng.uniform(-settings.gain_db, settings.gain_db, size)) * signs(size, settings.polarity, rng)
        instrument = instrument * _column(gain)
        return keep(instrument, rest, settings.absent, settings.solo, rng)

    return augment


def make_joint_augmentation(settings: AugmentationSettings, sample_rate_hz: int) -> JointAugmentation:
    """As `make_augmentation`, for two instruments and the rest of both.

    `remix` draws anew for the second instrument and for the rest, `drive` is for both instruments, and `solo` leaves
    one of the two, by turns.
    """

    def augment(first: Float, second: Float, rest: Float, rng: np.random.Generator) -> tuple[Float, ...]:
        """The same order as for one instrument."""
        first, second, rest = double(first, settings.double, rng), double(second, settings.double, rng), rest.copy()
        second, apart = remix(second, settings.remix, rng)
        rest, rest_apart = remix(rest, settings.remix, rng)
        if settings.speed:
            first, second, rest = _change_speeds((first, second, rest), settings.speed, (apart, rest_apart), rng)
        first, second = overdrive(first, settings.drive, rng), overdrive(second, settings.drive, rng)
        sources = [first, second, overdrive(rest, settings.drive_rest, rng)]
        if settings.equalizer_db or settings.low_pass:
            low_pass_hz = low_pass(settings.low_pass, len(first), rng)
            sources = [equalize(each, settings.equalizer_db, low_pass_hz, sample_rate_hz, rng) for each in sources]
        first, second = (_change_level(each, settings, rng) for each in sources[:2])
        return keep_joint(first, second, sources[2], settings.absent, settings.solo, rng)

    return augment


def _change_speeds(
    sources: tuple[Float, Float, Float], most: float, apart: tuple[NDArray[np.bool_], ...], rng: np.random.Generator
) -> tuple[Float, ...]:
    """Resample by up to `most`; second and rest at the first's speed, except where they are `apart` from it."""
    factors = rng.uniform(1 - most, 1 + most, (3, len(sources[0])))
    own = (np.ones(len(sources[0]), bool), *apart)
    return tuple(
        _at_speed(source, np.where(alone, ours, factors[0]))
        for source, ours, alone in zip(sources, factors, own, strict=True)
    )


def _change_level(audio: Float, settings: AugmentationSettings, rng: np.random.Generator) -> Float:
    """Gain and polarity of one instrument."""
    gain = from_db(rng.uniform(-settings.gain_db, settings.gain_db, len(audio)))
    return audio * _column(gain * signs(len(audio), settings.polarity, rng))


def keep_joint(
    first: Float, second: Float, rest: Float, absent: float, solo: float, rng: np.random.Generator
) -> tuple[Float, ...]:
    """Silence each instrument in a share `absent` of the segments, and all but one of them in a share `solo`."""
    size = len(first)
    alone, whose = rng.random(size) < solo, rng.random(size) < 0.5
    gone = rng.random((2, size)) < absent
    keep_first = np.where(alone, whose, ~gone[0])
    keep_second = np.where(alone, ~whose, ~gone[1])
    return first * _column(keep_first), second * _column(keep_second), rest * _column(~alone)


def remix(rest: Float, share: float, rng: np.random.Generator) -> tuple[Float, NDArray[np.bool_]]:
    """Give a `share` of the segments the rest of their neighbour in the batch.

    Returns
    -------
    rest : (batch, n_samples)
    remixed : (batch,) which ones changed
    """
    remixed = rng.random(len(rest)) < share
    neighbour = np.roll(rest, int(rng.integers(1, max(2, len(rest)))), axis=0)
    return np.where(remixed[:, None], neighbour, rest), remixed & (len(rest) > 1)


def double(instrument: Float, share: float, rng: np.random.Generator) -> Float:
    """Add a neighbour's instrument, more quietly, to a `share` of the segments."""
    doubled = rng.random(len(instrument)) < share
    gain = np.where(doubled & (len(instrument) > 1), from_db(rng.uniform(*DOUBLE_DB, len(instrument))), 0)
    neighbour = np.roll(instrument, int(rng.integers(1, max(2, len(instrument)))), axis=0)
    return instrument + neighbour * _column(gain)


def change_speed(
    instrument: Float, rest: Float, most: float, apart: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Float, Float]:
    """Resample each segment by up to `most`; where `apart`, instrument and rest by factors of their own."""
    size = len(instrument)
    ours, theirs = rng.uniform(1 - most, 1 + most, (2, size))
    theirs = np.where(apart, theirs, ours)
    return _at_speed(instrument, ours), _at_speed(rest, theirs)


def _at_speed(audio: Float, factors: NDArray) -> Float:
    """Play (batch, n_samples) at `factors` times the speed; what a faster one lacks at its end is silence."""
    out = np.zeros_like(audio)
    for row, (samples, factor) in enumerate(zip(audio, factors, strict=True)):
        played = soxr.resample(samples, float(factor), 1.0, quality="MQ")[: audio.shape[1]]
        out[row, : len(played)] = played
    return out


def overdrive(audio: Float, share: float, rng: np.random.Generator) -> Float:
    """Send a `share` of the segments through a soft clipper, at the level they had."""
    chosen = rng.random(len(audio)) < share
    drive, bias = from_db(rng.uniform(*DRIVE_DB, len(audio))), rng.uniform(0, DRIVE_BITE, len(audio))
    out = audio.copy()
    for row in np.flatnonzero(chosen):
        peak = np.abs(audio[row]).max()
        if peak > 0:
            out[row] = _clip_softly(audio[row], drive[row] / peak, bias[row])
    return out


def _clip_softly(samples: Float, drive: float, bias: float) -> Float:
    """tanh with an offset, its direct current removed and the energy restored."""
    driven = np.tanh(samples * np.float32(drive) + np.float32(bias)) - np.float32(np.tanh(bias))
    driven -= driven.mean()
    energy = float(np.dot(driven, driven))
    return driven * np.float32(np.sqrt(np.dot(samples, samples) / energy)) if energy else samples


def equalize(
    audio: Float, most_db: float, low_pass_hz: NDArray, sample_rate_hz: int, rng: np.random.Generator
) -> Float:
    """Filter each segment, without phase: random gains at `EQ_NODES_HZ`, and nothing above its low-pass frequency."""
    from scipy.fft import next_fast_len  # of the extra [train]: settings must be readable without it

    n_samples = audio.shape[1]
    n_fft = next_fast_len(n_samples, real=True)  # segments need not have a length that transforms fast
    frequencies = np.fft.rfftfreq(n_fft, 1 / sample_rate_hz)
    grid = np.log(np.maximum(frequencies, 1.0))
    nodes_db = rng.uniform(-most_db, most_db, (len(audio), len(EQ_NODES_HZ)))
    gains = from_db(np.stack([np.interp(grid, np.log(EQ_NODES_HZ), row) for row in nodes_db]).astype(np.float32))
    for row in np.flatnonzero(low_pass_hz < NO_LOW_PASS):
        gains[row] /= 1 + (frequencies / low_pass_hz[row]) ** LOW_PASS_ORDER
    return np.fft.irfft(np.fft.rfft(audio, n_fft) * gains, n_fft)[:, :n_samples].astype(np.float32)


def low_pass(share: float, size: int, rng: np.random.Generator) -> NDArray:
    """Low-pass frequency of each segment, in Hz: infinite where there is none."""
    lowest, highest = np.log(LOW_PASS_HZ)
    frequencies = np.exp(rng.uniform(lowest, highest, size))
    return np.where(rng.random(size) < share, frequencies, NO_LOW_PASS)


def keep(instrument: Float, rest: Float, absent: float, solo: float, rng: np.random.Generator) -> tuple[Float, Float]:
    """Silence the instrument in a share `absent` of the segments, and the rest in a share `solo` of them."""
    draw = rng.random(len(instrument))
    return instrument * _column(draw >= absent), rest * _column((draw < absent) | (draw >= absent + solo))


def signs(size: int, share: float, rng: np.random.Generator) -> NDArray:
    """-1 for a `share` of `size` draws, 1 for the others."""
    return np.where(rng.random(size) < share, -1.0, 1.0)


def from_db(decibels: NDArray) -> NDArray:
    """Amplitude factor; float32 stays float32."""
    return np.exp(decibels * np.float32(np.log(10) / 20))


def _column(values: NDArray) -> Float:
    return np.asarray(values, np.float32)[:, None]
