"""A job as one row of the database, and back again."""

from __future__ import annotations

import json
import secrets
import sqlite3
from dataclasses import dataclass, field, fields
from typing import Any

ACTIVE = ("queued", "running")
LOST = ("failed", "cancelled")
ID_BYTES = 16
TITLE_LENGTH = 80  # bytes


@dataclass
class Job:
    """One row.

    Attributes
    ----------
    kind
        ``separate``, ``variant``: the mask of `parent` at another strength, or ``remix``: a mix of its stems.
    owner
        The visitor's cookie; only its bearer may cancel or delete.
    origin
        ``upload``, ``example`` or the link.
    song
        Name for the song that jobs on the same upload share: what can be compared.
    deleted
        When it was hidden, to be deleted a little later; None otherwise.
    options, result
        Plain data; the result lists the files, the activity and how long it took.
    """

    id: str
    kind: str
    owner: str
    address: str
    title: str
    model: str
    origin: str
    song: str
    parent: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    state: str = "queued"
    cancel: int = 0
    attempts: int = 0
    progress: float = 0.0
    stage: str = ""
    error: str | None = None
    result: dict[str, Any] | None = None
    created: float = 0.0
    started: float | None = None
    finished: float | None = None
    number: int = 0
    deleted: float | None = None

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ACTIVE

    @property
    def lost(self) -> bool:
        """Whether it has ended without a result."""
        return self.state in LOST

    @property
    def files(self) -> dict[str, str]:
        """Files of a job that is done: name -> path in its result folder."""
        return (self.result or {}).get("files", {})

    @property
    def stems(self) -> list[str]:
        """Stems of a job that is done, in order; those of earlier versions are told by their files."""
        listed = (self.result or {}).get("stems")
        return listed or [name for name in self.files if name != "sidecar"]

    @property
    def strength(self) -> int:
        """Strength of the mask in percent; 100 is the model's own."""
        return int(self.options.get("strength", 100))


def new_id() -> str:
    """Return a name that cannot be guessed: 32 hexadecimal digits."""
    return secrets.token_hex(ID_BYTES)


def storable(text: str | None) -> str | None:
    """Text as a database takes it: half characters, which UTF-8 does not have, become question marks."""
    return None if text is None else text.encode("utf-8", "replace").decode()


def to_row(job: Job) -> dict[str, Any]:
    """Column -> value."""
    row = {item.name: getattr(job, item.name) for item in fields(Job)}
    row = {name: storable(value) if isinstance(value, str) else value for name, value in row.items()}
    return row | {"options": json.dumps(job.options), "result": json.dumps(job.result)}


def from_row(row: sqlite3.Row) -> Job | None:
    """The job of a row; None if the row holds something else than this version writes."""
    values = dict(row)
    try:
        values["options"] = json.loads(values["options"])
        values["result"] = json.loads(values["result"]) if values["result"] else None
        job = Job(**values)
    except (TypeError, ValueError, KeyError):
        return None
    well_formed = isinstance(job.options, dict) and isinstance(job.result, dict | None)
    return job if well_formed else None
