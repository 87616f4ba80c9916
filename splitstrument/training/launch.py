"""Start the processes of a team, watch over them, and say in one sentence how it ended.

A worker that dies cannot be replaced in a running team, and the others would wait for it. So the launcher ends them
all, and ``--resume`` goes on from the last save, with as many processes as one likes.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from splitstrument import errors
from splitstrument.errors import SplitstrumentError, TrainingError
from splitstrument.training.run_folder import Result
from splitstrument.training.settings import TrainingSettings
from splitstrument.training.stop_signals import signals_to
from splitstrument.training.team import Member, check_shareable

COMMAND = (sys.executable, "-m", "splitstrument.training.worker")
POLL_S = 0.2
GRACE_S = 3.0  # for the others to end by themselves, once one has said what is wrong
NOTES_TAIL = 1500


@dataclass
class Process:
    """One worker as its parent sees it."""

    member: Member
    process: subprocess.Popen[str]
    notes: IO[str] = field(repr=False)

    @property
    def status(self) -> int | None:
        """Exit status; None while it runs."""
        return self.process.poll()

    def answer(self) -> dict[str, Any]:
        """Return what it said at its end; empty if it could not."""
        assert self.process.stdout
        lines = self.process.stdout.read().splitlines()
        return json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}

    def last_notes(self) -> str:
        """The end of what it wrote to its error stream."""
        self.notes.seek(0)
        return self.notes.read()[-NOTES_TAIL:].strip()


def loopback_members(count: int) -> list[Member]:
    """Members of a team on this machine, on ports that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        addresses = tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)
    return [Member(index, addresses) for index in range(count)]


def train_together(
    settings: TrainingSettings,
    folder: Path,
    members: Sequence[Member],
    resume: bool = False,
    recipe_folder: Path | None = None,
    quiet: bool = False,
) -> Result:
    """Train with several processes, of which `members` run on this machine.

    Parameters
    ----------
    folder
        Run folder, which every machine must see: the chief writes it, all resume from it.

    Raises
    ------
    TrainingError
        If a worker died, or any could not train; nobody is left running.
    CancelledError
        On Ctrl-C, after the state was saved.
    """
    check_shareable(settings, len(members[0].addresses))
    task = {
        "settings": settings.model_dump(mode="json", exclude_none=True),
        "folder": str(folder),
        "resume": resume,
        "recipe_folder": str(recipe_folder) if recipe_folder else None,
        "quiet": quiet,
    }
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(_started(member, task, len(members))) for member in members]
        # one process here is enough: the team agrees on the step after which all stop
        with signals_to(lambda *_: processes[0].process.send_signal(signal.SIGTERM)):
            _wait(processes)
        return _outcome(processes, folder)


@contextlib.contextmanager
def _started(member: Member, task: dict[str, Any], here: int) -> Iterator[Process]:
    """A running worker, which does not outlive the block."""
    quiet = task["quiet"] or member.index > 0
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as notes:
        process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if member.index == 0 else notes,
            text=True,
            env={**os.environ, **_environment(here)},
            start_new_session=True,  # Ctrl-C reaches the parent alone, who passes it on once
        )
        try:
            assert process.stdin
            process.stdin.write(json.dumps({**task, "quiet": quiet, "member": str(member)}) + "\n")
            process.stdin.flush()
            yield Process(member, process, notes)
        finally:
            process.kill()
            process.communicate()


def _environment(here: int) -> dict[str, str]:
    """Each process gets its share of the cores, unless the user has said how many."""
    threads = str(max(1, len(os.sched_getaffinity(0)) // here))
    wanted = {"OMP_NUM_THREADS": threads, "TF_NUM_INTRAOP_THREADS": threads, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return {key: value for key, value in wanted.items() if key not in os.environ}


def _wait(processes: Sequence[Process]) -> None:
    """Wait until all have ended, or one was killed, or one has failed and the others had time to say so too."""
    deadline = float("inf")
    while any(each.status is None for each in processes) and time.monotonic() < deadline:
        ended = [each.status for each in processes if each.status is not None]
        if any(status < 0 for status in ended):
            return
        if any(ended):
            deadline = min(deadline, time.monotonic() + GRACE_S)
        time.sleep(POLL_S)


def _outcome(processes: Sequence[Process], folder: Path) -> Result:
    """The chief's result, or the error of whoever knows best."""
    for each in processes:
        if (each.status or 0) < 0:
            name = signal.Signals(-(each.status or 0)).name
            raise TrainingError(
                f"Worker {each.member.index} of {len(each.member.addresses)} was killed ({name}), and the others were "
                f"stopped: go on from the last save with --resume -o {folder} (if the system killed it, memory may "
                "have run out)."
            )
    answers = [each.answer() if each.status is not None else {} for each in processes]
    for answer in sorted(answers, key=lambda answer: "lost the others" in answer.get("error", "")):
        if "error" in answer:
            raise _error_of(answer)
    for each, answer in zip(processes, answers, strict=True):
        if "result" not in answer:
            raise TrainingError(
                f"Worker {each.member.index} of {len(each.member.addresses)} ended with status {each.status} before "
                f"the training was done: {each.last_notes() or 'see above'}"
            )
    return Result(**{**answers[0]["result"], "folder": folder})


def _error_of(answer: dict[str, Any]) -> SplitstrumentError:
    kind = getattr(errors, answer["kind"], TrainingError)
    return kind(answer["error"])
