"""Which tracks of a raw dataset a recipe takes."""

from __future__ import annotations

from dataclasses import replace

from splitstrument.errors import DatasetError
from splitstrument.pairs import md5_order
from splitstrument.stems.classes import read_instrument_map
from splitstrument.stems.organise import classes_of_stems
from splitstrument.stems.recipe import SourceRecipe
from splitstrument.stems.sources import RawTrack, Source, get_source


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
