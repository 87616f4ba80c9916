"""Crude singing: a buzzing source with vibrato and slides through the formants of changing vowels, some breath.

Not a voice that would deceive anyone, but in the rest it has what voices have and organs lack: slides, vibrato,
formants, consonant-like noise. Formant values are the textbook averages of Peterson and Barney (1952), rounded.
"""

from __future__ import annotations

import numpy as np

from splitstrument.audio import Audio
from splitstrument.corpus import effects
from splitstrument.corpus.midi import Part

VOWELS = (
    (730, 1090, 2440),
    (530, 1840, 2480),
    (270, 2290, 3010),
    (570, 840, 2410),
    (300, 870, 2240),
    (640, 1190, 2390),
)
FORMANT_DB = (0.0, -6.0, -14.0)
CONSONANT_S = 0.05


def render_voice(part: Part, rate_hz: int, rng: np.random.Generator) -> Audio:
    """Sing a part's highest notes, one at a time, mono."""
    n_samples = int((part.end_s + 0.6) * rate_hz)
    pitch, level, starts = _contours(part, n_samples, rate_hz)
    pitch = _vibrato(_smooth(pitch, int(0.045 * rate_hz)), rate_hz, rng)
    level = _smooth(level, int(0.03 * rate_hz))
    phase = np.cumsum(440.0 * 2 ** ((pitch - 69) / 12) / rate_hz)
    source = _pulses(phase) * level + rng.normal(0, 0.02, n_samples) * level
    source = source.astype(np.float32)[:, None]
    size = rng.uniform(0.9, 1.18)  # of the throat: men, women, children
    sung = _vowels(source, starts, rate_hz, size, rng)
    return sung + _consonants(starts, n_samples, rate_hz, rng)


def _contours(part: Part, n_samples: int, rate_hz: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Pitch and level per sample, and where syllables start."""
    pitch, level = np.full(n_samples, 60.0), np.zeros(n_samples)
    starts, last_end = [], 0
    for note in part.notes:
        start, end = round(note.start_s * rate_hz), round(note.end_s * rate_hz)
        if start < last_end:
            level[start:last_end] = 0
        pitch[start:] = note.pitch
        level[start:end] = note.velocity / 127
        starts.append(start)
        last_end = end
    return pitch, level, starts


def _smooth(curve: np.ndarray, width: int) -> np.ndarray:
    from scipy.ndimage import uniform_filter1d

    return uniform_filter1d(curve, max(1, width), mode="nearest")


def _vibrato(pitch: np.ndarray, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    time = np.arange(len(pitch)) / rate_hz
    depth, speed = rng.uniform(0.15, 0.5), rng.uniform(4.8, 6.3)
    slow = np.interp(time, np.arange(0, time[-1] + 2, 0.5), rng.normal(0, 0.08, int((time[-1] + 2) / 0.5) + 1))
    return pitch + slow + depth * np.sin(2 * np.pi * speed * time)


def _pulses(phase: np.ndarray) -> np.ndarray:
    """Glottal-like pulses: a smooth opening and a sharp closing once a period."""
    x = phase % 1.0
    return np.where(x < 0.6, 3 * (x / 0.6) ** 2 - 2 * (x / 0.6) ** 3, np.maximum(0, 1 - ((x - 0.6) / 0.12) ** 2)) - 0.4


def _vowels(source: Audio, starts: list[int], rate_hz: int, size: float, rng: np.random.Generator) -> Audio:
    """All vowels are sung at once, and a slow cross-fade chooses which is heard."""
    choice = rng.integers(len(VOWELS), size=len(starts) + 1)
    which = np.zeros(len(source), np.int64)
    for start, vowel in zip(starts, choice, strict=False):
        which[start:] = vowel
    out = np.zeros_like(source)
    for index, formants in enumerate(VOWELS):
        weight = _smooth((which == index).astype(np.float32), int(0.05 * rate_hz))
        if weight.any():
            out += _formants(source, formants, rate_hz, size) * weight[:, None].astype(np.float32)
    return out


def _formants(source: Audio, formants: tuple[int, ...], rate_hz: int, size: float) -> Audio:
    from scipy.signal import butter

    total = np.zeros_like(source)
    for hz, db in zip(formants, FORMANT_DB, strict=True):
        centre, width = hz * size, 60 + 0.06 * hz
        sos = butter(1, [centre - width, centre + width], "bandpass", fs=rate_hz, output="sos")
        total += effects.gain(effects.filtered(source, sos), db)
    return total


def _consonants(starts: list[int], n_samples: int, rate_hz: int, rng: np.random.Generator) -> Audio:
    noise = np.zeros((n_samples, 1), np.float32)
    n_burst = int(CONSONANT_S * rate_hz)
    shape = np.hanning(n_burst)
    for start in starts:
        if rng.random() < 0.5 and start > n_burst:
            noise[start - n_burst : start, 0] += rng.normal(0, rng.uniform(0.01, 0.06), n_burst) * shape
    return effects.high_pass(noise, rate_hz, 2500.0)
