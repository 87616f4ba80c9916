"""Pianos of our own, each song its own instrument: struck stiff strings, two or three a key, on a drawn soundboard.

A hammer at a share of the string excites partials by ``sin(k pi strike)``, up to where its contact lasts too long,
which depends on key and velocity (A. Askenfelt, E. Jansson, "From touch to string vibrations", JASA 88(1), 1990).
Strings of a key are slightly apart; their common motion dies quickly and what is left dies slowly, which gives a piano
its double decay (G. Weinreich, "Coupled piano strings", JASA 62(6), 1977). Inharmonicity is least in the bass.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from splitstrument.audio import Audio
from splitstrument.corpus import effects
from splitstrument.corpus.midi import Note, Part
from splitstrument.corpus.partials import burst, damped_partials, stiff_partials

KINDS = ("grand", "upright", "honky_tonk")
MAX_NOTE_S, MOST_PARTIALS = 12.0, 70
UNDAMPED_FROM = 90  # keys above have no dampers
PEDAL, PEDAL_DOWN = 64, 64
DETUNE_CENTS = {"grand": (0.1, 0.8), "upright": (0.3, 2.5), "honky_tonk": (6.0, 16.0)}
LENGTH = {"grand": (0.5, 1.0), "upright": (1.0, 3.0), "honky_tonk": (1.0, 3.0)}  # factor of the inharmonicity


@dataclass(frozen=True)
class Piano:
    """One instrument.

    Attributes
    ----------
    strike
        Where the hammers strike, as a share of the string.
    inharmonicity
        Factor of a medium grand's.
    detune
        Spread of a key's strings in cents; `stretch` is the cents by which the outer octaves are tuned apart.
    hammer_hz, hammer_slope
        Up to where middle C at full velocity is bright, and how much that depends on velocity (an exponent).
    decay_s, high_decay_s
        60 dB decay of middle C's first partial (the quick part) and of partials at 4 kHz.
    after, after_db
        How many times longer the slow part rings, and how loud it begins.
    board_db, board_seed
        Unevenness of the soundboard over frequency.
    knock, width
        Strength of the action's noise; how far low and high keys are apart in stereo, 0 to 1.
    release_s
        Time in which a damper stops a string at middle C.
    """

    kind: str
    strike: float
    inharmonicity: float
    detune: float
    stretch: float
    hammer_hz: float
    hammer_slope: float
    decay_s: float
    high_decay_s: float
    after: float
    after_db: float
    board_db: float
    board_low_hz: float
    board_seed: int
    knock: float
    width: float
    release_s: float
    seed: int


def draw_piano(rng: np.random.Generator, kind: str) -> Piano:
    """Draw an instrument of one of `KINDS`."""
    grand = kind == "grand"
    return Piano(
        kind=kind,
        strike=float(rng.uniform(1 / 9, 1 / 7)),
        inharmonicity=float(rng.uniform(*LENGTH[kind])),
        detune=float(rng.uniform(*DETUNE_CENTS[kind])),
        stretch=float(rng.uniform(0, 12)),
        hammer_hz=float(np.exp(rng.uniform(np.log(900), np.log(4500)))),
        hammer_slope=float(rng.uniform(0.6, 1.6)),
        decay_s=float(rng.uniform(4, 10) if grand else rng.uniform(2.5, 6)),
        high_decay_s=float(np.exp(rng.uniform(np.log(0.25), np.log(1.2)))),
        after=float(rng.uniform(2, 5)),
        after_db=float(rng.uniform(-24, -9)),
        board_db=float(rng.uniform(1, 6)),
        board_low_hz=float(rng.uniform(50, 80) if grand else rng.uniform(70, 130)),
        board_seed=int(rng.integers(2**31)),
        knock=float(np.exp(rng.uniform(np.log(0.02), np.log(0.3)))),
        width=float(rng.uniform(0, 0.8)),
        release_s=float(rng.uniform(0.08, 0.3)),
        seed=int(rng.integers(2**31)),
    )


def inharmonicity_of(piano: Piano, pitch: float) -> float:
    """Coefficient B of a key: falling in the wound bass, rising an octave and a half per decade in the treble."""
    treble = 10 ** ((pitch - 60) / 12 * 0.38 - 3.4)
    bass = 10 ** (-(pitch - 21) / 12 * 0.35 - 3.5)
    return piano.inharmonicity * (treble + bass)


def strings_of(pitch: float) -> int:
    """Strings of a key."""
    return 1 if pitch < 31 else 2 if pitch < 45 else 3


def strike(
    piano: Piano, pitch: int, velocity: int, held_s: float, rate_hz: int, rng: np.random.Generator
) -> np.ndarray:
    """One key struck once, mono, (n_samples,), as long as it is held or rings."""
    force = velocity / 127
    cents = piano.stretch * ((pitch - 60) / 39) ** 3
    hz = 440.0 * 2 ** ((pitch - 69 + cents / 100) / 12)
    k, partial_hz = stiff_partials(hz, inharmonicity_of(piano, pitch), 0.47 * rate_hz, MOST_PARTIALS)
    amplitude = _hammer(piano, pitch, force, k, partial_hz) * _board(piano, partial_hz)
    amplitude *= force**1.7 / np.sqrt(np.sum(amplitude**2) + 1e-12)
    decay_s = _decay_s(piano, pitch, partial_hz)
    longest = decay_s.max() * max(1.0, piano.after * (60 + piano.after_db) / 60)
    n_samples = int(min(MAX_NOTE_S, held_s + 3 * piano.release_s, longest) * rate_hz) + 1
    sound = damped_partials(*_strings(piano, pitch, partial_hz, decay_s, amplitude), n_samples, rate_hz)
    rise = max(2, int(0.0015 * rate_hz * 2 ** ((60 - pitch) / 24)))
    sound[:rise] *= np.hanning(2 * rise)[:rise].astype(np.float32)[: len(sound)]
    knock = burst(rng, int(0.05 * rate_hz), rate_hz, 60.0, 500.0 + 1500.0 * force)[: len(sound)]
    sound[: len(knock)] += np.float32(piano.knock * force**1.3 * np.sqrt(rate_hz / 1000)) * knock
    return sound


def _hammer(piano: Piano, pitch: float, force: float, k: np.ndarray, partial_hz: np.ndarray) -> np.ndarray:
    """Spectrum of the blow: the comb of its place, falling where the felt stays too long on the string."""
    cutoff = piano.hammer_hz * 2 ** ((pitch - 60) / 24) * (0.08 + 0.92 * force**piano.hammer_slope)
    return (np.abs(np.sin(np.pi * k * piano.strike)) + 0.02) / (1 + (partial_hz / cutoff) ** 2)


def _board(piano: Piano, partial_hz: np.ndarray) -> np.ndarray:
    """Loudness of the soundboard: an uneven curve over the logarithm of frequency, weak below its lowest mode."""
    grid = np.linspace(np.log(20), np.log(20_000), 60)
    uneven = np.random.default_rng(piano.board_seed).normal(0, piano.board_db, len(grid))
    low = 1 / np.sqrt(1 + (piano.board_low_hz / partial_hz) ** 4)
    return low * 10 ** (np.interp(np.log(partial_hz), grid, uneven) / 20)


def _decay_s(piano: Piano, pitch: float, partial_hz: np.ndarray) -> np.ndarray:
    """60 dB decay of the quick part: longer in the bass, shorter for high partials."""
    first = piano.decay_s * 2 ** (-(pitch - 60) / 17)
    return 1 / (1 / first + (partial_hz / 4000.0) ** 1.5 / piano.high_decay_s)


def _strings(
    piano: Piano, pitch: float, partial_hz: np.ndarray, decay_s: np.ndarray, amplitude: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Partials of a key's strings, apart by their tuning, and of the slow motion that they are left with.

    What each string gets differs from key to key and stays the same from stroke to stroke, as in an instrument.
    """
    own = np.random.default_rng((piano.seed, int(pitch)))
    count = strings_of(pitch)
    cents = own.normal(0, piano.detune, count)
    cents -= cents.mean()
    slow = 10 ** (piano.after_db / 20)
    hz = [partial_hz * 2 ** (each / 1200) for each in cents]
    level = [amplitude / count] * count
    decays = [decay_s] * count
    hz.append(partial_hz * 2 ** (own.normal(0, piano.detune / 2) / 1200))
    level.append(amplitude * slow * np.exp(own.normal(0, 0.3, len(partial_hz))))
    decays.append(decay_s * piano.after)
    phase = np.zeros((count + 1) * len(partial_hz)) - np.pi / 2
    return np.concatenate(hz), np.concatenate(decays), np.concatenate(level), phase


def render_piano(part: Part, piano: Piano, rate_hz: int, rng: np.random.Generator) -> Audio:
    """Play a part in stereo, low keys to the left; the first sample is time zero. The pedal holds what it should."""
    out = np.zeros((int((part.end_s + 2.5) * rate_hz), 2), np.float32)
    for note, until_s in with_pedal(part):
        sound = strike(piano, note.pitch, note.velocity, until_s - note.start_s, rate_hz, rng)
        place = piano.width * np.clip((note.pitch - 62) / 30, -1, 1)
        angle = (place + 1) * np.pi / 4
        add_key(out, sound, note, until_s, piano.release_s, (np.cos(angle), np.sin(angle)), rate_hz)
    return effects.floored(out)


def with_pedal(part: Part) -> list[tuple[Note, float]]:
    """Notes with the time at which their damper falls: their end, the pedal's, or the next stroke of the same key."""
    pedal = [control for control in part.controls if control.number == PEDAL]
    pressed = [control.time_s for control in pedal if control.value >= PEDAL_DOWN]
    lifted = [control.time_s for control in pedal if control.value < PEDAL_DOWN]
    again: dict[int, float] = {}
    out = []
    for note in sorted(part.notes, key=lambda note: note.start_s, reverse=True):
        until = note.end_s
        held, ups = bisect_right(pressed, until), bisect_right(lifted, until)
        if held and (not ups or lifted[ups - 1] < pressed[held - 1]):
            until = lifted[ups] if ups < len(lifted) else part.end_s
        out.append((note, min(max(until, note.end_s), again.get(note.pitch, float("inf")))))
        again[note.pitch] = note.start_s
    return out[::-1]


def add_key(
    out: Audio,
    sound: np.ndarray,
    note: Note,
    until_s: float,
    release_s: float,
    sides: tuple[float, float],
    rate_hz: int,
) -> None:
    """Add a note to stereo audio; from `until_s` on its damper stops it, faster for higher keys."""
    start, held = round(note.start_s * rate_hz), max(1, round((until_s - note.start_s) * rate_hz))
    piece = sound[: max(0, len(out) - start)].copy()
    if len(piece) > held and note.pitch < UNDAMPED_FROM:
        falling = release_s * 2 ** ((60 - note.pitch) / 24) * rate_hz
        piece[held:] *= 10 ** (-3 * np.arange(len(piece) - held, dtype=np.float32) / np.float32(falling))
    out[start : start + len(piece)] += piece[:, None] * np.array([sides], np.float32)
