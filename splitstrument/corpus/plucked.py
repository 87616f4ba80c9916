"""Plucked strings of our own: Karplus and Strong's loop with a pick position, a body, and damped note ends.

K. Karplus, A. Strong, "Digital Synthesis of Plucked-String and Drum Timbres", Computer Music Journal 7(2), 1983; the
extensions (pick position, tuning by interpolation, loop damping) follow D. Jaffe, J. Smith in the same issue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splitstrument.audio import Audio
from splitstrument.corpus import effects
from splitstrument.corpus.midi import Note, Part

VARIANTS = 3
RELEASE_S = 0.06
MAX_NOTE_S = 6.0


@dataclass(frozen=True)
class Strings:
    """One instrument.

    Attributes
    ----------
    pick
        Where the string is plucked, as a share of its length.
    brightness
        0 (a soft thumb) to 1 (a hard pick).
    sustain
        0 (short) to 1 (long).
    body
        Strength of the wooden body's resonances; 0 for a solid body.
    detune
        Spread of tuning in cents; twelve-string guitars are two calls.
    """

    pick: float
    brightness: float
    sustain: float
    body: float
    detune: float
    seed: int


def draw_strings(rng: np.random.Generator, acoustic: bool) -> Strings:
    """Draw an instrument."""
    return Strings(
        pick=float(rng.uniform(0.06, 0.3)),
        brightness=float(rng.uniform(0.3, 0.95)),
        sustain=float(rng.uniform(0.3, 0.9)),
        body=float(rng.uniform(0.4, 1.0)) if acoustic else 0.0,
        detune=float(rng.uniform(0.5, 5.0)),
        seed=int(rng.integers(2**31)),
    )


def render_strings(part: Part, strings: Strings, rate_hz: int) -> Audio:
    """Play a part, mono; notes longer than their string rings fade, a note is damped when it ends."""
    rng = np.random.default_rng(strings.seed)
    out = np.zeros((int((part.end_s + 1.0) * rate_hz), 1), np.float32)
    cache: dict[tuple[int, int], np.ndarray] = {}
    for note in part.notes:
        variant = int(rng.integers(VARIANTS))
        key = (note.pitch, variant)
        if key not in cache:
            cache[key] = pluck(note.pitch, strings, rate_hz, rng)
        _add_note(out, cache[key], note, rate_hz)
    return body_resonance(out, rate_hz, strings.body, rng) if strings.body else out


def pluck(pitch: int, strings: Strings, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """One string plucked once, (n_samples,), ringing for at most `MAX_NOTE_S`.

    The loop is computed period by period: each period is the one before through a four-tap filter (damping times a
    linearly interpolated fraction of a sample of delay).
    """
    hz = 440.0 * 2 ** ((pitch - 69 + rng.normal(0, strings.detune) / 100) / 12)
    smooth = 0.5 * (1 - strings.brightness) * 0.8 + 0.02
    period = rate_hz / hz - smooth  # the damping filter itself delays by `smooth` samples
    whole, fraction = int(period), period % 1.0
    decay_s = (0.6 + 7.0 * strings.sustain**2) * (110.0 / hz) ** 0.35
    loss = 10 ** (-3 / (decay_s * hz))
    taps = loss * np.convolve([1 - smooth, smooth], [1 - fraction, fraction])
    n_periods = int(min(MAX_NOTE_S, 1.5 * decay_s) * rate_hz / whole)
    out = np.zeros(whole * n_periods + 4)
    out[2 : whole + 2] = _excitation(whole, strings, rng)
    for start in range(whole + 2, whole * (n_periods - 1), whole):
        past = out[start - whole - 2 : start]
        out[start : start + whole] = taps[0] * past[2:] + taps[1] * past[1:-1] + taps[2] * past[:-2]
    return out.astype(np.float32)


def _excitation(n_samples: int, strings: Strings, rng: np.random.Generator) -> np.ndarray:
    """Noise as bright as the pick is hard, with the comb of the pick's position, without a mean."""
    noise = rng.uniform(-1, 1, n_samples)
    spectrum = np.fft.rfft(noise)
    harmonic = np.arange(len(spectrum))
    spectrum *= np.abs(np.sin(np.pi * harmonic * strings.pick)) + 0.05
    spectrum /= 1 + (harmonic / (4 + 60 * strings.brightness)) ** 2
    spectrum[0] = 0
    burst = np.fft.irfft(spectrum, n_samples)
    return burst / (np.abs(burst).max() + effects.EPSILON)


def _add_note(out: Audio, string: np.ndarray, note: Note, rate_hz: int) -> None:
    start = round(note.start_s * rate_hz)
    held = max(1, round((note.end_s - note.start_s) * rate_hz))
    release = round(RELEASE_S * rate_hz)
    sound = string[: min(held + release, len(out) - start)].copy()
    fade = sound[held:]
    fade *= np.linspace(1, 0, release, dtype=np.float32)[: len(fade)]
    out[start : start + len(sound), 0] += sound * np.float32((note.velocity / 127) ** 1.5)


def body_resonance(audio: Audio, rate_hz: int, strength: float, rng: np.random.Generator) -> Audio:
    """A wooden box: the air's resonance near 100 Hz, the top's near 200, a dozen weaker ones above."""
    modes = [(rng.uniform(90, 120), 8.0, 5.0), (rng.uniform(170, 230), 7.0, 6.0)]
    modes += [(rng.uniform(280, 3000), rng.normal(0, 5.0), rng.uniform(4, 14)) for _ in range(12)]
    sections = np.vstack([effects.peak_eq(rate_hz, hz, db * strength, q) for hz, db, q in modes])
    return effects.filtered(effects.high_pass(audio, rate_hz, 60.0), sections)
