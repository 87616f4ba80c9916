"""Choose the tracks that are held out: named, spread over genre and level, and never related to a training track.

Tracks that share a song, an artist or audio form a group, and a group goes to one side as a whole. What is related is
told by the dataset's index (artist, title, ``same_song_as``: for Slakh the duplicate MIDI files), by its passport, and
by the duplicates that ``splitstrument dataset check`` found.
"""

from __future__ import annotations

import html.parser
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from splitstrument.curation.checks.findings import CHECKS_FILE, read_checks
from splitstrument.curation.statistics import FileStatistics, dataset_statistics, files_of, stage_of
from splitstrument.datasets.classes import check_target
from splitstrument.datasets.index import INDEX_FILE, read_index
from splitstrument.datasets.leakage import plain
from splitstrument.errors import DatasetError, SettingsError
from splitstrument.files import write_yaml
from splitstrument.settings import Settings, read_yaml

SIDES = ("evaluation", "validation")
RECORD_FILE = "split.yaml"
MAX_PASSPORT_BYTES = 100_000_000
N_LEVELS = 3


@dataclass(frozen=True)
class TrackFacts:
    """Facts about a track.

    Attributes
    ----------
    related
        Names of tracks that hold the same song or the same audio.
    level_dbfs
        Of the target; None if it was not measured.
    """

    name: str
    artist: str = ""
    title: str = ""
    genre: str = ""
    related: tuple[str, ...] = ()
    level_dbfs: float | None = None


class SplitOptions(Settings):
    """How many tracks to hold out, which by name, and what keeps tracks together.

    Attributes
    ----------
    evaluation, validation
        Numbers of tracks in all, those picked by hand included.
    picked_evaluation, picked_validation
        Names of tracks that were chosen by hand.
    by_artist
        Keep all tracks of an artist on one side.
    """

    evaluation: int = Field(0, ge=0)
    validation: int = Field(0, ge=0)
    picked_evaluation: tuple[str, ...] = ()
    picked_validation: tuple[str, ...] = ()
    by_artist: bool = True
    seed: int = 0


@dataclass(frozen=True)
class Split:
    """Names per side, the groups that were kept together (of more than one track), and the spread."""

    evaluation: tuple[str, ...]
    validation: tuple[str, ...]
    training: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    spread: dict[str, dict[str, int]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for YAML and JSON."""
        return {
            "n_tracks": {side: len(getattr(self, side)) for side in (*SIDES, "training")},
            "spread": self.spread,
            "kept_together": [list(group) for group in self.groups],
            "evaluation": list(self.evaluation),
            "validation": list(self.validation),
        }


def read_facts(folder: str | Path, genres: Mapping[str, str] | None = None) -> list[TrackFacts]:
    """Collect what a dataset says of its tracks, by name.

    Parameters
    ----------
    genres
        Track name -> genre, for tracks whose dataset tells none.

    Raises
    ------
    DatasetError
        If there is no track.
    """
    folder = Path(folder)
    names = sorted({track for track, _, _ in files_of(folder, stage_of(folder))})
    known = _known_entries(folder)
    duplicates = _duplicates(folder)
    genre_by_name = {plain(name): genre for name, genre in (genres or {}).items()}
    facts = []
    for name in names:
        entry = known.get(name, {})
        genre = str(entry.get("genre") or genre_by_name.get(plain(name), ""))
        related = (*entry.get("same_song_as", ()), *sorted(duplicates.get(name, ())))
        facts.append(TrackFacts(name, str(entry.get("artist", "")), str(entry.get("title", "")), genre, related))
    return facts


def measured(
    facts: Iterable[TrackFacts], folder: Path, part: str, executor: Executor, quiet: bool = False
) -> list[TrackFacts]:
    """Measure the dataset and add each track's level of `part` (`with_levels`).

    Raises
    ------
    DatasetError
        If no file is of that part.
    """
    check_target(part, (present for _, present, _ in files_of(folder, stage_of(folder))))
    return with_levels(facts, dataset_statistics(folder, executor, quiet=quiet).files, part)


def with_levels(facts: Iterable[TrackFacts], files: Iterable[FileStatistics], part: str) -> list[TrackFacts]:
    """Add each track's level of `part` (a class, or ``instrument``): the loudest of its files."""
    levels: dict[str, float] = {}
    for file in files:
        if file.part == part and file.active_dbfs is not None:
            levels[file.track] = max(levels.get(file.track, -np.inf), file.active_dbfs)
    return [TrackFacts(**{**vars(one), "level_dbfs": levels.get(one.name)}) for one in facts]


def related_groups(facts: Sequence[TrackFacts], by_artist: bool = True) -> list[tuple[str, ...]]:
    """Tracks that must stay together, every track in one group; sorted."""
    parent = {one.name: one.name for one in facts}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    owners: dict[tuple[str, ...], str] = {}
    for one in facts:
        for other in one.related:
            if other in parent:
                parent[root(one.name)] = root(other)
        for key in _keys(one, by_artist):
            parent[root(one.name)] = root(owners.setdefault(key, one.name))
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for one in facts:
        groups[root(one.name)].append(one.name)
    return sorted(tuple(sorted(group)) for group in groups.values())


def propose(facts: Sequence[TrackFacts], options: SplitOptions) -> Split:
    """Hold tracks out: those picked by hand, and as many more as asked for, spread as the whole dataset is.

    Group after group is added that brings the shares of genre and level nearest to those of all tracks; ties go by a
    random order from the seed.

    Raises
    ------
    DatasetError
        If a picked track does not exist, is related to a track on another side, or there are too few tracks.
    """
    groups = related_groups(facts, options.by_artist)
    group_of = {name: group for group in groups for name in group}
    strata = strata_of(facts)
    taken = _picked_groups(options, group_of)
    rng = np.random.default_rng(options.seed)
    order = [groups[index] for index in rng.permutation(len(groups))]
    sides: dict[str, list[str]] = {}
    for side in SIDES:
        free = [group for group in order if group[0] not in taken]
        chosen = [name for name in group_of if taken.get(name) == side]
        sides[side] = _fill(chosen, free, getattr(options, side), strata, side)
        taken |= dict.fromkeys(sides[side], side)
    training = tuple(one.name for one in facts if one.name not in taken)
    if not training:
        raise DatasetError(f"All {len(facts)} tracks would be held out: ask for fewer.")
    named = {"training": training, **{side: tuple(sorted(names)) for side, names in sides.items()}}
    spread = {side: dict(sorted(Counter(strata[name] for name in names).items())) for side, names in named.items()}
    return Split(named["evaluation"], named["validation"], training, tuple(g for g in groups if len(g) > 1), spread)


def strata_of(facts: Sequence[TrackFacts]) -> dict[str, str]:
    """Genre and third of level of each track, such as ``rock, loud``."""
    levels = [one.level_dbfs for one in facts if one.level_dbfs is not None]
    edges = np.quantile(levels, np.arange(1, N_LEVELS) / N_LEVELS) if len(levels) >= N_LEVELS else None
    words = ("quiet", "middle", "loud")

    def stratum(one: TrackFacts) -> str:
        genre = one.genre.casefold() or "no genre"
        if one.level_dbfs is None or edges is None:
            return genre
        return f"{genre}, {words[int(np.searchsorted(edges, one.level_dbfs, side='right'))]}"

    return {one.name: stratum(one) for one in facts}


def write_split(folder: str | Path, split: Split, options: SplitOptions) -> list[Path]:
    """Write ``evaluation.yaml`` and ``validation.yaml`` (lists of names, where there are any) and ``split.yaml``."""
    folder = Path(folder)
    written = []
    for side in SIDES:
        if getattr(split, side):
            write_yaml(folder / f"{side}.yaml", list(getattr(split, side)))
            written.append(folder / f"{side}.yaml")
    write_yaml(folder / RECORD_FILE, {"options": options.model_dump(mode="json"), **split.as_dict()})
    return [*written, folder / RECORD_FILE]


def read_genres(path: str | Path) -> dict[str, str]:
    """Track name -> genre, from YAML, or from a folder of HTML tables, one per genre, as cambridge-mt.com has them.

    In a table, each link to ``<name>.zip`` names a track; the file's name is the genre.

    Raises
    ------
    SettingsError
        If there is no such file, or it holds something else.
    """
    path = Path(path)
    if path.is_dir():
        tables = sorted(path.glob("*.html"))
        return {name: table.stem.replace("_", " ") for table in tables for name in _names_in(table)}
    data = read_yaml(path)
    if not isinstance(data, dict) or not all(isinstance(genre, str) for genre in data.values()):
        raise SettingsError(f"{path} should map track names to genres.")
    return {str(name): genre for name, genre in data.items()}


class _Links(html.parser.HTMLParser):
    """Collects the targets of links."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.targets += [value for name, value in attrs if tag == "a" and name == "href" and value]


def _names_in(table: Path) -> list[str]:
    parser = _Links()
    parser.feed(table.read_text(encoding="utf-8", errors="replace"))
    return [match[1] for target in parser.targets if (match := re.search(r"([^/]+)\.zip$", target))]


def _known_entries(folder: Path) -> dict[str, dict[str, Any]]:
    """Artist, title, genre and same_song_as by track, from the index or the passport."""
    if (folder / INDEX_FILE).is_file():
        return {name: entry.model_dump() for name, entry in read_index(folder).tracks.items()}
    if (folder / "passport.yaml").is_file():
        passport = read_yaml(folder / "passport.yaml", MAX_PASSPORT_BYTES)
        tracks = passport.get("tracks") if isinstance(passport, dict) else None
        return {name: entry for name, entry in (tracks or {}).items() if isinstance(entry, dict)}
    return {}


def _duplicates(folder: Path) -> dict[str, set[str]]:
    """Other tracks that the checks found to hold the same audio."""
    if not (folder / CHECKS_FILE).is_file():
        return {}
    pattern = re.compile(r"same audio as ([^/]+)/")
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, track in read_checks(folder).tracks.items():
        for finding in track.findings:
            match = pattern.match(finding.message) if finding.check == "duplicate" else None
            if match and match[1] != name:
                found[name].add(match[1])
    return dict(found)


def _keys(one: TrackFacts, by_artist: bool) -> list[tuple[str, ...]]:
    artist, title = plain(one.artist), plain(one.title)
    keys: list[tuple[str, ...]] = [("name", plain(one.name))]
    if artist and title:
        keys.append(("song", artist, title))
    if artist and by_artist:
        keys.append(("artist", artist))
    return keys


def _picked_groups(options: SplitOptions, group_of: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Side of every picked track; refuses picks that tear a group apart."""
    side_of: dict[str, str] = {}
    for side in SIDES:
        for name in getattr(options, f"picked_{side}"):
            if name not in group_of:
                raise DatasetError(f"There is no track {name!r} to hold out: check its name.")
            if side_of.setdefault(name, side) != side:
                raise DatasetError(f"{name!r} is picked for {side_of[name]} and for {side}: pick it for one of them.")
    for name, side in side_of.items():
        for other in group_of[name]:
            if side_of.get(other) != side:
                raise DatasetError(
                    f"{name!r} is picked for {side}, but its relative {other!r} (same song, artist or audio) is not: "
                    "pick both or neither."
                )
    return side_of


def _fill(
    chosen: list[str], free: list[tuple[str, ...]], wanted: int, strata: Mapping[str, str], side: str
) -> list[str]:
    """Add groups to `chosen` until it has `wanted` tracks."""
    shares = Counter(strata.values())
    while len(chosen) < wanted:
        fitting = [group for group in free if len(group) <= wanted - len(chosen)]
        if not fitting:
            raise DatasetError(
                f"Only {len(chosen)} of {wanted} tracks can be held out for {side} without parting related ones: "
                "ask for another number."
            )
        best = min(fitting, key=lambda group: _imbalance([*chosen, *group], strata, shares))
        chosen = [*chosen, *best]
        free = [group for group in free if group != best]
    return chosen


def _imbalance(names: Sequence[str], strata: Mapping[str, str], shares: Counter[str]) -> float:
    """How far the shares of the strata among `names` are from those of all tracks."""
    counts, total = Counter(strata[name] for name in names), sum(shares.values())
    return sum(abs(counts[stratum] / len(names) - share / total) for stratum, share in shares.items())
