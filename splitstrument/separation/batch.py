"""Many songs at once: what is meant, what can be done, and doing it; one bad song does not stop the others."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from splitstrument.audio import is_audio_name, open_audio
from splitstrument.errors import AudioFileError, SettingsError, SplitstrumentError
from splitstrument.executor import Outcome, map_tracks
from splitstrument.model_folder import ModelFolder
from splitstrument.separation.options import SeparationOptions
from splitstrument.separation.outputs import LOSSY, check_format, check_pattern, output_paths, output_subtype
from splitstrument.separation.pipeline import LoadedModel, Progress, load_model
from splitstrument.separation.result import SeparatedSong, read_sidecar
from splitstrument.separation.samples import SampleType
from splitstrument.separation.song_reader import part_of
from splitstrument.separation.songs import separate_file


@dataclass(frozen=True)
class Planned:
    """A song that passed the preflight: its outputs and how long it is."""

    song: Path
    outputs: list[Path]
    duration_s: float
    n_bytes: int


@dataclass(frozen=True)
class Plan:
    """What a batch comes to.

    Attributes
    ----------
    skipped
        Songs whose outputs are there already.
    errors
        Songs that cannot be separated, each with the reason.
    """

    songs: list[Planned]
    skipped: list[Path]
    errors: dict[Path, str]


def expand(inputs: Iterable[str | Path]) -> list[Path]:
    """Files, folders (searched for audio, with their subfolders) and glob patterns -> files, each once, in order.

    Raises
    ------
    SettingsError
        If a folder holds no audio or a pattern matches nothing.
    """
    songs: dict[Path, None] = {}
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            found = sorted(inner for inner in path.rglob("*") if is_audio_name(inner) and inner.is_file())
            if not found:
                raise SettingsError(f"The folder {path} holds no audio files.")
        elif not path.exists() and glob.has_magic(str(text)):
            names = sorted(glob.glob(str(text), recursive=True))  # noqa: PTH207 - patterns may be absolute
            found = [Path(name) for name in names if is_audio_name(name)]
            if not found:
                raise SettingsError(f"No audio file matches {str(text)!r}.")
        else:
            found = [path]
        songs.update(dict.fromkeys(found))
    return list(songs)


def make_plan(
    songs: list[Path], folder: Path, model: ModelFolder, options: SeparationOptions, existing: str = "refuse"
) -> Plan:
    """Check every song and its outputs before any compute.

    Parameters
    ----------
    existing
        What to do about outputs that are there: ``refuse``, ``overwrite`` or ``skip``.

    Raises
    ------
    SettingsError, AudioFileError
        If nothing at all could be written: a bad pattern, a folder without write permission, too little space.
    """
    options = options.resolved(model.settings)
    check_pattern(options.filename)
    check_folder(folder)
    plan = Plan([], [], {})
    owners: dict[Path, Path] = {}
    for song in songs:
        try:
            _check_name(song)
            outputs = output_paths(song, folder, model.description.name, options)
            if existing == "skip" and _is_done(outputs, options):
                plan.skipped.append(song)
                continue
            planned = _planned(song, outputs, options)
            _check_outputs(planned, owners, existing)
            plan.songs.append(planned)
        except SplitstrumentError as error:
            plan.errors[_printable(song)] = str(error)
    _check_space(folder, plan)
    return plan


def _is_done(outputs: list[Path], options: SeparationOptions) -> bool:
    """Tell whether a finished separation lies there: what was asked for, or float WAV in place of what would clip."""
    if all(path.exists() for path in outputs):
        return True
    try:
        sidecar = read_sidecar(path := _sidecar_of(outputs))
    except SettingsError:
        return False
    stems = [sidecar.outputs.get(stem) for stem in options.stems or ()]
    beside = all(output.exists() for output in outputs if output.suffix in (".json", ".zip"))
    same = sidecar.options.format == options.format
    return same and beside and all(stem is not None and (path.parent / stem.path).is_file() for stem in stems)


def _sidecar_of(outputs: list[Path]) -> Path:
    return next(path for path in outputs if path.suffix == ".json")


def _check_name(song: Path) -> None:
    """Refuse a name that is no text: the sidecar, JSON and messages could not hold it."""
    if _printable(song) != song:
        raise AudioFileError(
            f"The name of {_printable(song)} is not valid text (UTF-8): rename the file or its folder."
        )


def _printable(path: Path) -> Path:
    """The path with a question mark for every byte of it that is no text."""
    return Path(str(path).encode("utf-8", "replace").decode())


def _planned(song: Path, outputs: list[Path], options: SeparationOptions) -> Planned:
    with open_audio(song) as file:
        part = part_of(file, song, options)
        subtype = output_subtype(options.format, file.subtype)
        check_format(options.format, subtype, file.samplerate, file.channels)
        held = SampleType.of_subtype(subtype)
        sample_bytes = 1 if options.format in LOSSY else (held.bits or (64 if held.dtype == "float64" else 32)) / 8
        n_bytes = int(part.n_samples * file.channels * sample_bytes * len(options.stems or ()))
        return Planned(song, outputs, part.n_samples / file.samplerate, n_bytes)


def _check_outputs(planned: Planned, owners: dict[Path, Path], existing: str) -> None:
    for path in planned.outputs:
        if path in owners:
            raise SettingsError(
                f"{planned.song} and {owners[path]} would both be written to {path}: "
                "use --filename '{folder}/{track}/{stem}.{ext}' or other output folders."
            )
        if path.exists() and path.resolve() == planned.song.resolve():
            raise SettingsError(f"{planned.song} would be overwritten by its own output: use another output folder.")
        if path.exists() and existing == "refuse":
            raise SettingsError(f"{path} exists already: give --overwrite or --skip-existing.")
    if existing == "skip" and (sidecar := _sidecar_of(planned.outputs)).exists():
        # without one they are what a killed run has left
        raise SettingsError(
            f"{sidecar} is that of other outputs than those of {planned.song} that are wanted now: "
            "give --overwrite or another --output."
        )
    owners.update(dict.fromkeys(planned.outputs, planned.song))


def check_folder(folder: Path) -> None:
    """Refuse an output folder that cannot be written to."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise AudioFileError(f"{nearest} is a file, but outputs need a folder: choose another --output.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise AudioFileError(f"There is no permission to write to {nearest}: choose another --output.")


def _check_space(folder: Path, plan: Plan) -> None:
    needed = sum(planned.n_bytes for planned in plan.songs)
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    if needed > free:
        raise AudioFileError(
            f"{nearest} has {free / 1e9:.1f} GB free, but the stems need about {needed / 1e9:.1f} GB: "
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
    return separate_file(planned.song, folder, loaded, options, progress)


@lru_cache(maxsize=1)
def loaded_model(path: Path, engine: str | None, threads: int | None) -> LoadedModel:
    """`load_model`, remembered."""
    return load_model(path, engine, threads)
