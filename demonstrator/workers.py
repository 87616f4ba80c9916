"""Workers: processes of this machine or a dask.distributed cluster.

A worker process keeps its engines open, may be stopped in the middle of a job, and may crash on a hostile file without
taking the server along.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Protocol

from demonstrator.log import log
from demonstrator.privacy import PRIVATE_UMASK
from demonstrator.room import is_full
from demonstrator.work import Report, Task, loaded_model, run_task
from splitstrument.errors import CancelledError, SettingsError, SplitstrumentError, missing_extra

POLL_S = 0.1
REPORT_EVERY_S = 0.2
CANCEL_GRACE_S = 3.0
NICENESS = 10


class WorkerError(SplitstrumentError):
    """The worker failed in a way that is not the user's to mend."""


class Runner(Protocol):
    """Runs one task at a time."""

    def run(self, task: Task, on_progress: Report, stop: Callable[[], str | None]) -> dict[str, Any]:
        """Run to the end; `stop` gives the reason to end early, or None.

        Raises
        ------
        CancelledError
            If `stop` said so.
        SplitstrumentError
            If the task failed.
        """
        ...

    def close(self) -> None:
        """End what is running and free everything."""
        ...


class ProcessRunner:
    """A worker process, started anew when it dies.

    Parameters
    ----------
    warm
        Tasks' (model, engine, threads) to open at once, so that the first song does not wait.
    """

    def __init__(self, warm: list[tuple[str, str | None, int | None]] | None = None) -> None:
        self.warm = warm or []
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # the server has threads; forking them can hang
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, self.warm), daemon=True, name="separation")
        self._process.start()
        other.close()

    def run(self, task: Task, on_progress: Report, stop: Callable[[], str | None]) -> dict[str, Any]:
        """See `Runner`."""
        if not self._process.is_alive():
            self._start()
        reason = None
        try:
            self._connection.send(task)
            kill_at = float("inf")
            while True:
                if self._connection.poll(POLL_S):
                    kind, *values = self._connection.recv()
                    if kind == "progress":
                        on_progress(*values)
                    else:
                        return _outcome(kind, values, reason)
                if reason is None and (reason := stop()):
                    self._connection.send("cancel")
                    kill_at = time.monotonic() + CANCEL_GRACE_S
                if time.monotonic() > kill_at:
                    self._kill()
                    raise CancelledError(reason or "")
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._kill()  # a pipe closes before its process counts as dead; the next task must not meet it
            if reason:
                raise CancelledError(reason) from None
            raise WorkerError(
                "The separation process died on this song, perhaps for lack of memory: try a shorter song or another "
                "file of it."
            ) from None
        except (SplitstrumentError, OSError):
            raise
        except BaseException:  # a task that nobody waits for must not answer the next one
            self._kill()
            raise
        finally:
            self._reap()

    def _kill(self) -> None:
        self._process.kill()
        self._process.join()

    def _reap(self) -> None:
        """Start a new process in the place of one that is gone."""
        self._process.join(0 if self._process.exitcode is None else 1)
        if not self._process.is_alive():
            self._connection.close()
            self._start()

    def close(self) -> None:
        """See `Runner`."""
        self._connection.close()
        self._process.join(1)
        self._process.kill()


def _outcome(kind: str, values: list[Any], reason: str | None) -> dict[str, Any]:
    if kind == "done":
        return values[0]
    if kind == "full":
        raise OSError(errno.ENOSPC, values[0])
    if kind == "cancelled":
        raise CancelledError(reason or "cancelled")
    raise SplitstrumentError(values[0]) if kind == "failed" else WorkerError(values[0])


def _serve(connection: Connection, warm: list[tuple[str, str | None, int | None]]) -> None:
    """Body of a worker process: answer tasks until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.umask(PRIVATE_UMASK)
    if hasattr(os, "nice"):
        os.nice(NICENESS)  # pages come first
    for key in warm:
        with contextlib.suppress(SplitstrumentError):  # told to the one who asks for this model
            loaded_model(*key)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            task = connection.recv()
            if isinstance(task, Task):  # a cancel that came too late is dropped
                connection.send(_answer(task, _throttled(_PipeReport(connection))))


def _answer(task: Task, report: Report) -> tuple[Any, ...]:
    try:
        return "done", run_task(task, report)
    except CancelledError:
        return ("cancelled",)
    except SplitstrumentError as error:
        return "failed", _without_folder(str(error), task)
    except (EOFError, BrokenPipeError):
        raise
    except OSError as error:
        if is_full(error):
            return "full", str(error.strerror)
        return "broken", f"The server could not store the result ({error.strerror}): tell who runs it."
    except Exception as error:  # a bug of ours: the visitor gets a sentence, the log the type
        log("bug", error=f"{type(error).__name__}: {_without_folder(str(error), task)[:300]}")
        return "broken", "Something went wrong on the server; this is a bug worth reporting."


def _without_folder(message: str, task: Task) -> str:
    """Messages name files by their path; visitors need not know ours."""
    return message.replace(f"{task.folder}/", "").replace(task.folder, "the job").replace("song.", "the song.", 1)


class _PipeReport:
    """Sends progress through the pipe; raises when a cancel has come the other way."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def __call__(self, share: float, stage: str) -> None:
        if self.connection.poll() and self.connection.recv() == "cancel":
            raise CancelledError("cancelled")
        self.connection.send(("progress", share, stage))


def _throttled(report: Report) -> Report:
    """At most five reports a second, and every change of stage."""
    last: list[Any] = [0.0, None]

    def throttled(share: float, stage: str) -> None:
        now = time.monotonic()
        if stage != last[1] or now - last[0] >= REPORT_EVERY_S:
            last[:] = now, stage
            report(share, stage)

    return throttled


class ClusterRunner:
    """Sends each task to a running dask.distributed cluster, whose workers must reach the data folder."""

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise missing_extra("--scheduler", "cluster") from None
        try:
            self._client = Client(address, timeout="10s", set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise SettingsError(
                f"No dask scheduler answers at {address} ({error}): start one or check the address."
            ) from None

    def run(self, task: Task, on_progress: Report, stop: Callable[[], str | None]) -> dict[str, Any]:
        """See `Runner`."""
        from distributed import Event

        topic = f"splitstrument-{os.urandom(8).hex()}"
        cancel = Event(topic, client=self._client)
        future = self._client.submit(_cluster_task, task, topic, pure=False, retries=1)
        reason, seen = None, 0
        while not future.done():
            time.sleep(POLL_S * 3)
            events = self._client.get_events(topic)
            if len(events) > seen:
                seen = len(events)
                on_progress(*events[-1][1])
            if reason is None and (reason := stop()):
                cancel.set()
        if future.status != "finished":
            raise CancelledError(reason) if reason else WorkerError(f"The cluster lost the task ({future.status}).")
        kind, *values = future.result()
        return _outcome(kind, values, reason)

    def close(self) -> None:
        """See `Runner`."""
        self._client.close()


def _cluster_task(task: Task, topic: str) -> tuple[Any, ...]:
    """Runs on a worker of the cluster; progress and cancel go through its scheduler."""
    from distributed import Event, get_worker

    worker, cancel = get_worker(), Event(topic)

    def report(share: float, stage: str) -> None:
        if cancel.is_set():
            raise CancelledError("cancelled")
        worker.log_event(topic, (share, stage))

    return _answer(task, _throttled(report))
