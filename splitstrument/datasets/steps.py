"""Do one step for one track only if something changed, and remember what it made.

Each step of each track leaves a record ``.build/<step>/<track>.json`` in the dataset's folder, written after its files.
The record's key is a hash of everything that went in: settings, hashes of input files, version of the step. A step is
done again when the key differs or a file is not the one that was recorded; a killed run leaves a record without a key
for the track it was at, so that the next run does this track again and no other. No file is ever removed that
no record names.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitstrument.errors import DatasetError
from splitstrument.files import inside, sha256_of, write_json

STATE_FOLDER = ".build"
# steps whose files people may replace by their own
REPLACED_BY_PEOPLE = ("organise",)
# what `files.atomic_path` and `organise` call a file until it is whole
TEMPORARY_NAME = re.compile(r"\..*\.([a-z0-9_]{8}|\d+)\.part(\.[^.]+)?")


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
    dataset: Path,
    step: str,
    track: str,
    key: str,
    work: Callable[[], tuple[dict[str, Any], dict[Path, str | None]]],
    of_people: Callable[[dict[str, Any]], Collection[Path]] = lambda _: (),
) -> Done:
    """Run `work` unless its record says that the same was done and its files are still there.

    Files of the record that `work` does not make again are removed.

    Parameters
    ----------
    work
        Makes the files; returns a report of plain data and the files inside `dataset`, with their SHA-256 if known.
    of_people
        From the report, those of the files that people made: a change of them counts, but they are never removed.
    """
    record_path = _record_path(dataset, step, track)
    record = read_record(dataset, step, track)
    if record.get("key") == key and _same_files(dataset, record["files"]):
        return Done(record["report"], {name: entry["sha256"] for name, entry in record["files"].items()}, False)
    write_json(record_path, {"report": {}, "files": {}, **record, "key": ""})
    report, files = work()
    entries = {path.relative_to(dataset).as_posix(): _entry(path, sha256) for path, sha256 in files.items()}
    gone = {name: entry for name, entry in record.get("files", {}).items() if name not in entries}
    _remove(dataset, step, gone)
    report = json.loads(json.dumps(report, default=str))
    for path in of_people(report):
        entries[path.relative_to(dataset).as_posix()]["of_people"] = True
    write_json(record_path, {"key": key, "report": report, "files": entries})
    return Done(report, {name: entry["sha256"] for name, entry in entries.items()}, True)


def read_record(dataset: Path, step: str, track: str) -> dict[str, Any]:
    """Return the last run's record of one step of one track; empty if there is no usable one."""
    try:
        record = json.loads(_record_path(dataset, step, track).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    complete = isinstance(record, dict) and {"key", "report", "files"} <= set(record)
    return record if complete else {}


def _record_path(dataset: Path, step: str, track: str) -> Path:
    return dataset / STATE_FOLDER / step / f"{track}.json"


def forget_others(dataset: Path, step: str, tracks: Collection[str]) -> None:
    """Remove the files and the record of every track that this step was done for and that is not among `tracks`."""
    for path in sorted((dataset / STATE_FOLDER / step).glob("*.json")):
        if path.stem not in tracks:
            _remove(dataset, step, read_record(dataset, step, path.stem).get("files", {}))
            path.unlink()


def _remove(dataset: Path, step: str, entries: dict[str, Any]) -> None:
    """Remove recorded files, an instrument before its rest, and the folders that they leave empty."""
    for name, entry in sorted(entries.items()):
        path = dataset / name
        replaced = step in REPLACED_BY_PEOPLE and (entry.get("of_people") or _is_other_file(path, entry["sha256"]))
        if inside(dataset, path.parent) and not replaced:
            path.unlink(missing_ok=True)
            remove_empty_folders(path.parent, dataset)


def _is_other_file(path: Path, sha256: str) -> bool:
    return path.is_file() and not path.is_symlink() and sha256_of(path) != sha256


def remove_empty_folders(folder: Path, top: Path) -> None:
    """Remove `folder` and those above it, below `top`, as far as they are empty."""
    with suppress(OSError):
        while folder != top:
            folder.rmdir()
            folder = folder.parent


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
        _remove_temporary_files(dataset)
        yield


def _remove_temporary_files(dataset: Path) -> None:
    for folder, _, names in os.walk(dataset):
        for path in (Path(folder) / name for name in names if TEMPORARY_NAME.fullmatch(name)):
            if stat.S_ISREG(path.lstat().st_mode) or path.is_symlink():
                path.unlink()
