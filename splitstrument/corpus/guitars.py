"""Guitars of our own, each song its own instrument: plucked stiff strings on a drawn body or before a drawn pickup.

A pluck excites a string's partials in proportion to ``sin(k pi pick) / k`` (J. Smith, "Physical Audio Signal
Processing"), as bright as pick and velocity are; an electric pickup hears them through the comb of its place and its
resonance, a wooden body through its modes. Both planes of the string's motion ring, slightly apart and with different
losses, and losses rise with frequency. Around that: the pick's noise, the body's knock, muting palms, bends, harmonics.
`guitar_playing` plays parts on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splitstrument.corpus.partials import NEPERS, burst, damped_partials, resonances, stiff_partials

KINDS = ("nylon", "steel", "twelve", "electric")
OPEN_STRINGS = (40, 45, 50, 55, 59, 64)
MAX_NOTE_S, MOST_PARTIALS = 7.0, 90
# by kind: 60 dB decay of the lowest string's first partial and of 3 kHz, inharmonicity, brightness limit of the pick
DECAY_S = {"nylon": (2.5, 6.0), "steel": (5.0, 12.0), "twelve": (5.0, 10.0), "electric": (7.0, 18.0)}
HIGH_DECAY_S = {"nylon": (0.12, 0.4), "steel": (0.4, 1.6), "twelve": (0.4, 1.2), "electric": (0.5, 2.2)}
STIFFNESS = {"nylon": (5e-6, 5e-5), "steel": (3e-5, 2e-4), "twelve": (3e-5, 2e-4), "electric": (1e-5, 1.2e-4)}
PICK_HZ = {"nylon": (700, 3500), "steel": (1500, 7000), "twelve": (2000, 7000), "electric": (1200, 7000)}


@dataclass(frozen=True)
class Guitar:
    """One instrument with its player.

    Attributes
    ----------
    pick, pick_hz, pick_noise
        Where it is plucked, as a share of the string; up to where a pluck at full velocity is bright; its noise.
    pickup, pickup_hz, pickup_q
        Place of the pickup as a share of the string and the resonance of its coil; `pickup` 0 is none.
    body_hz, body_q, body_gain
        Modes of the wood; none for a solid body.
    decay_s, high_decay_s
        60 dB decay of the low E's first partial, and of partials at 3 kHz.
    inharmonicity
        Of the plain strings at 330 Hz; lower ones have more windings and less.
    planes_hz, planes_ratio
        How far the two planes of vibration are apart, and how much longer the second one rings.
    roughness
        Spread of partials from pluck to pluck, in nepers.
    detune
        Spread of the strings' tuning in cents.
    mute, vibrato, slide
        How likely short low notes are palm-muted, held ones are shaken, and neighbours in a tune are slid to.
    """

    kind: str
    pick: float
    pick_hz: float
    pick_noise: float
    pickup: float
    pickup_hz: float
    pickup_q: float
    body_hz: tuple[float, ...]
    body_q: tuple[float, ...]
    body_gain: tuple[float, ...]
    decay_s: float
    high_decay_s: float
    inharmonicity: float
    planes_hz: float
    planes_ratio: float
    roughness: float
    detune: float
    mute: float
    vibrato: float
    slide: float
    glide_cents: float
    seed: int


@dataclass(frozen=True)
class Pluck:
    """How one note is played; `bend` are pairs of seconds and semitones, `attack` 1 for a pick and less for a slide."""

    pitch: float
    velocity: int
    string: int
    held_s: float
    muted: bool = False
    harmonic: bool = False
    attack: float = 1.0
    bend: tuple[tuple[float, float], ...] = ()


def draw_guitar(rng: np.random.Generator, kind: str) -> Guitar:
    """Draw an instrument of one of `KINDS`."""
    electric = kind == "electric"
    centres, q, gains = ((), (), ()) if electric else _draw_body(rng, kind)
    log_uniform = lambda low, high: float(np.exp(rng.uniform(np.log(low), np.log(high))))  # noqa: E731
    return Guitar(
        kind=kind,
        pick=float(rng.uniform(0.05, 0.4) if kind == "nylon" else rng.uniform(0.04, 0.28)),
        pick_hz=log_uniform(*PICK_HZ[kind]),
        pick_noise=log_uniform(0.01, 0.2),
        pickup=float(rng.uniform(0.03, 0.3)) if electric else 0.0,
        pickup_hz=log_uniform(2000, 6500),
        pickup_q=float(rng.uniform(0.7, 4.0)),
        body_hz=centres,
        body_q=q,
        body_gain=gains,
        decay_s=log_uniform(*DECAY_S[kind]),
        high_decay_s=log_uniform(*HIGH_DECAY_S[kind]),
        inharmonicity=log_uniform(*STIFFNESS[kind]),
        planes_hz=log_uniform(0.03, 0.8),
        planes_ratio=float(rng.uniform(1.2, 3.5)),
        roughness=float(rng.uniform(0.05, 0.35)),
        detune=float(rng.uniform(0.5, 4.0)),
        mute=float(rng.uniform(0.3, 1.0)) if electric else float(rng.uniform(0, 0.2)),
        vibrato=float(rng.uniform(0, 0.8)),
        slide=float(rng.uniform(0, 0.4)),
        glide_cents=log_uniform(0.3, 12.0),
        seed=int(rng.integers(2**31)),
    )


def _draw_body(rng: np.random.Generator, kind: str) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Modes of a wooden box: air near 100 Hz, top near 200, and some thirty above, denser and weaker."""
    size = rng.uniform(0.85, 1.2)
    centres = [rng.uniform(92, 118) * size, rng.uniform(170, 225) * size]
    centres += list(np.sort(np.exp(rng.uniform(np.log(280), np.log(5500), 30))) * size)
    q = [rng.uniform(8, 25), rng.uniform(10, 30), *rng.uniform(6, 40, 30)]
    tilt = rng.uniform(0.1, 0.5)
    gains = [rng.uniform(0.6, 1.6), rng.uniform(0.8, 2.0)]
    gains += [abs(rng.normal(0.9, 0.5)) * (300 / hz) ** tilt for hz in centres[2:]]
    signs = rng.choice((-1.0, 1.0), len(gains))
    return tuple(map(float, centres)), tuple(map(float, q)), tuple(map(float, signs * gains))


def pluck(guitar: Guitar, how: Pluck, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """One note, (n_samples,) with a peak of about its strength, from the moment of the pluck until it has died."""
    strength = (how.velocity / 127) ** 1.4
    hz = 440.0 * 2 ** ((how.pitch - 69) / 12)
    k, partial_hz = stiff_partials(hz, _inharmonicity(guitar, how), 0.47 * rate_hz, MOST_PARTIALS)
    amplitude = _excitation(guitar, how, k, partial_hz) * np.exp(rng.normal(0, guitar.roughness, len(k)))
    response = _heard(guitar, k, partial_hz)
    amplitude = amplitude * np.abs(response)
    amplitude *= how.attack * strength / np.sqrt(np.sum(amplitude**2) + 1e-12)
    decay_s = _decay_s(guitar, how, partial_hz)
    n_samples = max(1, int(min(MAX_NOTE_S, how.held_s + 0.3, 1.2 * decay_s.max()) * rate_hz))
    second = rng.uniform(0.2, 0.7)
    apart = guitar.planes_hz * rng.uniform(0.5, 1.5) * np.sqrt(partial_hz / hz)
    sound = damped_partials(
        np.concatenate([partial_hz, partial_hz + apart]),
        np.concatenate([decay_s, decay_s * (1 if how.muted else guitar.planes_ratio)]),
        np.concatenate([amplitude * (1 - second), amplitude * second]),
        np.tile(np.angle(response) - np.pi / 2, 2),
        n_samples,
        rate_hz,
    )
    sound = _bent(sound, _pitch_curve(guitar, how, strength, n_samples, rate_hz), rate_hz)
    return _with_attack(sound, guitar, how, strength, rate_hz, rng)


def _inharmonicity(guitar: Guitar, how: Pluck) -> float:
    """Stiffer for plain strings and on higher frets (a shorter string), less for wound ones."""
    wound = 0.35 if how.string < 3 else 1.0
    fret = max(0.0, how.pitch - OPEN_STRINGS[how.string])
    return guitar.inharmonicity * wound * 2 ** (fret / 6)


def _excitation(guitar: Guitar, how: Pluck, k: np.ndarray, partial_hz: np.ndarray) -> np.ndarray:
    """How strongly a pluck moves each partial: the comb of its place, as bright as pick and velocity are."""
    if how.harmonic:
        return np.exp(-1.2 * (k - 1.0))
    comb = np.abs(np.sin(np.pi * k * guitar.pick)) + 0.03
    cutoff = guitar.pick_hz * (0.35 + 0.65 * how.velocity / 127) * (0.35 if how.muted else 1.0)
    return comb / k / (1 + (partial_hz / cutoff) ** 2)


def _heard(guitar: Guitar, k: np.ndarray, partial_hz: np.ndarray) -> np.ndarray:
    """Complex response of what stands between the string and the listener."""
    if guitar.pickup:
        ratio = partial_hz / guitar.pickup_hz
        coil = 1 / (1 - ratio**2 + 1j * ratio / guitar.pickup_q)
        return k**0.5 * (np.abs(np.sin(np.pi * k * guitar.pickup)) + 0.02) * coil
    modes = resonances(partial_hz, *map(np.asarray, (guitar.body_hz, guitar.body_q, guitar.body_gain)))
    return 0.25 + modes


def _decay_s(guitar: Guitar, how: Pluck, partial_hz: np.ndarray) -> np.ndarray:
    """60 dB decay times: a constant loss and one that grows with the frequency squared; a palm adds a large one."""
    low, high = NEPERS / guitar.decay_s, NEPERS / guitar.high_decay_s
    shorter = (partial_hz[0] / 82.4) ** 0.4
    losses = low * shorter + max(high - low, 0.1) * (partial_hz / 3000.0) ** 2 * 0.9 + 0.1 * high * partial_hz / 3000.0
    if how.muted:
        losses = losses + NEPERS / 0.28 * (1 + (partial_hz / 900.0))
    return NEPERS / losses


def _pitch_curve(guitar: Guitar, how: Pluck, strength: float, n_samples: int, rate_hz: int) -> np.ndarray | None:
    """Semitones above the note for each sample: the bend asked for, and the sharp start of a hard pluck."""
    glide = guitar.glide_cents * strength**2 * how.attack
    if not how.bend and glide < 1.0:
        return None
    time_s = np.arange(n_samples) / rate_hz
    curve = 0.01 * glide * np.exp(-time_s / 0.08)
    if how.bend:
        times, semitones = zip(*how.bend, strict=True)
        curve = curve + np.interp(time_s, times, semitones)
    return curve


def _bent(sound: np.ndarray, curve: np.ndarray | None, rate_hz: int) -> np.ndarray:
    """The sound played faster or slower, sample by sample."""
    if curve is None:
        return sound
    position = np.cumsum(2 ** (curve / 12)) - 1
    return np.interp(position, np.arange(len(sound)), sound, right=0.0).astype(np.float32)


def _with_attack(
    sound: np.ndarray, guitar: Guitar, how: Pluck, strength: float, rate_hz: int, rng: np.random.Generator
) -> np.ndarray:
    """Add the pick's noise before the note and the knock of the body; a soft start of a millisecond."""
    rise = max(2, int(0.0008 * rate_hz))
    sound[:rise] *= np.linspace(0, 1, rise, dtype=np.float32)[: len(sound)]
    level = guitar.pick_noise * strength * how.attack * rng.uniform(0.5, 1.5)
    noise = burst(rng, int(rng.uniform(0.004, 0.02) * rate_hz), rate_hz, 900.0, 0.6 * guitar.pick_hz + 1500.0)
    size = min(len(noise), len(sound))
    sound[:size] += np.float32(level * np.sqrt(rate_hz / 2000)) * noise[:size]
    if guitar.body_hz:
        knock = damped_partials(
            np.array(guitar.body_hz),
            NEPERS * np.array(guitar.body_q) / (np.pi * np.array(guitar.body_hz)),
            0.02 * level / guitar.pick_noise * np.array(guitar.body_gain),
            np.zeros(len(guitar.body_hz)),
            min(len(sound), int(0.35 * rate_hz)),
            rate_hz,
        )
        sound[: len(knock)] += knock
    return sound
