"""Tracks of a training: the thesis's mixing of datasets, limits and validation by MD5.

With several datasets the thesis takes ``sum(ratios) / min(ratios)`` times the size of the smallest one, capped by
`track_limit`, gives each dataset the whole part of its share and fills no gaps: 131 + 43, 123 + 43 and 123 + 47 tracks
came out. Inside a dataset tracks are taken by the MD5 of their names, and the first 20 % of those validate.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitstrument.audio import AudioInfo
from splitstrument.errors import DatasetError
from splitstrument.files import real_path
from splitstrument.pairs import Pair, check_pair, find_pairs, md5_order
from splitstrument.recipes import recipes_folder
from splitstrument.training.checkpoint import PROVENANCE_FILE
from splitstrument.training.data.stem_tracks import StemTrack, stem_tracks
from splitstrument.training.settings import DatasetSource, TrainingSettings


@dataclass(frozen=True)
class Track:
    """A pair with what its headers say.

    Attributes
    ----------
    dataset
        Index into the training's list of datasets.
    """

    pair: Pair
    info: AudioInfo
    dataset: int

    @property
    def key(self) -> str:
        """Dataset index and name: unique in a training."""
        return f"{self.dataset}:{self.pair.name}"

    @property
    def name(self) -> str:
        """Name of the song."""
        return self.pair.name

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the song."""
        return self.pair.instrument, self.pair.rest


@dataclass(frozen=True)
class JointTrack(Track):
    """A song with a pair of one instrument, of another, or of both.

    Attributes
    ----------
    pairs
        The pair of each instrument, None where the song has none; `pair` is the first there is.
    """

    pairs: tuple[Pair | None, Pair | None] = (None, None)


@dataclass(frozen=True)
class TrackSets:
    """The tracks of both sides, in the order in which ``listed`` trains them."""

    training: tuple[Any, ...]  # Track, or StemTrack
    validation: tuple[Any, ...]


def load_tracks(
    settings: TrainingSettings, recipe_folder: Path | None = None, recorded: Mapping[str, list[str]] | None = None
) -> TrackSets:
    """Find, limit and split the tracks of all datasets, and check every header.

    Parameters
    ----------
    recorded
        Names of the tracks with which a training began (`splitstrument.training.run_folder.track_names`): of stem sets,
        which may have grown since, no others are taken.

    Raises
    ------
    DatasetError
        A missing dataset, an unknown track name, unequal pairs, or nothing left to train on.
    """
    _check_places(settings, recipe_folder)
    if settings.data.source == "stems":
        return _stem_sets(settings, recipe_folder, recorded)
    selected = [_selected(source, settings, recipe_folder) for source in settings.datasets]
    found = [pairs for pairs, _ in selected]
    limited, joint = settings.data.source == "chunks", settings.data.source == "joint"
    counts = mix_counts([len(pairs) for pairs in found], settings) if limited else [len(pairs) for pairs in found]
    training: list[Track] = []
    validation: list[Track] = []
    for index, (source, pairs, count) in enumerate(zip(settings.datasets, found, counts, strict=True)):
        tracks = _joint_tracks(pairs, selected[index][1], index) if joint else _tracks(pairs[:count], index)
        cut = validation_count(len(tracks), source, settings.validation_ratio)
        validation += tracks[:cut]
        training += tracks[cut:]
    if not training:
        raise DatasetError(
            f"No track is left to train on: the datasets {', '.join(s.label for s in settings.datasets)} have "
            f"{sum(map(len, found))} tracks, all of which went to validation or fell under the limit."
        )
    if settings.data.order == "md5":
        training.sort(key=lambda track: md5_order(track.pair.name))
    return TrackSets(tuple(training), tuple(validation))


def _stem_sets(
    settings: TrainingSettings, recipe_folder: Path | None, recorded: Mapping[str, list[str]] | None
) -> TrackSets:
    """The songs of stem sets; each set says which of them validate."""
    names = None if recorded is None else {name for side in recorded.values() for name in side}
    sides: dict[str, list[StemTrack]] = {"training": [], "validation": []}
    for index, source in enumerate(settings.datasets):
        prefix = f"{source.label}/"
        only = None if names is None else {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
        for track in stem_tracks(source, locate(source, recipe_folder), index, only):
            own = "validation" if track.part == "validation" else "training"
            sides[own if source.role == "both" else source.role].append(track)
    if not sides["training"]:
        raise DatasetError(
            f"No song is left to train on in {', '.join(source.label for source in settings.datasets)}: songs of the "
            "parts validation and test do not train; give a set the role training, or render more."
        )
    return TrackSets(tuple(sides["training"]), tuple(sides["validation"]))


def _tracks(pairs: Sequence[Pair], dataset: int) -> list[Track]:
    return [Track(pair, check_pair(pair), dataset) for pair in pairs]


def _joint_tracks(first: Sequence[Pair], second: Sequence[Pair], dataset: int) -> list[Track]:
    """Songs that are in either list, or in both with equal headers."""
    by_name: tuple[dict[str, Pair], dict[str, Pair]] = ({p.name: p for p in first}, {p.name: p for p in second})
    tracks: list[Track] = []
    for name in sorted(by_name[0].keys() | by_name[1].keys(), key=md5_order):
        pairs = (by_name[0].get(name), by_name[1].get(name))
        present = [pair for pair in pairs if pair]
        infos = [check_pair(pair) for pair in present]
        if (infos[0].n_samples, infos[0].sample_rate_hz) != (infos[-1].n_samples, infos[-1].sample_rate_hz):
            raise DatasetError(
                f"{present[0].instrument} and {present[1].instrument} differ in length or rate "
                f"({infos[0].n_samples} and {infos[1].n_samples} samples): both must come from the same song."
            )
        tracks.append(JointTrack(present[0], infos[0], dataset, pairs))
    return tracks


def mix_counts(sizes: Sequence[int], settings: TrainingSettings) -> list[int]:
    """Number of tracks to take from each dataset, by the rule in the module's docstring.

    Datasets with the role ``validation`` are taken whole and do not count.
    """
    mixed = [index for index, source in enumerate(settings.datasets) if source.role != "validation"]
    ratios = [settings.datasets[index].ratio for index in mixed]
    total = mixed_total([sizes[index] for index in mixed], ratios, settings.data.track_limit)
    counts = list(sizes)
    for index, ratio in zip(mixed, ratios, strict=True):
        counts[index] = min(sizes[index], _whole(total * ratio / sum(ratios)))
    return counts


def mixed_total(sizes: Sequence[int], ratios: Sequence[float], limit: int | None) -> float:
    """Tracks of all datasets together, before each takes the whole part of its share."""
    total = sum(ratios) / min(ratios) * min(sizes)
    return min(total, limit) if limit else total


def validation_count(n_tracks: int, source: DatasetSource, ratio: float) -> int:
    """How many of a dataset's tracks validate: the whole part of the ratio, but at least one of two or more."""
    if source.role != "both" or ratio == 0:
        return n_tracks if source.role == "validation" else 0
    return max(_whole(n_tracks * ratio), 1 if n_tracks > 1 else 0)


def locate(source: DatasetSource, recipe_folder: Path | None) -> Path:
    """Find a dataset's folder: from the run folder that the settings are of, or from the working folder, or from the
    folder above the recipe's.

    Raises
    ------
    DatasetError
        Naming the places that were tried.
    """
    places = [Path(source.path)]
    if recipe_folder and not places[0].is_absolute():
        places.append(real_path(recipe_folder).parent / source.path)
        if (recipe_folder / PROVENANCE_FILE).is_file():
            places.insert(0, real_path(recipe_folder) / source.path)
    for place in places:
        if place.is_dir():
            return place
    recipe = f"{source.label}.yaml"
    known = (recipes_folder("datasets") / recipe).is_file()
    maker = f"`splitstrument dataset build datasets/{recipe}`" if known else "`splitstrument dataset build` or `render`"
    raise DatasetError(
        f"The dataset {source.label!r} is not there: expected a folder {source.path} with instrument/rest pairs; make "
        f"it with {maker}, or say where it lies with --dataset {source.label}=PATH."
    )


def placed_from(run: Path, settings: TrainingSettings, recipe_folder: Path | None) -> TrainingSettings:
    """Settings whose datasets are named by their places from the run folder, so that it goes on from anywhere."""

    def place(source: DatasetSource) -> str:
        return os.path.relpath(real_path(locate(source, recipe_folder)), real_path(run))

    def placed(source: DatasetSource) -> DatasetSource:
        second = place(source.second) if source.second else None
        return source.model_copy(update={"name": source.label, "path": place(source), "second_path": second})

    return settings.model_copy(update={"datasets": tuple(map(placed, settings.datasets))})


def _check_places(settings: TrainingSettings, recipe_folder: Path | None) -> None:
    """Name all datasets that are missing at once."""
    missing = []
    for source in filter(None, (each for one in settings.datasets for each in (one, one.second))):
        try:
            locate(source, recipe_folder)
        except DatasetError as error:
            missing.append(str(error))
    if missing:
        raise DatasetError(" ".join(missing))


def _selected(
    source: DatasetSource, settings: TrainingSettings, recipe_folder: Path | None
) -> tuple[list[Pair], list[Pair]]:
    """Pairs that a recipe takes of a dataset, and those of its second instrument; a song may be in one of both."""
    rate_hz = settings.model.spectrogram.sample_rate_hz
    first = find_pairs(locate(source, recipe_folder), rate_hz)
    second = find_pairs(locate(source.second, recipe_folder), rate_hz) if source.second else []
    names = {pair.name for pair in (*first, *second)}
    for name in (*(source.tracks or ()), *source.exclude):
        if name not in names:
            raise DatasetError(
                f"The dataset {source.label!r} has no track {name!r}: it has {', '.join(sorted(names)[:8])}"
                f"{' ...' if len(names) > 8 else ''}."
            )
    wanted = (set(source.tracks) if source.tracks is not None else names) - set(source.exclude)
    kept = [[pair for pair in pairs if pair.name in wanted] for pairs in (first, second)]
    return kept[0], kept[1]


def _whole(share: float) -> int:
    """Whole part, immune to the rounding of products such as 0.1 * 30."""
    return int(share + 1e-9)
