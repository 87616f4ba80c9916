"""Metal's guitars: tuned down, picked in sixteenths, played twice, through a wall of gain.

Real ones look like noise up to 5 kHz: power chords on low strings, slightly out of tune, intermodulate in stages that
clip all the time, and layers add up. Game songs and charts of pop have none of that.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from splitstrument.corpus import catalogue
from splitstrument.corpus.amplifiers import draw_amplifier
from splitstrument.corpus.arrange import Player, TrackPlan
from splitstrument.corpus.draws import chance, pick, stream
from splitstrument.corpus.guitars import draw_guitar
from splitstrument.corpus.midi import Note, Part, Score, transposed
from splitstrument.corpus.recipe import CorpusRecipe

SONG_SHARE, PICKED_SHARE = 0.55, 0.6
LOWEST = {"guitar": 33, "bass": 23}
DRIVEN = ("crunch", "lead", "metal")


def heavy(players: list[Player], plan: TrackPlan, recipe: CorpusRecipe, root: Path) -> list[Player]:
    """Turn a song with driven rhythm guitars into a heavy one, in about half of the cases."""
    rng = stream(recipe.seed, plan.name, "heavy")
    down = int(rng.integers(1, 8))
    wanted = [player.name for player in players if _is_driven(player)]
    if not wanted or not chance(rng, SONG_SHARE):
        return players
    score = transposed(Score(plan.title, tuple(player.part for player in players)), -down)
    players = [replace(player, part=_in_range(part, player)) for player, part in zip(players, score.parts, strict=True)]
    responses = list(catalogue.amplifier_responses(root, recipe.part)) if recipe.measured_responses else []
    return [_wall(player, rng, responses) if player.name in wanted else player for player in players]


def _is_driven(player: Player) -> bool:
    """Tell whether a player is a rhythm guitar with some drive, from an amplifier or in the bank's own sound."""
    if player.stem_class != "guitar" or player.role == "lead":
        return False
    return player.amplifier.style in DRIVEN if player.amplifier else player.program in (29, 30)


def _in_range(part: Part, player: Player) -> Part:
    """Octaves up for notes below the lowest string; percussion stays, since a kit has no key."""
    lowest = LOWEST.get(player.stem_class, 0)
    if player.stem_class in ("drums", "percussion"):
        return player.part
    up = tuple(replace(n, pitch=n.pitch + 12) if n.pitch < lowest else n for n in part.notes)
    return replace(part, notes=up)


def _wall(player: Player, rng: np.random.Generator, responses: list[Path]) -> Player:
    """A rhythm guitar of its own, played twice, with chords picked again and again in most songs."""
    part = player.part
    lead_like = chance(rng, 0.15)
    if chance(rng, PICKED_SHARE):
        part = picked(part, pick(rng, (2, 2, 4)))
    if not lead_like:
        part = with_fifths(part, rng)
    amplifier = draw_amplifier(rng, "wall", responses)
    return replace(player, part=part, kind="modelled", model=draw_guitar(rng, "electric"), amplifier=amplifier, takes=2)


def picked(part: Part, strokes: int) -> Part:
    """Every note of more than 0.15 s as several strokes, none shorter than 55 ms."""
    notes: list[Note] = []
    for note in part.notes:
        length = note.end_s - note.start_s
        count = max(1, min(strokes, int(length / 0.055))) if length > 0.15 else 1
        step = length / count
        for index in range(count):
            softer = 0 if index % 2 == 0 else 8
            start = note.start_s + index * step
            notes.append(replace(note, start_s=start, end_s=start + step, velocity=max(1, note.velocity - softer)))
    return replace(part, notes=tuple(sorted(notes, key=lambda note: (note.start_s, note.pitch))))


def with_fifths(part: Part, rng: np.random.Generator) -> Part:
    """Power chords of what is played: lone low notes get their fifth, and chords lose their thirds."""
    notes: list[Note] = []
    share = rng.uniform(0.4, 1.0)
    ordered = sorted(part.notes, key=lambda note: (note.start_s, note.pitch))
    for index, note in enumerate(ordered):
        before = ordered[index - 1] if index else None
        together = before is not None and note.start_s - before.start_s < 0.04
        if together and before is not None and (note.pitch - before.pitch) % 12 in (3, 4, 8, 9):
            continue
        notes.append(note)
        if not together and note.pitch < 53 and chance(rng, float(share)):
            notes.append(replace(note, pitch=note.pitch + 7))
    unique = {(round(note.start_s, 3), note.pitch): note for note in notes}
    return replace(part, notes=tuple(sorted(unique.values(), key=lambda note: (note.start_s, note.pitch))))
