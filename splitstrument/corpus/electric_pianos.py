"""Electric pianos of our own: tines and reeds before a pickup, and two-operator FM.

A tine or reed is a clamped bar: its overtones lie far apart (6.27 and 17.5 times the first for a plain bar) and die at
once; the pickup's field is not straight, so that a hard stroke gets harmonics. A coil hears the speed of a tine, a
condenser the place of a reed. FM follows J. Chowning, "The Synthesis of Complex Audio Spectra by Means of Frequency
Modulation", JAES 21(7), 1973: a soft pair in unison and a bell-like one whose modulator is up to 15 times higher, the
electric pianos of the eighties.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splitstrument.audio import Audio
from splitstrument.corpus import effects
from splitstrument.corpus.midi import Part
from splitstrument.corpus.partials import burst, damped_partials
from splitstrument.corpus.pianos import add_key, with_pedal

KINDS = ("tine", "reed", "fm")
BAR = (1.0, 6.27, 17.55)  # frequencies of a clamped bar's modes
MAX_NOTE_S = 9.0


@dataclass(frozen=True)
class ElectricPiano:
    """One instrument.

    Attributes
    ----------
    decay_s
        60 dB decay of middle C.
    overtone, overtone_s
        Strength and decay of the bar's second mode, or of FM's bell.
    offset, drive
        How far the pickup is off the middle (even harmonics), and how far a full stroke reaches into its curve.
    index
        FM's modulation at full velocity.
    tremolo_hz, tremolo
        Speed and depth of the stereo tremolo; depth 0 for none.
    """

    kind: str
    decay_s: float
    overtone: float
    overtone_s: float
    offset: float
    drive: float
    index: float
    bell: float
    knock: float
    detune: float
    release_s: float
    tremolo_hz: float
    tremolo: float
    seed: int


def draw_electric_piano(rng: np.random.Generator, kind: str) -> ElectricPiano:
    """Draw an instrument of one of `KINDS`."""
    return ElectricPiano(
        kind=kind,
        decay_s=float(rng.uniform(4, 12) if kind != "reed" else rng.uniform(1.5, 4.0)),
        overtone=float(np.exp(rng.uniform(np.log(0.02), np.log(0.4)))),
        overtone_s=float(rng.uniform(0.1, 0.8)),
        offset=float(rng.uniform(0.1, 0.6) if kind == "tine" else rng.uniform(0.3, 0.8)),
        drive=float(rng.uniform(0.5, 2.5) if kind == "tine" else rng.uniform(1.2, 4.0)),
        index=float(rng.uniform(0.6, 2.5)),
        bell=float(rng.choice((7.0, 10.0, 12.0, 14.0, 15.0))),
        knock=float(np.exp(rng.uniform(np.log(0.01), np.log(0.1)))),
        detune=float(rng.uniform(0, 4)),
        release_s=float(rng.uniform(0.08, 0.4)),
        tremolo_hz=float(rng.uniform(3, 7)),
        tremolo=float(rng.uniform(0.2, 0.8)) if rng.random() < 0.4 else 0.0,
        seed=int(rng.integers(2**31)),
    )


def strike(
    piano: ElectricPiano, pitch: int, velocity: int, held_s: float, rate_hz: int, rng: np.random.Generator
) -> np.ndarray:
    """One key struck once, mono, (n_samples,)."""
    force = velocity / 127
    cents = np.random.default_rng((piano.seed, pitch)).normal(0, piano.detune)
    hz = 440.0 * 2 ** ((pitch - 69 + cents / 100) / 12)
    decay_s = piano.decay_s * 2 ** (-(pitch - 60) / 20)
    n_samples = int(min(MAX_NOTE_S, held_s + 3 * piano.release_s, 1.2 * decay_s) * rate_hz) + 1
    make = _fm if piano.kind == "fm" else _bar
    sound = make(piano, hz, force, decay_s, n_samples, rate_hz)
    knock = burst(rng, int(0.03 * rate_hz), rate_hz, 80.0, 800.0)[:n_samples]
    sound[: len(knock)] += np.float32(piano.knock * force * np.sqrt(rate_hz / 1000)) * knock
    return sound


def _bar(piano: ElectricPiano, hz: float, force: float, decay_s: float, n_samples: int, rate_hz: int) -> np.ndarray:
    """A clamped bar before its pickup, which hears its motion through a curve."""
    level = np.array([1.0, piano.overtone * force, 0.4 * piano.overtone * force**2])
    decays = np.array([decay_s, piano.overtone_s, 0.4 * piano.overtone_s])
    motion = damped_partials(hz * np.array(BAR), decays, level, np.full(3, -np.pi / 2), n_samples, rate_hz)
    reach = piano.drive * (0.15 + 0.85 * force)
    heard = (np.tanh(reach * motion + piano.offset) - np.tanh(piano.offset)) * force**0.7 / max(reach, 0.3)
    if piano.kind == "tine":
        return (np.diff(heard, append=heard[-1:]) * rate_hz / (2 * np.pi * hz)).astype(np.float32)
    return effects.high_pass(heard[:, None].astype(np.float32), rate_hz, 40.0)[:, 0]


def _fm(piano: ElectricPiano, hz: float, force: float, decay_s: float, n_samples: int, rate_hz: int) -> np.ndarray:
    """Two pairs of operators; the bell is left out where its sidebands would alias."""
    time_s = np.arange(n_samples, dtype=np.float32) / np.float32(rate_hz)
    phase = np.float32(2 * np.pi * hz) * time_s
    falling = 10 ** (-3 * time_s / np.float32(decay_s))
    body = np.sin(phase + np.float32(piano.index * force) * falling * np.sin(phase)) * falling
    if hz * (piano.bell + 2) > 0.45 * rate_hz:
        return (body * force).astype(np.float32)
    ring = 10 ** (-3 * time_s / np.float32(piano.overtone_s))
    bell = np.sin(phase + np.float32(2 * piano.overtone * force) * ring * np.sin(np.float32(piano.bell) * phase))
    return ((0.7 * body + 0.3 * bell * falling) * force).astype(np.float32)


def render_electric_piano(part: Part, piano: ElectricPiano, rate_hz: int, rng: np.random.Generator) -> Audio:
    """Play a part in stereo; the first sample is time zero. A tremolo swings between the sides."""
    out = np.zeros((int((part.end_s + 2.0) * rate_hz), 2), np.float32)
    for note, until_s in with_pedal(part):
        sound = strike(piano, note.pitch, note.velocity, until_s - note.start_s, rate_hz, rng)
        add_key(out, sound, note, until_s, piano.release_s, (0.7, 0.7), rate_hz)
    if piano.tremolo:
        swing = piano.tremolo * np.sin(2 * np.pi * piano.tremolo_hz * np.arange(len(out)) / rate_hz)
        out *= np.stack([1 + swing, 1 - swing], axis=1).astype(np.float32)
    return effects.floored(out)
