"""Songs of stem sets as a training reads them: which files there are, what is known, who trains and who validates.

A set says itself which part a song belongs to (`splitstrument.stem_set`): ``role: both`` takes ``train`` and
``validation`` as they are, ``training`` and ``validation`` give both to one side; ``test`` is for scores, never read.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path

from splitstrument.audio import AudioInfo, probe
from splitstrument.errors import DatasetError
from splitstrument.stem_set import SetTrack, StemSet, read_set
from splitstrument.training.settings import DatasetSource

TEST_PART = "test"


@dataclass(frozen=True)
class StemTrack:
    """A song of a stem set with what a header of it says.

    Attributes
    ----------
    paths
        File of each stem that has one.
    known
        Stems whose whole content is in their own file, or that are silent.
    dataset
        Index into the training's list of datasets.
    """

    name: str
    paths: dict[str, Path]
    known: frozenset[str]
    info: AudioInfo
    dataset: int
    part: str

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the song."""
        return tuple(self.paths.values())


def stem_tracks(source: DatasetSource, folder: Path, dataset: int, only: Container[str] | None) -> list[StemTrack]:
    """The songs of one set that a recipe takes, by name.

    Parameters
    ----------
    only
        Names to take of a set that has grown since; all unless given.

    Raises
    ------
    DatasetError
        If the set has no such song, or a file of it is missing.
    """
    listing = read_set(folder)
    for name in (*(source.tracks or ()), *source.exclude):
        if name not in listing.tracks:
            raise DatasetError(
                f"The dataset {source.label!r} has no track {name!r}: it has {', '.join(sorted(listing.tracks)[:8])}"
                f"{' ...' if len(listing.tracks) > 8 else ''}."
            )
    return [_track(listing, song, dataset) for song in _taken(listing.tracks.values(), source, only)]


def _taken(songs: Iterable[SetTrack], source: DatasetSource, only: Container[str] | None) -> list[SetTrack]:
    listed = [song for song in songs if source.tracks is None or song.name in source.tracks]
    kept = [song for song in listed if song.name not in source.exclude and (only is None or song.name in only)]
    return sorted((song for song in kept if song.stems and song.part != TEST_PART), key=lambda song: song.name)


def _track(listing: StemSet, song: SetTrack, dataset: int) -> StemTrack:
    paths = {stem: listing.path(song, stem) for stem in song.stems}
    return StemTrack(song.name, paths, frozenset(song.known), probe(next(iter(paths.values()))), dataset, song.part)
