"""Several trainings one after another: what a queue file says, and how far each training has come.

A queue keeps no state of its own: where a training stands is read from its run folder, so that a killed queue goes on
when it is started again, and nothing can disagree.
"""

from __future__ import annotations

import itertools
import json
import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from splitstrument.errors import SettingsError, TrainingError
from splitstrument.files import safe_name
from splitstrument.settings import Settings, home_expanded, read_yaml, validate
from splitstrument.training.checkpoint import STATE_FILE, read_record
from splitstrument.training.run_folder import FAILURE_FILE, RESULT_FILE, is_locked
from splitstrument.training.search import PruneSettings, SearchSettings

PRUNED_FILE = "pruned.json"
SEED_SUFFIX = r"-seed_\d+"


class QueuedTraining(Settings):
    """One entry of a queue file.

    Attributes
    ----------
    recipe
        A recipe, relative to the queue file.
    name
        Of the run folder; the recipe's file name unless set.
    set
        Dotted settings to change.
    grid
        Dotted settings with a list of values each: one training for every combination, named after its values.
    search
        Dotted settings to draw at random: one training for every trial.
    scale
        Of stand-ins: changes to ``--scale``, so that what the queue varies is not scaled away.
    """

    recipe: str
    name: str | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    search: SearchSettings | None = None
    scale: dict[str, Any] = Field(default_factory=dict)

    def variants(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every combination of the grid's values and every trial, each with a suffix that names it."""
        trials = self.search.draws() if self.search else [{}]
        for suffix, changes in _combinations(self.grid):
            for number, drawn in enumerate(trials):
                yield suffix + (f"-trial_{number:03}" if self.search else ""), {**changes, **drawn}


class QueueSettings(Settings):
    """A queue file.

    Attributes
    ----------
    set
        Dotted settings to change in every training.
    """

    name: str
    summary: str = ""
    output: str | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    trainings: tuple[QueuedTraining, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Job:
    """One training of a queue, with its run folder.

    Attributes
    ----------
    group
        What it is a seed or a trial of.
    prune
        Whether to give it up where the other trials of its group are better.
    """

    name: str
    recipe: Path
    folder: Path
    changes: dict[str, Any] = field(default_factory=dict)
    scale: dict[str, Any] = field(default_factory=dict)
    group: str = ""
    prune: PruneSettings | None = None

    @property
    def seedless(self) -> str:
        """Name without its seed. Trials of a search differ in more than that: each has a name of its own here."""
        return re.sub(SEED_SUFFIX, "", self.name)

    def arguments(self, extra: Sequence[str] = ()) -> list[str]:
        """Return the arguments of ``splitstrument`` that start or resume it."""
        sets = itertools.chain.from_iterable(
            ("--set", f"{key}={_inline(value)}") for key, value in self.changes.items()
        )
        resume = ["--resume"] if (self.folder / STATE_FILE).is_file() else []
        scaled = self.scale.items() if "--stand-in" in extra else ()
        scales = itertools.chain.from_iterable(("--scale", f"{key}={_inline(value)}") for key, value in scaled)
        return ["train", str(self.recipe), "-o", str(self.folder), *resume, *sets, *extra, *scales]


@dataclass(frozen=True)
class Status:
    """State of a job: ``waiting``, ``running``, ``interrupted``, ``failed``, ``pruned`` or ``finished``."""

    name: str
    state: str
    epochs: int = 0
    steps: int = 0
    loss: float | None = None
    best_loss: float | None = None
    seconds: float = 0.0
    message: str = ""
    cpu_s: float | None = None


def read_jobs(paths: Sequence[Path], output: Path | None = None, suffix: str = "") -> list[Job]:
    """Read queue files and recipes into jobs, in order; one that several files list alike is one job.

    Parameters
    ----------
    output
        Folder of the run folders; what the files say, or ``runs/``, unless given.
    suffix
        Of the folders that are not given: runs of stand-ins must not lie where the real ones would.

    Raises
    ------
    SettingsError
        If two different jobs have the same run folder, or a file cannot be read.
    """
    jobs: dict[Path, Job] = {}
    for path in paths:
        for job in _jobs_of(path, output, suffix):
            if jobs.setdefault(job.folder, job) != job:
                raise SettingsError(f"Two trainings of the queue would write to {job.folder}: give one of them a name.")
    return list(jobs.values())


def status_of(job: Job) -> Status:
    """Read how far a job has come from its run folder."""
    try:
        return _read_status(job)
    except TrainingError as error:
        return Status(job.name, "failed", message=str(error))


def _read_status(job: Job) -> Status:
    position = read_record(job.folder)[0] if (job.folder / STATE_FILE).is_file() else None
    state, message = "waiting", ""
    if (job.folder / RESULT_FILE).is_file():
        state, message = "finished", _ending(job.folder / RESULT_FILE)
    elif (job.folder / FAILURE_FILE).is_file():
        state, message = "failed", _recorded(job.folder / FAILURE_FILE, "message")
    elif (job.folder / PRUNED_FILE).is_file():
        state, message = "pruned", _recorded(job.folder / PRUNED_FILE, "message")
    elif is_locked(job.folder):
        state = "running"
    elif position:
        state = "interrupted"
    if position is None:
        return Status(job.name, state, message=message)
    rows = position.rows
    loss, seconds = (rows[-1]["loss"], sum(row["seconds"] for row in rows)) if rows else (None, 0.0)
    cpu_s = sum(row["cpu_s"] for row in rows) if rows and all("cpu_s" in row for row in rows) else None
    return Status(job.name, state, len(rows), position.step, loss, position.best_loss, seconds, message, cpu_s)


def _ending(path: Path) -> str:
    """Why a training ended, and whether it was for nothing."""
    reason, verdict = _recorded(path, "reason"), _recorded(path, "verdict", "None")
    return f"{reason}, {verdict}" if verdict.startswith("worse") else reason


def _recorded(path: Path, key: str, default: str | None = None) -> str:
    """One entry of a JSON file of a run folder; an error where it is missing and has no default."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return str(record[key] if default is None else record.get(key, default))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise TrainingError(f"{path} is damaged: remove it, and the queue goes on with this training.") from None


def over_seeds(jobs: Sequence[Job], found: Sequence[Status]) -> list[dict[str, Any]]:
    """Mean and spread of the best validation loss over the seeds of the same training, where two have finished.

    Returns
    -------
    A dict each: ``training``, ``seeds``, ``mean``, ``deviation`` (of the sample), ``lowest``, ``highest``.
    """
    groups: dict[str, dict[Any, float]] = {}
    for job, status in zip(jobs, found, strict=True):
        if status.state == "finished" and status.best_loss is not None and "seed" in job.changes:
            groups.setdefault(job.seedless, {})[job.changes["seed"]] = status.best_loss
    return [
        {
            "training": group,
            "seeds": len(losses),
            "mean": statistics.mean(losses),
            "deviation": statistics.stdev(losses),
            "lowest": min(losses),
            "highest": max(losses),
        }
        for group, losses in ((group, list(of_seed.values())) for group, of_seed in groups.items())
        if len(losses) > 1
    ]


def _jobs_of(path: Path, output: Path | None, suffix: str) -> Iterator[Job]:
    data = home_expanded(read_yaml(path))
    if not isinstance(data, dict) or "trainings" not in data:
        yield Job(path.stem, path, output / path.stem if output else Path("runs") / (path.stem + suffix))
        return
    queue = validate(data, QueueSettings, str(path))
    folder = output or Path((queue.output or f"runs/{safe_name(queue.name)}") + suffix)
    for entry in queue.trainings:
        recipe = path.parent / entry.recipe
        if not recipe.is_file():
            raise SettingsError(f"{path} lists {entry.recipe}, but there is no {recipe}: check the name.")
        for variant, changes in entry.variants():
            name = safe_name((entry.name or recipe.stem) + variant)
            changes = {**queue.set, **entry.set, **changes}
            group = re.sub(rf"{SEED_SUFFIX}|-trial_\d+", "", name)
            prune = entry.search.prune if entry.search else None
            yield Job(name, recipe, folder / name, {**changes, "name": name}, entry.scale, group, prune)


def _combinations(grid: dict[str, list[Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every combination of the grid's values, with a suffix that names it."""
    for values in itertools.product(*grid.values()):
        changes = dict(zip(grid, values, strict=True))
        yield "".join(f"-{key.rpartition('.')[2]}_{_short(value)}" for key, value in changes.items()), changes


def _short(value: Any) -> str:
    return "".join(character if character.isalnum() or character in ".-" else "_" for character in str(value))[:24]


def _inline(value: Any) -> str:
    """A value as YAML on one line."""
    return yaml.safe_dump(value, default_flow_style=True, width=10**9).removesuffix("\n").removesuffix("\n...")
