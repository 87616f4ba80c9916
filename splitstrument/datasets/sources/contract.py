"""Contract of every source of raw stems; dataset N+1 is a file with one class that keeps it.

A `Source` reads one dataset in the layout in which its makers distribute it. It opens no audio: it reads metadata and
folder names and says which file plays which instrument. `tests/datasets/test_sources.py` runs the same tests over all
of them.

The promises:

1. `tracks` lists every track under the root, sorted by name, names unique and usable as folder names.
2. A stem has either an instrument name from the metadata, or a class that the layout itself implies, or neither (then
   the stem-name classifier may propose one).
3. Every path lies inside the root, links resolved.
4. A folder that is not this dataset, or half of it, raises a `DatasetError` that says what was expected where; a track
   that misses files is listed with `problems` instead, so that the others can be used.
5. A folder that cannot be read is named: as a problem of its track or, where it may hold any track, in a
   `DatasetError`. Tracks that are only out of sight must not count as gone.
6. Sound in a format that is not read, and links that lead nowhere, are problems of the track in whose folder they lie,
   or of one of their own: `tracks` sees to it.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from splitstrument.audio import is_audio_name
from splitstrument.errors import DatasetError
from splitstrument.files import inside, safe_name
from splitstrument.unread import unread_below, unread_reason

MAX_JSON_BYTES = 20_000_000


@dataclass(frozen=True)
class RawStem:
    """One audio file of a track.

    Attributes
    ----------
    path
        The file.
    instrument
        Names in the dataset's metadata; several if the stem mixes instruments; empty if the metadata is silent.
    stem_class
        Class that the layout implies (the backing track of a game is ``other``); it wins over `instrument`.
    start_s, length_s
        The part of the file that is this stem; a `length_s` of None is all of it.
    """

    path: Path
    instrument: tuple[str, ...] = ()
    stem_class: str | None = None
    start_s: float = 0.0
    length_s: float | None = None


@dataclass(frozen=True)
class RawTrack:
    """One song of a raw dataset.

    Attributes
    ----------
    folder
        Where all files of the track lie; whatever sound lies there belongs to it.
    split
        The dataset's own ``train``, ``validation`` or ``test``, if it has one.
    same_song_as
        Names of tracks that are the same composition, where the dataset says so: never on both sides of a split.
    problems
        What is wrong with this track, each in a few words; such a track is skipped and reported.
    notes
        What a listener should know (such as bleed that the makers declare).
    """

    name: str
    stems: tuple[RawStem, ...]
    artist: str = ""
    title: str = ""
    genre: str = ""
    split: str = ""
    same_song_as: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    folder: Path | None = None


class Source(ABC):
    """A raw dataset: what it is, where it comes from, and how to read it.

    Attributes
    ----------
    name
        Short name for recipes and the command line.
    title, citation, licence, url
        For people and for the passport.
    layout
        What the folder given as root looks like.
    films
        Names, without suffix, of files with sound beside the stems that are none.
    """

    name: str
    title: str
    citation: str
    licence: str
    url: str
    layout: str
    films: tuple[str, ...] = ()

    @abstractmethod
    def scan(self, root: Path) -> Iterator[RawTrack]:
        """Yield the tracks under `root` in any order; names may repeat."""

    def tracks(self, root: str | Path) -> list[RawTrack]:
        """List the tracks under `root`, sorted, with unique names and no path outside `root`.

        Raises
        ------
        DatasetError
            If `root` is missing or holds no track of this dataset.
        """
        root = Path(root)
        if not root.is_dir():
            raise DatasetError(f"There is no folder {root}: get {self.title} from {self.url} first.")
        found = [_guarded(root, track) for track in self._with_lost(root, list(self.scan(root)))]
        if not found:
            raise DatasetError(f"{root} holds no track of {self.title}: expected {self.layout}.")
        return unique_names(sorted(found, key=lambda track: track.name))

    def _with_lost(self, root: Path, tracks: list[RawTrack]) -> list[RawTrack]:
        """Add what cannot be taken below `root` to the problems of the track that it belongs to, or as tracks."""
        lost: dict[Path | None, tuple[str, ...]] = {}
        folders = {track.folder for track in tracks}
        for path, reason in unread_below(root).items():
            if path.stem.casefold() in self.films:
                continue
            owner = next((folder for folder in path.parents if folder in folders), None)
            place = owner or (path if path.parent == root else path.parent)
            lost[place] = (*lost.get(place, ()), reason)
        owned = [replace(track, problems=track.problems + lost.get(track.folder, ())) for track in tracks]
        return owned + [
            RawTrack(place.stem if place.is_symlink() else place.name, (), problems=problems, folder=place)
            for place, problems in lost.items()
            if place and place not in folders
        ]


def _guarded(root: Path, track: RawTrack) -> RawTrack:
    """Turn paths that lead out of the root into problems, and the name into one that can be a folder."""
    outside = [stem.path for stem in track.stems if not inside(root, stem.path)]
    problems = (*track.problems, *(f"{path} leads out of {root}" for path in outside))
    stems = tuple(stem for stem in track.stems if stem.path not in outside)
    return replace(track, name=safe_name(track.name), stems=stems, problems=problems)


def unique_names(tracks: Iterable[RawTrack]) -> list[RawTrack]:
    """Number the later tracks of one name: ``Song``, ``Song (2)``; names that differ by case count as one."""
    seen: dict[str, int] = {}
    result = []
    for track in tracks:
        count = seen[track.name.casefold()] = seen.get(track.name.casefold(), 0) + 1
        result.append(track if count == 1 else replace(track, name=f"{track.name} ({count})"))
    return result


def readable_folders(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Walk like `os.walk`, but never pass over a folder in silence.

    Raises
    ------
    DatasetError
        If a folder below `root` cannot be read.
    """
    for folder, subfolders, names in os.walk(root, onerror=_refuse_unreadable):
        yield Path(folder), subfolders, names


def _refuse_unreadable(error: OSError) -> None:
    raise DatasetError(
        f"The folder {error.filename} cannot be read ({error.strerror}), so that its tracks are unknown: make it "
        "readable, or move it out of the dataset."
    )


def sound_files(folder: Path, names: Iterable[str]) -> list[Path]:
    """Those of the files `names` in `folder` that can be taken as sound, sorted; `Source.tracks` names the others."""
    paths = (folder / name for name in sorted(names) if is_audio_name(name))
    return [path for path in paths if unread_reason(path) is None]


def is_there(path: Path) -> bool:
    """Tell whether a file is there and its folder can be entered."""
    try:
        return path.is_file()
    except PermissionError:
        return False


def missing_files(stems: Iterable[RawStem]) -> tuple[str, ...]:
    """A problem for stems whose file is not there."""
    missing = [stem.path for stem in stems if not is_there(stem.path)]
    if not missing:
        return ()
    others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return (f"{missing[0]}{others} missing or in a folder that cannot be read",)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that may be hostile, in UTF-8, 16 or 32, with a byte order mark or without.

    Raises
    ------
    DatasetError
        If it is missing, too large, damaged, or no object.
    """
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise DatasetError(f"{path} is larger than {MAX_JSON_BYTES} bytes: get the file again.")
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}): get the file, or make it readable.") from None
    except (ValueError, RecursionError):
        raise DatasetError(f"{path} is no JSON: get the file again.") from None
    if not isinstance(data, dict):
        raise DatasetError(f"{path} should hold a JSON object, but holds {type(data).__name__}: get the file again.")
    return data
