"""Stand-ins: rendered data of the shape of the thesis's seven datasets, at any scale.

The same counts between the datasets, the same silence rules, the same held-out shares, the same kinds of music (band
recordings, clean renderings, one instrument alone), so that every published training can be run in small. What was
recorded there is rendered here, and everything made of it says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from splitstrument.corpus.corpus import render_corpus
from splitstrument.corpus.passport import licences_of, read_records
from splitstrument.corpus.recipe import CorpusRecipe, Realism, Sources
from splitstrument.datasets.silence import SilenceSettings
from splitstrument.datasets.silence_cut import cut_track, pairs_by_track
from splitstrument.errors import DatasetError
from splitstrument.files import atomic_path, write_yaml
from splitstrument.pairs import find_pairs
from splitstrument.provenance import provenance

RATE_HZ = 22_050
MIN_TRACKS = 4
SPARE = 1.4  # tracks to plan for each that is wanted: not every song has the target
MAX_ROUNDS = 5  # and a list that is too short is continued so many times
CLEAN = Realism(**{step: False for step in Realism.model_fields if step not in ("random_programs", "recast", "levels")})
LESS_SILENCE = SilenceSettings(threshold_dbfs=-50, min_silence_s=1.0, below_audible=0.7, to=0.7, discard_below=0.5)


@dataclass(frozen=True)
class StandIn:
    """One dataset of the thesis.

    Attributes
    ----------
    tracks, evaluation
        Published numbers of tracks for training and held out.
    kind
        ``band``, ``clean`` (as Slakh renders it), ``pure`` (the rest is silence), or ``cut`` from another stand-in.
    """

    name: str
    target: str
    tracks: int
    evaluation: int
    kind: str
    cut_from: str = ""


STAND_INS = (
    StandIn("recorded_guitar", "guitar", 593, 116, "band"),
    StandIn("recorded_guitar_less_silence", "guitar", 592, 116, "cut", "recorded_guitar"),
    StandIn("recorded_piano", "piano", 131, 22, "band"),
    StandIn("recorded_piano_less_silence", "piano", 123, 22, "cut", "recorded_piano"),
    StandIn("synthesized_piano", "piano", 300, 0, "clean"),
    StandIn("pure_guitar", "guitar", 68, 0, "pure"),
    StandIn("pure_piano", "piano", 80, 0, "pure"),
)


def scaled(count: int, scale: float) -> int:
    """Published count in small: at least `MIN_TRACKS`, and 0 stays 0."""
    return max(MIN_TRACKS, round(count * scale)) if count else 0


def recipe_of(stand_in: StandIn, scale: float, track_s: float, seed: int) -> CorpusRecipe:
    """Return the recipe that renders a stand-in."""
    wanted = scaled(stand_in.tracks, scale) + scaled(stand_in.evaluation, scale)
    number = [known.name for known in STAND_INS].index(stand_in.name)
    return CorpusRecipe(
        name=f"stand_in_{stand_in.name}",
        description=f"Rendered stand-in for {stand_in.name}",
        hours=math.ceil(SPARE * wanted) * track_s / 3600,
        track_s=track_s,
        targets=(stand_in.target,),
        seed=seed + number,
        keep_stems=False,
        pure=stand_in.kind == "pure",
        min_audible=0.5 if stand_in.kind == "pure" else 0.02,
        realism=CLEAN if stand_in.kind == "clean" else Realism(),
        sources=Sources(composed=0.7, freedoom=0.15, simutrans=0.1, openmsx=0.05),
    )


def build_stand_in(
    stand_in: StandIn,
    scale: float,
    track_s: float,
    seed: int,
    root: Path,
    output: Path,
    jobs: int = 1,
    scheduler: str | None = None,
    advance: Callable[..., None] = lambda amount=1, note="": None,
) -> list[str]:
    """Make one stand-in below `output`; return its tracks. Those that are cut need the one they are cut from.

    Raises
    ------
    DatasetError
        If fewer tracks than wanted could be made.
    """
    folder = output / stand_in.name
    if stand_in.kind == "cut":
        names = _cut(output / stand_in.cut_from, folder)
    else:
        wanted = scaled(stand_in.tracks, scale) + scaled(stand_in.evaluation, scale)
        recipe, rendered = recipe_of(stand_in, scale, track_s, seed), output / "rendered" / stand_in.name
        for _ in range(MAX_ROUNDS):
            render_corpus(recipe, root, rendered, jobs, scheduler, advance)
            if len(list(rendered.glob(f"{stand_in.target}/tracks_*/*/instrument_*"))) >= wanted:
                break
            recipe = recipe.model_copy(update={"hours": 1.5 * recipe.hours})  # the same list of tracks, continued
            advance = _unseen  # the bar has shown its whole length
        names = _take(rendered, stand_in, wanted, folder)
    held_out = _held_out(names, stand_in, scale, output)
    write_yaml(folder / "evaluation.yaml", held_out)
    facts = {"target": stand_in.target, "rendered": True, "stand_in_for": stand_in.name, "scale": scale}
    published = asdict(stand_in)
    made = {"tracks": len(names), "evaluation": len(held_out), "made": provenance(seed=seed)}
    heard = _heard(output / "rendered" / (stand_in.cut_from or stand_in.name), names)
    write_yaml(folder / "passport.yaml", {**facts, "published": published, **heard, **made})
    return names


def _heard(rendered: Path, names: list[str]) -> dict[str, object]:
    """Hours before silence was cut, and licences of what went into the tracks."""
    if not (rendered / "records").is_dir():
        return {}
    records = [record for record in read_records(rendered) if record["name"] in set(names)]
    hours = sum(record["duration_s"] for record in records) / 3600
    return {"hours_rendered": round(hours, 3), "licences": licences_of(records)}


def _unseen(amount: float = 1, note: str = "") -> None:
    """Progress that is not shown."""


def _take(rendered: Path, stand_in: StandIn, wanted: int, folder: Path) -> list[str]:
    """Link the first `wanted` pairs (by MD5 of their names) into the stand-in's folder."""
    pairs = find_pairs(rendered / stand_in.target)[:wanted]
    if len(pairs) < wanted:
        raise DatasetError(f"{rendered} has {len(pairs)} pairs of {wanted} for {stand_in.name}: see what failed there.")
    for pair in pairs:
        for path in (pair.rest, pair.instrument):
            link = folder / f"tracks_{RATE_HZ}hz" / pair.name / path.name
            with atomic_path(link) as temporary:
                temporary.unlink()
                temporary.hardlink_to(path)
    return sorted(pair.name for pair in pairs)


def _cut(source: Path, folder: Path) -> list[str]:
    """Cut silences as the thesis did for its datasets 2 and 4."""
    tracks = pairs_by_track(source, (RATE_HZ,))
    reports = [cut_track(pairs, source, folder, LESS_SILENCE) for pairs in tracks.values()]
    return sorted(report.track for report in reports if not report.dropped)


def _held_out(names: list[str], stand_in: StandIn, scale: float, output: Path) -> list[str]:
    """Evaluation tracks: of a cut stand-in, those of its origin that are left."""
    if stand_in.kind == "cut":
        from splitstrument.settings import read_yaml

        return [name for name in read_yaml(output / stand_in.cut_from / "evaluation.yaml") or [] if name in set(names)]
    # the songs that come last by title: a song's variants stay on one side as long as they are neighbours
    return names[len(names) - scaled(stand_in.evaluation, scale) :] if stand_in.evaluation else []
