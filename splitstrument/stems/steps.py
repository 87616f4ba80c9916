"""Do one step for one track only if something changed, and remember what it made.

Each step of each track leaves a record ``.build/<step>/<track>.json`` in the dataset's folder, written after its files.
The record's key is a hash of everything that went in: settings, hashes of input files, version of the step. A step is
done again when the key differs or a file is not the one that was recorded; a killed run has no record for the track it
was at, so that the next run does this track again and no other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitstrument.errors import DatasetError
from splitstrument.files import sha256_of, write_json

STATE_FOLDER = ".build"


@dataclass(frozen=True)
class Done:
    """A finished step of one track.

    Attributes
    ----------
    report
        Plain data about what happened.
    files
        File, relative to the dataset's folder -> SHA-256.
    fresh
        Whether it was done in this run.
    """

    report: dict[str, Any]
    files: dict[str, str]
    fresh: bool


def key_of(*parts: Any) -> str:
    """Hash of plain data: the same for the same content, whatever the order of keys."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def do_once(
    dataset: Path, step: str, track: str, key: str, work: Callable[[], tuple[dict[str, Any], dict[Path, str | None]]]
) -> Done:
    """Run `work` unless its record says that the same was done and its files are still there.

    Parameters
    ----------
    work
        Makes the files; returns a report of plain data and the files inside `dataset`, with their SHA-256 if known.
    """
    record_path = dataset / STATE_FOLDER / step / f"{track}.json"
    record = _read(record_path)
    if record.get("key") == key and _same_files(dataset, record["files"]):
        return Done(record["report"], {name: entry["sha256"] for name, entry in record["files"].items()}, False)
    record_path.unlink(missing_ok=True)
    report, files = work()
    entries = {path.relative_to(dataset).as_posix(): _entry(path, sha256) for path, sha256 in files.items()}
    report = json.loads(json.dumps(report, default=str))
    write_json(record_path, {"key": key, "report": report, "files": entries})
    return Done(report, {name: entry["sha256"] for name, entry in entries.items()}, True)


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    complete = isinstance(record, dict) and {"key", "report", "files"} <= set(record)
    return record if complete else {}


def _entry(path: Path, sha256: str | None) -> dict[str, Any]:
    status = path.stat()
    return {"sha256": sha256 or sha256_of(path), "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _same_files(dataset: Path, entries: dict[str, Any]) -> bool:
    """Compare size and time, and the hash where the time differs."""
    for name, entry in entries.items():
        try:
            status = (dataset / name).stat()
        except OSError:
            return False
        same_time = status.st_mtime_ns == entry["mtime_ns"]
        if status.st_size != entry["size"] or not (same_time or sha256_of(dataset / name) == entry["sha256"]):
            return False
    return True


@contextmanager
def building(dataset: Path) -> Iterator[None]:
    """Hold the dataset's lock, and first remove what a killed run left of files it was writing.

    Raises
    ------
    DatasetError
        If another process is building the same folder.
    """
    import fcntl  # not on every platform

    state = dataset / STATE_FOLDER
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DatasetError(f"{dataset} is being built by another process: wait for it to end.") from None
        for leftover in dataset.rglob(".*.part*"):
            leftover.unlink()
        yield
