"""Tracks that lie in stems, one file for each instrument, and the pairs that they hold: each stem against all others.

What is evaluated of a stem is what is evaluated of a pair: the stem is the instrument, the sum of all other files the
rest. So the numbers of a model of several instruments stand beside those of a model of one.

A folder of stems is a stem set (`splitstrument.stem_set`), or any folder of tracks ``<track>/<stem>.<ext>`` or
``<track>/<stem>_<track>.<ext>``; files called ``mixture`` or ``mix`` are no stems.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from splitstrument.audio import is_audio_name
from splitstrument.errors import DatasetError
from splitstrument.pairs import Pair, md5_order, unique_names
from splitstrument.separation.options import INSTRUMENT
from splitstrument.stem_set import LISTING, StemSet, read_set
from splitstrument.unread import folders_once

NO_STEMS = ("mixture", "mix")


@dataclass(frozen=True)
class StemTrack:
    """One track.

    Attributes
    ----------
    files
        Stem -> file; their sum is the song.
    known
        Stems whose whole content is in their own file: those that can be scored.
    """

    name: str
    files: dict[str, Path]
    known: tuple[str, ...]
    part: str | None = None

    @property
    def folder(self) -> Path:
        """Where the files lie."""
        return next(iter(self.files.values())).parent

    def pair(self, stem: str) -> Pair | None:
        """The stem against all others; None where there is no such pair."""
        others = [path for name, path in self.files.items() if name != stem]
        if stem not in self.known or stem not in self.files or not others:
            return None
        return Pair(self.name, self.files[stem], others[0], tuple(others[1:]))


def find_stem_tracks(folder: Path, n_stems: int = 2) -> list[StemTrack]:
    """List the tracks of a folder of stems, sorted by MD5 of their names; empty where there are none.

    A folder that holds a file of an ``instrument`` anywhere is one of pairs, and has no stems.

    Parameters
    ----------
    n_stems
        A folder with fewer files is no track: of references, one stem is no song.

    Raises
    ------
    DatasetError
        If a track has two files for one stem, or the stem set's listing is damaged.
    """
    if (folder / LISTING).is_file():
        tracks = _of_set(read_set(folder))
    else:
        sounds = {place: _sounds(place, names) for place, names in folders_once(folder)} if folder.is_dir() else {}
        if any(path.name.lower().startswith(INSTRUMENT) for paths in sounds.values() for path in paths):
            return []
        found = {place: _stems_of(place, paths) for place, paths in sounds.items()}
        found = {place: files for place, files in found.items() if len(files) >= n_stems}
        names = unique_names(found, folder)
        tracks = [StemTrack(names[place], files, tuple(files)) for place, files in found.items()]
    return sorted(tracks, key=lambda track: md5_order(track.name))


def _of_set(stems: StemSet) -> list[StemTrack]:
    return [
        StemTrack(track.name, {stem: stems.path(track, stem) for stem in track.stems}, track.known, track.part)
        for track in stems.tracks.values()
        if track.stems
    ]


def _sounds(place: Path, names: Collection[str]) -> list[Path]:
    return sorted(place / name for name in names if is_audio_name(place / name))


def _stems_of(place: Path, paths: Sequence[Path]) -> dict[str, Path]:
    """Stem -> file, in one folder."""
    files: dict[str, Path] = {}
    for path in paths:
        stem = path.stem.removesuffix(f"_{place.name}").lower()
        if stem in files:
            raise DatasetError(f"{files[stem]} and {path} could both be the stem {stem}: keep one of them.")
        if stem not in NO_STEMS:
            files[stem] = path
    return files


def scorable_stems(tracks: Sequence[StemTrack], wanted: Collection[str]) -> list[str]:
    """Those of `wanted`, in their order, that at least one track can be scored for."""
    return [stem for stem in wanted if any(track.pair(stem) for track in tracks)]


def stem_pairs(tracks: Sequence[StemTrack], stem: str) -> list[Pair]:
    """The pairs of one stem, of the tracks that have it."""
    return [pair for track in tracks if (pair := track.pair(stem))]


def fitting_pairs(folder: Path | None, stems: Collection[str]) -> dict[str, list[Pair]]:
    """Stem -> pairs that its fixed EQ is fitted on, empty if there is no `folder`; a stem without any is named.

    Raises
    ------
    DatasetError
        If the folder has none of the stems.
    """
    if folder is None:
        return {stem: [] for stem in stems}
    tracks = find_stem_tracks(folder)
    pairs = {stem: stem_pairs(tracks, stem) for stem in stems}
    if not any(pairs.values()):
        raise DatasetError(
            f"{folder} has no track with {' or '.join(stems)} to fit the fixed EQ on: name a folder of stems, "
            "<track>/<stem>.wav, with --eq-from."
        )
    if missing := [stem for stem in stems if not pairs[stem]]:
        logging.getLogger(__name__).warning("%s has no %s: no fixed EQ stands beside it.", folder, ", ".join(missing))
    return pairs
