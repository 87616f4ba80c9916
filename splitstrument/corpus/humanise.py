"""Human playing of a score: early and late, loud and soft, chords that are strummed, two takes that differ."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import numpy as np

from splitstrument.corpus.midi import Note, Part

CHORD_WINDOW_S = 0.012


def humanised(part: Part, rng: np.random.Generator, timing_s: float = 0.008, velocity: float = 8.0) -> Part:
    """Move notes by a normal draw, after a slow drift that the whole part shares; vary velocities.

    Parameters
    ----------
    timing_s
        Standard deviation of each note's displacement; the drift has about the same.
    velocity
        Standard deviation in MIDI steps.
    """
    if not part.notes:
        return part
    n = len(part.notes)
    drift = _slow_walk(rng, part.end_s) * timing_s
    starts = np.array([note.start_s for note in part.notes])
    shift = rng.normal(0, timing_s, n) + np.interp(starts, np.arange(len(drift)) * 4.0, drift)
    louder = rng.normal(0, velocity, n)
    return replace(part, notes=tuple(_moved(*item) for item in zip(part.notes, shift, louder, strict=True)))


def strummed(part: Part, rng: np.random.Generator, spread_s: tuple[float, float] = (0.006, 0.028)) -> Part:
    """Spread the notes of each chord, low to high or (on about a third of the chords) high to low."""
    notes: list[Note] = []
    ordered = sorted(part.notes, key=lambda note: note.start_s)
    for _, group in groupby(ordered, key=lambda note: round(note.start_s / CHORD_WINDOW_S)):
        chord = sorted(group, key=lambda note: note.pitch)
        if len(chord) > 2:
            step = rng.uniform(*spread_s)
            if rng.random() < 0.35:
                chord.reverse()
            chord = [_moved(note, index * step, 0.0) for index, note in enumerate(chord)]
        notes += chord
    return replace(part, notes=tuple(sorted(notes, key=lambda note: (note.start_s, note.pitch))))


def _slow_walk(rng: np.random.Generator, length_s: float) -> np.ndarray:
    """Values every four seconds with unit spread and memory: a player who drifts, but comes back."""
    steps = rng.normal(0, 1, int(length_s / 4.0) + 2)
    walk = np.zeros(len(steps))
    for index in range(1, len(steps)):
        walk[index] = 0.8 * walk[index - 1] + 0.6 * steps[index]
    return walk


def _moved(note: Note, shift_s: float, louder: float) -> Note:
    start = max(0.0, note.start_s + shift_s)
    end = max(start + 0.03, note.end_s + min(shift_s, 0.0))
    return replace(note, start_s=start, end_s=end, velocity=int(np.clip(note.velocity + louder, 8, 127)))
