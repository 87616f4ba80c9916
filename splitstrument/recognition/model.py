"""The recogniser on disk and in memory: ``recogniser.yaml`` beside an ONNX file, run by ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from splitstrument.errors import ModelError, SettingsError
from splitstrument.files import sha256_of, write_yaml
from splitstrument.recognition.classes import all_classes
from splitstrument.recognition.features import CHUNK_FRAMES, CHUNK_STEPS, N_MELS
from splitstrument.settings import Settings, read_yaml, validate
from splitstrument.spectrogram import Float

MODEL_FILE, ONNX_FILE = "recogniser.yaml", "recogniser.onnx"
SHIPPED = Path(__file__).parent.parent / "models" / "recogniser"


class ModelFile(Settings):
    """Contents of ``recogniser.yaml``.

    Attributes
    ----------
    classes
        Names of the outputs, in order.
    thresholds
        Class -> probability from which it plays: of the highest F1 on validation.
    files
        File -> SHA-256.
    """

    format: Literal[1] = 1
    name: str
    summary: str = ""
    licence: str = "MIT"
    classes: tuple[str, ...]
    thresholds: dict[str, float]
    files: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Recogniser:
    """A model that is loaded."""

    description: ModelFile
    session: Any

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the outputs, in order."""
        return self.description.classes

    def predict(self, features: Float) -> Float:
        """Probabilities of chunks: (n_chunks, n_frames, n_mels) to (n_chunks, n_steps, n_classes)."""
        name = self.session.get_inputs()[0].name
        logits = self.session.run(None, {name: np.ascontiguousarray(features[..., None], np.float32)})[0]
        return (1 / (1 + np.exp(-logits))).astype(np.float32)


def write_model(folder: Path, description: ModelFile) -> None:
    """Describe the model whose ONNX file lies in `folder`."""
    files = {ONNX_FILE: sha256_of(folder / ONNX_FILE)}
    data = description.model_copy(update={"files": files}).model_dump(mode="json")
    write_yaml(folder / MODEL_FILE, data)


@lru_cache(maxsize=4)
def load_recogniser(folder: Path = SHIPPED, threads: int = 1) -> Recogniser:
    """Load the recogniser that ships, or another one from its folder.

    Raises
    ------
    ModelError
        If there is none, or it is damaged or of other classes.
    """
    path = folder / MODEL_FILE
    if not path.is_file():
        raise ModelError(f"{folder} holds no recogniser: it has no {MODEL_FILE}; give the folder that a training made.")
    try:
        description = validate(read_yaml(path), ModelFile, str(path))
    except SettingsError as error:
        raise ModelError(str(error)) from None
    if set(description.classes) != set(all_classes()) or set(description.thresholds) != set(description.classes):
        raise ModelError(f"{path} is of the classes {', '.join(description.classes)}: train it with this version.")
    onnx = folder / ONNX_FILE
    if not onnx.is_file() or sha256_of(onnx) != description.files.get(ONNX_FILE):
        raise ModelError(f"{onnx} is missing, damaged or was changed (its SHA-256 is another): get it again.")
    recogniser = Recogniser(description, _session(onnx, threads))
    shape = recogniser.predict(np.zeros((1, CHUNK_FRAMES, N_MELS), np.float32)).shape
    if shape != (1, CHUNK_STEPS, len(description.classes)):
        raise ModelError(f"{onnx} answers with the shape {shape}: it belongs to another version, train it again.")
    return recogniser


def _session(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has errors of its own for each way of being no network
        line = (str(error).strip().splitlines() or ["no message"])[0][:200]
        raise ModelError(f"{path} cannot be read as a network ({line}): get the file again.") from None
