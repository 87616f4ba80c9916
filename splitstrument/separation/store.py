"""Where models are: shipped ones by name, run folders and model folders by path."""

from __future__ import annotations

import difflib
from pathlib import Path

from splitstrument.errors import ModelError
from splitstrument.modelfolder import MODEL_FILE, ModelFolder, read_model_folder, shipped_models

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
    path = Path(name_or_path)
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
