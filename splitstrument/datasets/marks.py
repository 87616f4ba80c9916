"""Quality marks of the thesis: empty files ``<track>/<class>_<mark>`` that survive any tool and any editor.

Someone who listened sets ``checked`` and what was wrong. A track is usable for a target if it is ``checked`` and has
none of `DEFECTS`; ``detailed`` (needs a second listening) and ``audible`` do not exclude it. Automatic checks never
write marks.

The exchange form is YAML with one entry per track and a boolean per mark, as the thesis published it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitstrument.datasets.classes import CLASSES, check_class_name, check_target
from splitstrument.datasets.index import track_folders
from splitstrument.errors import DatasetError, SettingsError
from splitstrument.files import write_yaml
from splitstrument.settings import read_yaml, short_repr

CHECKED = "checked"
DEFECTS = ("missing", "inaudible", "bad_quality", "bleed", "mislabeled")
MARKS = ("audible", "bad_quality", "bleed", CHECKED, "detailed", "inaudible", "mislabeled", "missing")


def read_marks(track_folder: str | Path, stem_class: str) -> frozenset[str]:
    """Marks that one track has for one class."""
    folder = Path(track_folder)
    return frozenset(mark for mark in MARKS if (folder / f"{stem_class}_{mark}").is_file())


def set_mark(track_folder: str | Path, stem_class: str, mark: str, present: bool = True) -> None:
    """Set or remove one mark.

    Raises
    ------
    DatasetError
        If the track's folder does not exist or `mark` is none of `MARKS`.
    """
    folder = Path(track_folder)
    if mark not in MARKS:
        raise DatasetError(f"{mark!r} is no mark: use one of {', '.join(MARKS)}.")
    if not folder.is_dir():
        raise DatasetError(f"There is no track folder {folder} to mark: organise the dataset first.")
    path = folder / f"{check_class_name(stem_class)}_{mark}"
    if present:
        path.touch()
    else:
        path.unlink(missing_ok=True)


def is_usable(marks: Iterable[str], require_checked: bool = True) -> bool:
    """Tell whether a stem with these marks may be mixed; without `require_checked`, only defects exclude."""
    marks = set(marks)
    return not marks.intersection(DEFECTS) and (CHECKED in marks or not require_checked)


@dataclass(frozen=True)
class MarkCounts:
    """How many tracks have which mark, and how many are usable."""

    n_tracks: int
    n_usable: int
    by_mark: dict[str, int]


def count_marks(marks: Mapping[str, Iterable[str]]) -> MarkCounts:
    """Count marks of many tracks (name -> marks)."""
    by_mark = Counter(mark for names in marks.values() for mark in names)
    usable = sum(is_usable(names) for names in marks.values())
    return MarkCounts(len(marks), usable, {mark: by_mark[mark] for mark in MARKS})


def read_all_marks(dataset: str | Path, stem_class: str) -> dict[str, frozenset[str]]:
    """Marks of every track of an organised dataset that has any for the class, by name."""
    folders = sorted(path for path in Path(dataset).iterdir() if path.is_dir() and not path.name.startswith("."))
    marks = {folder.name: read_marks(folder, stem_class) for folder in folders}
    return {name: found for name, found in marks.items() if found}


def check_class_here(dataset: str | Path, stem_class: str) -> None:
    """Refuse a class that is neither one of ours (whose stems may be missing) nor one of the dataset's folders.

    Raises
    ------
    DatasetError
        With the nearest of the classes that there are; also where this is no organised dataset.
    """
    folders = [path for track in track_folders(dataset) for path in track.iterdir() if path.is_dir()]
    if stem_class not in CLASSES:
        check_target(stem_class, (path.name for path in folders if not path.name.startswith(".")))


def read_marks_file(path: str | Path) -> dict[str, frozenset[str]]:
    """Read the exchange form.

    Raises
    ------
    SettingsError
        If an entry has an unknown mark or a value that is not true or false.
    """
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise SettingsError(f"{path} should hold one entry per track, but holds {type(data).__name__}.")
    return {str(track): _marks_of(track, entry, path) for track, entry in data.items()}


def _marks_of(track: Any, entry: Any, path: str | Path) -> frozenset[str]:
    if not isinstance(entry, dict) or not all(isinstance(value, bool) for value in entry.values()):
        raise SettingsError(f"{path}: {track!r} should map marks to true or false (received {short_repr(entry)}).")
    if unknown := set(entry) - set(MARKS):
        raise SettingsError(f"{path}: {track!r} has the unknown mark {min(map(str, unknown))!r}; known: {MARKS}.")
    return frozenset(mark for mark, value in entry.items() if value)


def write_marks_file(path: str | Path, marks: Mapping[str, Iterable[str]]) -> None:
    """Write the exchange form, tracks and marks in alphabetical order."""
    data = {name: {mark: mark in set(found) for mark in MARKS} for name, found in sorted(marks.items())}
    write_yaml(path, data)


def import_marks(dataset: str | Path, stem_class: str, marks: Mapping[str, Iterable[str]]) -> list[str]:
    """Make the tracks' marks equal to `marks`; return the names that the dataset does not have.

    Raises
    ------
    DatasetError
        If a name is none that a folder of the dataset can have, such as ``..``; no mark is changed then.
    """
    dataset, missing = Path(dataset), []
    for track in marks:
        _check_track_name(track)
    for track, found in marks.items():
        folder = dataset / track
        if track.startswith(".") or not folder.is_dir():  # hidden folders are ours, not tracks
            missing.append(track)
            continue
        for mark in MARKS:
            set_mark(folder, stem_class, mark, mark in set(found))
    return missing


def _check_track_name(name: str) -> None:
    """Refuse what would lead out of the dataset or to its root."""
    if name in ("", ".", "..") or Path(name).name != name or "\0" in name:
        raise DatasetError(
            f"The marks name the track {name[:80]!r}, which cannot be a folder of the dataset: "
            "expected plain names of tracks; mend or remove that entry."
        )
