"""The result of one separated song and its sidecar."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from splitstrument.errors import SettingsError
from splitstrument.files import sha256_of, write_json
from splitstrument.model_folder import ModelFolder
from splitstrument.provenance import provenance
from splitstrument.recognition.timeline import Timeline
from splitstrument.separation.activity import Activity
from splitstrument.separation.options import INSTRUMENT, REST, SeparationOptions
from splitstrument.settings import Settings, validate


@dataclass(frozen=True)
class SeparatedSong:
    """Files that `separate_file` wrote.

    Attributes
    ----------
    stems
        Stem -> its file, in order: those that were asked for.
    mask
        File of the masks; None where they were not asked for.
    sidecar
        The JSON file beside them.
    null_db
        instruments + rest - song in dB; minus infinity means exactly zero; None for lossy formats.
    activity
        Levels over time and confidence (`splitstrument.separation.activity.Activity`).
    timeline
        Instruments that the recogniser heard in the song, and when.
    warnings
        Plain sentences, for example that the separation has probably failed.
    elapsed_s
        Time it took, from opening the song to the finished files.
    """

    song: Path
    track: str
    stems: dict[str, Path]
    mask: Path | None
    sidecar: Path
    sample_rate_hz: int
    n_samples: int
    n_channels: int
    subtype: str
    null_db: float | None
    activity: Activity
    timeline: Timeline
    warnings: list[str]
    elapsed_s: float

    @property
    def instrument(self) -> Path | None:
        """The instrument of a model that has one; None where it was not asked for."""
        return self.stems.get(INSTRUMENT)

    @property
    def rest(self) -> Path | None:
        """The rest; None where it was not asked for."""
        return self.stems.get(REST)

    @property
    def outputs(self) -> dict[str, Path]:
        """Stem, or ``mask``, -> its file."""
        return self.stems | ({"mask": self.mask} if self.mask else {})

    @property
    def duration_s(self) -> float:
        """Length of the song (or of the part that was taken)."""
        return self.n_samples / self.sample_rate_hz

    @property
    def speed(self) -> float:
        """Multiple of real time."""
        return self.duration_s / max(self.elapsed_s, 1e-9)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        plain = {key: str(value) if isinstance(value, Path) else value for key, value in vars(self).items()}
        plain |= {"stems": {stem: str(path) for stem, path in self.stems.items()}}
        plain |= {stem: path and str(path) for stem, path in ((INSTRUMENT, self.instrument), (REST, self.rest))}
        plain["activity"] = self.activity.summary()
        plain["recognised"] = self.timeline.summary()
        del plain["timeline"]
        plain["null_db"] = null_text(self.null_db)
        return {**plain, "duration_s": self.duration_s, "speed": round(self.speed, 2)}


def null_text(null_db: float | None) -> str | float | None:
    """A null for JSON, which has no infinity: ``exact`` for a perfect one."""
    return "exact" if null_db == float("-inf") else null_db


MAX_BYTES = 1_000_000
STORED_MASK = "stored mask"  # the engine of what was separated without a network


@dataclass(frozen=True)
class ModelIdentity:
    """Identity of a model: name, folder (None for a stored mask), hashes of its files, engine."""

    name: str
    folder: Path | None
    files: dict[str, str]
    engine: str

    @classmethod
    def of(cls, folder: ModelFolder, engine: str) -> ModelIdentity:
        """Identity of a model folder."""
        return cls(folder.description.name, folder.path, folder.description.files, engine)


class FileRecord(Settings):
    """A file, its path relative to the sidecar, and its hash."""

    path: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class ModelRecord(Settings):
    """The model of a separation."""

    name: str
    path: str | None
    files: dict[str, str]
    engine: str


class Sidecar(Settings):
    """Contents of the sidecar; `options` names the engine, overlap and gates that were in use."""

    model_config = ConfigDict(allow_inf_nan=True)  # the null of a song whose energy is too small to be a number

    format: Literal[1] = 1
    song: FileRecord
    model: ModelRecord
    options: SeparationOptions
    outputs: dict[str, FileRecord]
    audio: dict[str, Any]
    null_db: float | str | None
    activity: dict[str, Any]
    recognised: dict[str, Any] = Field(default_factory=dict)
    warnings: list[str]
    provenance: dict[str, Any]


def write_sidecar(result: SeparatedSong, identity: ModelIdentity, options: SeparationOptions, song_sha256: str) -> None:
    """Write the sidecar of a finished separation, beside its outputs."""
    folder = result.sidecar.parent
    used = options if identity.folder is None else options.model_copy(update={"engine": identity.engine})
    sidecar = Sidecar(
        song=FileRecord(path=_relative(result.song, folder), sha256=song_sha256),
        model=ModelRecord(
            name=identity.name,
            path=_relative(identity.folder, folder) if identity.folder else None,
            files=identity.files,
            engine=identity.engine,
        ),
        options=used,
        outputs={
            stem: FileRecord(path=_relative(path, folder), sha256=sha256_of(path))
            for stem, path in result.outputs.items()
        },
        audio={key: getattr(result, key) for key in ("sample_rate_hz", "n_samples", "n_channels", "subtype")},
        null_db="exact" if result.null_db == float("-inf") else result.null_db,
        activity=result.activity.summary(),
        recognised=result.timeline.summary(),
        warnings=result.warnings,
        provenance=provenance(),
    )
    write_json(result.sidecar, sidecar.model_dump(mode="json"))


def forget_places(path: str | Path, song_name: str) -> None:
    """Rewrite a sidecar that leaves this machine: names in place of paths, and not the command that was given here.

    `rerun_sidecar` then wants to know where the song is, and finds a model that ships by its name.
    """
    sidecar = read_sidecar(path)
    named = {
        "song": sidecar.song.model_copy(update={"path": song_name}),
        "model": sidecar.model.model_copy(update={"path": None}),
        "provenance": {**sidecar.provenance, "command": None},
    }
    write_json(path, sidecar.model_copy(update=named).model_dump(mode="json"))


def read_sidecar(path: str | Path) -> Sidecar:
    """Read a sidecar that may be damaged or foreign.

    Raises
    ------
    SettingsError
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SettingsError(f"{path} is larger than any sidecar: check the path.")
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}): check the path.") from None
    except (ValueError, RecursionError):
        raise SettingsError(f"{path} is no JSON: expected the separation.json that lies beside the stems.") from None
    return validate(data, Sidecar, str(path))


def _relative(path: Path, folder: Path) -> str:
    return os.path.relpath(path, folder)
