"""Build a dataset by its recipe: organise, mark, mix, cut silences, hold out, check, and write the passport.

    <output>/stems/<track>/<class>/<stem>   organised form, with index.yaml and marks
    <output>/mixed/tracks_<rate>hz/...      pairs before the silences are cut, where they are
    <output>/tracks_<rate>hz/...            the pairs
    <output>/evaluation.yaml, passport.yaml

Every step of every track is done once and again only when its input changed (`steps`), in parallel over tracks; tracks
that no longer belong are removed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from splitstrument.errors import DatasetError
from splitstrument.files import sha256_of
from splitstrument.pairs import Pair
from splitstrument.stems.batch import run_batch
from splitstrument.stems.choice import chosen_tracks, renamed
from splitstrument.stems.index import Index, TrackEntry, stems_of, write_index
from splitstrument.stems.marks import import_marks, read_marks, read_marks_file
from splitstrument.stems.mix import MixSettings, clear_pair, mix_track
from splitstrument.stems.organise import none_whole, organise_track
from splitstrument.stems.recipe import DatasetRecipe, SourceRecipe, read_recipe
from splitstrument.stems.silence import SilenceSettings
from splitstrument.stems.silence_tracks import cut_track, pairs_by_track
from splitstrument.stems.sources import RawTrack, Source
from splitstrument.stems.steps import STATE_FOLDER, Done, building, do_once, key_of

STEMS, MIXED = "stems", "mixed"
# raised when a step would make other files from the same input
VERSIONS = {"organise": 1, "mix": 1, "silence": 1}
MAX_ORIGINS = 5


@dataclass
class Built:
    """A dataset that was built.

    Attributes
    ----------
    mixed, cut
        Reports of the two steps by track.
    entries
        What the index knows of each track.
    failures
        Tracks that failed, with the reason.
    n_fresh
        Steps of tracks that were done in this run; the others were unchanged.
    origin
        Folder of the dataset that the pairs were taken from, if they were.
    """

    recipe: DatasetRecipe
    entries: dict[str, TrackEntry] = field(default_factory=dict)
    mixed: dict[str, Done] = field(default_factory=dict)
    cut: dict[str, Done] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    n_fresh: int = 0
    origin: Path | None = None

    @property
    def files(self) -> dict[str, str]:
        """Files of the finished pairs with their hashes."""
        last = self.cut if self.recipe.pairs_from or self.recipe.silence else self.mixed
        return {name: sha256 for _, done in sorted(last.items()) for name, sha256 in sorted(done.files.items())}


def build(recipe: DatasetRecipe, executor: Executor, quiet: bool = False, depth: int = 0) -> Built:
    """Build `recipe`, and first the dataset that it takes its pairs from.

    Raises
    ------
    DatasetError
        If raw data is missing, no pair comes out, or another process builds the same folder.
    """
    if depth > MAX_ORIGINS:
        raise DatasetError(f"{recipe.name} takes its pairs from itself, through others: mend `pairs_from`.")
    origin = build(read_recipe(recipe.pairs_from), executor, quiet, depth + 1) if recipe.pairs_from else None
    chosen = _chosen(recipe)
    with building(recipe.output):
        built = Built(recipe, failures=dict(origin.failures) if origin else {})
        if origin:
            built.entries, root = origin.entries, origin.recipe.output
            built.origin = root
            hashes = origin.files
        else:
            _organise(built, chosen, executor, quiet)
            hashes = _mix(built, executor, quiet)
            root = recipe.output / MIXED
        if origin or recipe.silence:
            _cut(built, root, hashes, executor, quiet)
        if not built.files:
            raise DatasetError(f"{recipe.name}: no pair came out. {_reasons(built)}")
    return built


def _reasons(built: Built) -> str:
    """Why tracks were left out, the first few."""
    skipped = {name: done.report["skipped"] for name, done in built.mixed.items() if done.report["skipped"]}
    return "; ".join(f"{name}: {reason}" for name, reason in list({**skipped, **built.failures}.items())[:5])


# --- organise ---


def _chosen(recipe: DatasetRecipe) -> list[tuple[SourceRecipe, Source, list[RawTrack]]]:
    """What is asked of each raw dataset, before anything is written."""
    if recipe.marks and not recipe.marks.is_file():
        raise DatasetError(
            f"{recipe.name} wants the quality marks {recipe.marks}, which are not there: get them from the thesis's "
            "repository, or remove the line `marks` and mark by `splitstrument dataset listen`."
        )
    return [(source, *chosen_tracks(source, recipe.target)) for source in recipe.sources]


def _organise(
    built: Built, chosen: list[tuple[SourceRecipe, Source, list[RawTrack]]], executor: Executor, quiet: bool
) -> None:
    recipe = built.recipe
    stems = recipe.output / STEMS
    taken: set[str] = set()
    for source_recipe, source, tracks in chosen:
        tracks = [renamed(track, taken, source.name) for track in tracks]
        taken.update(track.name.casefold() for track in tracks)
        work = partial(organise_once, source=source, dataset=recipe.output, recipe=source_recipe)
        batch = run_batch(work, tracks, executor, f"organise {source.name}", lambda track: track.name, quiet)
        if not batch.results:
            raise none_whole(source_recipe.root, source, batch.failures)
        built.failures.update(batch.failures)
        built.entries.update({name: TrackEntry.model_validate(done.report) for name, done in batch.results.items()})
        built.n_fresh += _fresh(batch.results)
    _prune(stems, built.entries, recipe.output, "organise")
    write_index(stems, Index(tracks=dict(sorted(built.entries.items()))))
    _import_marks(recipe, stems)


def organise_once(track: RawTrack, source: Source, dataset: Path, recipe: SourceRecipe) -> Done:
    """Organise one track unless nothing changed."""
    signature = [
        (str(stem.path), status.st_size, status.st_mtime_ns)
        for stem in track.stems
        if stem.path.is_file() and (status := stem.path.stat())
    ]
    options = {
        "place": recipe.place,
        "min_confidence": recipe.min_confidence,
        "map": recipe.map and sha256_of(recipe.map),
    }
    key = key_of("organise", VERSIONS["organise"], options, asdict(track), signature)

    def work() -> tuple[dict[str, Any], dict[Path, str | None]]:
        entry = organise_track(track, source, dataset / STEMS, recipe)
        files: dict[Path, str | None] = {dataset / STEMS / track.name / stem.file: stem.sha256 for stem in entry.stems}
        return entry.model_dump(mode="json", by_alias=True), files

    return do_once(dataset, "organise", track.name, key, work)


def _import_marks(recipe: DatasetRecipe, stems: Path) -> None:
    """Import the recipe's marks once for each version of their file, so that later marks by hand stay."""
    marks = recipe.marks
    if marks is None:
        return
    key = key_of("marks", recipe.target, sha256_of(marks))

    def work() -> tuple[dict[str, Any], dict[Path, str | None]]:
        return {"missing": import_marks(stems, recipe.target, read_marks_file(marks))}, {}

    do_once(recipe.output, "marks", recipe.target, key, work)


# --- mix ---


def _mix(built: Built, executor: Executor, quiet: bool) -> dict[str, str]:
    recipe = built.recipe
    output = recipe.output / MIXED if recipe.silence else recipe.output
    settings = MixSettings(target=recipe.target, **recipe.mix.model_dump())
    hashes = {
        name: {Path(stem.file).name: stem.sha256 for stem in entry.stems} for name, entry in built.entries.items()
    }
    work = partial(mix_once, dataset=recipe.output, output=output, settings=settings)
    batch = run_batch(work, sorted(hashes.items()), executor, "mix", lambda item: item[0], quiet)
    built.mixed = batch.results
    built.failures.update(batch.failures)
    built.n_fresh += _fresh(batch.results)
    _prune_pairs(output, [name for name, done in batch.results.items() if done.files], recipe.output, "mix")
    return {name: sha256 for done in batch.results.values() for name, sha256 in done.files.items()}


def mix_once(item: tuple[str, dict[str, str]], dataset: Path, output: Path, settings: MixSettings) -> Done:
    """Mix one track (its name, and the hashes of its stems by file name) unless nothing changed."""
    track, hashes = item
    folder = dataset / STEMS / track
    stems = [
        (name, path.name, hashes.get(path.name) or sha256_of(path))
        for name, paths in stems_of(folder).items()
        for path in paths
    ]
    marks = {name: sorted(read_marks(folder, name)) for name in (settings.target, *settings.also)}
    key = key_of("mix", VERSIONS["mix"], settings.model_dump(), output.name, stems, marks)

    def work() -> tuple[dict[str, Any], dict[Path, str | None]]:
        report = mix_track(folder, output, settings)
        return {**asdict(report), "files": None}, dict.fromkeys(report.files)

    return do_once(dataset, "mix", track, key, work)


# --- silence ---


def _cut(built: Built, root: Path, hashes: dict[str, str], executor: Executor, quiet: bool) -> None:
    recipe = built.recipe
    settings = recipe.silence or SilenceSettings(below_audible=0)
    base = root if recipe.pairs_from else recipe.output
    tracks = [
        (
            pairs,
            [hashes.get(path.relative_to(base).as_posix()) for pair in pairs for path in (pair.instrument, pair.rest)],
        )
        for pairs in pairs_by_track(root, recipe.sample_rates_hz).values()
    ]
    work = partial(cut_once, root=root, dataset=recipe.output, settings=settings)
    batch = run_batch(work, tracks, executor, "silence", lambda item: item[0][0].name, quiet)
    built.cut = batch.results
    built.failures.update(batch.failures)
    built.n_fresh += _fresh(batch.results)
    _prune_pairs(recipe.output, [name for name, done in batch.results.items() if done.files], recipe.output, "silence")


def cut_once(
    item: tuple[list[Pair], Sequence[str | None]], root: Path, dataset: Path, settings: SilenceSettings
) -> Done:
    """Cut one track (its pairs, and their files' hashes) unless nothing changed."""
    pairs, hashes = item
    files = [path for pair in pairs for path in (pair.instrument, pair.rest)]
    known = [sha256 or sha256_of(path) for path, sha256 in zip(files, hashes, strict=True)]
    names = [path.relative_to(root).as_posix() for path in files]
    key = key_of("silence", VERSIONS["silence"], settings.model_dump(), names, known)

    def work() -> tuple[dict[str, Any], dict[Path, str | None]]:
        report = cut_track(pairs, root, dataset, settings)
        return {**asdict(report), "files": None}, dict.fromkeys(report.files)

    return do_once(dataset, "silence", pairs[0].name, key, work)


# --- what no longer belongs ---


def _fresh(results: dict[str, Done]) -> int:
    return sum(done.fresh for done in results.values())


def _prune_pairs(output: Path, names: Sequence[str], dataset: Path, step: str) -> None:
    for folder in output.glob("tracks_*hz"):
        _prune(folder, names, dataset, step, clear_pair)


def _prune(
    folder: Path,
    names: Sequence[str] | dict[str, Any],
    dataset: Path,
    step: str,
    empty: Callable[[Path], None] | None = None,
) -> None:
    """Remove tracks that are not among `names`, and their records; hidden folders belong to other tools."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.is_dir() and path.name not in names and not path.name.startswith("."):
            if empty:
                empty(path)
            if not empty or not any(path.iterdir()):
                shutil.rmtree(path)
            (dataset / STATE_FOLDER / step / f"{path.name}.json").unlink(missing_ok=True)
