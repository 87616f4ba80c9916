"""Chord charts of our own: keys, modes, sections that come back, progressions that a band would play."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splitstrument.corpus.draws import chance, pick

NOTE_NAMES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MODES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
}
MODE_WEIGHTS = (0.4, 0.33, 0.1, 0.12, 0.05)
# scale degrees from 0; common in pop, rock, folk and jazz
PROGRESSIONS = (
    (0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (0, 3, 4, 3), (0, 3, 0, 4), (0, 0, 3, 4), (1, 4, 0, 0), (0, 5, 1, 4),
    (0, 2, 3, 4), (0, 6, 3, 0), (0, 6, 5, 6), (0, 5, 6, 0), (0, 2, 5, 3), (3, 4, 2, 5), (0, 4, 3, 3), (0, 1, 3, 0),
)  # fmt: skip
FORMS = ("iABABCBe", "iAABABe", "iABABBe", "ABABCABe", "iAABBe", "iABCABe")
MAX_BARS = 150


@dataclass(frozen=True)
class Chord:
    """Root as a pitch class 0-11, the intervals above it in semitones, and the name that MMA understands."""

    root: int
    intervals: tuple[int, ...]
    name: str


@dataclass(frozen=True)
class Section:
    """Bars of one letter of the form: ``i`` opening, ``A`` verse, ``B`` chorus, ``C`` bridge, ``e`` end."""

    letter: str
    chords: tuple[Chord, ...]


@dataclass(frozen=True)
class Chart:
    """A song's harmony, one chord a bar."""

    title: str
    key: int
    mode: str
    tempo: float
    sections: tuple[Section, ...]

    @property
    def n_bars(self) -> int:
        """Bars of the whole song."""
        return sum(len(section.chords) for section in self.sections)

    def bars(self) -> list[tuple[str, Chord]]:
        """(letter, chord) of every bar in order."""
        return [(section.letter, chord) for section in self.sections for chord in section.chords]


def compose_chart(title: str, rng: np.random.Generator, length_s: float, sevenths: float = 0.15) -> Chart:
    """Compose a chart of about `length_s` (counted with four beats a bar)."""
    mode = pick(rng, list(MODES), MODE_WEIGHTS)
    key, tempo = int(rng.integers(12)), float(np.round(rng.triangular(66, 112, 178)))
    with_sevenths = sevenths if chance(rng, 0.5) else 0.0
    progressions = {letter: pick(rng, PROGRESSIONS) for letter in "ABC"}
    form = pick(rng, FORMS)
    n_main = min(MAX_BARS, length_s * tempo / 240) / sum(letter.isupper() for letter in form)
    n_section = max(4, 4 * round(n_main / 4))
    sections = []
    for letter in form:
        n_bars = n_section if letter.isupper() else (4 if letter == "i" else 2)
        degrees = progressions.get(letter, progressions["A"])
        chords = [_chord(key, mode, degrees[bar % 4], chance(rng, with_sevenths)) for bar in range(n_bars)]
        if letter == "e":
            chords[-1] = _chord(key, mode, 0, False)
        sections.append(Section(letter, tuple(chords)))
    return Chart(title, key, mode, tempo, tuple(sections))


def _chord(key: int, mode: str, degree: int, seventh: bool) -> Chord:
    """The chord that a mode has on one of its degrees."""
    scale = MODES[mode]
    tones = [scale[(degree + step) % 7] + 12 * ((degree + step) // 7) for step in (0, 2, 4, 6)]
    root, third, fifth, seventh_tone = tones
    intervals = (third - root, fifth - root, seventh_tone - root)
    triad = {(4, 7): "", (3, 7): "m", (3, 6): "dim", (4, 8): "aug"}[intervals[:2]]
    pitch_class = (key + root) % 12
    suffix = {("", 10): "7", ("", 11): "M7", ("m", 10): "m7", ("dim", 10): "m7b5"}.get((triad, intervals[2]), "")
    if seventh and suffix:
        return Chord(pitch_class, (0, *intervals), NOTE_NAMES[pitch_class] + suffix)
    return Chord(pitch_class, (0, *intervals[:2]), NOTE_NAMES[pitch_class] + triad)
