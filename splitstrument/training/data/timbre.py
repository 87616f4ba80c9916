"""Sounds that no recording holds: timbre drawn anew for each stem of each segment.

Overdrive and room act on samples (n_samples, 2), everything else on the magnitudes of an STFT (2, n_bins, n_frames), as
gains of bins or of frames, which cost nothing beside the transform. None changes the energy of a stem: its level is
drawn elsewhere.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from splitstrument.spectrogram import Complex, Float
from splitstrument.training.augment import DRIVE_BITE, DRIVE_DB, LOW_PASS_HZ, LOW_PASS_ORDER, from_db
from splitstrument.training.mixing import MixingSettings

EQ_NODES = 9  # from 40 Hz to 11 kHz, an octave or so apart
EQ_RANGE_HZ = (40.0, 11_000.0)
COMB_S = (0.0002, 0.006)
COMB_DEPTH = (0.3, 0.9)
FORMANT_SEMITONES = 4.0
FORMANT_MOST_DB = 12.0
ENVELOPE_EXPONENT = 0.6
ENVELOPE_S = (0.05, 0.4)
ROOM_S = (0.05, 0.35)
ROOM_DB = (-14.0, -3.0)
TINY = 1e-12


def shaped_samples(audio: Float, settings: MixingSettings, sample_rate_hz: int, rng: np.random.Generator) -> Float:
    """Overdrive, then a room, each in its share of the draws: (n_samples, 2)."""
    if rng.random() < settings.drive:
        audio = overdriven(audio, 10 ** (rng.uniform(*DRIVE_DB) / 20), rng.uniform(0, DRIVE_BITE))
    if rng.random() < settings.room:
        audio = in_a_room(audio, rng.uniform(*ROOM_S), 10 ** (rng.uniform(*ROOM_DB) / 20), sample_rate_hz, rng)
    return audio


def overdriven(audio: Float, drive: float, bias: float) -> Float:
    """Both channels through one soft clipper; energy and balance of the channels stay about as they were."""
    peak = float(np.abs(audio).max())
    if peak == 0:
        return audio
    driven = np.tanh(audio * np.float32(drive / peak) + np.float32(bias)) - np.float32(np.tanh(bias))
    driven -= driven.mean(axis=0)
    return _with_energy_of(driven, audio)


def in_a_room(audio: Float, decay_s: float, level: float, sample_rate_hz: int, rng: np.random.Generator) -> Float:
    """Add an echo of noise that falls by 60 dB in `decay_s`, another one for each channel."""
    from scipy.fft import irfft, next_fast_len, rfft

    n_tail = int(decay_s * sample_rate_hz)
    tail = rng.standard_normal((n_tail, audio.shape[1]), np.float32)
    tail *= np.exp(-6.9 * np.arange(n_tail, dtype=np.float32) / n_tail)[:, None]
    tail *= np.float32(level) / (np.sqrt(np.sum(tail**2, axis=0)) + TINY)
    n_fft = next_fast_len(len(audio) + n_tail, real=True)
    wet = irfft(rfft(audio, n_fft, axis=0) * rfft(tail, n_fft, axis=0), n_fft, axis=0)[: len(audio)]
    return _with_energy_of(audio + wet.astype(np.float32), audio)


def shaped_spectrum(
    spectrum: Complex, settings: MixingSettings, sample_rate_hz: int, hop_length: int, rng: np.random.Generator
) -> Complex:
    """Equalizer, comb, resonances and envelope, each in its share of the draws: (2, n_bins, n_frames)."""
    n_bins = spectrum.shape[1]
    frequencies_hz = _frequencies(n_bins, sample_rate_hz)
    gains = equalizer(frequencies_hz, rng.uniform(0, settings.equalizer_db), rng)
    if rng.random() < settings.comb:
        gains = gains * comb(frequencies_hz, rng)
    formant, envelope = rng.random() < settings.formant, rng.random() < settings.envelope
    frames = np.ones(spectrum.shape[2], np.float32)
    power = np.sum(spectrum.real**2 + spectrum.imag**2, axis=0)
    if formant:
        gains = gains * moved_resonances(power.sum(axis=1), 2 ** (rng.uniform(-1, 1) * FORMANT_SEMITONES / 12))
    if envelope:
        frames = changed_envelope(power.sum(axis=0), sample_rate_hz / hop_length, rng)
    before, after = power.sum(), float(np.square(gains) @ power @ np.square(frames))
    gains = gains * np.float32(np.sqrt(before / after)) if after > 0 else gains
    return spectrum * (gains[:, None] * frames).astype(np.float32)


def equalizer(frequencies_hz: NDArray[np.float64], most_db: float, rng: np.random.Generator) -> Float:
    """Gains that change smoothly with the pitch, between random nodes."""
    nodes = np.log(np.geomspace(*EQ_RANGE_HZ, EQ_NODES))
    gains_db = np.interp(np.log(frequencies_hz), nodes, rng.uniform(-most_db, most_db, EQ_NODES))
    return from_db(gains_db.astype(np.float32))


def comb(frequencies_hz: NDArray[np.float64], rng: np.random.Generator) -> Float:
    """Return the gain of a comb filter at each frequency: a sound and its copy, a few milliseconds later."""
    delay_s, depth = np.exp(rng.uniform(*np.log(COMB_S))), rng.uniform(*COMB_DEPTH) * rng.choice([-1, 1])
    return np.abs(1 + depth * np.exp(-2j * np.pi * frequencies_hz * delay_s)).astype(np.float32)


def moved_resonances(power: Float, factor: float) -> Float:
    """Gains that move the smoothed spectrum `power` (n_bins,) up by `factor`; partials stay where they are."""
    bins = np.arange(len(power))
    widths = np.maximum(4, bins // 6)  # a third of an octave to either side
    sums = np.concatenate([[0.0], np.cumsum(power, dtype=np.float64)])
    upper, lower = np.minimum(bins + widths + 1, len(power)), np.maximum(bins - widths, 0)
    level_db = 10 * np.log10((sums[upper] - sums[lower]) / (upper - lower) + TINY)
    change_db = np.interp(bins / factor, bins, level_db) - level_db
    return from_db(np.clip(change_db, -FORMANT_MOST_DB, FORMANT_MOST_DB).astype(np.float32))


def changed_envelope(power: Float, frames_hz: float, rng: np.random.Generator) -> Float:
    """Gains of frames that make attacks sharper or softer, and decays shorter or longer."""
    level = np.sqrt(power) + TINY
    width = max(1, int(rng.uniform(*ENVELOPE_S) * frames_hz))
    around = np.convolve(np.pad(level, (width, width), mode="edge"), np.ones(2 * width + 1) / (2 * width + 1), "valid")
    exponent = rng.uniform(-ENVELOPE_EXPONENT, ENVELOPE_EXPONENT)
    return np.clip((level / around) ** exponent, 0.1, 4).astype(np.float32)


def low_pass_gains(n_bins: int, sample_rate_hz: int, rng: np.random.Generator) -> Float:
    """Gains of a mixture that was compressed, or is old."""
    edge_hz = np.exp(rng.uniform(*np.log(LOW_PASS_HZ)))
    return (1 / (1 + (_frequencies(n_bins, sample_rate_hz) / edge_hz) ** LOW_PASS_ORDER)).astype(np.float32)


@lru_cache(maxsize=8)
def _frequencies(n_bins: int, sample_rate_hz: int) -> NDArray[np.float64]:
    """Of each bin, in Hz; the lowest one at half a bin, so that it has a logarithm."""
    return np.maximum(np.arange(n_bins), 0.5) * sample_rate_hz / 2 / (n_bins - 1)


def _with_energy_of(audio: Float, model: Float) -> Float:
    """`audio` at the level of `model`."""
    energy = float(np.vdot(audio, audio))
    return audio * np.float32(np.sqrt(np.vdot(model, model) / energy)) if energy > 0 else audio
