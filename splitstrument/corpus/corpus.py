"""Render a whole corpus: plan, resume, run tracks in parallel, and write the passport."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from splitstrument.corpus import catalogue, guests, packages
from splitstrument.corpus.arrange import TrackPlan, plan_tracks
from splitstrument.corpus.passport import read_records
from splitstrument.corpus.recipe import CorpusRecipe
from splitstrument.corpus.set_stems import set_track
from splitstrument.corpus.track import render_track
from splitstrument.errors import DatasetError, MissingExtraError
from splitstrument.executor import map_tracks, track_executor
from splitstrument.stem_set import write_listing

MB_PER_HOUR_PAIR = 58.0  # mono FLAC, 22,050 Hz, 16 bit: measured, see docs/corpus.md
STEMS_PER_TRACK = 7.0
STEMS_PER_SET_TRACK = 5.0


@dataclass
class CorpusResult:
    """Outcome of a rendering."""

    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    duration_s: float = 0.0


def n_tracks_of(recipe: CorpusRecipe) -> int:
    """Tracks that make up the recipe's hours at their nominal length."""
    return len(recipe.excerpts) or max(1, math.ceil(recipe.hours * 3600 / recipe.track_s))


def disk_need_mb(recipe: CorpusRecipe) -> float:
    """Estimated size on disk."""
    files = 2 * len(recipe.targets) + (STEMS_PER_TRACK if recipe.keep_stems else 0)
    files = STEMS_PER_SET_TRACK if recipe.form == "stem_set" else files
    return recipe.hours * files * MB_PER_HOUR_PAIR * recipe.channels * recipe.sample_rate_hz / 22_050


def packages_of(recipe: CorpusRecipe) -> list[str]:
    """Packages that a recipe needs."""
    sources = [name for name, share in recipe.sources.model_dump().items() if share > 0]
    kinds = (*catalogue.ALWAYS, *guests.kinds_of(recipe.realism))
    return catalogue.packages_for(recipe.part, sources, recipe.banks, recipe.measured_responses, kinds)


def check_ingredients(recipe: CorpusRecipe, root: Path) -> None:
    """See that all packages and programs are there.

    Raises
    ------
    MissingExtraError
        With the line that fetches or installs what is missing.
    """
    absent = packages.missing(packages_of(recipe), root)
    if absent:
        raise MissingExtraError(
            f"{recipe.name} needs {len(absent)} packages that are not in {root}: run "
            f"`splitstrument dataset fetch {' '.join(absent)} -o {root}` (no root needed) and try again."
        )
    programs = ["fluidsynth"] + (["mma"] if recipe.sources.composed else [])
    programs += ["timidity"] if recipe.realism.patches and recipe.part != "test" else []
    lacking = [program for program in programs if not shutil.which(program)]
    if lacking:
        raise MissingExtraError(
            f"Rendering needs {' and '.join(lacking)}: run `apt-get install {' '.join(lacking)}` and try again."
        )


def render_corpus(
    recipe: CorpusRecipe,
    root: Path,
    output: Path,
    jobs: int = 1,
    scheduler: str | None = None,
    advance: Callable[..., None] = lambda amount=1, note="": None,
) -> CorpusResult:
    """Render what is missing of a corpus below `output`.

    Raises
    ------
    DatasetError
        If the disk is too small; single tracks that fail are listed in the result, others go on.
    """
    check_ingredients(recipe, root)
    plans = plan_tracks(recipe, root, n_tracks_of(recipe))
    result = CorpusResult()
    todo = []
    for plan in plans:
        record = existing_record(plan, recipe, output)
        if record is None:
            todo.append(plan)
            continue
        result.kept.append(plan.name)
        result.duration_s += record.get("duration_s", 0.0)
        advance(1, plan.name)
    _check_disk(recipe, output, len(todo) / len(plans))
    # workers of a cluster have working folders of their own
    work = partial(render_track, recipe=recipe, root=root.absolute(), output=output.absolute())
    with track_executor(jobs, scheduler) as executor:
        for outcome in map_tracks(work, todo, executor):
            if outcome.error is not None:
                result.failed[outcome.item.name] = str(outcome.error)
            elif outcome.result is not None:
                result.made.append(outcome.item.name)
                result.duration_s += outcome.result["duration_s"]
                list_tracks(recipe, output)
            advance(1, outcome.item.name)
    return result


def list_tracks(recipe: CorpusRecipe, output: Path) -> None:
    """List what a stem set has so far, for trainings that read it while it grows."""
    if recipe.form == "stem_set":
        write_listing(output, recipe.sample_rate_hz, map(set_track, read_records(output)))


def existing_record(plan: TrackPlan, recipe: CorpusRecipe, output: Path) -> dict[str, Any] | None:
    """The record of a track that was finished by the same recipe, or None."""
    path = output / "records" / f"{plan.name}.json"
    if not path.exists():
        return None
    record = json.loads(path.read_text(encoding="utf-8"))
    return record if record.get("recipe_digest") == recipe.digest() else None


def _check_disk(recipe: CorpusRecipe, output: Path, share: float) -> None:
    existing = next(folder for folder in (output, *output.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 1e6
    need = disk_need_mb(recipe) * share
    if need > free:
        raise DatasetError(f"{output} needs about {need:.0f} MB, but {free:.0f} MB are free: lower --hours.")
