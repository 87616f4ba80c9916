"""Recorded notes, a file for each, in the place of a bank's: a pitch is the nearest recording, played at another speed.

What it leaves out: the pitch wheel, and other strokes for other velocities, which these sets do not have.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from splitstrument import audio
from splitstrument.audio import Audio
from splitstrument.corpus.catalogue import Bank, bank_path
from splitstrument.corpus.midi import Note, Part
from splitstrument.errors import DatasetError

NAME = re.compile(r"(?:.*\.)?([A-G])([#sb]?)(-?\d)(?:v\d+)?$")
SUFFIXES = (".mp3", ".ogg", ".flac", ".wav")
NATURALS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}  # semitones above C
PEDAL, PEDAL_DOWN = 64, 64  # MIDI's number of the controller, and the value from which it is down
AUDIBLE = 0.02  # of the peak: where a recording begins
RELEASE_S = (0.06, 0.25)
SOFTER = 1.5  # exponent from velocity to amplitude

Library = dict[int, Path]


def library_of(bank: Bank, root: Path) -> Library:
    """Recordings of a bank, by its list of keys or by their names."""
    folder = bank_path(root, bank)
    return {pitch: folder / name for name, pitch in bank.keys} if bank.keys else read_library(folder)


def read_library(folder: Path) -> Library:
    """Recordings by MIDI pitch, from names such as ``Cs4.mp3``, ``D#1v8.mp3`` or ``Piano.ff.Bb3.flac``.

    Raises
    ------
    DatasetError
        If no file has such a name.
    """
    library: Library = {}
    for path in sorted(path for path in folder.glob("*") if path.suffix in SUFFIXES):
        match = NAME.match(path.stem)
        if match:
            letter, accidental, octave = match.groups()
            shift = {"": 0, "b": -1}.get(accidental, 1)
            library[12 * (int(octave) + 1) + NATURALS[letter] + shift] = path  # C4 is MIDI's 60
    if not library:
        raise DatasetError(f"{folder} holds no recorded notes: expected files such as Cs4.mp3.")
    return library


def render_notes(
    part: Part, library: Library, rate_hz: int, rng: np.random.Generator, attack: float = AUDIBLE
) -> Audio:
    """Play a part with recorded notes, mono at `rate_hz`; the first sample is time zero.

    `attack` is the share of its peak at which a recording's note begins.
    """
    release_s = float(rng.uniform(*RELEASE_S))
    pedal = [control for control in part.controls if control.number == PEDAL]
    pressed_s = [control.time_s for control in pedal if control.value >= PEDAL_DOWN]
    lifted_s = [control.time_s for control in pedal if control.value < PEDAL_DOWN]
    out = np.zeros((int((part.end_s + 4.0) * rate_hz), 1), np.float32)
    cache: dict[int, Audio] = {}
    for note in part.notes:
        if note.pitch not in cache:
            cache[note.pitch] = _nearest(library, note.pitch, rate_hz, attack)
        _place(out, cache[note.pitch], note, _end_s(note, pressed_s, lifted_s), release_s, rate_hz)
    return out


def render_layers(part: Part, layers: Mapping[int, Library], rate_hz: int, rng: np.random.Generator) -> Audio:
    """Play a part with notes that were recorded at several strengths, mono at `rate_hz`.

    Each note takes the layer whose velocity (a key of `layers`) is nearest, at that recording's own level.
    """
    out = np.zeros((int((part.end_s + 4.0) * rate_hz), 1), np.float32)
    chosen = [min(layers, key=lambda velocity: abs(velocity - note.velocity)) for note in part.notes]
    seed = int(rng.integers(2**31))
    for velocity, library in layers.items():
        notes = tuple(
            replace(note, velocity=min(127, round(127 * note.velocity / velocity)))
            for note, nearest in zip(part.notes, chosen, strict=True)
            if nearest == velocity
        )
        if notes:
            sound = render_notes(replace(part, notes=notes), library, rate_hz, np.random.default_rng(seed))
            out[: len(sound)] += sound
    return out


def read_moved(path: Path, semitones: int, rate_hz: int, attack: float = AUDIBLE) -> Audio:
    """Read a recording from its attack on, mono at `rate_hz`, played faster or slower by some semitones."""
    sound, rate = audio.read(path, mono=True)
    sound = audio.resample(sound, round(rate * 2 ** (semitones / 12)), rate_hz)
    heard = np.flatnonzero(np.abs(sound[:, 0]) > attack * np.abs(sound).max())
    return sound[max(0, int(heard[0]) - rate_hz // 500) :] if len(heard) else sound


def _nearest(library: Library, pitch: int, rate_hz: int, attack: float) -> Audio:
    """The nearest recording, moved to `pitch`."""
    nearest = min(library, key=lambda recorded: abs(recorded - pitch))
    return read_moved(library[nearest], pitch - nearest, rate_hz, attack)


def _end_s(note: Note, pressed_s: list[float], lifted_s: list[float]) -> float:
    """Return when a note is damped: at its end, or when the pedal is lifted that was down at its end."""
    held = bisect_right(pressed_s, note.end_s)
    following = bisect_right(lifted_s, note.end_s)
    is_down = held and (not following or lifted_s[following - 1] < pressed_s[held - 1])
    return lifted_s[following] if is_down and following < len(lifted_s) else note.end_s


def _place(out: Audio, sound: Audio, note: Note, end_s: float, release_s: float, rate_hz: int) -> None:
    """Add one note, fading from `end_s` on."""
    start, release = round(note.start_s * rate_hz), round(release_s * rate_hz)
    held = max(1, round((end_s - note.start_s) * rate_hz))
    piece = sound[: max(0, min(held + release, len(out) - start))] * np.float32((note.velocity / 127) ** SOFTER)
    if len(piece) > held:
        piece[held:] *= np.linspace(1, 0, release, dtype=np.float32)[: len(piece) - held, None]
    out[start : start + len(piece)] += piece
