"""One training of a queue in a process of its own: started, shown, watched, and stopped where it is hopeless."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from splitstrument.errors import TrainingError
from splitstrument.files import write_json
from splitstrument.training.checkpoint import read_record
from splitstrument.training.forked_process import ForkedProcess
from splitstrument.training.queue import PRUNED_FILE, Job, Status, status_of
from splitstrument.training.run_folder import FAILURE_FILE
from splitstrument.training.search import PruneSettings, hopeless
from splitstrument.training.stop_signals import signals_to

INTERRUPTED_STATUS = 130
WATCH_EVERY_S = 1.0
Process = subprocess.Popen[str] | ForkedProcess


def run_job(
    job: Job,
    program: Sequence[str],
    extra: Sequence[str] = (),
    main: Callable[[list[str]], object] | None = None,
    others: Sequence[Path] = (),
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
    others
        Run folders of the other trials of its search, by which it may be pruned.

    Raises
    ------
    KeyboardInterrupt
        If the user stopped it; it has saved its state.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    for name in (FAILURE_FILE, PRUNED_FILE):
        (job.folder / name).unlink(missing_ok=True)
    arguments = job.arguments(extra)
    process = ForkedProcess(main, arguments) if main else _started([*program, *arguments])
    with _passing_on_signals(process) as asked, _pruning(job, process, others):
        last_line = _echo(process)
        code = process.wait()
    if (job.folder / PRUNED_FILE).is_file() and not asked:
        return status_of(job)
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

    def pass_on(number: int, _frame: object) -> None:
        asked.append(number)
        process.send_signal(signal.SIGINT)

    with signals_to(pass_on):
        yield asked


@contextlib.contextmanager
def _pruning(job: Job, process: Process, others: Sequence[Path]) -> Iterator[None]:
    """Watch a trial, and end it as Ctrl-C would, with its state saved, where it is not worth going on with."""
    over = threading.Event()

    def watch(prune: PruneSettings) -> None:
        while not over.wait(WATCH_EVERY_S):
            reason = hopeless(_losses(job.folder), [_losses(folder) for folder in others], prune)
            if reason:
                write_json(job.folder / PRUNED_FILE, {"message": reason})
                process.send_signal(signal.SIGINT)
                return

    watcher = threading.Thread(target=watch, args=(job.prune,), daemon=True) if job.prune else None
    if watcher:
        watcher.start()
    try:
        yield
    finally:
        over.set()
        if watcher:
            watcher.join()


def _losses(folder: Path) -> list[float]:
    """Validation losses so far; none where there are none or the file is being replaced."""
    try:
        rows = read_record(folder)[0].rows
    except TrainingError:
        return []
    return [row["val_loss"] for row in rows if row["val_loss"] is not None]
