"""Several trainings one after another: what a queue file says, and how far each training has come.

A queue keeps no state of its own: where a training stands is read from its run folder, so that a killed queue goes on
when it is started again, and nothing can disagree.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from splitstrument.errors import SettingsError, TrainingError
from splitstrument.files import safe_name, write_json
from splitstrument.settings import Settings, home_expanded, read_yaml, validate
from splitstrument.training.checkpoint import STATE_FILE, read_record
from splitstrument.training.forked_process import ForkedProcess
from splitstrument.training.run_folder import FAILURE_FILE, RESULT_FILE, is_locked

INTERRUPTED_STATUS = 130
Process = subprocess.Popen[str] | ForkedProcess


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
    scale
        Of stand-ins: changes to ``--scale``, so that what the queue varies is not scaled away.
    """

    recipe: str
    name: str | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    scale: dict[str, Any] = Field(default_factory=dict)


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
    """One training of a queue, with its run folder."""

    name: str
    recipe: Path
    folder: Path
    changes: dict[str, Any] = field(default_factory=dict)
    scale: dict[str, Any] = field(default_factory=dict)

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
    """State of a job: ``waiting``, ``running``, ``interrupted``, ``failed`` or ``finished``."""

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
        state, message = "finished", _recorded(job.folder / RESULT_FILE, "reason")
    elif (job.folder / FAILURE_FILE).is_file():
        state, message = "failed", _recorded(job.folder / FAILURE_FILE, "message")
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


def _recorded(path: Path, key: str) -> str:
    """One entry of a JSON file of a run folder."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))[key])
    except (OSError, ValueError, KeyError, TypeError):
        raise TrainingError(f"{path} is damaged: remove it, and the queue goes on with this training.") from None


def run_job(
    job: Job, program: Sequence[str], extra: Sequence[str] = (), main: Callable[[list[str]], object] | None = None
) -> Status:
    """Run one training in a process of its own, so that nothing of it (memory, crash) reaches the next.

    Parameters
    ----------
    program
        What starts the command line, such as ``python -m splitstrument``.
    extra
        Further options of ``train``.
    main
        The command line as a function: run in a fork of this process, which has the framework imported already. None
        starts `program`.

    Raises
    ------
    KeyboardInterrupt
        If the user stopped it; it has saved its state.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    (job.folder / FAILURE_FILE).unlink(missing_ok=True)
    arguments = job.arguments(extra)
    process = ForkedProcess(main, arguments) if main else _started([*program, *arguments])
    with _passing_on_signals(process) as asked:
        last_line = _echo(process)
        code = process.wait()
    if asked or code in (INTERRUPTED_STATUS, -signal.SIGINT, -signal.SIGTERM):
        raise KeyboardInterrupt
    if code:
        message = last_line if code > 0 else f"ended by signal {-code}"
        write_json(job.folder / FAILURE_FILE, {"message": message.removeprefix("splitstrument: "), "status": code})
    return status_of(job)


def _started(command: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace"
    )


def _echo(process: Process) -> str:
    """Show on stderr what the training prints, as it comes; give back its last line, the error if there was one.

    Standard output is the queue's own, for its table or its JSON.
    """
    last = ""
    for line in process.stdout or ():
        sys.stderr.write(line)
        sys.stderr.flush()
        last = line.strip() or last
    return last


@contextlib.contextmanager
def _passing_on_signals(process: Process) -> Iterator[list[int]]:
    """Pass Ctrl-C and kill on to the training, which saves its state and ends.

    Yields the signals that came: a training that has just been started, or is about to end, may miss them.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def pass_on(number: int, _frame: object) -> None:
        asked.append(number)
        process.send_signal(signal.SIGINT)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
        for suffix, changes in _combinations(entry.grid):
            name = safe_name((entry.name or recipe.stem) + suffix)
            yield Job(name, recipe, folder / name, {**queue.set, **entry.set, **changes, "name": name}, entry.scale)


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
