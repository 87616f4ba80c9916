"""Room for songs: places in the queue and bytes on the disk, promised before they are taken.

All checks and promises happen under one lock, so that requests at the same time cannot pass a limit together. The bytes
of all jobs are a number that changes with them; the disk is walked once, at the start.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from demonstrator.settings import DemonstratorSettings
from demonstrator.store import JobStore

KEEP_FREE_BYTES = 50_000_000  # of the disk itself, for the database and the log
FULL = (errno.ENOSPC, errno.EDQUOT)


class Busy(Exception):
    """No new song is taken now.

    Attributes
    ----------
    status, retry_after_s
        HTTP status line and when to try again.
    """

    def __init__(self, status: str, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.status, self.retry_after_s = status, retry_after_s


def is_full(error: Exception) -> bool:
    """Whether an error says that a disk is full."""
    if isinstance(error, sqlite3.Error):
        return "full" in str(error)
    return isinstance(error, OSError) and error.errno in FULL


class Room:
    """What the settings leave for songs."""

    def __init__(self, store: JobStore, settings: DemonstratorSettings) -> None:
        self.store, self.settings = store, settings
        self._lock = threading.RLock()
        self._sizes: dict[str, int] = {}
        self._promised: dict[object, int] = {}
        self._coming: Counter[str] = Counter()
        for folder in (store.folder / "jobs").iterdir():
            self.measure(folder.name)

    @property
    def used_bytes(self) -> int:
        """Bytes of all jobs, as of their last change."""
        with self._lock:
            return sum(self._sizes.values())

    @property
    def left_bytes(self) -> int:
        """Bytes that are neither used nor promised."""
        with self._lock:
            limit = int(self.settings.disk_limit_gb * 1e9)
            return max(0, limit - sum(self._sizes.values()) - sum(self._promised.values()))

    @property
    def free_bytes(self) -> int:
        """Bytes that the disk itself has left; 0 if it does not say."""
        return _free_bytes(self.store.folder)

    def bytes_of(self, job_id: str) -> int:
        """Bytes of one job, as of its last change."""
        with self._lock:
            return self._sizes.get(job_id, 0)

    def measure(self, job_id: str) -> None:
        """Note how large a job is now; one that is gone takes nothing."""
        size = _size_of(self.store.job_folder(job_id))
        with self._lock:
            self._sizes.pop(job_id, None)
            if size:
                self._sizes[job_id] = size

    @contextlib.contextmanager
    def place(self, address: str, n_bytes: int) -> Iterator[None]:
        """Keep a place in the queue, and bytes, for a song that is coming in.

        Raises
        ------
        Busy
            503 for a full queue or disk, 429 for one visitor's too many songs.
        """
        with self._lock:
            self._check_queue(address)
            self._coming[address] += 1
        try:
            with self.bytes(n_bytes):
                yield
        finally:
            with self._lock:
                self._coming[address] -= 1
                self._coming += Counter()  # forgets addresses with nothing

    @contextlib.contextmanager
    def bytes(self, n_bytes: int) -> Iterator[None]:
        """Keep bytes for what is about to be written; raises `Busy`."""
        with self._lock:
            if n_bytes > self.left_bytes or n_bytes + KEEP_FREE_BYTES > self.free_bytes:
                raise Busy("503 Service Unavailable", "The server's disk is full: try again later.", 600)
            self._promised[key := object()] = n_bytes
        try:
            yield
        finally:
            with self._lock:
                self._promised.pop(key, None)

    @contextlib.contextmanager
    def share(self, workers: int) -> Iterator[int]:
        """Keep an equal share of half of what is left for a job that starts while `workers` may start one; yields it.

        The other half stays for songs that come in meanwhile.
        """
        with self._lock:
            share = self.left_bytes // (2 * max(1, workers))
            self._promised[key := object()] = share
        try:
            yield share
        finally:
            with self._lock:
                self._promised.pop(key, None)

    def _check_queue(self, address: str) -> None:
        waiting = self.store.count_active() + self._coming.total()
        retry = max(5, int(self.store.mean_seconds() / self.settings.workers))
        if waiting >= self.settings.queue_limit:
            message = f"The queue is full ({waiting} songs): try again in about {_minutes(retry)}."
            raise Busy("503 Service Unavailable", message, retry)
        if self.store.count_active(address) + self._coming[address] >= self.settings.jobs_per_visitor:
            most = self.settings.jobs_per_visitor
            raise Busy("429 Too Many Requests", f"You have {most} songs waiting: wait until one is done.", retry)


def _size_of(folder: Path) -> int:
    """Bytes of all files in a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(place) / name).lstat().st_size
    return total


def _free_bytes(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"
