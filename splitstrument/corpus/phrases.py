"""Songs around a recorded phrase: a real guitar or piano that comes back over drums and bass of our own.

The phrase sets the tempo (a whole number of bars, 70 to 160 beats a minute) and the bass (the strongest pitch class of
each bar). Most rounds play it as it is, some by a few semitones faster or slower, some leave it out.
"""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from splitstrument import audio
from splitstrument.audio import Audio
from splitstrument.corpus import catalogue, parts
from splitstrument.corpus.arrange import Player, TrackPlan
from splitstrument.corpus.charts import NOTE_NAMES, Chart, Chord, Section
from splitstrument.corpus.draws import chance, pick, stream
from splitstrument.corpus.midi import Note, Part
from splitstrument.corpus.phrase_list import PHRASES
from splitstrument.corpus.qt_resource import read_resource
from splitstrument.corpus.recipe import CorpusRecipe
from splitstrument.errors import DatasetError

BEATS_A_MINUTE = (70.0, 160.0)
BARS = (1, 2, 3, 4, 6, 8)
SHIFTS = (-3, -2, 2, 3)
MIDDLE, REST_SHARE, SHIFT_SHARE, PAD_SHARE = 60, 0.2, 0.25, 0.5
FADE_S, RATE_HZ = 0.01, 44_100


@lru_cache(maxsize=16)
def read_phrase(root: Path, title: str) -> Audio:
    """A phrase at 44.1 kHz in stereo, from where it is first heard.

    Raises
    ------
    DatasetError
        If its package lacks it.
    """
    phrase = PHRASES[title]
    file, _, inside = phrase.path.partition("#")
    path = catalogue.package_folder(root, phrase.package) / file
    source: Path | io.BytesIO = path
    if inside:
        files = read_resource(path)
        if inside not in files:
            raise DatasetError(f"{path} holds no {inside}: fetch the package {phrase.package} again.")
        source = io.BytesIO(files[inside])
    sound, rate_hz = soundfile.read(source, dtype="float32", always_2d=True)
    both = np.repeat(sound, 2, axis=1) if sound.shape[1] == 1 else sound[:, :2]
    sound = audio.resample(both, rate_hz, RATE_HZ)
    heard = np.flatnonzero(np.abs(sound).max(axis=1) > 0.02 * np.abs(sound).max())
    return sound[heard[0] : heard[-1] + 1]


def band(plan: TrackPlan, recipe: CorpusRecipe, root: Path) -> list[Player]:
    """The phrase, drums and bass, and in half of the songs a pad."""
    rng = stream(recipe.seed, plan.name, "phrase")
    sound = read_phrase(root, plan.title)
    length_s = len(sound) / RATE_HZ
    tempo, n_bars = tempo_of(length_s, rng)
    rounds = draw_rounds(max(2, round(recipe.track_s / length_s)), rng)
    chart = _chart(plan.title, sound, tempo, n_bars, rounds)
    grid = parts.Grid(chart, 4)
    shifts = [shift for shift in enumerate(rounds) if shift[1] is not None]
    notes = tuple(Note(i * length_s, (i + 1) * length_s, MIDDLE + (shift or 0), 100) for i, shift in shifts)
    stem = PHRASES[plan.title].stem
    banks = catalogue.banks_for(recipe.part, names=recipe.banks)
    others = [("drums", parts.rock_drums(grid, "AB", rng)), ("bass", parts.root_bass(grid, "AB", rng))]
    others += [("other", parts.pad(grid, "AB", rng))] if chance(rng, PAD_SHARE) else []
    players = [Player(f"00_{stem}_{plan.title}", stem, Part(plan.title, 0, False, notes), "phrase", "rhythm")]
    for number, (stem_class, part) in enumerate(others, 1):
        name = f"{number:02d}_{stem_class}_{part.name}"
        players.append(Player(name, stem_class, part, "bank", bank=pick(rng, banks), program=part.program))
    return players


def tempo_of(length_s: float, rng: np.random.Generator) -> tuple[float, int]:
    """Beats a minute and bars of a phrase."""
    low, high = BEATS_A_MINUTE
    fitting = [(240 * bars / length_s, bars) for bars in BARS if low <= 240 * bars / length_s <= high]
    return pick(rng, fitting) if fitting else (240 / length_s * 2 ** round(np.log2(length_s / 2)), 1)


def draw_rounds(count: int, rng: np.random.Generator) -> list[int | None]:
    """Semitones by which each round moves the phrase, None for a round without it; never without it at all."""
    rounds: list[int | None] = [0]
    for _ in range(count - 1):
        resting, moved, shift = chance(rng, REST_SHARE), chance(rng, SHIFT_SHARE), int(pick(rng, SHIFTS))
        rounds.append(None if resting else shift if moved else 0)
    return rounds


def _chart(title: str, sound: Audio, tempo: float, n_bars: int, rounds: list[int | None]) -> Chart:
    """A section for each round, whose roots the phrase suggests."""
    roots = [strongest_pitch(bar, RATE_HZ) for bar in np.array_split(sound.mean(axis=1), n_bars)]
    sections = []
    for number, shift in enumerate(rounds):
        chords = [Chord((root + (shift or 0)) % 12, (0, 7), NOTE_NAMES[(root + (shift or 0)) % 12]) for root in roots]
        sections.append(Section("AB"[number // 2 % 2], tuple(chords)))
    return Chart(title, roots[0], "minor", tempo, tuple(sections))


def strongest_pitch(sound: np.ndarray, rate_hz: int) -> int:
    """Pitch class (0 is C) with most power between 70 and 700 Hz."""
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    hz = np.fft.rfftfreq(len(sound), 1 / rate_hz)
    inside = (hz > 70) & (hz < 700)
    classes = np.round(69 + 12 * np.log2(hz[inside] / 440.0)).astype(int) % 12
    return int(np.argmax(np.bincount(classes, power[inside], minlength=12)))


def render_phrase(part: Part, root: Path) -> Audio:
    """Play the rounds of a phrase, stereo at 44.1 kHz; a round that is moved ends earlier or is cut."""
    sound = read_phrase(root, part.name)
    out = np.zeros((round((part.end_s + 0.5) * RATE_HZ), 2), np.float32)
    fade = round(FADE_S * RATE_HZ)
    for note in part.notes:
        moved = audio.resample(sound, round(RATE_HZ * 2 ** ((note.pitch - MIDDLE) / 12)), RATE_HZ)
        start = round(note.start_s * RATE_HZ)
        piece = moved[: min(round((note.end_s - note.start_s) * RATE_HZ), len(out) - start)].copy()
        piece[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)[:, None]
        out[start : start + len(piece)] += piece
    return out
