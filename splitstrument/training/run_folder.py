"""The run folder: settings, weights, history, plot, log and provenance."""

from __future__ import annotations

import contextlib
import csv
import datetime
import fcntl
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitstrument.errors import TrainingError, file_error_text
from splitstrument.files import atomic_path, sha256_of, write_json, write_yaml
from splitstrument.model_folder import ModelDescription, save_weights, write_model_folder
from splitstrument.provenance import provenance
from splitstrument.trackers import TrackedRun, Trackers, tracking
from splitstrument.training.checkpoint import PROVENANCE_FILE, STATE_FILE, Position, save_state
from splitstrument.training.data.tracks import TrackSets
from splitstrument.training.own_code import digests
from splitstrument.training.plot import plot_losses
from splitstrument.training.settings import TrainingSettings
from splitstrument.user_code import UserCode, allow

SETTINGS_FILE, HISTORY_FILE, PLOT_FILE, LOG_FILE = "settings.yaml", "history.csv", "loss.png", "log.txt"
LOCK_FILE = Path("state") / "lock"
RESULT_FILE, FAILURE_FILE = "result.json", "failure.json"
BEST_FILE, LAST_FILE = "best.weights.h5", "last.weights.h5"
HISTORY_COLUMNS = (
    "epoch",
    "steps",
    "loss",
    "val_loss",
    "learning_rate",
    "seconds",
    "wait_share",
    "cpu_s",
    "val_si_sdr",
)


@dataclass(frozen=True)
class Result:
    """How a training ended.

    Attributes
    ----------
    reason
        ``finished``, or ``early stopping``.
    verdict
        ``better than the mixture``, ``worse than the mixture`` or ``worse than silence``, by the best validation loss
        and those of a mask of 1 and of 0; None without validation.
    hint
        What to do where it is worse.
    """

    folder: Path
    epochs: int
    steps: int
    loss: float
    best_loss: float | None
    best_epoch: int
    reason: str
    verdict: str | None = None
    hint: str | None = None

    @property
    def learned(self) -> bool:
        """False where the network is known to be worse than no network."""
        return self.hint is None


class RunFolder:
    """A run's folder and the log in it."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.code: dict[str, str] = {}  # of the user's own functions, the SHA-256 of their files
        self._trackers = Trackers({}, self.log)

    def prepare(self, settings: TrainingSettings, resume: bool) -> None:
        """Make the folder and write the resolved settings.

        Raises
        ------
        TrainingError
            If the folder holds a training and `resume` is false, or cannot be written to.
        """
        if not resume and (self.path / STATE_FILE).exists():
            raise TrainingError(
                f"{self.path} holds a training already: go on with --resume, or give another folder with -o."
            )
        with self.writing():
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / RESULT_FILE).unlink(missing_ok=True)
            write_yaml(self.path / SETTINGS_FILE, settings.model_dump(mode="json", exclude_none=True))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other training out of the folder; the lock falls with the process, however that ends.

        Raises
        ------
        TrainingError
            If another process is training there.
        """
        with self.writing():
            (self.path / LOCK_FILE).parent.mkdir(parents=True, exist_ok=True)
            file = (self.path / LOCK_FILE).open("w")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TrainingError(
                    f"Another process is training in {self.path}: wait for it, or give another folder with -o."
                ) from None
            yield

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Turn what the disk refuses into a TrainingError; what was written before is whole, so that a run resumes."""
        try:
            yield
        except OSError as error:
            resumes = "make room and go on with --resume" if (self.path / STATE_FILE).is_file() else "make room there"
            raise TrainingError(
                f"The run folder {self.path} cannot be written ({error.strerror or error}): {resumes}, or give another "
                "folder with -o."
            ) from None

    def log(self, message: str) -> None:
        """Append one line with the time to the log."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        with self.writing(), (self.path / LOG_FILE).open("a", encoding="utf-8") as file:
            file.write(f"{now} {message}\n")

    def write_provenance(self, settings: TrainingSettings, tracks: TrackSets, folders: list[Path]) -> None:
        """Write what the weights come from: settings, versions, tracks and the datasets' passports."""
        record = provenance(settings.model_dump(mode="json", exclude_none=True), seed=settings.seed)
        record["tracks"] = track_names(settings, tracks)
        if self.code:
            record["code"] = self.code
        record["passports"] = {
            source.label: sha256_of(folder / "passport.yaml")
            for source, folder in zip(settings.datasets, folders, strict=True)
            if (folder / "passport.yaml").is_file()
        }
        with self.writing():
            write_json(self.path / PROVENANCE_FILE, record)

    def write_in_force(self, computing: dict[str, Any]) -> None:
        """Add to the provenance what the training computes with, and log it."""
        record = json.loads((self.path / PROVENANCE_FILE).read_text(encoding="utf-8"))
        with self.writing():
            write_json(self.path / PROVENANCE_FILE, {**record, "compute": computing})
        self.log("computes with " + ", ".join(f"{key} {value}" for key, value in computing.items()))

    def keep_code(self, code: UserCode, settings: TrainingSettings) -> None:
        """Copy the user's own functions that lie beside the recipe, and remember that they are allowed here."""
        self.code = digests(code, settings)
        code.keep(self.code, self.path)
        for reference, digest in self.code.items() if code.allowed else ():
            try:
                allow(reference, digest)
            except OSError as error:
                self.log(f"{reference} cannot be remembered as allowed: {file_error_text(error)}")

    def recorded(self, key: str) -> Any:
        """An entry of the provenance, such as the names of the tracks of both sides; None without a record."""
        path = self.path / PROVENANCE_FILE
        return json.loads(path.read_text(encoding="utf-8")).get(key) if path.is_file() else None

    def write_weights(self, network: Any, name: str) -> None:
        """Save a network's weights under `name`, whole or not at all."""
        with self.writing():
            save_weights(network, self.path / name)

    def write_state(self, trainer: Any, position: Position, fingerprint: dict[str, Any]) -> None:
        """Save what `restore_state` reads."""
        with self.writing():
            save_state(self.path, trainer, position, fingerprint)

    def write_model(self, settings: TrainingSettings, trained_on: str) -> None:
        """Describe the weights that lie in the folder for separation."""
        names = [name for name in (BEST_FILE, LAST_FILE) if (self.path / name).is_file()]
        description = ModelDescription(
            name=settings.name,
            summary=settings.summary,
            licence=settings.licence,
            trained_on=trained_on,
            model=settings.model,
            code={name: sha for name, sha in self.code.items() if name == settings.model.network.kind} or None,
        )
        with self.writing():
            write_model_folder(self.path, description, names)

    @contextlib.contextmanager
    def tracked(self, settings: TrainingSettings) -> Iterator[None]:
        """Inside ``with``, `track` reaches the trackers that the settings ask for."""
        run = TrackedRun(settings.name, self.path, settings.model_dump(mode="json", exclude_none=True))
        with tracking(settings.records.all_trackers, run, self.log) as self._trackers:
            yield

    def track(self, row: dict[str, Any]) -> None:
        """Tell the trackers the numbers of one epoch."""
        self._trackers.log({key: value for key, value in row.items() if key != "epoch"}, row["epoch"])

    def write_result(self, result: dict[str, Any]) -> None:
        """Say that the training came to its end, and how."""
        with self.writing():
            write_json(self.path / RESULT_FILE, result)

    def write_history(self, rows: list[dict[str, Any]]) -> None:
        """Write history.csv."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, HISTORY_COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        with self.writing(), atomic_path(self.path / HISTORY_FILE) as temporary:
            temporary.write_bytes(text.getvalue().encode())

    def plot(self, rows: list[dict[str, Any]], title: str, baselines: dict[str, float]) -> None:
        """Draw the losses over the epochs, with those of the trivial masks as lines."""
        with self.writing(), atomic_path(self.path / PLOT_FILE) as temporary:
            plot_losses(rows, title, baselines, temporary)


class NoRecords(RunFolder):
    """The run folder as a worker sees it whose chief does the writing: to read only."""

    def prepare(self, settings: TrainingSettings, resume: bool) -> None:
        """Leave it to the chief."""

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Leave it to the chief."""
        yield

    def log(self, message: str) -> None:
        """Leave it to the chief."""

    def keep_code(self, code: UserCode, settings: TrainingSettings) -> None:
        """Leave it to the chief."""

    def write_provenance(self, settings: TrainingSettings, tracks: TrackSets, folders: list[Path]) -> None:
        """Leave it to the chief."""

    def write_in_force(self, computing: dict[str, Any]) -> None:
        """Leave it to the chief."""

    def write_weights(self, network: Any, name: str) -> None:
        """Leave it to the chief."""

    def write_state(self, trainer: Any, position: Position, fingerprint: dict[str, Any]) -> None:
        """Leave it to the chief."""

    def write_model(self, settings: TrainingSettings, trained_on: str) -> None:
        """Leave it to the chief."""

    @contextlib.contextmanager
    def tracked(self, settings: TrainingSettings) -> Iterator[None]:
        """Leave it to the chief."""
        yield

    def track(self, row: dict[str, Any]) -> None:
        """Leave it to the chief."""

    def write_result(self, result: dict[str, Any]) -> None:
        """Leave it to the chief."""

    def write_history(self, rows: list[dict[str, Any]]) -> None:
        """Leave it to the chief."""

    def plot(self, rows: list[dict[str, Any]], title: str, baselines: dict[str, float]) -> None:
        """Leave it to the chief."""


def track_names(settings: TrainingSettings, tracks: TrackSets) -> dict[str, list[str]]:
    """``dataset/track`` of the tracks of both sides, in the order in which they train."""
    return {
        side: [f"{settings.datasets[track.dataset].label}/{track.name}" for track in getattr(tracks, side)]
        for side in ("training", "validation")
    }


def is_locked(folder: Path) -> bool:
    """Tell whether a process is training in `folder`."""
    try:
        with (folder / LOCK_FILE).open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
