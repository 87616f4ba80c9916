"""Recorded strums of an acoustic guitar (belofilms, CC-BY-3.0) in the place of synthesized chords.

The set has 25 chords, strummed down and up, several times each; chords that it lacks are its neighbours, played faster
or slower by a semitone or two.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from splitstrument.audio import Audio
from splitstrument.corpus.draws import pick
from splitstrument.corpus.midi import Note, Part
from splitstrument.corpus.recorded import NATURALS, read_moved

QUALITIES = {"major": (0, 4, 7), "minor": (0, 3, 7), "minor7b5": (0, 3, 6)}
NAME = re.compile(r"([A-G])(sharp|flat)? ?(major|minor|minor7b5|minro7b5)(?:_(UP|DOWN))?_\d+$")
CHORD_WINDOW_S = 0.09
FADE_S = 0.02
MAX_SHIFT = 2

Chord = tuple[int, str]
Library = dict[tuple[int, str, str], list[Path]]


def read_library(folder: Path) -> Library:
    """Files by (root, quality, direction); strokes without a direction count as down."""
    library: Library = {}
    for path in sorted(folder.glob("*.flac")):
        match = NAME.match(path.stem)
        if match:
            letter, accidental, quality, direction = match.groups()
            root = (NATURALS[letter] + {"sharp": 1, "flat": -1, None: 0}[accidental]) % 12
            key = (root, quality.replace("minro", "minor"), direction or "DOWN")
            library.setdefault(key, []).append(path)
    return library


def render_strums(part: Part, library: Library, rate_hz: int, rng: np.random.Generator) -> Audio:
    """Play a part's chords with recorded strums, mono; each rings until the next."""
    strokes = [stroke for stroke in map(_stroke, _chords(part)) if stroke]
    out = np.zeros((int((part.end_s + 1.0) * rate_hz), 1), np.float32)
    cache: dict[tuple[Path, int], Audio] = {}
    for index, (start_s, end_s, chord, direction, velocity) in enumerate(strokes):
        found = _choose(library, chord, direction, rng)
        if not found:
            continue
        if found not in cache:
            cache[found] = read_moved(*found, rate_hz)
        until = min(end_s + 0.4, strokes[index + 1][0] if index + 1 < len(strokes) else end_s + 1.0)
        _place(out, cache[found], start_s, until, velocity, rate_hz)
    return out


def chord_of(pitches: list[int]) -> Chord | None:
    """Root and quality of the triad whose tones are all there and which has the lowest root."""
    classes = {pitch % 12 for pitch in pitches}
    for root in dict.fromkeys(pitch % 12 for pitch in sorted(pitches)):
        for quality, intervals in QUALITIES.items():
            if {(root + interval) % 12 for interval in intervals} <= classes:
                return root, quality
    return None


def _chords(part: Part) -> list[list[Note]]:
    ordered = sorted(part.notes, key=lambda note: note.start_s)
    groups: list[list[Note]] = []
    for note in ordered:
        if groups and note.start_s - groups[-1][0].start_s < CHORD_WINDOW_S:
            groups[-1].append(note)
        else:
            groups.append([note])
    return groups


def _stroke(notes: list[Note]) -> tuple[float, float, Chord, str, int] | None:
    chord = chord_of([note.pitch for note in notes])
    if chord is None:
        return None
    direction = "UP" if notes[0].pitch > notes[-1].pitch else "DOWN"
    return notes[0].start_s, max(note.end_s for note in notes), chord, direction, notes[0].velocity


def _choose(library: Library, chord: Chord, direction: str, rng: np.random.Generator) -> tuple[Path, int] | None:
    """A file and the semitones by which it is to be moved."""
    root, quality = chord
    for shift in sorted(range(-MAX_SHIFT, MAX_SHIFT + 1), key=abs):
        files = library.get(((root - shift) % 12, quality, direction))
        if files:
            return pick(rng, files), shift
    return None


def _place(out: Audio, sound: Audio, start_s: float, until_s: float, velocity: int, rate_hz: int) -> None:
    start, fade = round(start_s * rate_hz), round(FADE_S * rate_hz)
    piece = sound[: max(0, min(round((until_s - start_s) * rate_hz) + fade, len(out) - start))].copy()
    if len(piece) > fade:
        piece[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)[:, None]
    out[start : start + len(piece)] += piece * np.float32(velocity / 127)
