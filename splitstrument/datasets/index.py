"""The track index of an organised dataset: ``index.yaml`` beside the track folders.

The folders are the truth about classes (a stem moved to another class folder by hand has that class); the index adds
what folders cannot say: hashes, rates, lengths, where each track came from and under which licence.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from pydantic import ConfigDict, Field, field_validator

from splitstrument.audio import is_audio_name
from splitstrument.datasets.classes import NOT_MUSIC
from splitstrument.errors import DatasetError
from splitstrument.files import write_yaml
from splitstrument.settings import Settings, read_yaml, validate
from splitstrument.unread import unread

INDEX_FILE = "index.yaml"
MAX_INDEX_BYTES = 100_000_000


class StemEntry(Settings):
    """One stem: ``<class>/<file>`` below the track's folder.

    Attributes
    ----------
    instrument
        Names from the dataset's metadata, if any.
    confidence
        Of the stem-name classifier, where it chose the class; None where metadata or layout did.
    placed_sha256
        `sha256` where the file is what the tool placed; None where a person put another one in its place.
    """

    file: str
    stem_class: str = Field(alias="class")
    instrument: tuple[str, ...] = ()
    confidence: float | None = None
    sha256: str
    placed_sha256: str | None = None
    sample_rate_hz: int
    n_samples: int
    n_channels: int

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @field_validator("file")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        if len(PurePosixPath(value).parts) != 2 or ".." in PurePosixPath(value).parts:
            raise ValueError("a stem's file is <class>/<name>")
        return value

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sample_rate_hz


class TrackEntry(Settings):
    """One track of the dataset; `root_id` tells raw folders apart without naming them."""

    source: str
    licence: str
    artist: str = ""
    title: str = ""
    genre: str = ""
    split: str = ""
    same_song_as: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    root_id: str = ""
    stems: tuple[StemEntry, ...]


class Index(Settings):
    """Contents of ``index.yaml``: tracks by name."""

    format: int = Field(1, ge=1, le=1)
    tracks: dict[str, TrackEntry] = Field(default_factory=dict)


def read_index(dataset: str | Path) -> Index:
    """Read the index of an organised dataset.

    Raises
    ------
    DatasetError
        If there is none.
    """
    path = Path(dataset) / INDEX_FILE
    if not path.is_file():
        raise DatasetError(f"{dataset} has no {INDEX_FILE}: make it with `splitstrument dataset organise`.")
    return validate(read_yaml(path, MAX_INDEX_BYTES), Index, str(path))


def write_index(dataset: str | Path, index: Index) -> None:
    """Write the index, tracks by name."""
    data = index.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    write_yaml(Path(dataset) / INDEX_FILE, {"format": 1, "tracks": dict(sorted(data.get("tracks", {}).items()))})


def track_folders(dataset: str | Path) -> list[Path]:
    """Folders of the tracks, sorted by name.

    Raises
    ------
    DatasetError
        If the folder is missing or holds no track.
    """
    dataset = Path(dataset)
    if not dataset.is_dir():
        raise DatasetError(f"There is no folder {dataset}: expected <track>/<class>/<stem> folders.")
    folders = sorted(path for path in dataset.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not any(stems_of(folder) for folder in folders):
        raise DatasetError(
            f"{dataset} holds no organised track: expected <track>/<class>/<stem>; "
            "make them with `splitstrument dataset organise`."
        )
    return folders


def check_stems(track_folder: str | Path) -> None:
    """Refuse a track with a stem that cannot be taken (another format, a link that leads nowhere) and is no mix.

    Raises
    ------
    DatasetError
        With every such file.
    """
    stems = (path for path in Path(track_folder).glob("[!.]*/*") if path.parent.name not in NOT_MUSIC)
    if reasons := unread(stems):
        raise DatasetError(f"{'; '.join(reasons.values())}.")


def stems_of(track_folder: str | Path) -> dict[str, list[Path]]:
    """Stem files of one track by class, sorted; classes without audio are left out."""
    classes = sorted(path for path in Path(track_folder).iterdir() if path.is_dir() and not path.name.startswith("."))
    found = {folder.name: sorted(path for path in folder.iterdir() if is_audio_name(path)) for folder in classes}
    return {name: paths for name, paths in found.items() if paths}
