"""Match estimates to references by the path of their folders, and never by a guess.

A track is known by the path of its folder below the folder that was given. An estimate belongs to the reference whose
path is the same. Where the folders above differ (``test/song`` and ``htdemucs/song``), it is, of the estimates left,
the one whose path has the longest common end; where two estimates or two references are equally near, all are refused.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from splitstrument.audio import is_audio_name
from splitstrument.errors import DatasetError
from splitstrument.evaluation.metrics.registry import SOURCES
from splitstrument.pairs import Pair, find_pairs, unique_names
from splitstrument.unread import folders_once, unread_reason

OUR_NAMES = {source: source for source in SOURCES}


def find_stems(folder: Path, names: Mapping[str, str] = OUR_NAMES) -> dict[Path, dict[str, Path]]:
    """Folder of a track -> source -> file, for every folder below `folder` that holds ``instrument*`` or ``rest*``.

    ``instrument.wav`` is the instrument, whatever longer names (``instrument_preview.wma``) stand beside it.

    Parameters
    ----------
    names
        Source -> what its files are called: ``{"instrument": "guitar", "rest": "no_guitar"}``. Letter case and what
        follows the name do not matter, but a longer word is another name: `instrumental.wav` is no instrument.

    Raises
    ------
    DatasetError
        If there is no such folder, or one has two files for one source.
    """
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder}: {expected(names)}.")
    sources = {name.lower(): source for source, name in names.items()}
    longest_first = sorted(sources, key=len, reverse=True)  # "piano_rest" is not the "piano"
    pattern = re.compile(rf"({'|'.join(map(re.escape, longest_first))})(?![^\W\d_])", re.IGNORECASE)
    found_at: dict[Path, dict[str, list[Path]]] = {}
    for path in sorted(place / name for place, names in folders_once(folder) for name in names):
        if (found := pattern.match(path.name)) and (is_audio_name(path) or unread_reason(path)):
            found_at.setdefault(path.parent, {}).setdefault(sources[found[1].lower()], []).append(path)
    return {
        place: {source: _only(source, names[source], paths) for source, paths in track.items()}
        for place, track in found_at.items()
    }


def expected(names: Mapping[str, str] = OUR_NAMES) -> str:
    """Where the files of a track should lie, for messages."""
    return "expected " + " and ".join(f"<track>/{name}*.wav" for name in names.values())


def _only(source: str, name: str, paths: list[Path]) -> Path:
    """The file whose name is the source's and no more or, where there is none, the one there is."""
    candidates = [path for path in paths if path.stem.lower() == name.lower()] or paths
    if len(candidates) > 1:
        raise DatasetError(f"{candidates[0]} and {candidates[1]} could both be the {source}: keep one of them.")
    return candidates[0]


def find_references(folder: Path) -> list[Pair]:
    """Pairs of references, sorted by name; both files must be there.

    A dataset with several ``tracks_<rate>hz`` folders gives those of the highest rate.
    """
    folder = Path(folder)
    if any(folder.glob("tracks_*hz")):
        return sorted(find_pairs(folder))
    stems = find_stems(folder)
    if not stems:
        raise DatasetError(f"{folder} holds no references: {expected()}.")
    for files in stems.values():
        if len(files) < len(SOURCES):
            raise DatasetError(f"{next(iter(files.values()))} stands alone: a reference needs instrument and rest.")
    names = unique_names(stems, folder)
    return sorted(Pair(names[place], files["instrument"], files["rest"]) for place, files in stems.items())


def match(references: Collection[Pair], root: Path, estimates: Collection[Path], place: Path) -> dict[Pair, Path]:
    """The folder of estimates of each reference that has one.

    Parameters
    ----------
    root, place
        The folders that were given: of the references, and of the estimates.

    Raises
    ------
    DatasetError
        If a reference could have several, or several references the same.
    """
    same = {pair: place / pair.instrument.parent.relative_to(root) for pair in references}
    matched = {pair: folder for pair, folder in same.items() if folder in estimates}
    by_name: dict[str, list[Path]] = {}
    taken = set(matched.values())
    for folder in (folder for folder in estimates if folder not in taken):
        by_name.setdefault(folder.absolute().name, []).append(folder)
    for pair in [pair for pair in references if pair not in matched]:
        if nearest := _nearest(pair, by_name.get(pair.instrument.parent.absolute().name, [])):
            matched[pair] = nearest
    for folder, count in Counter(matched.values()).items():
        if count > 1:
            places = " or ".join(str(pair.instrument.parent) for pair, theirs in matched.items() if theirs == folder)
            raise DatasetError(f"{folder} could be the estimate of {places}: name the folders above them alike, too.")
    return matched


def _nearest(pair: Pair, folders: list[Path]) -> Path | None:
    """The folder whose path has the longest common end with the reference's."""
    ends = {folder: _common_end(folder, pair.instrument.parent) for folder in folders}
    nearest = [folder for folder, count in ends.items() if count == max(ends.values())]
    if len(nearest) > 1:
        raise DatasetError(
            f"The estimate of {pair.instrument.parent} could be in {' or '.join(map(str, nearest))}: "
            "give the folder of one model, or name the folders above alike."
        )
    return nearest[0] if nearest else None


def _common_end(one: Path, other: Path) -> int:
    """Number of last parts that both paths have in common."""
    ours, theirs = one.absolute().parts, other.absolute().parts
    same = (a == b for a, b in zip(reversed(ours), reversed(theirs), strict=False))
    return sum(1 for _ in itertools.takewhile(bool, same))
