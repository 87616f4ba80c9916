"""Jobs in SQLite: the queue, its order, and everything that must survive a restart.

A job is ``queued``, ``running``, ``done``, ``failed`` or ``cancelled``. Only the dispatcher moves a job to running;
any thread may ask for a cancel. Files of a job lie in ``<data folder>/jobs/<id>/``; the id is 128 random bits, so that
a link can be shared and no other one guessed.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from demonstrator.job import Job, from_row, new_id, storable, to_row
from splitstrument.errors import SettingsError

FILE = "jobs.sqlite3"
BROKEN_ROW = "The record of this song is damaged: send it again."
SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT UNIQUE NOT NULL, kind TEXT NOT NULL, owner TEXT NOT NULL, address TEXT NOT NULL,
    state TEXT NOT NULL, title TEXT NOT NULL, model TEXT NOT NULL, origin TEXT NOT NULL, song TEXT NOT NULL,
    parent TEXT, options TEXT NOT NULL, cancel INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    progress REAL NOT NULL DEFAULT 0, stage TEXT NOT NULL DEFAULT '', error TEXT, result TEXT,
    created REAL NOT NULL, started REAL, finished REAL);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, kind, number);
CREATE INDEX IF NOT EXISTS jobs_by_owner ON jobs (owner, number);
CREATE INDEX IF NOT EXISTS jobs_by_song ON jobs (song, number);
"""


class JobStore:
    """All jobs; every method is one transaction and may be called from any thread."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        (self.folder / "jobs").mkdir(parents=True, exist_ok=True)
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._write_lock = threading.Lock()
        with self._explained():
            self._prepare()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """One sentence and a way out for a database that cannot be used."""
        path = self.folder / FILE
        try:
            yield
        except sqlite3.Error as error:
            reason = " ".join(str(error).split())[:200]
            raise SettingsError(
                f"The list of songs {path} cannot be used ({reason}): move it away, and start again with an empty "
                "list, or choose another folder with --data."
            ) from None

    def _prepare(self) -> None:
        found = self._read().execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(str(found))
        with self._write() as db:
            for statement in filter(str.strip, SCHEMA.split(";")):
                db.execute(statement)
            if "deleted" not in {row[1] for row in db.execute("PRAGMA table_info(jobs)")}:
                db.execute("ALTER TABLE jobs ADD COLUMN deleted REAL")  # databases of earlier versions lack it
        columns = {row[1] for row in self._read().execute("PRAGMA table_info(jobs)")}
        if lacking := sorted({item.name for item in fields(Job)} - columns):
            raise sqlite3.DatabaseError(f"another version made it: no column {lacking[0]!r}")

    def close(self) -> None:
        """Let go of every thread's connection.

        Each closes with its last use: closing one here that another thread is just reading by ends the process.
        """
        self._connections.clear()
        self._local = threading.local()

    def job_folder(self, job_id: str) -> Path:
        """Return the folder of a job's files; `job_id` must come from the database."""
        return self.folder / "jobs" / job_id

    def add(self, **values: Any) -> Job:
        """Queue a job; its folder is made by the caller beforehand where files come first (see `new_id`)."""
        job = Job(id=values.pop("id", None) or new_id(), created=time.time(), **values)
        row = to_row(job)
        row.pop("number")
        with self._write() as db:
            cursor = db.execute(
                f"INSERT INTO jobs ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values())
            )
            job.number = cursor.lastrowid or 0
        return job

    def get(self, job_id: str) -> Job | None:
        """The job with this id."""
        return next(self._jobs("id = ?", job_id), None)

    def of_owner(self, owner: str, limit: int = 20) -> list[Job]:
        """A visitor's songs, newest first (strengths of one song are not listed)."""
        return list(self._jobs("owner = ? AND kind = 'separate' ORDER BY number DESC LIMIT ?", owner, limit))

    def of_song(self, song: str) -> list[Job]:
        """All jobs on one song, oldest first."""
        return list(self._jobs("song = ? ORDER BY number", song))

    def find_variant(self, parent: str, strength: int) -> Job | None:
        """A variant of `parent` with this strength that did not fail."""
        rows = self._jobs("parent = ? AND kind = 'variant' AND state IN ('queued','running','done')", parent)
        return next((job for job in rows if job.strength == strength), None)

    def count_active(self, address: str | None = None) -> int:
        """How many jobs wait or run, in all or from one address."""
        where, values = ("AND address = ?", (address,)) if address is not None else ("", ())
        query = f"SELECT COUNT(*) FROM jobs WHERE state IN ('queued','running') {where}"
        return int(self._read().execute(query, values).fetchone()[0])

    def counts(self) -> dict[str, int]:
        """Number of jobs per state."""
        return dict(self._read().execute("SELECT state, COUNT(*) FROM jobs GROUP BY state").fetchall())

    def position(self, job: Job) -> int:
        """How many jobs are before this one in the queue."""
        whole = job.kind == "separate"
        query = (
            "SELECT COUNT(*) FROM jobs WHERE state = 'queued' AND "
            "((kind = 'separate') < ? OR ((kind = 'separate') = ? AND number < ?))"
        )
        return int(self._read().execute(query, (whole, whole, job.number)).fetchone()[0])

    def mean_seconds(self) -> float:
        """Mean time of the last finished songs: what the estimate of the waiting time rests on."""
        query = (
            "SELECT AVG(t) FROM (SELECT MAX(0, finished - started) AS t FROM jobs "
            "WHERE state = 'done' AND kind = 'separate' ORDER BY number DESC LIMIT 20)"
        )
        return float(self._read().execute(query).fetchone()[0] or 20.0)

    def claim(self) -> Job | None:
        """Take the next job and mark it running; variants and mixes, which take moments, go first."""
        with self._write() as db:
            query = "SELECT * FROM jobs WHERE state = 'queued' ORDER BY kind = 'separate', number LIMIT 1"
            while (row := db.execute(query).fetchone()) is not None and (job := from_row(row)) is None:
                query_broken = "UPDATE jobs SET state = 'failed', finished = ?, error = ? WHERE number = ?"
                db.execute(query_broken, (time.time(), BROKEN_ROW, row["number"]))
            if row is None or job is None:
                return None
            job.state, job.started, job.attempts = "running", time.time(), job.attempts + 1
            db.execute(
                "UPDATE jobs SET state = 'running', started = ?, attempts = ? WHERE id = ?",
                (job.started, job.attempts, job.id),
            )
        return job

    def report(self, job_id: str, progress: float, stage: str) -> None:
        """Note how far a running job is (0 to 1)."""
        with self._write() as db:
            query = "UPDATE jobs SET progress = ?, stage = ? WHERE id = ? AND state = 'running'"
            db.execute(query, (min(max(progress, 0.0), 1.0), storable(stage), job_id))

    def finish(self, job_id: str, state: str, error: str | None = None, result: dict[str, Any] | None = None) -> None:
        """End a job as done, failed or cancelled."""
        with self._write() as db:
            db.execute(
                "UPDATE jobs SET state = ?, error = ?, result = ?, finished = ?, progress = ? WHERE id = ?",
                (state, storable(error), json.dumps(result), time.time(), float(state == "done"), job_id),
            )

    def rename(self, job_id: str, title: str) -> None:
        """Give a job the title that its link turned out to have."""
        with self._write() as db:
            db.execute("UPDATE jobs SET title = ? WHERE id = ?", (storable(title), job_id))

    def request_cancel(self, job_id: str) -> None:
        """Cancel at once what waits; ask the dispatcher to stop what runs."""
        with self._write() as db:
            db.execute("UPDATE jobs SET cancel = 1 WHERE id = ? AND state = 'running'", (job_id,))
            db.execute(
                "UPDATE jobs SET state = 'cancelled', finished = ? WHERE id = ? AND state = 'queued'",
                (time.time(), job_id),
            )

    def cancel_requested(self, job_id: str) -> bool:
        """Whether a running job was asked to stop."""
        row = self._read().execute("SELECT cancel FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return row is None or bool(row[0])

    def requeue_running(self, max_attempts: int) -> list[Job]:
        """At start: put back what a stopped server left running; give up on what was started too often."""
        jobs = list(self._jobs("state = 'running'"))
        with self._write() as db:
            db.execute(
                "UPDATE jobs SET state = 'queued', progress = 0, stage = '', started = NULL "
                "WHERE state = 'running' AND attempts < ? AND cancel = 0",
                (max_attempts,),
            )
            db.execute(
                "UPDATE jobs SET state = CASE cancel WHEN 1 THEN 'cancelled' ELSE 'failed' END, finished = ?, "
                "error = CASE cancel WHEN 1 THEN NULL ELSE 'The server stopped repeatedly while it worked on this "
                "song: send it again, or another file of it.' END WHERE state = 'running'",
                (time.time(),),
            )
        return jobs

    def put_back(self, job_id: str) -> None:
        """Put a running job back into the queue: the server is shutting down, the job is not to blame."""
        with self._write() as db:
            db.execute(
                "UPDATE jobs SET state = 'queued', progress = 0, stage = '', attempts = attempts - 1 "
                "WHERE id = ? AND state = 'running'",
                (job_id,),
            )

    def delete(self, job_id: str) -> None:
        """Forget a job; the caller removes its folder."""
        with self._write() as db:
            db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    def hide(self, job_ids: Sequence[str]) -> None:
        """Delete jobs in a way that can be undone: nothing finds them any more, until `unhide` or `delete`."""
        self._set_deleted(job_ids, time.time())

    def unhide(self, job_ids: Sequence[str]) -> None:
        """Undo `hide`."""
        self._set_deleted(job_ids, None)

    def _set_deleted(self, job_ids: Sequence[str], when: float | None) -> None:
        with self._write() as db:
            db.executemany("UPDATE jobs SET deleted = ? WHERE id = ?", [(when, job_id) for job_id in job_ids])

    def hidden(self, before: float | None = None) -> list[Job]:
        """Jobs that were hidden, those before a time or all."""
        query = "SELECT * FROM jobs WHERE deleted IS NOT NULL AND deleted <= ?"
        rows = self._read().execute(query, (time.time() if before is None else before,)).fetchall()
        return [job for row in rows if (job := from_row(row))]

    def expired(self, before: float, after: float = float("inf")) -> list[Job]:
        """Jobs that ended before one time, or after another, as those do that ended while the clock was far ahead."""
        ended = "state IN ('done','failed','cancelled')"
        return list(self._jobs(f"{ended} AND (finished < ? OR finished > ?)", before, after))

    def ids(self) -> set[str]:
        """All ids."""
        return {row[0] for row in self._read().execute("SELECT id FROM jobs")}

    def _jobs(self, where: str, *values: Any) -> Iterator[Job]:
        for row in self._read().execute(f"SELECT * FROM jobs WHERE deleted IS NULL AND {where}", values).fetchall():
            if job := from_row(row):  # one that is broken is no other's trouble
                yield job

    def _read(self) -> sqlite3.Connection:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.folder / FILE, timeout=30, isolation_level=None, check_same_thread=False)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            self._local.connection = connection
            self._connections.append(connection)
        return connection

    @contextlib.contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        connection = self._read()
        with self._write_lock:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has rolled back already
                    connection.execute("ROLLBACK")
                raise
