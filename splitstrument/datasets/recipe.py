"""Recipes of datasets: which raw tracks, and how they become pairs; read from ``datasets/*.yaml``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from splitstrument.datasets.classes import read_instrument_map
from splitstrument.datasets.mix import MixOptions
from splitstrument.datasets.organise import OrganiseSettings, classes_of_stems
from splitstrument.datasets.silence import SilenceSettings
from splitstrument.datasets.sources import RawTrack, Source, get_source
from splitstrument.errors import DatasetError, SettingsError
from splitstrument.files import real_path
from splitstrument.pairs import md5_order
from splitstrument.settings import Settings, load_settings, read_yaml


class SourceRecipe(OrganiseSettings):
    """Tracks of one raw dataset.

    Attributes
    ----------
    root
        The raw dataset's folder, relative to the working folder.
    only, leave_out
        Names of tracks to take (empty: all) and not to take.
    splits
        Take only tracks of these splits of the dataset's own; empty takes all.
    limit
        Take at most so many tracks that have the target, the first by MD5 of their names; None takes all.
    """

    root: Path
    only: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    limit: int | None = Field(None, ge=1)


class DatasetRecipe(Settings):
    """Contents of ``datasets/*.yaml``.

    Attributes
    ----------
    output
        Folder to build, relative to the working folder.
    sources
        Raw datasets; or else `pairs_from`.
    pairs_from
        Recipe of another dataset whose pairs are taken (its silences cut here), relative to this recipe.
    sample_rates_hz
        Rates to take of the pairs of `pairs_from`; empty takes all.
    marks
        File of quality marks for the target, imported into the organised tracks.
    silence
        How silences are cut; None leaves them.
    evaluation
        Names of the tracks that are held out for evaluation.
    unknown
        What the thesis did not publish and this recipe therefore leaves open, a sentence each.
    published
        Numbers of the thesis to compare with.
    """

    name: str = Field(pattern=r"^\w[\w-]*$")
    target: str
    description: str = ""
    output: Path
    sources: tuple[SourceRecipe, ...] = ()
    pairs_from: Path | None = None
    sample_rates_hz: tuple[int, ...] = ()
    marks: Path | None = None
    mix: MixOptions = MixOptions()
    silence: SilenceSettings | None = None
    evaluation: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    published: dict[str, Any] = Field(default_factory=dict)

    @field_validator("evaluation")
    @classmethod
    def _no_repetition(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("a track is named twice")
        return names

    @model_validator(mode="after")
    def _one_origin(self) -> DatasetRecipe:
        if bool(self.sources) == bool(self.pairs_from):
            raise ValueError("give either sources or pairs_from")
        return self


def _is_rendered(path: Path) -> bool:
    """Tell a corpus recipe, which has hours to render, from one of ours, or from a mistaken one."""
    data = read_yaml(path)
    return isinstance(data, dict) and "hours" in data and not {"sources", "pairs_from", "target"} & set(data)


def read_recipe(path: str | Path, overrides: dict[str, Any] | None = None) -> DatasetRecipe:
    """Read a recipe; `pairs_from` becomes relative to the working folder.

    Raises
    ------
    SettingsError
        If the recipe is wrong, or is its own origin.
    """
    path = Path(path)
    if _is_rendered(path):
        raise SettingsError(f"{path} describes music to render: use `splitstrument dataset render {path}`.")
    recipe = load_settings(path, DatasetRecipe, overrides).settings
    if recipe.pairs_from is None:
        return recipe
    origin = path.parent / recipe.pairs_from
    if real_path(origin) == real_path(path):
        raise SettingsError(f"{path} takes its pairs from itself: name another recipe.")
    return recipe.model_copy(update={"pairs_from": origin})


def chosen_tracks(recipe: SourceRecipe, target: str) -> tuple[Source, list[RawTrack]]:
    """The tracks of a raw dataset that the recipe wants.

    Raises
    ------
    DatasetError
        If a track is asked for by a name that the dataset does not have, or none is left.
    """
    source = get_source(recipe.source)
    tracks = source.tracks(recipe.root)
    names = {track.name for track in tracks}
    if missing := sorted({*recipe.only, *recipe.leave_out} - names):
        raise DatasetError(f"{recipe.root} has no track {missing[0]!r} ({len(missing)} of those named are missing).")
    wanted = [
        track
        for track in tracks
        if track.name in (recipe.only or names)
        and track.name not in recipe.leave_out
        and (not recipe.splits or track.split in recipe.splits)
    ]
    if recipe.limit is not None:
        wanted = sorted((t for t in wanted if _has(t, target, recipe)), key=lambda track: md5_order(track.name))
        wanted = sorted(wanted[: recipe.limit], key=lambda track: track.name)
    if not wanted:
        raise DatasetError(f"{recipe.root}: no track of {source.title} is left by the recipe's choice.")
    return source, wanted


def _has(track: RawTrack, target: str, recipe: SourceRecipe) -> bool:
    found = classes_of_stems(track.stems, read_instrument_map(recipe.map), recipe.min_confidence)
    return not track.problems and target in {name for name, _ in found}


def renamed(track: RawTrack, taken: set[str], source: str) -> RawTrack:
    """Tell tracks of equal name in two sources apart."""
    return replace(track, name=f"{track.name} ({source})") if track.name.casefold() in taken else track
