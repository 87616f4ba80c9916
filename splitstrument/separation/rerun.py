"""Repeat a separation from its sidecar and compare the bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from splitstrument.errors import AudioFileError, ModelError, SettingsError
from splitstrument.files import sha256_of
from splitstrument.model_folder import ModelFolder, find_model
from splitstrument.separation.outputs import output_paths
from splitstrument.separation.pipeline import Progress
from splitstrument.separation.result import STORED_MASK, SeparatedSong, Sidecar, read_sidecar
from splitstrument.separation.songs import separate_file


@dataclass(frozen=True)
class Rerun:
    """Outcome of a rerun: the new separation, and for each output whether its bytes are those recorded."""

    separated: SeparatedSong
    same: dict[str, bool]


def rerun_sidecar(
    path: str | Path,
    folder: str | Path,
    song: str | Path | None = None,
    model: str | Path | None = None,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> Rerun:
    """Separate again as a sidecar says, into `folder`.

    Parameters
    ----------
    song, model
        Where they are now, if they were moved; their hashes must be those recorded.
    overwrite
        Replace outputs that are there already.

    Raises
    ------
    AudioFileError, ModelError
        If song or model are missing or are not those of the sidecar.
    SettingsError
        If an output exists.
    """
    path = Path(path)
    sidecar = read_sidecar(path)
    found = find_song(sidecar, path, song)
    model_folder = _find_model(sidecar, path, model)
    options = sidecar.options.resolved(model_folder.settings)
    for output in output_paths(found, Path(folder), model_folder.description.name, options).values():
        if output.exists() and not overwrite:
            raise SettingsError(f"{output} exists already: give --overwrite or another --output.")
    separated = separate_file(found, folder, model_folder, options, progress)
    made = separated.outputs
    same = {stem: stem in made and sha256_of(made[stem]) == record.sha256 for stem, record in sidecar.outputs.items()}
    return Rerun(separated, same)


def find_song(sidecar: Sidecar, path: Path, song: str | Path | None = None) -> Path:
    """The song of a sidecar, its hash checked."""
    found = Path(song) if song else path.parent / sidecar.song.path
    if not found.is_file():
        raise AudioFileError(f"The song of {path} is not at {found}: give its place by --song.")
    if sha256_of(found) != sidecar.song.sha256:
        raise AudioFileError(f"{found} is not the file that {path} was made from (its SHA-256 differs).")
    return found


def _find_model(sidecar: Sidecar, path: Path, model: str | Path | None) -> ModelFolder:
    if model is None and sidecar.model.engine == STORED_MASK:
        raise ModelError(
            f"{path} was made from a stored mask: repeat the separation that made the mask, or give --model."
        )
    recorded = path.parent / (sidecar.model.path or "")
    is_there = sidecar.model.path is not None and recorded.is_dir()
    folder = find_model(model or (recorded if is_there else sidecar.model.name))
    if folder.description.files != sidecar.model.files:
        raise ModelError(f"{folder.path} is not the model that {path} was made with: its files have other hashes.")
    return folder
