"""The same work gives the same outcomes inline, in processes and on a cluster; one failure stops nobody else."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress

import pytest
from waiting import wait_until

from splitstrument.errors import SettingsError
from splitstrument.executor import map_tracks, track_executor


def invert(value: int) -> float:
    return 1 / value


def outcomes(**options):
    with track_executor(**options) as executor:
        found = sorted(map_tracks(invert, [1, 2, 0, 4], executor), key=lambda outcome: outcome.item)
    return [(outcome.item, outcome.result, type(outcome.error).__name__) for outcome in found]


EXPECTED = [(0, None, "ZeroDivisionError"), (1, 1.0, "NoneType"), (2, 0.5, "NoneType"), (4, 0.25, "NoneType")]


@pytest.mark.parametrize("jobs", [1, 2])
def test_one_failure_does_not_stop_the_others(jobs):
    assert outcomes(jobs=jobs) == EXPECTED


def test_one_job_runs_lazily_in_order():
    seen = []
    with track_executor(1) as executor:
        results = map_tracks(seen.append, iter([1, 2, 3]), executor)
        next(results)
        assert seen == [1]


def test_a_real_dask_scheduler():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        assert outcomes(scheduler=cluster.scheduler_address) == EXPECTED


def test_no_scheduler_there():
    pytest.importorskip("distributed")
    match = "No dask scheduler answers at nonsense://x"
    with pytest.raises(SettingsError, match=match), track_executor(scheduler="nonsense://x"):
        pass


def interrupt_or_write(path):
    """What Ctrl-C does to the worker that is at ``interrupt``; the others take their time and leave a file."""
    if path.name == "interrupt":
        os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.05)  # all of them ten seconds, so that a busy machine does not finish them before the batch ends
    path.touch()


def test_an_interrupted_worker_ends_the_batch_and_begins_no_queued_track(tmp_path):
    items = [tmp_path / "interrupt", *(tmp_path / str(number) for number in range(200))]
    with pytest.raises(KeyboardInterrupt), track_executor(2) as executor:
        list(map_tracks(interrupt_or_write, items, executor))
    assert not (tmp_path / "interrupt").exists()
    assert len(list(tmp_path.iterdir())) < 200


def wait_in_python(path):
    path.write_text(str(os.getpid()))
    try:
        time.sleep(600)
    finally:
        time.sleep(0.2)  # as long as a large file takes
        path.with_suffix(".cleaned").touch()


def wait_in_c(path):
    """Python's handlers of signals do not run until this returns."""
    path.write_text(str(os.getpid()))
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)


@pytest.mark.parametrize("work", [wait_in_python, wait_in_c])
def test_an_interruption_of_the_parent_alone_ends_the_workers(tmp_path, work):
    def interrupt():
        wait_until(lambda: len(pids_in(tmp_path)) == 2)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt), track_executor(2) as executor:
        list(map_tracks(work, [tmp_path / str(number) for number in range(8)], executor))
    started = [path for path in tmp_path.iterdir() if not path.suffix]
    assert len(started) == 2 and not any(is_running(int(path.read_text())) for path in started)
    if work is wait_in_python:
        assert all(path.with_suffix(".cleaned").exists() for path in started)


def leave_pid_and_wait(path):
    path.write_text(str(os.getpid()))
    time.sleep(0.2)


def work_in(folder):
    with track_executor(2) as executor:
        list(map_tracks(leave_pid_and_wait, [folder / str(number) for number in range(1000)], executor))


def pids_in(folder) -> set[int]:
    """Processes that have written their number into a file of `folder`."""
    return {int(path.read_text() or 0) for path in folder.iterdir()} - {0}


def is_running(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    """Or they would wait for ever for a task, with all the memory of the last one."""
    parent = multiprocessing.get_context("spawn").Process(target=work_in, args=(tmp_path,))
    parent.start()
    wait_until(lambda: len(pids_in(tmp_path)) == 2)
    workers = pids_in(tmp_path)
    parent.kill()
    parent.join()
    assert len(workers) == 2
    wait_until(lambda: not any(map(is_running, workers)), timeout_s=10)
