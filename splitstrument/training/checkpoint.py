"""The whole state of a training in one file: every variable, and where it stands.

The data need no state of their own: a batch is a function of seed and number. What a file holds is compared by
content with what a training that was never stopped has: see ``tests/training/test_run.py``.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from splitstrument.errors import TrainingError
from splitstrument.files import atomic_path

STATE_FILE = Path("state") / "state.npz"
PROVENANCE_FILE = "provenance.json"
HARMLESS_KEYS = ("summary", "epochs", "early_stopping", "records", "doctor", "published", "init_from", "licence")
HARMLESS_DATA_KEYS = ("cache", "reader", "backend", "workers", "prefetch")
SEPARATION_KEYS = {"overlap", "gate_db", "rest_gate_db"}  # of a model: they do not touch its training


@dataclass
class Position:
    """Position of a training.

    Attributes
    ----------
    step
        Number of batches trained on, over all epochs: the number of the next one.
    loss_sum
        Sum of the batch losses of the epoch at hand.
    best_loss, best_epoch
        Lowest validation loss so far and the epoch (from 1) that had it.
    best_si_sdr
        Highest median over validation songs, where `best_by` says so; `best_loss` and `best_epoch` are that epoch's.
    waiting
        Epochs since the validation loss last fell by `min_delta`; `reference` is what it fell to.
    drops
        Times that a plateau schedule has lowered the learning rate.
    rows
        Finished epochs, as in history.csv.
    """

    step: int = 0
    loss_sum: float = 0.0
    best_loss: float | None = None
    best_epoch: int = 0
    reference: float | None = None
    best_si_sdr: float | None = None
    waiting: int = 0
    plateau: int = 0
    drops: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)


def save_state(folder: Path, trainer: Any, position: Position, fingerprint: dict[str, Any]) -> None:
    """Write variables and position, whole or not at all."""
    arrays = {f"v{index:05d}": _value(variable) for index, variable in enumerate(_variables(trainer))}
    record = json.dumps({"position": asdict(position), "settings": fingerprint})
    with atomic_path(folder / STATE_FILE) as temporary:
        # numpy's stub takes any key of ** for `allow_pickle`
        np.savez(temporary, record=np.array(record), **arrays)  # type: ignore[arg-type]


def read_record(folder: Path) -> tuple[Position, dict[str, Any]]:
    """Read position and settings fingerprint without the variables.

    Raises
    ------
    TrainingError
        If there is nothing to resume from, or it is damaged.
    """
    with _open_state(folder) as file:
        record = json.loads(str(file["record"]))
        return Position(**record["position"]), record["settings"]


def restore_state(folder: Path, trainer: Any) -> None:
    """Put every saved variable back."""
    variables = _variables(trainer)
    with _open_state(folder) as file:
        shapes = [tuple(variable.shape) for variable in variables]
        names = [f"v{index:05d}" for index in range(len(variables))]
        if len(file.files) != len(names) + 1 or [file[name].shape for name in names] != shapes:
            raise TrainingError(
                f"{folder / STATE_FILE} belongs to another network or optimizer: train into a new folder."
            )
        for name, variable in zip(names, variables, strict=True):
            variable.assign(file[name])


def settings_fingerprint(settings: Any) -> dict[str, Any]:
    """Plain data of the settings that shape the weights: a run goes on only with the same ones."""
    data = settings.model_dump(mode="json")
    for key in HARMLESS_KEYS:
        data.pop(key)
    for key in HARMLESS_DATA_KEYS:
        data["data"].pop(key)
    if data["data"]["place"] == "files":  # runs of before there was a choice say nothing about it
        data["data"].pop("place")
    if data["best_by"] == "loss":
        data.pop("best_by")
    if not data["optimizer"]["statistics_batches"]:  # nor about this
        data["optimizer"].pop("statistics_batches")
    if data["data"]["source"] != "stems":  # nor about this
        data.pop("mixing")
        data["model"] = {key: value for key, value in data["model"].items() if key not in ("stems", "channels")}
        data["model"]["network"].pop("inputs", None)
    return data


def changes(now: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """Say what differs between two fingerprints: ``batch_size (4, now 8)``.

    Where the datasets lie is no difference: their tracks are compared by name.
    """
    now, before = _without_places(now), _without_places(before)
    keys = [key for key in differing_keys(now, before) if key.removeprefix("model.") not in SEPARATION_KEYS]
    return [f"{key} ({_short(before, key)}, now {_short(now, key)})" for key in keys]


def _without_places(fingerprint: dict[str, Any]) -> dict[str, Any]:
    datasets = []
    for source in fingerprint.get("datasets", ()):
        label = source.get("name") or str(source.get("path", "")).rstrip("/").rsplit("/", 1)[-1]
        second = source.get("second_path") is not None
        datasets.append({**source, "name": label, "path": None, "second_path": second})
    return {**fingerprint, "datasets": datasets}


def _short(data: Any, dotted: str) -> str:
    """The value of a dotted key, for a message."""
    for key in dotted.split("."):
        data = data.get(key, "not set") if isinstance(data, dict) else "not set"
    return str(data)[:40]


def differing_keys(ours: dict[str, Any], theirs: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys whose values differ."""
    keys: list[str] = []
    for key in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(key), theirs.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            keys += differing_keys(one, other, f"{prefix}{key}.")
        elif one != other:
            keys.append(f"{prefix}{key}")
    return keys


@contextlib.contextmanager
def _open_state(folder: Path) -> Iterator[Any]:
    """The saved arrays; whatever is wrong with the file, when it is opened or read, is one error."""
    path = folder / STATE_FILE
    if not path.is_file():
        raise TrainingError(f"{folder} holds no training to resume (no {STATE_FILE}): train without --resume.")
    try:
        with np.load(path, allow_pickle=False) as file:
            yield file
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise TrainingError(f"{path} is damaged ({error}): train again without --resume.") from None


def _variables(trainer: Any) -> list[Any]:
    """Weights, random states and optimizer variables, in a fixed order."""
    return [*trainer.variables, *trainer.optimizer.variables]


def _value(variable: Any) -> np.ndarray:
    import keras

    return keras.ops.convert_to_numpy(variable.value)
