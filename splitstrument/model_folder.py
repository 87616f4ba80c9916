"""A model on disk: a folder with ``model.yaml``, weights, card and provenance; training writes it, separation reads it.

A run folder is a model folder with the training's records beside it. ``model.yaml`` lists every weights file with its
SHA-256:

    format: 1
    name: guitar
    model: {target: guitar, spectrogram: {...}, n_frames: 64, network: {...}}
    files: {best.weights.h5: <sha256>, model.onnx: <sha256>}
"""

from __future__ import annotations

import difflib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from splitstrument.errors import ModelError, SettingsError
from splitstrument.files import atomic_path, sha256_of, write_yaml
from splitstrument.network.settings import ModelSettings
from splitstrument.settings import Settings, read_yaml, validate
from splitstrument.user_code import CODE_FOLDER, UserCode, is_reference

MODEL_FILE = "model.yaml"
SHIPPED = Path(__file__).parent / "models"
KERAS_FILES = ("best.weights.h5", "last.weights.h5")
ONNX_FILE = "model.onnx"


class ModelDescription(Settings):
    """Contents of ``model.yaml``.

    Attributes
    ----------
    files
        Weights file -> SHA-256.
    licence
        Of the weights; null where nobody has said, as of what somebody trains.
    code
        ``module:function`` that builds the network, where it is the user's own -> SHA-256 of its file.
    """

    format: Literal[1] = 1
    name: str = Field(max_length=200)
    summary: str = ""
    licence: str | None = None
    trained_on: str = ""
    model: ModelSettings
    files: dict[str, str] = Field(default_factory=dict)
    code: dict[str, str] | None = None


@dataclass(frozen=True)
class ModelFolder:
    """A model folder that was read."""

    path: Path
    description: ModelDescription

    @property
    def settings(self) -> ModelSettings:
        """Settings of the model."""
        return self.description.model

    @property
    def code(self) -> UserCode:
        """Folder of the network's own code, if it has any; it is run only where this machine's list allows it."""
        return UserCode((self.path / CODE_FOLDER,), self.description.code or {}, owner=f"The model {self.path}")

    def references(self) -> list[str]:
        """The functions of the user's own that build its network: one or none."""
        return [name for name in (self.settings.network.kind,) if is_reference(name)]

    def file(self, *names: str) -> Path:
        """First of `names` that the model has, its hash checked.

        Raises
        ------
        ModelError
            If none is listed, or the listed one is missing or damaged.
        """
        for name in names:
            if name in self.description.files:
                return self._checked(name)
        raise ModelError(
            f"The model {self.path} has none of {', '.join(names)}: export it with `splitstrument models export` "
            "(int8: with its --calibrate)."
        )

    def _checked(self, name: str) -> Path:
        path = self.path / name
        if Path(name).name != name or not path.is_file():
            raise ModelError(f"The model {self.path} lacks its file {name!r}: copy the whole folder again.")
        if sha256_of(path) != self.description.files[name]:
            raise ModelError(
                f"{path} is damaged or was changed (its SHA-256 differs from {MODEL_FILE}'s): get it again."
            )
        return path


def shipped_models() -> dict[str, Path]:
    """Names and folders of the models in the package."""
    return {path.parent.name: path.parent for path in sorted(SHIPPED.glob(f"*/{MODEL_FILE}"))}


def read_model_folder(path: str | Path) -> ModelFolder:
    """Read and check ``model.yaml``; hashes are checked when a file is asked for."""
    path = Path(path)
    if not (path / MODEL_FILE).is_file():
        raise ModelError(f"{path} is no model or run folder: it has no {MODEL_FILE}.")
    try:
        return ModelFolder(path, validate(read_yaml(path / MODEL_FILE), ModelDescription, str(path / MODEL_FILE)))
    except SettingsError as error:
        raise ModelError(str(error)) from None


def write_model_folder(path: str | Path, description: ModelDescription, file_names: list[str]) -> None:
    """Write ``model.yaml`` for the weights files that lie in `path` already, with their hashes."""
    path = Path(path)
    files = {name: sha256_of(path / name) for name in file_names}
    data = description.model_copy(update={"files": files}).model_dump(mode="json", exclude_none=True)
    write_yaml(path / MODEL_FILE, data)


def copy_code(source: ModelFolder, path: Path) -> None:
    """Copy the code that builds a model's network to another model folder."""
    source.code.keep(source.references(), path)


def save_weights(network: Any, path: Path) -> None:
    """Save a Keras network's weights, whole or not at all; the file is what ``network.save_weights`` writes.

    It is made in memory first: on a full disk HDF5 ends the process (signal 11) instead of raising an error.
    """
    from keras.src.saving import saving_lib  # `save_weights` itself takes paths only

    memory = io.BytesIO()
    store = saving_lib.H5IOStore(memory, mode="w")
    saving_lib._save_state(network, store, assets_store=None, inner_path="", visited_saveables=set())
    store.close()
    with atomic_path(path) as temporary:
        temporary.write_bytes(memory.getvalue())


DEFAULT_MODEL = "guitar"
RUNS = Path("runs")


def list_models(*folders: str | Path) -> list[ModelFolder]:
    """The shipped models, and those in or directly below `folders` (``runs`` in the working folder unless given).

    Raises
    ------
    ModelError
        If one of `folders` is not there, or a model in it is damaged.
    """
    for folder in folders:
        if not Path(folder).is_dir():
            raise ModelError(f"There is no folder {folder}: expected one that holds models.")
    found = list(shipped_models().values())
    for folder in map(Path, folders or (RUNS,)):
        found += [path.parent for path in sorted([*folder.glob(MODEL_FILE), *folder.glob(f"*/{MODEL_FILE}")])]
    return [read_model_folder(path) for path in found]


def find_model(name_or_path: str | Path | ModelFolder) -> ModelFolder:
    """Find a model by the name of a shipped one, or by the path of a model or run folder.

    A folder of that name in the working folder wins over a shipped model only when the path says so (``./guitar``).

    Raises
    ------
    ModelError
        If there is none, with the nearest name.
    """
    if isinstance(name_or_path, ModelFolder):
        return name_or_path
    shipped = shipped_models()
    if str(name_or_path) in shipped:
        return read_model_folder(shipped[str(name_or_path)])
    path = Path(name_or_path).expanduser()
    for candidate in (path, path.parent if path.name == MODEL_FILE else path, RUNS / path):
        if (candidate / MODEL_FILE).is_file():
            return read_model_folder(candidate)
    if path.is_dir():
        raise ModelError(f"{path} is a folder but no model: it has no {MODEL_FILE}.")
    raise ModelError(f"There is no model {str(name_or_path)!r}{_hint(str(name_or_path), list(shipped))}")


def _hint(name: str, shipped: list[str]) -> str:
    close = difflib.get_close_matches(name, shipped, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    known = f"the shipped models are {', '.join(shipped)}" if shipped else "this installation ships no models"
    return f": {known}; otherwise give the path of a run folder, which `splitstrument train` makes."
