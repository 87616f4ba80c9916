"""Trackers: programs that show trainings and evaluations side by side, such as TensorBoard and MLflow.

A tracker is named as ``tensorboard`` or, where its place matters, ``mlflow:PLACE``. What a run keeps in its own folder
does not depend on them: a tracker that fails is left out from then on, and the work goes on. A package of the user's
own adds one by an entry point of the group ``splitstrument.trackers`` that names a function of a `TrackedRun` and the
place that returns a `Tracker`.

`tensorboard` writes event files into ``tensorboard/`` in the run's folder, or into PLACE; those of an evaluation into a
folder of its name below PLACE. `mlflow` keeps a run in the file store ``mlruns`` of the working directory, or in PLACE:
another folder, or the address of a tracking server.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from splitstrument.errors import SettingsError, SplitstrumentError, missing_extra
from splitstrument.files import write_text
from splitstrument.registry import Registry

EXPERIMENT = "splitstrument"
EXTRAS = {"tensorboard": "train", "mlflow": "mlflow"}  # by package
MLFLOW_ID = "mlflow_run_id.txt"
MLFLOW_LONGEST = 500  # characters of a parameter that every version of MLflow takes


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told of a run before its first numbers.

    Attributes
    ----------
    folder
        The run's own, which may be there already: of a training that goes on.
    settings
        As the run records them: nested, of plain values.
    below
        Folder below a place of files, where several runs share the place.
    """

    name: str
    folder: Path
    settings: Mapping[str, Any]
    below: str = ""


class Tracker(Protocol):
    """Keeps the numbers of one run."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Keep numbers by their names, all of one step."""

    def end(self, finished: bool) -> None:
        """Say that no more will come, and whether the work was done."""


class TensorBoard:
    """Event files that ``tensorboard --logdir`` reads."""

    def __init__(self, run: TrackedRun, place: str) -> None:
        try:
            from tensorboard.summary import Writer
        except ImportError:
            raise missing_extra("The tracker tensorboard", EXTRAS["tensorboard"]) from None
        self._writer = Writer(f"{place}/{run.below}".rstrip("/") if place else str(run.folder / "tensorboard"))

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Append scalars."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def end(self, finished: bool) -> None:
        """Close the file."""
        self._writer.close()


class MlFlow:
    """A run of MLflow's experiment `EXPERIMENT`; a training that goes on stays one run."""

    def __init__(self, run: TrackedRun, place: str) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nobody asked for it
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # from 3.13 on, files need this word
        try:
            from mlflow.tracking import MlflowClient
        except ImportError:
            raise missing_extra("The tracker mlflow", EXTRAS["mlflow"]) from None
        self._client = MlflowClient(place if ":" in place else Path(place or "mlruns").absolute().as_uri())
        self._id = self._known(run.folder / MLFLOW_ID) or self._begin(run)

    def _known(self, note: Path) -> str | None:
        """Return the identifier that an earlier process noted, if the store still has that run."""
        if not note.is_file():
            return None
        identifier = note.read_text(encoding="utf-8").strip()
        try:
            self._client.update_run(identifier, status="RUNNING")
        except Exception:  # of another store; MLflow has no error of its own for that
            return None
        return identifier

    def _begin(self, run: TrackedRun) -> str:
        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        number = experiment.experiment_id if experiment else self._client.create_experiment(EXPERIMENT)
        identifier = str(self._client.create_run(number, run_name=run.name).info.run_id)
        for key, value in flat(run.settings).items():
            self._client.log_param(identifier, key, str(value)[:MLFLOW_LONGEST])
        write_text(run.folder / MLFLOW_ID, identifier + "\n")
        return identifier

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Append metrics."""
        for name, value in values.items():
            self._client.log_metric(self._id, name, value, step=step)

    def end(self, finished: bool) -> None:
        """Mark the run as finished or as failed."""
        self._client.set_terminated(self._id, "FINISHED" if finished else "FAILED")


TRACKERS: Registry[Callable[[TrackedRun, str], Tracker]] = Registry(
    "tracker", "splitstrument.trackers", {"tensorboard": TensorBoard, "mlflow": MlFlow}
)


def check_tracker(name: str) -> str:
    """Return `name` if it is that of a tracker, with its place or without.

    Raises
    ------
    ValueError
        If it is not.
    """
    if name.partition(":")[0] not in TRACKERS:
        raise ValueError(f"there is no tracker {name!r}: choose of {', '.join(TRACKERS)}, such as mlflow:mlruns")
    return name


def check_installed(name: str) -> str:
    """Return the name of a tracker whose package is there, without importing what takes seconds.

    Raises
    ------
    MissingExtraError, SettingsError
        If it is not installed, or a plug-in cannot be loaded.
    """
    kind = name.partition(":")[0]
    TRACKERS.get(kind)
    if kind in EXTRAS and importlib.util.find_spec(kind) is None:
        raise missing_extra(f"The tracker {kind}", EXTRAS[kind])
    return name


class Trackers:
    """Several trackers of one run; one that fails is left out from then on.

    Parameters
    ----------
    on_failure
        Called with a sentence when that happens.
    """

    def __init__(self, trackers: Mapping[str, Tracker], on_failure: Callable[[str], None]) -> None:
        self._trackers, self._on_failure = dict(trackers), on_failure

    def add(self, name: str, tracker: Tracker) -> None:
        """Take one more."""
        self._trackers[name] = tracker

    def log(self, values: Mapping[str, float | None], step: int = 0) -> None:
        """Keep the numbers that are there."""
        known = {name: float(value) for name, value in values.items() if value is not None}
        self._each(lambda tracker: tracker.log(known, step))

    def end(self, finished: bool) -> None:
        """End them all."""
        self._each(lambda tracker: tracker.end(finished))

    def _each(self, action: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                action(tracker)
            except Exception as error:  # whatever a server or a disk does, the run's own records do not need it
                del self._trackers[name]
                self._on_failure(f"The tracker {name} failed and is left out from here on: {error}")


@contextlib.contextmanager
def tracking(names: Sequence[str], run: TrackedRun, on_failure: Callable[[str], None]) -> Iterator[Trackers]:
    """Open trackers, and end them with the block; finished if it raises nothing.

    Parameters
    ----------
    names
        ``tracker`` or ``tracker:place``.

    Raises
    ------
    SettingsError
        If there is no tracker of that name, its package is not installed or its place cannot be used.
    """
    trackers, finished = Trackers({}, on_failure), False
    try:
        for name in dict.fromkeys(names):
            trackers.add(name, _opened(name, run))
        yield trackers
        finished = True
    finally:
        trackers.end(finished)


def _opened(name: str, run: TrackedRun) -> Tracker:
    kind, _, place = name.partition(":")
    try:
        return TRACKERS.get(kind)(run, place)
    except SplitstrumentError:
        raise
    except Exception as error:  # of another package, about a server or a disk
        raise SettingsError(f"The tracker {name} cannot be opened: {error}") from None


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted keys; lists stay values."""
    values: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            values |= flat(value, f"{prefix}{key}.")
        else:
            values[f"{prefix}{key}"] = value
    return values
