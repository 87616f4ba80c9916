"""The threads that hand jobs out: claim one, run it, write down how it ended. One thread per worker.

A job's trouble is its own: whatever it raises, the thread goes on. How a job ended is written down even if that fails
at first: the thread tries again before it takes another job.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from demonstrator.job import TITLE_LENGTH, Job
from demonstrator.log import log
from demonstrator.room import Room, is_full
from demonstrator.store import JobStore
from demonstrator.supervision import Supervised
from demonstrator.work import PREVIEW, Task
from demonstrator.workers import CANCEL_GRACE_S, Runner
from splitstrument.errors import CancelledError, SplitstrumentError
from splitstrument.files import safe_name

IDLE_S = 0.5
MAX_ATTEMPTS = 3
DISK_FULL = "The server's disk is full; what could be freed was: send the song again, or tell who runs the server."

Outcome = tuple[str, str, str | None, dict[str, Any] | None]  # id, state, error, result


class Dispatcher:
    """Hands the queue's jobs to the runners.

    Parameters
    ----------
    task_of
        Makes a job's task, given how many bytes it may take.
    free
        Frees what can be freed on a full disk.
    """

    def __init__(
        self, store: JobStore, room: Room, runners: list[Runner], task_of: Callable[[Job, int], Task],
        job_limit_s: float, free: Callable[[], None],
    ) -> None:  # fmt: skip
        self.store, self.room, self.runners, self.task_of = store, room, runners, task_of
        self.job_limit_s, self.free = job_limit_s, free
        self._stopping = threading.Event()
        self._news = threading.Condition()
        self._owed: list[Outcome] = []
        self._paying = threading.Lock()
        self.threads = [
            Supervised(f"dispatcher {number}", partial(self._step, runner), self._stopping)
            for number, runner in enumerate(runners)
        ]

    def start(self) -> None:
        """Put back what an earlier server left unfinished, then begin."""
        for job in self.store.requeue_running(MAX_ATTEMPTS):
            log("job_resumed", job=job.number, attempts=job.attempts)
        for thread in self.threads:
            thread.start()

    def wake(self) -> None:
        """Tell that a job was added."""
        with self._news:
            self._news.notify_all()

    def stop(self) -> None:
        """End: running jobs go back into the queue, for the next start."""
        self._stopping.set()
        self.wake()
        for thread in self.threads:
            thread.join(CANCEL_GRACE_S + 5)
        for runner in self.runners:
            runner.close()

    def _step(self, runner: Runner) -> None:
        """Do one job, or wait for one."""
        self._pay()
        if job := self.store.claim():
            self._run(job, runner)
            return
        with self._news:
            self._news.wait(IDLE_S)

    def _run(self, job: Job, runner: Runner) -> None:
        log("job_started", job=job.number, kind=job.kind, model=job.model, origin=job.origin.partition(":")[0])
        try:
            result = self._work(job, runner)
        except CancelledError as error:
            self._stopped(job, str(error))
        except Exception as error:
            self._failed(job, error)
        else:
            self.finished(job, result)
        finally:
            self._tidy(job)

    def finished(self, job: Job, result: dict[str, Any]) -> None:
        """Write down that a job is done; the title that a link turned out to have is made a name first."""
        if title := result.pop("title", None):
            self._settle(partial(self.store.rename, job.id, safe_name(str(title), TITLE_LENGTH)))
        self._end(job, "done", result=result)
        log("job_done", job=job.number, seconds=result.get("seconds"), song_s=result.get("duration_s"))

    def _failed(self, job: Job, error: Exception) -> None:
        known = isinstance(error, SplitstrumentError)
        full = is_full(error)
        if full:
            self.free()
        self._end(job, "failed", DISK_FULL if full else str(error) if known else "The server failed; this is a bug.")
        log("job_failed", job=job.number, error=type(error).__name__, reason=str(error)[:200])

    def _stopped(self, job: Job, reason: str) -> None:
        if reason == "shutdown":
            self._settle(partial(self.store.put_back, job.id))
        elif reason == "timeout":
            minutes = self.job_limit_s / 60
            self._end(job, "failed", f"The separation took longer than {minutes:.0f} minutes: cut the song.")
        else:
            self._end(job, "cancelled")
        log("job_stopped", job=job.number, reason=reason)

    def _end(self, job: Job, state: str, error: str | None = None, result: dict[str, Any] | None = None) -> None:
        """Write down how a job ended; where the disk is full, give up its result to make room for that."""
        try:
            self.store.finish(job.id, state, error, result)
        except sqlite3.Error as trouble:
            log("job_not_recorded", job=job.number, error=type(trouble).__name__, reason=str(trouble)[:200])
            if is_full(trouble):
                self._drop_result(job)
                self.free()
                state, error, result = "failed", DISK_FULL, None
            self._owed.append((job.id, state, error, result))

    def _settle(self, write: Callable[[], None]) -> None:
        """Write what a job can do without."""
        try:
            write()
        except sqlite3.Error as trouble:
            log("job_not_recorded", error=type(trouble).__name__, reason=str(trouble)[:200])

    def _pay(self) -> None:
        """Write down how earlier jobs ended, where that failed; raises where it fails again."""
        with self._paying:
            while self._owed:
                self.store.finish(*self._owed[0])
                self._owed.pop(0)

    def _work(self, job: Job, runner: Runner) -> dict[str, Any]:
        """Run the job's task; whatever goes wrong, no half result stays, even if the worker had to be killed."""
        try:
            with self.room.share(self._n_free()) as room_bytes:
                return runner.run(
                    self.task_of(job, room_bytes),
                    lambda share, stage: self._settle(partial(self.store.report, job.id, share, stage)),
                    self._stopper(job),
                )
        except BaseException:
            self._drop_result(job)
            raise

    def _n_free(self) -> int:
        """How many workers may start a job now, this one included."""
        return max(1, len(self.runners) - self.store.counts().get("running", 0) + 1)

    def _tidy(self, job: Job) -> None:
        """Note how large the job has become; what is left of one that was deleted meanwhile goes."""
        with contextlib.suppress(sqlite3.Error):
            if job.id not in self.store.ids():  # one that was deleted and may come back is still there
                shutil.rmtree(self.store.job_folder(job.id), ignore_errors=True)
        self.room.measure(job.id)

    def _drop_result(self, job: Job) -> None:
        for name in ("result", PREVIEW):
            shutil.rmtree(self.store.job_folder(job.id) / name, ignore_errors=True)

    def _stopper(self, job: Job) -> Callable[[], str | None]:
        limit = time.monotonic() + self.job_limit_s

        def stop() -> str | None:
            if self._stopping.is_set():
                return "shutdown"
            if time.monotonic() > limit:
                return "timeout"
            with contextlib.suppress(sqlite3.Error):  # asked again in a moment
                return "cancel" if self.store.cancel_requested(job.id) else None
            return None

        return stop
