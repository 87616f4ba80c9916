"""Single players, each in a file of its own, whose instrument is known: what a recogniser learns and is scored by.

    python -m splitstrument.corpus.solo_parts --part train --count 240 --ingredients data/ingredients -o data/parts

Notes are those of parts of game songs that the part of the data may use; any part is given to an instrument of the
class that is wanted, moved by octaves into its range. ``parts.yaml`` beside the files says what each is.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from splitstrument import audio
from splitstrument.audio import Audio
from splitstrument.corpus import catalogue, effects, humanise, midi, mixdown, recorded, soundfonts
from splitstrument.corpus.catalogue import Bank
from splitstrument.corpus.draws import chance, pick, stream
from splitstrument.corpus.midi import Part
from splitstrument.corpus.recipe import Realism
from splitstrument.errors import DatasetError
from splitstrument.files import write_yaml
from splitstrument.recognition.classes import all_classes, class_of_program
from splitstrument.recognition.learning.pool import LISTING

RATE_HZ = 22_050
# medians of pitch (MIDI) that an instrument of a class plays around
RANGES = {"organ": (52, 72), "strings": (50, 79), "brass": (48, 74), "winds": (55, 82), "electric_piano": (50, 72)}
RANGES |= {"other": (50, 84), "piano": (48, 74), "guitar": (48, 68), "bass": (30, 42)}
MIN_NOTES = 16
SILENT_DB = -60.0
# programs of banks for validation and tests that play recordings of a training bank: measured by
# splitstrument.release.shared_samples; Merlin shares most, Sonivox none
SHARED = {
    "generaluser": {5, 8, 10, 12, 33, 34, 39, 42, 43, 88, 91, 92, 96, 98, 100, 101, 102},
    "a320u": {5, 8, 9, 19, 26, 47, 52, 57, 58, 60, 74, 84, 99, 102},
}
NOTES_SHARE = 0.4  # of the parts that a recorded instrument can play


@dataclass(frozen=True)
class Solo:
    """One part and who plays it."""

    name: str
    stem_class: str
    part: Part
    bank: Bank
    program: int


def main() -> None:
    """Render the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("train", "validation", "test"), default="train")
    parser.add_argument("--banks", nargs="*", help="names of General MIDI banks; else all that the part may use")
    parser.add_argument(
        "--classes", nargs="+", default=["strings", "organ", "brass", "winds", "electric_piano", "other"]
    )
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=24)
    parser.add_argument("--ingredients", type=Path, default=Path("data/ingredients"))
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    listing = {}
    for index in range(options.count):
        solo = draw_solo(index, options)
        path = options.output / f"{solo.name}.flac"
        if not path.exists():
            sound = render_solo(solo, options.seed, options.ingredients)
            if effects.rms_db(sound) < SILENT_DB:
                continue
            audio.write(path, np.round(sound * 32767).astype(np.int16), RATE_HZ, "PCM_16")
        listing[solo.name] = {"class": solo.stem_class, "bank": solo.bank.name, "program": solo.program}
    write_yaml(options.output / LISTING, {"sample_rate_hz": RATE_HZ, "seed": options.seed, "parts": listing})


def draw_solo(index: int, options: argparse.Namespace) -> Solo:
    """Draw notes, class, bank and program of one part; classes come in turn."""
    stem_class = options.classes[index % len(options.classes)]
    rng = stream(options.seed, "solo", options.part, str(index))
    part = _draw_part(rng, options, stem_class)
    banks = catalogue.banks_for(options.part, names=tuple(options.banks) if options.banks else None)
    if options.part == "train":
        banks += catalogue.banks_for("train", "fm") if chance(rng, 0.15) else []
        fitting = [bank for bank in catalogue.banks_for("train", "notes") if _plays(bank, stem_class)]
        if fitting and chance(rng, NOTES_SHARE):
            bank = pick(rng, fitting)
            return Solo(f"{index:03d}_{stem_class}", stem_class, part, bank, int(bank.programs[0]))
    bank = pick(rng, banks)
    programs = [program for program in all_classes()[stem_class].programs if program not in SHARED.get(bank.name, ())]
    return Solo(f"{index:03d}_{stem_class}", stem_class, part, bank, int(pick(rng, programs)))


def _plays(bank: Bank, stem_class: str) -> bool:
    return bool(bank.programs) and class_of_program(bank.programs[0]) == stem_class


def _draw_part(rng: np.random.Generator, options: argparse.Namespace, stem_class: str) -> Part:
    """A part with enough notes, from a random second on."""
    songs = [
        song
        for source in catalogue.SONGS
        for song in catalogue.songs_of(options.ingredients, source)
        if catalogue.owner_of(source, song.title) == options.part
    ]
    while True:
        song = pick(rng, songs)
        try:
            score = midi.read_score(song.data(), song.title)
        except DatasetError:  # a game's file that mido cannot read
            continue
        start = float(rng.uniform(0, max(1.0, score.end_s - options.seconds)))
        score = midi.excerpt(score, start, start + options.seconds)
        parts = [part for part in score.parts if not part.is_drums and len(part.notes) >= MIN_NOTES]
        own = [part for part in parts if class_of_program(part.program) == stem_class]
        if parts:
            part = pick(rng, own if own and chance(rng, 0.7) else parts)
            return humanise.humanised(_in_range(part, stem_class, rng), rng, 0.01)


def _in_range(part: Part, stem_class: str, rng: np.random.Generator) -> Part:
    """Move a part by octaves, and by up to three semitones, so that it lies where the instrument plays."""
    low, high = RANGES[stem_class]
    middle = float(np.median([note.pitch for note in part.notes]))
    shift = 12 * round((float(rng.uniform(low, high)) - middle) / 12) + int(rng.integers(-3, 4))
    notes = tuple(replace(n, pitch=n.pitch + shift) for n in part.notes if 0 <= n.pitch + shift <= 127)
    return replace(part, notes=notes)


def render_solo(solo: Solo, seed: int, root: Path) -> Audio:
    """Render one part through its studio chain: (n_samples, 2) at `RATE_HZ`, peak at most 0.9."""
    rng = stream(seed, "studio", solo.name)
    if solo.bank.kind == "notes":
        library = recorded.library_of(solo.bank, root)
        sound = recorded.render_notes(solo.part, library, soundfonts.RATE_HZ, rng, solo.bank.attack)
    else:
        sound = soundfonts.render_part(solo.part, catalogue.bank_path(root, solo.bank), solo.program)
    sound = audio.resample(np.repeat(sound, 2, axis=1) if sound.shape[1] == 1 else sound, soundfonts.RATE_HZ, RATE_HZ)
    place = float(np.clip(rng.normal(0, 0.35), -0.9, 0.9))
    sound = mixdown.studio(sound, RATE_HZ, solo.stem_class, rng, Realism(), place)
    return sound * np.float32(0.9 / max(0.9, float(np.abs(sound).max())))


if __name__ == "__main__":
    main()
