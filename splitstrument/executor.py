"""Work per track, on one machine or many, through the standard executor interface.

`track_executor` gives a process pool or an existing dask.distributed cluster; `map_tracks` runs one function over
many items, hands back results as they come, and lets one failure pass without stopping the others.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar, cast

from splitstrument.errors import (
    DISK_ERRORS,
    CancelledError,
    SettingsError,
    SplitstrumentError,
    file_error_text,
    missing_extra,
)
from splitstrument.progress import progress

Item = TypeVar("Item")
Result = TypeVar("Result")

GRACE_S = 1.2


class InlineExecutor(Executor):
    """Runs each call at once in this process: what ``jobs=1`` means, and the easiest to debug."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run now; the returned future is already done."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """Outcome of one item: a result, or the exception that ended it."""

    item: Item
    result: Result | None = None
    error: Exception | None = None

    def get(self) -> Result:
        """Return the result, or raise the exception that ended the item."""
        if self.error is not None:
            raise self.error
        return cast(Result, self.result)  # None only where that is what the work returned


@contextlib.contextmanager
def track_executor(jobs: int | None = None, scheduler: str | None = None) -> Iterator[Executor]:
    """Open an executor.

    Parameters
    ----------
    jobs
        Number of worker processes; None or 0 means one per available core; 1 runs in this process.
    scheduler
        Address of a running dask.distributed scheduler, such as ``tcp://10.0.0.1:8786``; wins over `jobs`.
    """
    if scheduler:
        with _cluster(scheduler) as executor:
            yield executor
    elif (jobs or available_cores()) == 1:
        yield InlineExecutor()
    else:
        # spawn: forking a process that has started TensorFlow's threads can hang the child
        context, strangers = multiprocessing.get_context("spawn"), set(multiprocessing.active_children())
        with ProcessPoolExecutor(jobs or available_cores(), context, _prepare_worker) as executor:
            try:
                yield executor
            except BaseException:
                executor.shutdown(wait=False, cancel_futures=True)
                _end(set(multiprocessing.active_children()) - strangers)
                raise


def _end(workers: Collection[BaseProcess]) -> None:
    """Let workers clean up after the task at hand and end; those that take longer than `GRACE_S` are killed."""
    waiting: dict[Any, BaseProcess] = {worker.sentinel: worker for worker in workers}
    for worker in waiting.values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid or 0, signal.SIGINT)
    deadline = time.monotonic() + GRACE_S
    while waiting and (left := deadline - time.monotonic()) > 0:
        for sentinel in connection.wait(list(waiting), left):
            del waiting[sentinel]
    for worker in waiting.values():
        worker.kill()
    for worker in workers:
        worker.join(1)


def map_tracks(
    function: Callable[[Item], Result], items: Iterable[Item], executor: Executor
) -> Iterator[Outcome[Item, Result]]:
    """Run `function` over `items`; yield outcomes as they complete (with one job: in order).

    `function` must be importable by workers (a module-level function or a `functools.partial` of one).
    """
    if isinstance(executor, InlineExecutor):
        for item in items:  # lazily, so that progress and Ctrl-C act between items
            yield _outcome(item, executor.submit(function, item))
        return
    with _interrupts_held_back():  # the first task starts the processes
        futures = {executor.submit(_call, function, item): item for item in items}
    for future in as_completed(futures):
        yield _outcome(futures[future], future)


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C wait, here and in processes that are started, which let it pass when they are ready for it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# state of a worker process; in other processes it stays as it is
_busy = _interrupted = False


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, _on_interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would otherwise wait for its next task for ever."""
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def _on_interrupt(*_: Any) -> None:
    """End the task at hand, and begin none of those already queued.

    Ctrl-C in a terminal reaches every process, and then the parent says it again, which must not disturb the cleaning.
    """
    global _interrupted
    first, _interrupted = not _interrupted, True
    if _busy and first:
        raise KeyboardInterrupt


def _call(function: Callable[[Item], Result], item: Item) -> Result:
    global _busy
    if _interrupted:
        raise CancelledError("The work was interrupted.")
    _busy = True
    try:
        return function(item)
    finally:
        _busy = False


def _outcome(item: Item, future: Future[Result]) -> Outcome[Item, Result]:
    error = future.exception()
    if error is None:
        return Outcome(item, future.result())
    if not isinstance(error, Exception):
        raise error
    return Outcome(item, error=error)


@contextlib.contextmanager
def _cluster(address: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError:
        raise missing_extra("--scheduler", "cluster") from None
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise SettingsError(
            f"No dask scheduler answers at {address} ({error}): start one or check the address."
        ) from None
    with client:
        # one retry per task: a worker that died with its machine must not lose the track
        yield client.get_executor(pure=False, retries=1)


@dataclass
class Batch(Generic[Result]):
    """Results and failures of a batch, both by the item's name."""

    results: dict[str, Result] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def run_batch(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    executor: Executor,
    description: str,
    name_of: Callable[[Item], str] = str,
    quiet: bool = False,
) -> Batch[Result]:
    """Run `function` over `items`.

    Errors that a user can mend, and those of the file system, are recorded as failures of their item; a disk that is
    full or read-only ends the batch, as does a bug.
    """
    batch: Batch[Result] = Batch()
    with progress(description, len(items), "tracks", quiet) as advance:
        for outcome in map_tracks(function, items, executor):
            name = name_of(outcome.item)
            if outcome.error is None:
                batch.results[name] = outcome.result  # type: ignore[assignment]
            elif isinstance(outcome.error, SplitstrumentError):
                batch.failures[name] = str(outcome.error)
            elif isinstance(outcome.error, OSError) and outcome.error.errno not in DISK_ERRORS:
                batch.failures[name] = file_error_text(outcome.error)
            else:
                raise outcome.error
            advance(1, name)
    batch.results = dict(sorted(batch.results.items()))
    batch.failures = dict(sorted(batch.failures.items()))
    return batch
