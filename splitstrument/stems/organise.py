"""Raw dataset to organised form: ``<track>/<class>/<stem>`` by link or copy, with a track index.

Nothing that a person decided is undone: a stem that already lies in some class folder of its track stays there, and
marks stay. A stem whose class is not known goes to ``excluded`` and its instrument name into the report.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import Field

from splitstrument.audio import AudioWriter, check_finite, open_audio, probe
from splitstrument.errors import DatasetError
from splitstrument.files import atomic_path, safe_name, sha256_of
from splitstrument.settings import Settings
from splitstrument.stems.batch import Batch, run_batch
from splitstrument.stems.classes import EXCLUDED, GUITAR, OTHER, PIANO, InstrumentMap, read_instrument_map
from splitstrument.stems.index import INDEX_FILE, Index, StemEntry, TrackEntry, read_index, stems_of, write_index
from splitstrument.stems.names import Guess, classify
from splitstrument.stems.sources import RawStem, RawTrack, Source, get_source

PIECE_BLOCK = 1 << 18


class OrganiseSettings(Settings):
    """How a raw dataset is organised.

    Attributes
    ----------
    source
        Name of the source.
    map
        YAML of instrument names and classes; None is the one that ships.
    place
        ``link`` (symbolic) or ``copy`` the files.
    min_confidence
        Of the stem-name classifier, for stems without metadata; below it a stem is set aside as ``excluded``.
    """

    source: str
    map: Path | None = None
    place: Literal["link", "copy"] = "link"
    min_confidence: float = Field(0.5, ge=0, le=1)


@dataclass
class OrganiseReport:
    """What happened: the index, tracks left out and why, and names the map does not know with their counts."""

    index: Index
    problems: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    proposed: dict[str, int] = field(default_factory=dict)


def organise(
    root: str | Path, output: str | Path, settings: OrganiseSettings, executor: Executor, quiet: bool = False
) -> OrganiseReport:
    """Organise all tracks under `root` into `output`; tracks of other sources that lie there already stay.

    Raises
    ------
    DatasetError
        If the raw dataset is missing or is not what the source reads.
    """
    source = get_source(settings.source)
    tracks = source.tracks(root)
    batch = organise_tracks(source, tracks, Path(output), settings, executor, quiet)
    if not batch.results:
        raise none_whole(root, source, batch.failures)
    index = _merged_index(Path(output), source, batch)
    write_index(output, index)
    return OrganiseReport(index, batch.failures, *_naming_counts(batch.results.values()))


def none_whole(root: str | Path, source: Source, failures: dict[str, str]) -> DatasetError:
    """The error for a dataset of which every track is incomplete, with the first one's reason."""
    name, reason = next(iter(failures.items()))
    return DatasetError(
        f"{root} holds no whole track of {source.title} (of {len(failures)}; {name}: {reason}): expected "
        f"{source.layout}; get the missing files from {source.url}."
    )


def organise_tracks(
    source: Source,
    tracks: Sequence[RawTrack],
    output: Path,
    settings: OrganiseSettings,
    executor: Executor,
    quiet: bool = False,
) -> Batch[TrackEntry]:
    """Organise the given tracks, in parallel."""
    work = partial(organise_track, source=source, output=output, settings=settings)
    return run_batch(work, tracks, executor, "organise", lambda track: track.name, quiet)


def organise_track(track: RawTrack, source: Source, output: Path, settings: OrganiseSettings) -> TrackEntry:
    """Place one track's stems and describe them.

    Raises
    ------
    DatasetError
        If the source found problems with the track, or it has no stem.
    """
    if track.problems or not track.stems:
        raise DatasetError("; ".join(track.problems) or "no stems")
    instrument_map = read_instrument_map(settings.map)
    placed = {path.name: path for paths in _existing_stems(output / track.name).values() for path in paths}
    entries = []
    classes = classes_of_stems(track.stems, instrument_map, settings.min_confidence)
    for name, stem, (stem_class, confidence) in zip(_file_names(track.stems), track.stems, classes, strict=True):
        path = placed.get(name) or output / track.name / stem_class / name
        _place(stem, path, settings.place)
        entries.append(_describe(path, stem, confidence if path.parent.name == stem_class else None))
    return TrackEntry(
        source=source.name,
        licence=source.licence,
        artist=track.artist,
        title=track.title,
        genre=track.genre,
        split=track.split,
        same_song_as=track.same_song_as,
        notes=track.notes,
        stems=tuple(entries),
    )


def classes_of_stems(
    stems: Sequence[RawStem], instrument_map: InstrumentMap, min_confidence: float
) -> list[tuple[str, float | None]]:
    """Class of each stem of one track, with the classifier's confidence where it had to be asked.

    Layout wins over metadata, metadata over the file's name. A stem of several instruments has their common class, or
    ``other`` if neither guitar nor piano is among them, or else ``excluded``: it fits neither side of a pair.
    """
    guesses = {guess.name: guess for guess in classify([stem.path.name for stem in stems])}
    return [_class_of_stem(stem, instrument_map, min_confidence, guesses[stem.path.name]) for stem in stems]


def _class_of_stem(
    stem: RawStem, instrument_map: InstrumentMap, min_confidence: float, guess: Guess
) -> tuple[str, float | None]:
    if stem.stem_class:
        return stem.stem_class, None
    if stem.instrument:
        return _joint_class([instrument_map.class_of(name) for name in stem.instrument]), None
    return (guess.stem_class if guess.confidence >= min_confidence else EXCLUDED), guess.confidence


def _joint_class(classes: Iterable[str | None]) -> str:
    found = set(classes)
    if None in found:
        return EXCLUDED
    if len(found) == 1:
        return str(found.pop())
    return EXCLUDED if any(str(name).endswith((GUITAR, PIANO)) or name == EXCLUDED for name in found) else OTHER


def _file_names(stems: Sequence[RawStem]) -> list[str]:
    """Names unique within the track; equal ones from different folders get their folder's name in front."""
    names = [stem.path.name if stem.length_s is None else f"{stem.path.stem}.flac" for stem in stems]
    counts = Counter(name.casefold() for name in names)
    full = [
        f"{stem.path.parent.name}_{name}" if counts[name.casefold()] > 1 else name
        for name, stem in zip(names, stems, strict=True)
    ]
    return [safe_name(name) for name in full]


def _existing_stems(folder: Path) -> dict[str, list[Path]]:
    return stems_of(folder) if folder.is_dir() else {}


def _place(stem: RawStem, path: Path, how: str) -> None:
    """Link, copy or cut a stem's file to `path` unless it is there."""
    raw = stem.path
    if stem.length_s is not None:
        if not path.is_file():
            _cut_piece(stem, path)
        return
    if path.is_file() and (path.samefile(raw) or _is_copy(path, raw)):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if how == "link":
        _link(raw.resolve(), path)
    else:
        with atomic_path(path) as temporary:
            shutil.copyfile(raw, temporary)


def _cut_piece(stem: RawStem, path: Path) -> None:
    """Write the part of a file that is the stem, sample by sample as it is."""
    with open_audio(stem.path) as file:
        start, n_samples = round(stem.start_s * file.samplerate), round((stem.length_s or 0) * file.samplerate)
        file.seek(min(start, file.frames))
        with AudioWriter(path, file.samplerate, file.channels, "PCM_24", n_samples) as writer:
            for position in range(0, n_samples, PIECE_BLOCK):
                block = file.read(min(PIECE_BLOCK, n_samples - position), dtype="float32", always_2d=True)
                check_finite(block, stem.path)
                writer.write(block)


def _is_copy(path: Path, raw: Path) -> bool:
    return not path.is_symlink() and path.stat().st_size == raw.stat().st_size


def _link(raw: Path, path: Path) -> None:
    """Put a symbolic link to `raw` at `path`, replacing what is there in one step."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(raw)
    temporary.replace(path)


def _describe(path: Path, stem: RawStem, confidence: float | None) -> StemEntry:
    info = probe(path)
    return StemEntry(
        file=f"{path.parent.name}/{path.name}",
        stem_class=path.parent.name,
        instrument=stem.instrument,
        confidence=None if confidence is None else round(confidence, 4),
        sha256=sha256_of(path),
        sample_rate_hz=info.sample_rate_hz,
        n_samples=info.n_samples,
        n_channels=info.n_channels,
    )


def _merged_index(output: Path, source: Source, batch: Batch[TrackEntry]) -> Index:
    before = read_index(output).tracks if (output / INDEX_FILE).is_file() else {}
    kept = {name: entry for name, entry in before.items() if entry.source != source.name}
    return Index(tracks={**kept, **batch.results})


def _naming_counts(entries: Iterable[TrackEntry]) -> tuple[dict[str, int], dict[str, int]]:
    """Instrument names that led to ``excluded``, and classes that the classifier proposed, with counts."""
    unknown: Counter[str] = Counter()
    proposed: Counter[str] = Counter()
    for entry in entries:
        for stem in entry.stems:
            if stem.stem_class == EXCLUDED and stem.instrument:
                unknown[" + ".join(stem.instrument)] += 1
            if stem.confidence is not None:
                proposed[stem.stem_class] += 1
    return dict(unknown.most_common()), dict(proposed.most_common())
