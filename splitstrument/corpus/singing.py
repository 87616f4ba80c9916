"""Voices that sing: recorded speech analysed by WORLD and resynthesized on a melody.

Each note takes the next syllable of a speaker: its consonant keeps its length, its vowel is held as long as the note,
its pitch follows the melody with slides and vibrato. WORLD is M. Morise, F. Yokomori, K. Ozawa, "WORLD: A Vocoder-Based
High-Quality Speech Synthesis System", IEICE Trans. E99-D(7), 2016; pyworld is its Python binding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from splitstrument.audio import Audio
from splitstrument.corpus.draws import pick
from splitstrument.corpus.midi import Note, Part
from splitstrument.corpus.speech import RATE_HZ, decode
from splitstrument.errors import DatasetError, missing_extra

FRAME_S = 0.005
CLIPS, MOST_S = 10, 6.0  # how much of a speaker one song hears
CONSONANT_S, SHORTEST_VOWEL_S, PHRASE_GAP_S, GLIDE_S = 0.07, 0.06, 0.25, 0.06
THROAT = (0.88, 1.15)


@dataclass(frozen=True)
class Syllable:
    """Frames of one syllable: aperiodicity and spectral envelope (n_frames, n_bins), and where its vowel begins."""

    spectrum: np.ndarray
    noise: np.ndarray
    vowel: int


def world():
    """The module pyworld.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        import pyworld
    except ImportError:
        raise missing_extra("Singing (pyworld)", "train") from None
    return pyworld


def syllables_of(sound: np.ndarray) -> tuple[list[Syllable], float]:
    """Syllables of mono speech at `RATE_HZ`, and the median pitch in Hz (0 without any voice)."""
    pyworld = world()
    sound = np.ascontiguousarray(sound, np.float64)
    pitch, time = pyworld.dio(sound, RATE_HZ, frame_period=1000 * FRAME_S)
    pitch = pyworld.stonemask(sound, pitch, time, RATE_HZ)
    spectrum = pyworld.cheaptrick(sound, pitch, time, RATE_HZ)
    noise = pyworld.d4c(sound, pitch, time, RATE_HZ)
    found = []
    last_end = 0
    for start, end in _voiced(pitch > 0):
        first = max(last_end, start - round(CONSONANT_S / FRAME_S))
        found.append(Syllable(spectrum[first:end], noise[first:end], start - first))
        last_end = end
    return found, float(np.median(pitch[pitch > 0])) if (pitch > 0).any() else 0.0


def _voiced(is_voiced: np.ndarray) -> Iterator[tuple[int, int]]:
    """Runs of voiced frames that are long enough for a vowel; long ones are cut into syllables of 0.3 s."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_voiced.astype(int), [0]])))
    shortest, usual = round(SHORTEST_VOWEL_S / FRAME_S), round(0.3 / FRAME_S)
    for start, end in edges.reshape(-1, 2):
        pieces = max(1, round((end - start) / usual))
        cuts = np.linspace(start, end, pieces + 1).astype(int)
        yield from ((int(a), int(b)) for a, b in pairwise(cuts) if b - a >= shortest)


def render_singing(part: Part, clips: Sequence[Path], rng: np.random.Generator) -> Audio:
    """Sing a part's notes one at a time, mono at `RATE_HZ`; octaves are those of the speaker.

    Raises
    ------
    DatasetError
        If no clip has a voice.
    """
    voice, spoken_hz = _voice(clips, rng)
    throat, melody = rng.uniform(*THROAT), one_at_a_time(part.notes)
    usual = float(np.median([note.pitch for note in melody])) if melody else 60.0
    octaves = 12 * round((69 + 12 * np.log2(spoken_hz / 440) + 3 - usual) / 12)
    out = np.zeros((round((part.end_s + 0.6) * RATE_HZ), 1), np.float32)
    place = int(rng.integers(len(voice)))
    for phrase in phrases_of(melody):
        chosen = [voice[(place + index) % len(voice)] for index in range(len(phrase))]
        place += len(phrase)
        sound = _sung(phrase, chosen, octaves, throat, rng)
        start = max(0, round((phrase[0].start_s - CONSONANT_S) * RATE_HZ))
        piece = sound[: len(out) - start]
        out[start : start + len(piece), 0] += piece
    return out


def _voice(clips: Sequence[Path], rng: np.random.Generator) -> tuple[list[Syllable], float]:
    """Syllables of some clips, in order, and the speaker's pitch."""
    voice: list[Syllable] = []
    pitches = []
    for _ in range(CLIPS):
        sound = decode(pick(rng, clips))[: int(MOST_S * RATE_HZ), 0]
        found, hz = syllables_of(sound)
        voice += found
        pitches += [hz] if found else []
    if not voice:
        raise DatasetError(f"Nobody speaks in the {len(clips)} clips of this voice: leave it out.")
    return voice, float(np.median(pitches))


def one_at_a_time(notes: Sequence[Note]) -> list[Note]:
    """The highest of notes that begin together, each ending where the next begins at the latest."""
    kept: list[Note] = []
    for note in sorted(notes, key=lambda note: (note.start_s, -note.pitch)):
        if kept and note.start_s < kept[-1].start_s + 0.04:
            continue
        kept.append(note)
    ends = [note.start_s for note in kept[1:]] + [float("inf")]
    return [
        Note(note.start_s, min(note.end_s, end), note.pitch, note.velocity)
        for note, end in zip(kept, ends, strict=True)
    ]


def phrases_of(melody: Sequence[Note]) -> list[list[Note]]:
    """Notes between which a singer has no time to breathe."""
    phrases: list[list[Note]] = []
    for note in melody:
        if phrases and note.start_s - phrases[-1][-1].end_s < PHRASE_GAP_S:
            phrases[-1].append(note)
        else:
            phrases.append([note])
    return phrases


def _sung(
    phrase: Sequence[Note], syllables: Sequence[Syllable], octaves: int, throat: float, rng: np.random.Generator
) -> np.ndarray:
    """One phrase, beginning a consonant before its first note."""
    offset = phrase[0].start_s - CONSONANT_S
    edges = [round((note.start_s - offset) / FRAME_S) for note in phrase]
    last = round((phrase[-1].end_s - offset) / FRAME_S)
    chosen = []
    for index, (note, syllable) in enumerate(zip(phrase, syllables, strict=True)):
        until = round((note.end_s - offset) / FRAME_S)
        following = edges[index + 1] if index + 1 < len(edges) else last
        gap = following - until if following - until > round(0.08 / FRAME_S) else 0
        lead = edges[0] if not index else min(syllable.vowel, (edges[index] - edges[index - 1]) // 3)
        chosen.append((edges[index], following - gap, min(lead, syllable.vowel), syllable))
    n_frames = last + 1
    n_bins = syllables[0].spectrum.shape[1]
    spectrum, noise = np.full((n_frames, n_bins), 1e-12), np.ones((n_frames, n_bins))
    pitch = np.zeros(n_frames)
    for (start, end, lead, syllable), note in zip(chosen, phrase, strict=True):
        frames = stretched(len(syllable.spectrum), syllable.vowel, lead, max(1, end - start))
        loud = (note.velocity / 100) ** 2
        spectrum[start - lead : start - lead + len(frames)] = loud * syllable.spectrum[frames]
        noise[start - lead : start - lead + len(frames)] = syllable.noise[frames]
        pitch[start:end] = 440 * 2 ** ((note.pitch + octaves - 69) / 12)
    bins = np.clip(np.arange(n_bins) / throat, 0, n_bins - 1).astype(int)
    return world().synthesize(_melodic(pitch, rng), spectrum[:, bins].copy(), noise[:, bins].copy(), RATE_HZ, 5.0)


def stretched(n_frames: int, vowel: int, lead: int, length: int) -> np.ndarray:
    """Return the frame of a syllable at each time: `lead` frames of consonant, then the vowel over `length` frames.

    The vowel's beginning and end keep their speed, and its middle is held.
    """
    consonant = np.arange(vowel - lead, vowel)
    size = n_frames - vowel
    edge = min(size // 3, length // 3)
    middle = np.linspace(vowel + edge, n_frames - edge - 1, length - 2 * edge)
    inside = np.concatenate([np.arange(vowel, vowel + edge), np.round(middle), np.arange(n_frames - edge, n_frames)])
    return np.clip(np.concatenate([consonant, inside]), 0, n_frames - 1).astype(int)


def _melodic(pitch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The pitch of the notes with slides between them, vibrato and unsteadiness; 0 stays unvoiced."""
    from scipy.ndimage import uniform_filter1d

    sounding = pitch > 0
    if not sounding.any():
        return pitch
    times = np.arange(len(pitch))
    semitones = np.interp(times, times[sounding], 12 * np.log2(pitch[sounding] / 440))
    semitones = uniform_filter1d(semitones, round(GLIDE_S / FRAME_S), mode="nearest")
    speed, depth = rng.uniform(4.8, 6.4), rng.uniform(0.1, 0.5)
    since = times - np.maximum.accumulate(np.where(np.diff(pitch, prepend=0) != 0, times, 0))
    swell = np.clip((since * FRAME_S - 0.2) / 0.3, 0, 1)
    wobble = uniform_filter1d(rng.normal(0, 0.6, len(pitch)), 24, mode="nearest")
    semitones = semitones + swell * depth * np.sin(2 * np.pi * speed * times * FRAME_S) + wobble
    return np.where(sounding, 440 * 2 ** (semitones / 12), 0.0)
