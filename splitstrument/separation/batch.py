"""Many songs at once: what is meant, what can be done, and doing it; one bad song does not stop the others."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path

from splitstrument.audio import open_audio
from splitstrument.errors import AudioFileError, SettingsError, SplitstrumentError
from splitstrument.executor import Outcome, map_tracks
from splitstrument.files import claimed, real_path, sha256_of
from splitstrument.model_folder import ModelFolder
from splitstrument.separation.options import SeparationOptions
from splitstrument.separation.outputs import LOSSY, SIDECAR, check_format, check_pattern, output_paths, output_subtype
from splitstrument.separation.pipeline import LoadedModel, Progress, load_model
from splitstrument.separation.places import choose_patterns, is_done, is_of, patterns_of, separation_at
from splitstrument.separation.result import SeparatedSong
from splitstrument.separation.samples import SampleType
from splitstrument.separation.song_reader import part_of
from splitstrument.separation.songs import separate_file


@dataclass(frozen=True)
class Planned:
    """A song that passed the preflight, and all that its separation goes by.

    Attributes
    ----------
    pattern, outputs
        Its own pattern, and the files by it (`output_paths`).
    duration_s, n_bytes
        Length, None where it is not known, and size of the stems, roughly.
    must_be_new
        Outputs that are there when it is its turn are another process's: they are not replaced.
    """

    song: Path
    pattern: str
    outputs: dict[str, Path]
    duration_s: float | None
    n_bytes: int
    must_be_new: bool = False


@dataclass(frozen=True)
class Plan:
    """Plan of a batch.

    Attributes
    ----------
    skipped
        Songs whose outputs are there already.
    errors
        Songs that cannot be separated, each with the reason.
    stale
        Song -> sidecar of an earlier separation of it, since which the song was changed.
    """

    songs: list[Planned]
    skipped: list[Path]
    errors: dict[Path, str]
    stale: dict[Path, Path] = field(default_factory=dict)


def make_plan(
    songs: Mapping[Path, Path | None],
    folder: Path,
    model: ModelFolder,
    options: SeparationOptions,
    existing: str = "refuse",
) -> Plan:
    """Check every song and its outputs before any compute.

    Parameters
    ----------
    songs
        Song -> its folder below the folder that was given or None, as `find_songs` has them.
    existing
        What to do about outputs that are there: ``refuse``, ``overwrite`` or ``skip`` (those that are the song's own).

    Raises
    ------
    SettingsError, AudioFileError
        If nothing at all could be written: a bad pattern, a folder without write permission, too little space.
    """
    options = options.resolved(model.settings)
    check_pattern(options.filename)
    check_folder(folder)
    planner = _Planner(folder, model, options, existing)
    plan = Plan([], [], {}, planner.stale)
    named = {song: below for song, below in songs.items() if _is_readable(song, plan)}
    patterns = choose_patterns(named, options.filename, planner.outputs)
    for song, below in named.items():
        try:
            planned = planner.plan(song, [patterns[song], *patterns_of(song, below, options.filename)])
            if planned is None:
                plan.skipped.append(song)
            else:
                plan.songs.append(planned)
        except SplitstrumentError as error:
            plan.errors[song] = str(error)
    _check_space(folder, plan)
    return plan


def _is_readable(song: Path, plan: Plan) -> bool:
    """Note a song whose name is no text: the sidecar, JSON and messages could not hold it."""
    printable = Path(str(song).encode("utf-8", "replace").decode())
    if printable != song:
        plan.errors[printable] = f"The name of {printable} is not valid text (UTF-8): rename the file or its folder."
    return printable == song


@dataclass
class _Planner:
    """Finds each song its place."""

    folder: Path
    model: ModelFolder
    options: SeparationOptions
    existing: str
    owners: dict[Path, Path] = field(default_factory=dict)
    stale: dict[Path, Path] = field(default_factory=dict)

    def outputs(self, song: Path, pattern: str) -> dict[str, Path]:
        """Every file that the song would be separated into."""
        options = self.options.model_copy(update={"filename": pattern})
        return output_paths(song, self.folder, self.model.description.name, options)

    def plan(self, song: Path, patterns: Sequence[str]) -> Planned | None:
        """The song at the first of `patterns` that suits; None if it was separated before and is to be skipped."""
        pattern = self._free_place(song, patterns) if self.existing == "skip" else patterns[0]
        if pattern is None:
            return None
        planned = _planned(song, pattern, self.outputs(song, pattern), self.options)
        planned = replace(planned, must_be_new=self.existing == "refuse")
        self._check_outputs(planned)
        self.owners.update(dict.fromkeys(planned.outputs.values(), song))
        return planned

    def _free_place(self, song: Path, patterns: Sequence[str]) -> str | None:
        """The first pattern whose place no other song has; None where one has the finished song."""
        sha256, free = "", ""
        for pattern in dict.fromkeys(patterns):
            outputs = self.outputs(song, pattern)
            there = separation_at(outputs)
            sha256 = sha256 or (sha256_of(song) if there else "")
            if there and there.song.sha256 == sha256:
                if is_done(there, outputs, self.options, self.model):
                    return None
                raise SettingsError(
                    f"{outputs[SIDECAR]} is that of other outputs than those of {song} that are wanted now: "
                    "give --overwrite or another --output."
                )
            if there and is_of(there, outputs[SIDECAR], song):
                self.stale[song] = outputs[SIDECAR]
            if not free and there is None and not self.owners.keys() & set(outputs.values()):
                free = pattern
        return free or patterns[0]

    def _check_outputs(self, planned: Planned) -> None:
        for path in planned.outputs.values():
            if path in self.owners:
                raise SettingsError(
                    f"{planned.song} and {self.owners[path]} would both be written to {path}: "
                    "use --filename '{folder}/{track}/{stem}.{ext}' or other output folders."
                )
            if path.exists() and real_path(path) == real_path(planned.song):
                raise SettingsError(
                    f"{planned.song} would be overwritten by its own output: use another output folder."
                )
            if path.exists() and self.existing == "refuse":
                raise SettingsError(f"{path} exists already: give --overwrite or --skip-existing.")


def _planned(song: Path, pattern: str, outputs: dict[str, Path], options: SeparationOptions) -> Planned:
    with open_audio(song) as file:
        part = part_of(file, song, options)
        subtype = output_subtype(options.format, file.subtype)
        check_format(options.format, subtype, file.sample_rate_hz, file.n_channels)
        held = SampleType.of_subtype(subtype)
        sample_bytes = 1 if options.format in LOSSY else (held.bits or (64 if held.dtype == "float64" else 32)) / 8
        length = part.estimate or 0
        n_bytes = int(length * file.n_channels * sample_bytes * len(options.stems or ()))
        return Planned(song, pattern, outputs, length / file.sample_rate_hz if length else None, n_bytes)


def check_folder(folder: Path) -> None:
    """Refuse an output folder that cannot be written to."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise AudioFileError(f"{nearest} is a file, but outputs need a folder: choose another --output.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise AudioFileError(f"There is no permission to write to {nearest}: choose another --output.")


def _check_space(folder: Path, plan: Plan) -> None:
    """Refuse songs whose stems alone are too large, and all if what remains is together."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    for planned in [planned for planned in plan.songs if planned.n_bytes > free]:
        plan.songs.remove(planned)
        plan.errors[planned.song] = f"{planned.song}: {_space_text(nearest, free, planned.n_bytes)}"
    if (needed := sum(planned.n_bytes for planned in plan.songs)) > free:
        raise AudioFileError(_space_text(nearest, free, needed))


def _space_text(folder: Path, free: int, needed: int) -> str:
    return (
        f"{folder} has {free / 1e9:.1f} GB free, but the stems need about {needed / 1e9:.1f} GB: "
        "choose another --output or --format flac."
    )


def run_plan(
    plan: Plan,
    folder: Path,
    model: ModelFolder,
    options: SeparationOptions,
    executor: Executor,
    progress: Progress | None = None,
) -> Iterator[Outcome[Planned, SeparatedSong]]:
    """Separate the planned songs; outcomes come as they are ready.

    `progress` works only where the songs are separated in this process.
    """
    work = partial(separate_planned, folder=folder, model_path=model.path.resolve(), options=options, progress=progress)
    return map_tracks(work, plan.songs, executor)


def separate_planned(
    planned: Planned, folder: Path, model_path: Path, options: SeparationOptions, progress: Progress | None
) -> SeparatedSong:
    """Separate one song in whatever process this is; the model stays loaded between songs."""
    loaded = loaded_model(model_path, options.engine, options.threads)
    options = options.model_copy(update={"filename": planned.pattern})
    outputs = list(planned.outputs.values())
    name = str(outputs[0].relative_to(folder)) if outputs else planned.song.name
    with claimed(folder, name):
        if planned.must_be_new and (there := next(filter(Path.exists, outputs), None)):
            raise SettingsError(f"{there} has just been written by another process: give --overwrite to replace it.")
        return separate_file(planned.song, folder, loaded, options, progress, outputs=planned.outputs)


@lru_cache(maxsize=1)
def loaded_model(path: Path, engine: str | None, threads: int | None) -> LoadedModel:
    """`load_model`, remembered."""
    return load_model(path, engine, threads)
