"""Scores as notes in seconds: read from MIDI, split into parts, changed, and written part by part.

A part is everything that one channel plays with one program; when the program changes inside a channel, another part
begins. Volume, pan and bank changes are dropped, because level, place and sound are drawn anew for each stem.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, replace
from pathlib import Path

from splitstrument.errors import DatasetError, missing_extra

TICKS_PER_SECOND = 960  # 480 ticks a beat at 120 beats a minute
DRUM_CHANNEL = 9
KEPT_CONTROLLERS = (1, 6, 11, 38, 64, 66, 67, 98, 99, 100, 101)
MAX_SONG_S = 1200.0


@dataclass(frozen=True)
class Note:
    """One note; times in seconds, pitch and velocity as in MIDI."""

    start_s: float
    end_s: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Control:
    """A controller (`number` 0-127) or, with `number` -1, the pitch wheel (-8192 to 8191)."""

    time_s: float
    number: int
    value: int


@dataclass(frozen=True)
class Part:
    """Notes and controls of one player."""

    name: str
    program: int
    is_drums: bool
    notes: tuple[Note, ...]
    controls: tuple[Control, ...] = ()

    @property
    def end_s(self) -> float:
        """End of the last note."""
        return max((note.end_s for note in self.notes), default=0.0)


@dataclass(frozen=True)
class Score:
    """All parts of one song."""

    title: str
    parts: tuple[Part, ...]

    @property
    def end_s(self) -> float:
        """End of the last note of all parts."""
        return max((part.end_s for part in self.parts), default=0.0)


def read_score(source: str | Path | bytes, title: str) -> Score:
    """Read a standard MIDI file.

    Raises
    ------
    DatasetError
        If it is no MIDI file, or holds no notes.
    """
    try:
        import mido
    except ImportError:
        raise missing_extra("reading MIDI", "train") from None
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    try:
        song = mido.MidiFile(file=io.BytesIO(data), clip=True)
        parts = _Splitter(song).parts
    except (OSError, EOFError, ValueError, KeyError, IndexError, mido.KeySignatureError) as error:
        raise DatasetError(f"{title} is no readable MIDI file ({error}): remove it from the folder.") from None
    if not parts:
        raise DatasetError(f"{title} holds no notes: remove it from the folder.")
    return Score(title, parts)


class _Splitter:
    """Sorts the messages of a song into parts by (channel, current program)."""

    def __init__(self, song) -> None:
        self.programs = dict.fromkeys(range(16), 0)
        self.sounding: dict[tuple[int, int], tuple[float, int, int]] = {}
        self.notes: dict[tuple[int, int], list[Note]] = {}
        self.controls: dict[int, list[Control]] = {}
        now = 0.0
        for message in song:
            now = min(now + message.time, MAX_SONG_S)
            if not message.is_meta:
                self._take(message, now)
        for channel, pitch in list(self.sounding):
            self._end(channel, pitch, now)
        self.parts = tuple(self._part(channel, program) for channel, program in sorted(self.notes))

    def _take(self, message, now: float) -> None:
        if message.type == "note_on" and message.velocity:
            self._end(message.channel, message.note, now)
            program = 0 if message.channel == DRUM_CHANNEL else self.programs[message.channel]
            self.sounding[message.channel, message.note] = (now, message.velocity, program)
        elif message.type in ("note_on", "note_off"):
            self._end(message.channel, message.note, now)
        elif message.type == "program_change":
            self.programs[message.channel] = message.program
        elif message.type == "pitchwheel":
            self.controls.setdefault(message.channel, []).append(Control(now, -1, message.pitch))
        elif message.type == "control_change" and message.control in KEPT_CONTROLLERS:
            self.controls.setdefault(message.channel, []).append(Control(now, message.control, message.value))

    def _end(self, channel: int, pitch: int, now: float) -> None:
        started = self.sounding.pop((channel, pitch), None)
        if started:
            start_s, velocity, program = started
            note = Note(start_s, max(now, start_s + 0.02), pitch, velocity)
            self.notes.setdefault((channel, program), []).append(note)

    def _part(self, channel: int, program: int) -> Part:
        notes = tuple(sorted(self.notes[channel, program], key=lambda note: (note.start_s, note.pitch)))
        drums = channel == DRUM_CHANNEL
        name = "drums" if drums else f"channel{channel + 1}_program{program}"
        return Part(name, program, drums, notes, tuple(self.controls.get(channel, ())))


def write_part(part: Part, path: str | Path, program: int, bank: int = 0) -> None:
    """Write one part as a MIDI file of one track that a synthesizer plays with `program` of `bank`.

    The bytes are put together here: checking each message, as libraries do, takes longer than synthesizing it.
    """
    channel = DRUM_CHANNEL if part.is_drums else 0
    events = [(control.time_s, 0, _control_bytes(control, channel)) for control in part.controls]
    for note in part.notes:
        events.append((note.start_s, 2, bytes((0x90 | channel, note.pitch, note.velocity))))
        events.append((note.end_s, 1, bytes((0x80 | channel, note.pitch, 0))))
    events.sort(key=lambda event: event[:2])
    # a bank select would take the drum channel away from the kits
    head = b"" if part.is_drums else b"\0" + bytes((0xB0, 0, bank))
    track = [b"\0\xff\x51\x03", (500_000).to_bytes(3, "big"), head, b"\0", bytes((0xC0 | channel, program))]
    last = 0
    for time_s, _, message in events:
        tick = round(time_s * TICKS_PER_SECOND)
        track += [_variable_length(tick - last), message]
        last = tick
    body = b"".join(track) + b"\0\xff\x2f\0"
    Path(path).write_bytes(struct.pack(">4sIHHH4sI", b"MThd", 6, 0, 1, 480, b"MTrk", len(body)) + body)


def _control_bytes(control: Control, channel: int) -> bytes:
    if control.number < 0:
        wheel = max(0, min(16383, control.value + 8192))
        return bytes((0xE0 | channel, wheel & 127, wheel >> 7))
    return bytes((0xB0 | channel, control.number, control.value))


def _variable_length(value: int) -> bytes:
    """Seven bits a byte, the highest bit set on all but the last, as MIDI writes times."""
    out = [value & 127]
    while value := value >> 7:
        out.append(value & 127 | 128)
    return bytes(reversed(out))


def transposed(score: Score, semitones: int) -> Score:
    """Move all pitched parts by `semitones`; notes that leave the keyboard move back by octaves."""
    if not semitones:
        return score

    def moved(note: Note) -> Note:
        pitch = note.pitch + semitones
        while pitch > 127:
            pitch -= 12
        while pitch < 0:
            pitch += 12
        return replace(note, pitch=pitch)

    parts = (p if p.is_drums else replace(p, notes=tuple(map(moved, p.notes))) for p in score.parts)
    return replace(score, parts=tuple(parts))


def stretched(score: Score, factor: float) -> Score:
    """Make the song `factor` times as long."""
    return replace(score, parts=tuple(_retimed(part, 0.0, MAX_SONG_S, 0.0, factor) for part in score.parts))


def excerpt(score: Score, start_s: float, end_s: float) -> Score:
    """Notes that begin between two times, moved so that the excerpt begins at zero."""
    parts = (_retimed(part, start_s, end_s, start_s, 1.0) for part in score.parts)
    return replace(score, parts=tuple(part for part in parts if part.notes))


def _retimed(part: Part, start_s: float, end_s: float, offset_s: float, factor: float) -> Part:
    notes = tuple(
        replace(note, start_s=(note.start_s - offset_s) * factor, end_s=(min(note.end_s, end_s) - offset_s) * factor)
        for note in part.notes
        if start_s <= note.start_s < end_s
    )
    # controllers before the excerpt still say how its first notes sound
    controls = tuple(
        replace(control, time_s=max(0.0, (control.time_s - offset_s) * factor))
        for control in part.controls
        if control.time_s < end_s
    )
    return replace(part, notes=notes, controls=controls)
