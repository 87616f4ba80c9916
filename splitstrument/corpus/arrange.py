"""One song's band: which score, which player plays which part on which instrument, with which sound."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from splitstrument.corpus import catalogue, charts, humanise, midi, mma, parts
from splitstrument.corpus.amplifiers import Amplifier, draw_amplifier
from splitstrument.corpus.catalogue import Bank
from splitstrument.corpus.draws import chance, pick, stream
from splitstrument.corpus.electric_pianos import ElectricPiano
from splitstrument.corpus.guitars import Guitar
from splitstrument.corpus.midi import Part, Score
from splitstrument.corpus.phrase_list import PHRASES
from splitstrument.corpus.pianos import Piano
from splitstrument.corpus.plucked import Strings, draw_strings
from splitstrument.corpus.recipe import CorpusRecipe, Realism
from splitstrument.errors import DatasetError

# General MIDI programs (from 0) by the classes of the thesis; harpsichord and clavinet are no pianos
FAMILIES = {"piano": range(6), "guitar": range(24, 32), "bass": range(32, 40), "percussion": range(112, 120)}
RECAST = {
    "piano": ((0, 1, 2, 3, 4, 5), (6, 3, 1, 0.7, 1.5, 1.2)),
    "guitar_soft": ((24, 25, 26, 27, 28), (2, 3, 1.5, 2.5, 0.7)),
    "guitar_loud": ((29, 30), (1, 1.3)),
    "bass": ((32, 33, 34, 35, 36), (1, 3, 3, 1, 0.5)),
}
MIN_NOTES = 12
KIT_LOWEST, KIT_HIGHEST = 36, 59


@dataclass(frozen=True)
class TrackPlan:
    """Decisions made before any sound: name, source of the score, and the part of the data that may use it."""

    name: str
    source: str
    title: str
    part: str
    index: int


@dataclass(frozen=True)
class Player:
    """One stem: a part and its sound.

    Attributes
    ----------
    kind
        ``bank`` (a SoundFont), ``strings`` (our synthesis), ``strums`` (recorded) or ``voice``; later steps make some
        of them ``samples`` (a drum kit), ``patches``, ``speech`` or ``modelled`` (`model` says which instrument).
    role
        ``rhythm``, ``lead``, ``base`` or ``guest``: how loud it wants to be.
    takes
        2 for a part that is played twice and panned apart.
    """

    name: str
    stem_class: str
    part: Part
    kind: str
    role: str = "base"
    bank: Bank | None = None
    program: int = 0
    strings: Strings | None = None
    amplifier: Amplifier | None = None
    takes: int = 1
    model: Guitar | Piano | ElectricPiano | None = None


def plan_tracks(recipe: CorpusRecipe, root: Path, n_tracks: int) -> list[TrackPlan]:
    """The first `n_tracks` of a recipe; more tracks continue the same list."""
    shares = recipe.sources.model_dump()
    names = [name for name, share in shares.items() if share > 0]
    total = sum(shares.values())
    queues = {name: _queue(recipe, root, name) for name in names}
    debt = dict.fromkeys(names, 0.0)
    plans: list[TrackPlan] = []
    for index in range(n_tracks):
        for name in names:
            debt[name] += shares[name] / total
        source = max(names, key=lambda name: debt[name])
        debt[source] -= 1
        queue = queues[source]
        turn, place = divmod(sum(plan.source == source for plan in plans), len(queue))
        title = queue[place]
        number = "" if recipe.excerpts else f"_{recipe.part}{recipe.seed}_{turn:02d}"
        name = f"{source}_{title.replace('/', '-')}{number}"
        plans.append(TrackPlan(name, source, title, recipe.part, index))
    return plans


def _queue(recipe: CorpusRecipe, root: Path, source: str) -> list[str]:
    """Titles of a source that the recipe's part may use, in a drawn order."""
    if source == "phrases":
        titles = [title for title, phrase in PHRASES.items() if phrase.part == recipe.part]
    elif source == "composed":
        titles = [file.name for file in mma.groove_files()]
    else:
        titles = [song.title for song in catalogue.songs_of(root, source)]
    if recipe.excerpts:
        return [title for title in recipe.excerpts if title in titles]
    titles = [title for title in titles if catalogue.owner_of(source, title) == recipe.part]
    if not titles:
        raise DatasetError(f"No songs of {source} are left for {recipe.part}: set its share to 0.")
    stream(recipe.seed, "order", source).shuffle(titles)
    return titles


def _banks(recipe: CorpusRecipe) -> list[Bank]:
    """Banks for pitched parts.

    Raises
    ------
    DatasetError
        If the recipe names none that its part may use.
    """
    banks = catalogue.banks_for(recipe.part, names=recipe.banks)
    if not banks:
        raise DatasetError(f"None of the banks {recipe.banks} may be used for {recipe.part}: name another one.")
    return banks


def arrange(plan: TrackPlan, recipe: CorpusRecipe, root: Path) -> list[Player]:
    """Decide the band of one track.

    Raises
    ------
    DatasetError
        If the song has too few notes to be worth rendering.
    """
    score, roles = _score(plan, recipe, root)
    rng = stream(recipe.seed, plan.name, "band")
    score = replace(score, parts=tuple(part for part in score.parts if len(part.notes) >= MIN_NOTES))
    if len(score.parts) < 2:
        raise DatasetError(f"{plan.title} has fewer than two parts with notes.")
    score = _changed(score, recipe, plan)
    casting = _recast(score, rng, recipe)
    home = pick(rng, _banks(recipe))
    players = []
    for index, (part, stem_class) in enumerate(casting):
        own = stream(recipe.seed, plan.name, "player", str(index))
        role = roles.get(part.name, "base")
        players.append(_player(part, stem_class, role, f"{index:02d}", home, own, recipe, root))
    return players


def _score(plan: TrackPlan, recipe: CorpusRecipe, root: Path) -> tuple[Score, dict[str, str]]:
    """The notes, and the roles of parts of our own by name."""
    if plan.source == "composed":
        return _composed(plan, recipe)
    song = next(song for song in catalogue.songs_of(root, plan.source) if song.title == plan.title)
    score = midi.read_score(song.data(), song.title)
    if recipe.excerpts:
        start = recipe.excerpts[plan.title]
        return midi.excerpt(score, start, start + recipe.track_s), {}
    if score.end_s > recipe.track_s + 30:
        start = stream(recipe.seed, plan.name, "excerpt").uniform(0, score.end_s - recipe.track_s)
        score = midi.excerpt(score, start, start + recipe.track_s)
    return score, {}


def _composed(plan: TrackPlan, recipe: CorpusRecipe) -> tuple[Score, dict[str, str]]:
    """Compose a chart, let MMA play it, and add parts of our own."""
    rng = stream(recipe.seed, plan.name, "chart")
    grooves = next(file for file in mma.groove_files() if file.name == plan.title)
    chart = charts.compose_chart(plan.name, rng, recipe.track_s)
    score = mma.play(mma.chart_text(chart, grooves, rng), plan.name)
    if not recipe.realism.own_parts:
        return score, {}
    beats = max(2, round(score.end_s * chart.tempo / 60 / chart.n_bars))
    return _with_own_parts(score, parts.Grid(chart, beats), stream(recipe.seed, plan.name, "own parts"))


def _with_own_parts(score: Score, grid: parts.Grid, rng: np.random.Generator) -> tuple[Score, dict[str, str]]:
    """Add guitars, piano and a tune; in a third of the songs a rock band takes over from MMA's drums and bass."""
    kept, added, roles = list(score.parts), [], {}
    rock = grid.beats == 4 and chance(rng, 0.4)
    if rock:
        kept = [] if chance(rng, 0.7) else [part for part in kept if not part.is_drums]
        everywhere = "iABCe"
        added += [parts.rock_drums(grid, everywhere, rng), parts.root_bass(grid, everywhere, rng)]
        added.append(parts.power_chords(grid, pick(rng, ("ABCe", "iABCe", "iBe", "BC")), rng))
    else:
        kept = [part for part in kept if not (_class_of(part) == "guitar" and chance(rng, 0.35))]
        choice = pick(rng, (parts.strummed_chords, parts.arpeggio, None), (1, 1, 0.8))
        if choice:
            added.append(choice(grid, pick(rng, ("ABCe", "iABC", "iAe", "B")), rng))
    if chance(rng, 0.3 if rock else 0.35):
        added.append(parts.arpeggio(grid, pick(rng, ("A", "iA", "AC")), rng, program=int(pick(rng, (24, 25, 27)))))
    if chance(rng, 0.55 if rock else 0.3):
        lead = replace(parts.melody(grid, pick(rng, ("C", "iC", "BC", "iABC")), rng, 57, 30, bends=True), name="lead")
        added.append(lead)
    if chance(rng, 0.6 if rock else 0.4):
        added.append(parts.piano_chords(grid, pick(rng, ("ABC", "A", "iABCe", "BC")), rng))
    if chance(rng, 0.65):
        added.append(replace(parts.melody(grid, pick(rng, ("AB", "ABC", "A")), rng, 55, 53), name="vocals"))
    if chance(rng, 0.35):
        added.append(parts.pad(grid, pick(rng, ("B", "BC", "ABC")), rng))
    for part in added:
        roles[part.name] = "lead" if part.name in ("lead", "vocals") else "rhythm"
    return replace(score, parts=(*kept, *added)), roles


def _changed(score: Score, recipe: CorpusRecipe, plan: TrackPlan) -> Score:
    """Transpose and change the tempo."""
    rng = stream(recipe.seed, plan.name, "key and tempo")
    semitones, factor = int(rng.integers(-4, 5)), float(np.exp(rng.normal(0, 0.07)))
    if recipe.realism.transpose:
        score = midi.transposed(score, semitones)
    return midi.stretched(score, factor) if recipe.realism.tempo else score


def _class_of(part: Part) -> str:
    """Stem class of a part by its program."""
    if part.is_drums:
        return "drums"
    return next((name for name, programs in FAMILIES.items() if part.program in programs), "other")


def _recast(score: Score, rng: np.random.Generator, recipe: CorpusRecipe) -> list[tuple[Part, str]]:
    """(part, class) of the band; a song without guitar or piano often gives one of its other parts to it."""
    band = list(score.parts)
    classes = ["vocals" if part.name == "vocals" else _class_of(part) for part in band]
    if recipe.realism.recast:
        for target, probability in (("guitar", 0.85), ("piano", 0.7)):
            others = [index for index, stem_class in enumerate(classes) if stem_class == "other"]
            if target in classes or not others or not chance(rng, probability):
                continue
            chosen = others[int(rng.integers(len(others)))]
            program = int(pick(rng, (24, 25, 26, 27, 29, 30))) if target == "guitar" else 0
            band[chosen], classes[chosen] = replace(band[chosen], program=program), target
    others = [index for index, part in enumerate(band) if classes[index] == "other" and _is_tune(part)]
    if recipe.realism.voices and others and "vocals" not in classes and chance(rng, 0.35):
        classes[others[int(rng.integers(len(others)))]] = "vocals"
    return list(zip(band, classes, strict=True))


def _is_tune(part: Part) -> bool:
    """Tell whether a part plays one note at a time in a singer's range."""
    pitches = [note.pitch for note in part.notes]
    overlaps = sum(a.end_s > b.start_s + 0.05 for a, b in zip(part.notes, part.notes[1:], strict=False))
    return overlaps < 0.1 * len(pitches) and 45 <= float(np.median(pitches)) <= 79


def _player(
    part: Part,
    stem_class: str,
    role: str,
    number: str,
    home: Bank,
    rng: np.random.Generator,
    recipe: CorpusRecipe,
    root: Path,
) -> Player:
    """Give a part its instrument."""
    real = recipe.realism
    own_bank = pick(rng, _banks(recipe))
    bank = own_bank if real.soundfont_per_stem else home
    name = f"{number}_{stem_class}_{part.name}"
    player = Player(name, stem_class, part, "bank", role, bank, part.program)
    if stem_class == "drums":
        kits = catalogue.banks_for(recipe.part, "kit", recipe.banks)
        if kits and chance(rng, 0.6) and real.real_drums:
            return replace(player, bank=pick(rng, kits), part=kit_part(part), program=0)
        return replace(player, program=int(pick(rng, (0, 0, 8, 16))) if real.random_programs else 0)
    if stem_class == "vocals" and real.voices:
        return replace(player, kind="voice", role="lead")
    if stem_class == "guitar":
        return _guitarist(player, rng, recipe, root)
    if stem_class in ("piano", "bass") and real.random_programs:
        programs, weights = RECAST[stem_class]
        keep = chance(rng, 0.3)
        program = int(pick(rng, programs, weights))
        return replace(player, program=part.program if keep else program)
    return player


def kit_part(part: Part) -> Part:
    """Notes for a sampled kit, which is an ordinary program: strokes ring out, sounds that a kit lacks are left out."""
    kept = (note for note in part.notes if note.pitch <= KIT_HIGHEST)
    notes = (replace(note, pitch=max(note.pitch, KIT_LOWEST), end_s=note.start_s + 2.0) for note in kept)
    return replace(part, is_drums=False, notes=tuple(notes), controls=())


def _guitarist(player: Player, rng: np.random.Generator, recipe: CorpusRecipe, root: Path) -> Player:
    """Draw style, sound and amplifier of a guitar."""
    real = recipe.realism
    recorded = catalogue.banks_for(recipe.part, "strums", recipe.banks)
    if player.part.name == "strums" and recorded and chance(rng, 0.5) and real.strums:
        return replace(player, kind="strums", bank=recorded[0], role="rhythm")
    style = _guitar_style(player.part.program, rng, real)
    responses = list(catalogue.amplifier_responses(root, recipe.part)) if recipe.measured_responses else []
    amplifier = draw_amplifier(rng, style, responses) if style not in ("acoustic", "sampled") else None
    plucked = chance(rng, 0.35) and style != "sampled"
    strings = draw_strings(rng, style == "acoustic")
    soft = int(pick(rng, *RECAST["guitar_soft"]))
    loud = int(pick(rng, *RECAST["guitar_loud"]))
    steel = int(pick(rng, (24, 25)))
    program = {"acoustic": steel, "sampled": loud}.get(style, soft)
    part = humanise.strummed(player.part, rng) if real.humanise else player.part
    takes = 2 if real.doubling and chance(rng, 0.55) and player.role != "lead" else 1
    if not real.random_programs:
        program = player.part.program
    if not real.amplifiers:
        amplifier, program = None, player.part.program if not real.random_programs else program
    kind = "strings" if plucked and real.plucked_strings else "bank"
    return replace(
        player,
        part=part,
        kind=kind,
        program=program,
        strings=strings,
        amplifier=amplifier,
        takes=takes,
        role=_guitar_role(player),
    )


def _guitar_role(player: Player) -> str:
    return "lead" if player.role == "lead" else "rhythm"


def _guitar_style(program: int, rng: np.random.Generator, real: Realism) -> str:
    """``sampled`` is the bank's own overdriven or distorted guitar, through no further drive."""
    if program in (29, 30):
        return pick(rng, ("sampled", "crunch", "lead", "metal"), (0.3, 0.22, 0.22, 0.26))
    if program in (24, 25):
        return pick(rng, ("acoustic", "clean", "crunch"), (0.75, 0.17, 0.08))
    return pick(rng, ("clean", "crunch", "acoustic", "sampled", "lead"), (0.5, 0.2, 0.12, 0.1, 0.08))
