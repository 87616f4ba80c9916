"""Parts of our own over a chart: what MMA's library lacks, above all the guitars of rock.

Each function gives a `Part`; a bar has `beats` beats of `beat_s` seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from splitstrument.corpus.charts import MODES, Chart, Chord
from splitstrument.corpus.draws import chance, pick
from splitstrument.corpus.midi import Control, Note, Part

PENTATONIC = {True: (0, 2, 4, 7, 9), False: (0, 3, 5, 7, 10)}
# eighths of a bar: x accented and ringing, p palm-muted, - held, . silent
RIFFS = ("x-pp-pp-", "xpppxppp", "ppppppxx", "x---x---", "x-px-px-", "pp-ppp-x", "x-x-x-x-", "x.x.xx.x", "x-------")
STRUMS = ("D-DU-UDU", "D-D-D-DU", "D---D-DU", "D-DUD-DU", "D-UD-UD-", "D-------", "DUDUDUDU", "..D-..D-")
E2, C4 = 40, 60


@dataclass(frozen=True)
class Grid:
    """Times of the bars, and which of them a part plays."""

    chart: Chart
    beats: int
    offset_s: float = 0.0

    @property
    def beat_s(self) -> float:
        """Seconds of a beat."""
        return 60.0 / self.chart.tempo

    def bar_s(self, index: int) -> float:
        """Return the start of a bar."""
        return self.offset_s + index * self.beats * self.beat_s

    def sounding(self, letters: str) -> list[tuple[int, Chord]]:
        """(index, chord) of the bars in sections with these letters."""
        return [(i, chord) for i, (letter, chord) in enumerate(self.chart.bars()) if letter in letters]


def power_chords(grid: Grid, letters: str, rng: np.random.Generator) -> Part:
    """Rock's rhythm guitar: root, fifth and octave in the low register, palm-muted between the accents."""
    riff = {letter: pick(rng, RIFFS) for letter in "iABCe"}
    notes: list[Note] = []
    for index, chord in grid.sounding(letters):
        root = E2 + (chord.root - E2) % 12
        letter = grid.chart.bars()[index][0]
        for start, length, mark in _strokes(riff[letter], grid, index):
            if mark == "p":
                notes.append(Note(start, start + 0.4 * length, root, int(rng.integers(70, 95))))
                continue
            for pitch in (root, root + 7, root + 12)[: 3 if mark == "x" else 2]:
                notes.append(Note(start, start + 0.95 * length, pitch, int(rng.integers(95, 122))))
    return Part("power_chords", 30, False, tuple(notes))


def strummed_chords(grid: Grid, letters: str, rng: np.random.Generator) -> Part:
    """Open chords, strummed down and up."""
    pattern = pick(rng, STRUMS)
    notes: list[Note] = []
    for index, chord in grid.sounding(letters):
        voicing = guitar_voicing(chord)
        for start, length, mark in _strokes(pattern, grid, index):
            chosen = voicing if mark == "D" else voicing[-4:]
            for order, pitch in enumerate(chosen if mark == "D" else chosen[::-1]):
                at = start + order * 0.009
                velocity = int(rng.integers(75, 110) - (12 if mark == "U" else 0))
                notes.append(Note(at, start + max(0.1, 0.98 * length), pitch, velocity))
    return Part("strums", 25, False, tuple(notes))


def arpeggio(grid: Grid, letters: str, rng: np.random.Generator, lowest: int = E2 + 5, program: int = 27) -> Part:
    """Broken chords in eighths, each note ringing into the next."""
    order = pick(
        rng, ((0, 1, 2, 3, 2, 1, 2, 1), (0, 2, 1, 3, 1, 2, 1, 2), (0, 1, 2, 1, 3, 2, 1, 2), (3, 2, 1, 0, 1, 2, 3, 2))
    )
    notes: list[Note] = []
    for index, chord in grid.sounding(letters):
        voicing = close_voicing(chord, lowest, 4)
        for step in range(2 * grid.beats):
            start = grid.bar_s(index) + step * grid.beat_s / 2
            pitch = voicing[order[step % 8] % len(voicing)]
            notes.append(Note(start, start + 1.6 * grid.beat_s, pitch, int(rng.integers(70, 105))))
    return Part("arpeggio", program, False, tuple(notes))


def piano_chords(grid: Grid, letters: str, rng: np.random.Generator) -> Part:
    """Left hand roots and octaves, right hand chords in a rhythm."""
    rhythm = pick(rng, ("x---x---", "x-x-x-x-", "x--x--x-", "xxxxxxxx", "x-------", "..x-..x-", "x-xx-xx-"))
    notes: list[Note] = []
    controls: list[Control] = []
    pedal = chance(rng, 0.6)
    for index, chord in grid.sounding(letters):
        bar = grid.bar_s(index)
        bass = 36 + (chord.root - 36) % 12
        for beat in range(0, grid.beats, int(pick(rng, (1, 2, 2, 4)))):
            start = bar + beat * grid.beat_s
            notes.append(Note(start, start + 0.9 * grid.beat_s, bass + 12 * (beat % 2), int(rng.integers(65, 95))))
        for start, length, _ in _strokes(rhythm, grid, index):
            for pitch in close_voicing(chord, 55, 4)[1:]:
                notes.append(Note(start, start + 0.9 * length, pitch, int(rng.integers(60, 100))))
        if pedal:
            controls += [Control(bar, 64, 0), Control(bar + 0.05, 64, 127)]
    return Part("piano_chords", 0, False, tuple(notes), tuple(controls))


def melody(grid: Grid, letters: str, rng: np.random.Generator, lowest: int, program: int, bends: bool = False) -> Part:
    """A tune: phrases of two bars with rests, steps along the pentatonic scale, chord tones on the first beat."""
    scale = [(grid.chart.key + step) % 12 for step in PENTATONIC[4 in MODES[grid.chart.mode]]]
    pitches = [pitch for pitch in range(lowest, lowest + 22) if pitch % 12 in scale]
    place, notes, controls = len(pitches) // 2, [], []
    for index, chord in grid.sounding(letters):
        step = 0.0
        while step < grid.beats - 0.01:
            length = float(pick(rng, (0.5, 1.0, 1.5, 2.0, 0.25), (5, 4, 1, 2, 1.5 if bends else 0.3)))
            length = min(length, grid.beats - step)
            resting = chance(rng, 0.55 if index % 2 and step >= 2 else 0.08)
            place = int(np.clip(place + pick(rng, (-2, -1, -1, 0, 1, 1, 2)), 0, len(pitches) - 1))
            pitch = pitches[place]
            if step == 0:
                pitch = min(close_voicing(chord, pitch - 6, 3), key=lambda tone: abs(tone - pitch))
            start = grid.bar_s(index) + step * grid.beat_s
            if not resting:
                notes.append(Note(start, start + 0.93 * length * grid.beat_s, pitch, int(rng.integers(80, 118))))
                if bends and length >= 1 and chance(rng, 0.6):
                    controls += _bend(start, length * grid.beat_s, rng)
            step += length
    return Part("melody", program, False, tuple(notes), tuple(controls))


def rock_drums(grid: Grid, letters: str, rng: np.random.Generator) -> Part:
    """Kick, snare, hi-hat or ride in eighths, a crash at the start of a section, fills before the next."""
    kick = pick(rng, ("x---x---", "x--x----", "x-x-x---", "x---x-x-", "xx-xx-xx"))
    cymbal = int(pick(rng, (42, 42, 46, 51)))
    notes: list[Note] = []

    def hit(at: float, pitch: int, low: int, high: int) -> None:
        notes.append(Note(at, at + 0.1, pitch, int(rng.integers(low, high))))

    letters_of = [letter for letter, _ in grid.chart.bars()]
    for index, _ in grid.sounding(letters):
        last = index + 1 >= len(letters_of) or letters_of[index + 1] != letters_of[index]
        for step in range(2 * grid.beats):
            at = grid.bar_s(index) + step * grid.beat_s / 2
            if last and step >= grid.beats and chance(rng, 0.8):
                hit(at, int(pick(rng, (38, 45, 47, 50, 41))), 85, 120)
                continue
            hit(at, cymbal, 60, 95)
            if kick[step % 8] == "x":
                hit(at, 36, 95, 122)
            if step % 4 == 2:
                hit(at, 38, 95, 124)
        if index and letters_of[index] != letters_of[index - 1]:
            hit(grid.bar_s(index), 49, 100, 124)
    return Part("rock_drums", 0, True, tuple(notes))


def root_bass(grid: Grid, letters: str, rng: np.random.Generator) -> Part:
    """Eighths on the root, with octaves and fifths."""
    rhythm = pick(rng, ("xxxxxxxx", "x-x-x-x-", "x--xx---", "x-xx-xx-"))
    notes: list[Note] = []
    for index, chord in grid.sounding(letters):
        root = 28 + (chord.root - 28) % 12
        for start, length, _ in _strokes(rhythm, grid, index):
            pitch = root + int(pick(rng, (0, 0, 0, 0, 7, 12)))
            notes.append(Note(start, start + 0.9 * length, pitch, int(rng.integers(85, 115))))
    return Part("root_bass", 33, False, tuple(notes))


def pad(grid: Grid, letters: str, rng: np.random.Generator) -> Part:
    """Held chords, for strings, organs and synthesizers."""
    notes = []
    for index, chord in grid.sounding(letters):
        start = grid.bar_s(index)
        for pitch in close_voicing(chord, 52, 4):
            notes.append(Note(start, start + grid.beats * grid.beat_s * 0.99, pitch, int(rng.integers(60, 90))))
    return Part("pad", int(pick(rng, (16, 18, 48, 49, 50, 52, 61, 81, 88, 89, 91))), False, tuple(notes))


def close_voicing(chord: Chord, lowest: int, n_notes: int) -> list[int]:
    """Chord tones upwards from the first root at or above `lowest`."""
    root = lowest + (chord.root - lowest) % 12
    return [root + chord.intervals[i % len(chord.intervals)] + 12 * (i // len(chord.intervals)) for i in range(n_notes)]


def guitar_voicing(chord: Chord) -> list[int]:
    """Six strings in standard tuning, each at its lowest fret (up to the fourth) that is a chord tone."""
    tones = {(chord.root + interval) % 12 for interval in chord.intervals}
    voicing = []
    for string in (40, 45, 50, 55, 59, 64):
        fret = next((fret for fret in range(5) if (string + fret) % 12 in tones), None)
        if fret is not None:
            voicing.append(string + fret)
    return voicing


def _strokes(pattern: str, grid: Grid, index: int) -> list[tuple[float, float, str]]:
    """(start, length, mark) of a bar's strokes; a pattern of eight eighths is cut or repeated to the bar."""
    eighths = (pattern * 2)[: 2 * grid.beats]
    strokes = []
    for step, mark in enumerate(eighths):
        if mark in ".-":
            continue
        held = 1 + len(eighths[step + 1 :]) - len(eighths[step + 1 :].lstrip("-"))
        strokes.append((grid.bar_s(index) + step * grid.beat_s / 2, held * grid.beat_s / 2, mark))
    return strokes


def _bend(start_s: float, length_s: float, rng: np.random.Generator) -> list[Control]:
    """Up to a whole tone from below, or a vibrato; the wheel is centred again at the end."""
    shape: Callable[[float], float]
    if chance(rng, 0.5):
        shape = lambda x: -8191 * max(0.0, 1 - x / 0.25)  # noqa: E731
    else:
        speed, depth = rng.uniform(4.5, 6.5), rng.uniform(500, 1600)
        shape = lambda x: depth * min(1.0, 2 * x) * np.sin(2 * np.pi * speed * x * length_s)  # noqa: E731
    count = max(4, int(length_s * 50))
    bend = [Control(start_s + i / count * length_s * 0.95, -1, int(shape(i / count))) for i in range(count)]
    return [*bend, Control(start_s + length_s * 0.96, -1, 0)]
