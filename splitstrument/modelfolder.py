"""A model on disk: a folder with ``model.yaml``, weights, card and provenance; training writes it, separation reads it.

A run folder is a model folder with the training's records beside it. ``model.yaml`` lists every weights file with its
SHA-256:

    format: 1
    name: guitar
    model: {target: guitar, spectrogram: {...}, n_frames: 64, network: {...}}
    files: {best.weights.h5: <sha256>, model.onnx: <sha256>}
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from splitstrument.errors import ModelError, SettingsError
from splitstrument.files import atomic_path, sha256_of, write_yaml
from splitstrument.network.settings import ModelSettings
from splitstrument.settings import Settings, read_yaml, validate

MODEL_FILE = "model.yaml"
SHIPPED = Path(__file__).parent / "models"
KERAS_FILES = ("best.weights.h5", "last.weights.h5")
ONNX_FILE = "model.onnx"


class ModelDescription(Settings):
    """Contents of ``model.yaml``."""

    format: Literal[1] = 1
    name: str = Field(max_length=200)
    summary: str = ""
    licence: str = "MIT"
    trained_on: str = ""
    model: ModelSettings
    files: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class ModelFolder:
    """A model folder that was read."""

    path: Path
    description: ModelDescription

    @property
    def settings(self) -> ModelSettings:
        """What the model is."""
        return self.description.model

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


def save_weights(network: Any, path: Path) -> None:
    """Save a Keras network's weights, whole or not at all; `path` ends in ``.weights.h5``."""
    with atomic_path(path) as temporary:
        # Keras insists on this ending; the file still appears under its name only when it is whole
        whole = temporary.with_name(f"{temporary.name}.weights.h5")
        try:
            network.save_weights(whole)
            whole.replace(temporary)
        finally:
            whole.unlink(missing_ok=True)
