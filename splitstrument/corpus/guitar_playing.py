"""Parts on our guitars: which string plays a note and until when, and how it is plucked, slid to, muted or shaken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from splitstrument.audio import Audio
from splitstrument.corpus.draws import chance, pick
from splitstrument.corpus.guitars import MAX_NOTE_S, OPEN_STRINGS, Guitar, Pluck, pluck
from splitstrument.corpus.midi import Control, Note, Part

FRETS, VARIANTS = 22, 4
MUTE_BELOW_PITCH, MUTE_SHORTER_S = 55, 0.28
SLIDE_GAP_S, SLIDE_INTERVAL = 0.06, 5
WHEEL_SEMITONES = 2.0


def render_guitar(part: Part, guitar: Guitar, rate_hz: int, rng: np.random.Generator) -> Audio:
    """Play a part, mono; the first sample is time zero."""
    out = np.zeros((int((part.end_s + 1.5) * rate_hz), 1), np.float32)
    tuning = np.random.default_rng(guitar.seed).normal(0, guitar.detune / 100, len(OPEN_STRINGS))
    made: dict[Pluck, list[np.ndarray]] = {}
    for note, how, until_s in played(part, guitar, rng):
        tuned = replace(how, pitch=how.pitch + float(tuning[how.string]))
        _add(out, _one_of(made, guitar, tuned, rate_hz, rng), note, until_s, rate_hz)
        if guitar.kind == "twelve":
            course = replace(tuned, pitch=tuned.pitch + (12 if how.string < 4 else 0) + rng.normal(0, 0.03))
            late = replace(note, start_s=note.start_s + float(rng.uniform(0.002, 0.012)))
            _add(out, 0.7 * pluck(guitar, course, rate_hz, rng), late, until_s, rate_hz)
    return out


def _one_of(
    made: dict[Pluck, list[np.ndarray]], guitar: Guitar, how: Pluck, rate_hz: int, rng: np.random.Generator
) -> np.ndarray:
    """A pluck, or one of those made before that is played nearly so: fast picking needs thousands of notes.

    Velocities are rounded to steps of 8 and lengths upwards to eighths of a second.
    """
    how = replace(how, velocity=8 * (how.velocity // 8) + 4, held_s=np.ceil(8 * how.held_s) / 8)
    variants = made.setdefault(how, [])
    if len(variants) < VARIANTS:
        variants.append(pluck(guitar, how, rate_hz, rng))
        return variants[-1].copy()
    return variants[int(rng.integers(VARIANTS))].copy()


def played(part: Part, guitar: Guitar, rng: np.random.Generator) -> list[tuple[Note, Pluck, float]]:
    """Notes with how each is played and when its string stops: at its end, or when the string is needed again."""
    notes = sorted(part.notes, key=lambda note: (note.start_s, note.pitch))
    strings = strings_of(notes)
    nobody = float("inf")
    following = dict.fromkeys(range(len(OPEN_STRINGS)), nobody)
    until = [nobody] * len(notes)
    for index in range(len(notes) - 1, -1, -1):
        until[index] = min(notes[index].end_s, following[strings[index]])
        following[strings[index]] = notes[index].start_s
    wheel = [control for control in part.controls if control.number == -1]
    out = []
    for index, note in enumerate(notes):
        before = notes[index - 1] if index else None
        how = _how(note, before, strings[index], until[index] - note.start_s, wheel, guitar, rng)
        out.append((note, how, until[index]))
    return out


def strings_of(notes: Sequence[Note]) -> list[int]:
    """A string for each note: one that is free, near the hand's place on the neck."""
    busy_until = [0.0] * len(OPEN_STRINGS)
    hand, chosen = 2.0, []
    for note in notes:
        string = min(range(len(OPEN_STRINGS)), key=partial(_cost, note=note, hand=hand, busy_until=busy_until))
        fret = note.pitch - OPEN_STRINGS[string]
        hand = 0.7 * hand + 0.3 * fret if fret > 0 else hand
        busy_until[string] = note.end_s
        chosen.append(string)
    return chosen


def _cost(string: int, note: Note, hand: float, busy_until: Sequence[float]) -> float:
    """How unlikely a note is on a string: one that rings, one out of reach, one far from the hand."""
    fret = note.pitch - OPEN_STRINGS[string]
    taken = 40.0 * (busy_until[string] > note.start_s + 0.02)
    unreachable = 100.0 * (fret > FRETS) + 20.0 * max(0, -fret)
    return taken + unreachable + abs(fret - hand) * (fret > 0)


def _how(
    note: Note,
    before: Note | None,
    string: int,
    held_s: float,
    wheel: list[Control],
    guitar: Guitar,
    rng: np.random.Generator,
) -> Pluck:
    """Draw the articulation of one note."""
    draws = rng.random(4)
    short = held_s < MUTE_SHORTER_S and note.pitch < MUTE_BELOW_PITCH
    bend = tuple(
        (control.time_s - note.start_s, WHEEL_SEMITONES * control.value / 8192)
        for control in wheel
        if note.start_s <= control.time_s < note.end_s
    )
    attack = 1.0
    if not bend and _slides(note, before) and draws[1] < guitar.slide and before:
        attack = 0.45
        bend = ((0.0, float(before.pitch - note.pitch)), (float(rng.uniform(0.03, 0.12)), 0.0))
    elif not bend and held_s > 0.45 and draws[2] < guitar.vibrato and _alone(note, before):
        bend = _vibrato(held_s, rng)
    harmonic = bool(draws[3] < 0.01 and held_s > 0.4 and note.pitch > 60)
    muted = bool(short and draws[0] < guitar.mute)
    return Pluck(note.pitch, note.velocity, string, max(0.05, held_s), muted, harmonic, attack, bend)


def _alone(note: Note, before: Note | None) -> bool:
    return before is None or before.end_s <= note.start_s + 0.1


def _slides(note: Note, before: Note | None) -> bool:
    """Tell whether a note follows its neighbour closely enough to be slid to, hammered on or pulled off."""
    if before is None or not 0 < abs(note.pitch - before.pitch) <= SLIDE_INTERVAL:
        return False
    return abs(note.start_s - before.end_s) < SLIDE_GAP_S and before.start_s < note.start_s - 0.08


def _vibrato(held_s: float, rng: np.random.Generator) -> tuple[tuple[float, float], ...]:
    """A shaken finger: 8 to 40 cents, 4 to 7 times a second, from a quarter of a second on."""
    speed, depth = rng.uniform(4, 7), rng.uniform(0.08, 0.4)
    times = np.arange(0, min(held_s + 0.3, MAX_NOTE_S), 0.02)
    swell = np.clip((times - 0.25) / 0.4, 0, 1)
    return tuple(
        zip(times.tolist(), (swell * depth * 0.5 * (1 - np.cos(2 * np.pi * speed * times))).tolist(), strict=True)
    )


def _add(out: Audio, sound: np.ndarray, note: Note, until_s: float, rate_hz: int) -> None:
    """Add a note; from `until_s` on a finger damps it within 60 ms."""
    start, held = round(note.start_s * rate_hz), max(1, round((until_s - note.start_s) * rate_hz))
    tail = int(0.12 * rate_hz)
    piece = sound[: max(0, min(held + tail, len(out) - start))]
    if len(piece) > held:
        piece[held:] *= np.exp(-np.arange(len(piece) - held) / (0.02 * rate_hz)).astype(np.float32)
    out[start : start + len(piece), 0] += piece


def kind_for(program: int, amplified: bool, rng: np.random.Generator) -> str:
    """Kind of guitar for a General MIDI program."""
    if amplified or program >= 26:
        return "electric" if amplified or not chance(rng, 0.15) else "steel"
    return "nylon" if program == 24 else str(pick(rng, ("steel", "twelve", "nylon"), (0.75, 0.15, 0.1)))
