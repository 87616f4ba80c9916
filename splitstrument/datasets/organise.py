"""Raw dataset to organised form: ``<track>/<class>/<stem>`` by link or copy, with a track index.

Nothing that a person decided is undone: a stem that already lies in some class folder of its track stays there, and
marks stay. A stem whose class is not known goes to ``excluded`` and its instrument name into the report. Of a track
that fails nothing stays that was placed just now, so that none is mixed without some of its stems.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from splitstrument.audio import Audio, AudioWriter, Reader, check_finite, open_audio, probe
from splitstrument.datasets.classes import EXCLUDED, GUITAR, OTHER, PIANO, InstrumentMap, read_instrument_map
from splitstrument.datasets.file_names import unique_names
from splitstrument.datasets.index import INDEX_FILE, Index, StemEntry, TrackEntry, read_index, stems_of, write_index
from splitstrument.datasets.names import Guess, classify
from splitstrument.datasets.sources import RawStem, RawTrack, Source, get_source
from splitstrument.datasets.steps import remove_empty_folders
from splitstrument.errors import DatasetError
from splitstrument.executor import run_batch
from splitstrument.files import atomic_path, inside, real_path, sha256_of
from splitstrument.settings import Settings

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
    """Outcome of organising: the index, tracks left out and why, and names the map does not know with their counts."""

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
        If the raw dataset is missing or is not what the source reads, or `output` lies in it.
    """
    refuse_output_in(root, output)
    source = get_source(settings.source)
    tracks = source.tracks(root)
    before = read_index(output).tracks if (Path(output) / INDEX_FILE).is_file() else {}
    root_id = hashlib.sha256(str(real_path(root)).encode("utf-8", "replace")).hexdigest()[:12]
    # of another raw folder nothing is known, so that nothing of it is replaced or removed
    known = {name: entry.stems for name, entry in before.items() if entry.root_id == root_id}
    work = partial(_organise_known, source=source, output=Path(output), settings=settings, root_id=root_id)
    items = [(track, known.get(track.name, ())) for track in tracks]
    batch = run_batch(work, items, executor, "organise", lambda item: item[0].name, quiet)
    if not batch.results:
        raise none_whole(root, source, batch.failures)
    others = {name: entry for name, entry in before.items() if not _is_from(entry, source, root_id)}
    index = Index(tracks={**others, **batch.results})
    write_index(output, index)
    return OrganiseReport(index, batch.failures, *_naming_counts(batch.results.values()))


def _is_from(entry: TrackEntry, source: Source, root_id: str) -> bool:
    """Tell whether a track came from this raw folder; indexes of before `root_id` know its source alone."""
    return entry.root_id == root_id if entry.root_id else entry.source == source.name


def refuse_output_in(root: str | Path, output: str | Path) -> None:
    """Refuse to write into a raw dataset, where the next run would take the results for songs.

    Raises
    ------
    DatasetError
        If `output` is `root` or lies in it.
    """
    if inside(root, output):
        raise DatasetError(
            f"The output {output} lies in the raw dataset {root}, which is only read: choose a folder outside."
        )


def none_whole(root: str | Path, source: Source, failures: dict[str, str]) -> DatasetError:
    """The error for a dataset of which every track is incomplete, with the first one's reason."""
    name, reason = next(iter(failures.items()))
    return DatasetError(
        f"{root} holds no whole track of {source.title} (of {len(failures)}; {name}: {reason}): expected "
        f"{source.layout}; get the missing files from {source.url}."
    )


def _organise_known(
    item: tuple[RawTrack, Sequence[StemEntry]], source: Source, output: Path, settings: OrganiseSettings, root_id: str
) -> TrackEntry:
    track, known = item
    return organise_track(track, source, output, settings, known).model_copy(update={"root_id": root_id})


def organise_track(
    track: RawTrack, source: Source, output: Path, settings: OrganiseSettings, known: Sequence[StemEntry] = ()
) -> TrackEntry:
    """Place one track's stems and describe them; those `known` from an earlier run that it no longer has are removed.

    Raises
    ------
    DatasetError
        If the source found problems with the track, or it has no stem.
    """
    if track.problems or not track.stems:
        raise DatasetError("; ".join(track.problems) or "no stems")
    instrument_map = read_instrument_map(settings.map)
    folder = output / track.name
    names = unique_names([_first_name(stem) for stem in track.stems], [stem.path for stem in track.stems])
    moved = _remove_departed(folder, [stem for stem in known if Path(stem.file).name not in names])
    placed = {path.name: path for path in _existing_stems(folder)}
    ours = {Path(stem.file).name: stem.placed_sha256 for stem in known}
    entries = []
    classes = classes_of_stems(track.stems, instrument_map, settings.min_confidence)
    with _removed_on_failure(output) as new:
        for name, stem, (stem_class, confidence) in zip(names, track.stems, classes, strict=True):
            was_moved_to = moved.get(sha256_of(stem.path)) if moved else None  # it only has another name now
            path = placed.get(name) or folder / (was_moved_to or stem_class) / name
            if not (path.exists() or path.is_symlink()):
                new.append(path)
            is_ours = _place(stem, path, settings.place, ours.get(name))
            entries.append(_describe(path, stem, confidence if path.parent.name == stem_class else None, is_ours))
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


def _first_name(stem: RawStem) -> str:
    """The file's name; a piece of it becomes FLAC, or WAV where FLAC would clip it."""
    if stem.length_s is None:
        return stem.path.name
    return f"{stem.path.stem}{'.wav' if _passes_full_scale(stem) else '.flac'}"


def _passes_full_scale(stem: RawStem) -> bool:
    with open_audio(stem.path) as file:
        return not file.subtype.startswith("PCM") and any(
            np.abs(block).max() > 1 for block in _piece_blocks(file, stem)
        )


def _existing_stems(folder: Path) -> list[Path]:
    return [path for paths in stems_of(folder).values() for path in paths] if folder.is_dir() else []


def _remove_departed(folder: Path, departed: Iterable[StemEntry]) -> dict[str, str]:
    """Remove stems that the source no longer has, wherever a person moved them; other files of their names stay.

    Returns
    -------
    classes
        SHA-256 of what was removed -> the class that it lay in.
    """
    stems = {Path(stem.file).name: stem for stem in departed}
    classes = {}
    for path in _existing_stems(folder) if stems else []:
        stem = stems.get(path.name)
        if stem and (path.is_symlink() or sha256_of(path) == stem.placed_sha256):
            classes[stem.sha256] = path.parent.name
            path.unlink()
            remove_empty_folders(path.parent, folder)
    return classes


@contextlib.contextmanager
def _removed_on_failure(output: Path) -> Iterator[list[Path]]:
    """Collect paths below `output`; remove them, and the folders that they leave empty, if the block fails."""
    paths: list[Path] = []
    try:
        yield paths
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
            remove_empty_folders(path.parent, output)
        raise


def _place(stem: RawStem, path: Path, how: str, placed_sha256: str | None) -> bool:
    """Link or copy a stem's file to `path`, or cut it, unless it is there or a person has put another file there.

    Parameters
    ----------
    placed_sha256
        Of what an earlier run placed.

    Returns
    -------
    is_ours
        False if a person's file lies there, which no run replaces.
    """
    raw, there = stem.path, path.is_file() and not path.is_symlink()
    if there and stem.length_s is None and _is_copy(path, raw):
        return True
    if there and sha256_of(path) != placed_sha256:
        return False
    if stem.length_s is not None:
        _cut_piece(stem, path)
        return True
    if how == "link" and path.is_file() and path.samefile(raw):
        return True
    path.parent.mkdir(parents=True, exist_ok=True)
    if how == "link":
        _link(real_path(raw), path)
        return True
    with atomic_path(path) as temporary:
        shutil.copyfile(raw, temporary)
    return True


def _cut_piece(stem: RawStem, path: Path) -> None:
    """Write the part of a file that is the stem, sample by sample as it is.

    An old piece is always replaced: to find out whether it is still the same would take as long.
    """
    subtype = "FLOAT" if path.suffix == ".wav" else "PCM_24"
    with open_audio(stem.path) as file:
        n_samples = round((stem.length_s or 0) * file.sample_rate_hz)
        with AudioWriter(path, file.sample_rate_hz, file.n_channels, subtype, n_samples) as writer:
            for block in _piece_blocks(file, stem):
                check_finite(block, stem.path)
                writer.write(block)


def _piece_blocks(file: Reader, stem: RawStem) -> Iterator[Audio]:
    file.seek(round(stem.start_s * file.sample_rate_hz))
    n_samples = round((stem.length_s or 0) * file.sample_rate_hz)
    for position in range(0, n_samples, PIECE_BLOCK):
        yield file.read(min(PIECE_BLOCK, n_samples - position))


def _is_copy(path: Path, raw: Path) -> bool:
    same_size = not path.is_symlink() and path.stat().st_size == raw.stat().st_size
    return same_size and sha256_of(path) == sha256_of(raw)


def _link(raw: Path, path: Path) -> None:
    """Put a symbolic link to `raw` at `path`, replacing what is there in one step."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(raw)
    temporary.replace(path)


def _describe(path: Path, stem: RawStem, confidence: float | None, is_ours: bool) -> StemEntry:
    info, sha256 = probe(path), sha256_of(path)
    return StemEntry(
        file=f"{path.parent.name}/{path.name}",
        stem_class=path.parent.name,
        instrument=stem.instrument,
        confidence=None if confidence is None else round(confidence, 4),
        sha256=sha256,
        placed_sha256=sha256 if is_ours else None,
        sample_rate_hz=info.sample_rate_hz,
        n_samples=info.n_samples,
        n_channels=info.n_channels,
    )


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
