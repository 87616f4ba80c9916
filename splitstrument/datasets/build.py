"""Build a dataset by its recipe: organise, mark, mix, cut silences, hold out, check, and write the passport.

    <output>/stems/<track>/<class>/<stem>   organised form, with index.yaml and marks
    <output>/mixed/tracks_<rate>hz/...      pairs before the silences are cut, where they are
    <output>/tracks_<rate>hz/...            the pairs
    <output>/evaluation.yaml, passport.yaml

Every step of every track is done once and again only when its input changed (`steps`), in parallel over tracks; what a
build made for tracks that no longer belong is removed, and nothing else. A track that fails keeps its stems and marks.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from splitstrument.datasets.index import Index, TrackEntry, stems_of, write_index
from splitstrument.datasets.marks import import_marks, read_marks, read_marks_file
from splitstrument.datasets.mix import MixSettings, mix_track
from splitstrument.datasets.organise import none_whole, organise_track, refuse_output_in
from splitstrument.datasets.recipe import DatasetRecipe, SourceRecipe, chosen_tracks, read_recipe, renamed
from splitstrument.datasets.silence import SilenceSettings
from splitstrument.datasets.silence_cut import cut_track, pairs_by_track
from splitstrument.datasets.sources import RawTrack, Source
from splitstrument.datasets.steps import Done, building, do_once, forget_others, key_of, read_record
from splitstrument.errors import DatasetError
from splitstrument.executor import run_batch
from splitstrument.files import real_path, sha256_of
from splitstrument.pairs import Pair

STEMS, MIXED = "stems", "mixed"
# raised when a step would make other files from the same input
VERSIONS = {"organise": 2, "mix": 1, "silence": 1}
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


def build(recipe: DatasetRecipe, executor: Executor, quiet: bool = False) -> Built:
    """Build `recipe`, and first the dataset that it takes its pairs from.

    Raises
    ------
    DatasetError
        If raw data is missing, no pair comes out, the output lies where it would spoil what it is made of, or another
        process builds the same folder.
    """
    origins = _origins(recipe)
    _refuse_output(recipe, origins)
    origin = build(origins[0], executor, quiet) if origins else None
    chosen = _chosen(recipe)
    with building(recipe.output):
        built = Built(recipe, failures=dict(origin.failures) if origin else {})
        if origin:
            built.entries, root = origin.entries, origin.recipe.output
            built.origin = root
            hashes = origin.files
            forget_others(recipe.output, "mix", ())  # of a recipe that had sources
        else:
            _organise(built, chosen, executor, quiet)
            if not recipe.silence:
                forget_others(recipe.output, "silence", ())  # before the same files are mixed
            hashes = _mix(built, executor, quiet)
            root = recipe.output / MIXED
        if origin or recipe.silence:
            _cut(built, root, hashes, executor, quiet)
        if not built.files:
            raise DatasetError(f"{recipe.name}: no pair came out. {_reasons(built)}")
    return built


def _origins(recipe: DatasetRecipe) -> list[DatasetRecipe]:
    """The dataset that the pairs come from, the one that its pairs come from, and so on."""
    origins: list[DatasetRecipe] = []
    origin = recipe
    while origin.pairs_from:
        if len(origins) == MAX_ORIGINS:
            raise DatasetError(f"{recipe.name} takes its pairs from itself, through others: mend `pairs_from`.")
        origin = read_recipe(origin.pairs_from)
        origins.append(origin)
    return origins


def _refuse_output(recipe: DatasetRecipe, origins: list[DatasetRecipe]) -> None:
    for origin in origins:
        if real_path(origin.output) == real_path(recipe.output):
            raise DatasetError(
                f"{recipe.name} takes its pairs from {origin.name}, but its output {recipe.output} is that one's too, "
                "whose pairs it would replace: choose another output."
            )
    for source in (source for either in (recipe, *origins) for source in either.sources):
        refuse_output_in(source.root, recipe.output)


def _reasons(built: Built) -> str:
    """Return the first few reasons why tracks were left out."""
    skipped = {name: done.report["skipped"] for name, done in built.mixed.items() if done.report["skipped"]}
    return "; ".join(f"{name}: {reason}" for name, reason in list({**skipped, **built.failures}.items())[:5])


# --- organise ---


def _chosen(recipe: DatasetRecipe) -> list[tuple[SourceRecipe, Source, list[RawTrack]]]:
    """Return what is asked of each raw dataset, before anything is written."""
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
    forget_others(recipe.output, "organise", {*built.entries, *built.failures})
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
        before = read_record(dataset, "organise", track.name).get("report")
        known = TrackEntry.model_validate(before).stems if before else ()
        entry = organise_track(track, source, dataset / STEMS, recipe, known)
        files: dict[Path, str | None] = {dataset / STEMS / track.name / stem.file: stem.sha256 for stem in entry.stems}
        return entry.model_dump(mode="json", by_alias=True), files

    def of_people(report: dict[str, Any]) -> list[Path]:
        """Files that a person put in the place of a stem."""
        folder = dataset / STEMS / track.name
        return [folder / stem["file"] for stem in report["stems"] if stem["placed_sha256"] is None]

    return do_once(dataset, "organise", track.name, key, work, of_people)


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
    forget_others(recipe.output, "mix", batch.results)
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
    tracks = []
    for pairs in pairs_by_track(root, recipe.sample_rates_hz).values():
        files = [path.relative_to(base).as_posix() for pair in pairs for path in (pair.instrument, pair.rest)]
        if all(name in hashes for name in files):  # others lie there, but no build made them
            tracks.append((pairs, [hashes[name] for name in files]))
    work = partial(cut_once, root=root, dataset=recipe.output, settings=settings)
    batch = run_batch(work, tracks, executor, "silence", lambda item: item[0][0].name, quiet)
    built.cut = batch.results
    built.failures.update(batch.failures)
    built.n_fresh += _fresh(batch.results)
    forget_others(recipe.output, "silence", batch.results)


def cut_once(item: tuple[list[Pair], list[str]], root: Path, dataset: Path, settings: SilenceSettings) -> Done:
    """Cut one track (its pairs, and their files' hashes) unless nothing changed."""
    pairs, hashes = item
    names = [path.relative_to(root).as_posix() for pair in pairs for path in (pair.instrument, pair.rest)]
    key = key_of("silence", VERSIONS["silence"], settings.model_dump(), names, hashes)

    def work() -> tuple[dict[str, Any], dict[Path, str | None]]:
        report = cut_track(pairs, root, dataset, settings)
        return {**asdict(report), "files": None}, dict.fromkeys(report.files)

    return do_once(dataset, "silence", pairs[0].name, key, work)


def _fresh(results: dict[str, Done]) -> int:
    return sum(done.fresh for done in results.values())
