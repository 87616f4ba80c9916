"""Whole files or none: atomic writing, hashing, and names that are safe as paths."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from splitstrument.errors import FolderInUseError

_TEMPORARY_NAME = re.compile(r"\..*\.[a-z0-9_]{8}\.part(\.[^.]*)?", re.DOTALL)
_looked_into: set[Path] = set()
_scratched: set[tuple[Path, str]] = set()
SCRATCH_LOCK = ".lock"
MAX_NAME = 4096  # characters of a name that are looked at


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` on success, remove it on any failure.

    The temporary name keeps the suffix, since audio libraries choose the format by it, and starts with a dot, so that
    folder listings of a batch never pick it up.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _errors_name(path):
        remove_leftovers(path.parent)
        handle, temporary = _held_file(path)
    try:
        with _errors_name(path):
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def _held_file(path: Path) -> tuple[int, Path]:
    """A new temporary file beside `path`, and a descriptor whose lock tells others that its process lives."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}.", suffix=f".part{path.suffix}", dir=path.parent)
        if _locked(handle) and Path(name).exists():  # else another process took it for a leftover just now
            return handle, Path(name)
        os.close(handle)


def _locked(handle: int) -> bool:
    """Lock an open file for this process without waiting; True where there are no such locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote into a folder.

    A process looks into each folder once; a file whose lock is held is being written.
    """
    if os.name != "posix" or folder in _looked_into:
        return
    _looked_into.add(folder)
    for path in folder.glob(".*.part*"):
        if _TEMPORARY_NAME.fullmatch(path.name) and not path.is_symlink() and path.is_file():
            _remove_unless_held(path)


def _remove_unless_held(path: Path) -> None:
    try:
        with path.open("rb") as file:
            if _locked(file.fileno()):
                path.unlink(missing_ok=True)
    except OSError:  # somebody else's, or gone
        pass


@contextlib.contextmanager
def claimed(folder: Path, name: str = "") -> Iterator[None]:
    """Hold a folder, or what is called `name` in it, for this process; the claim ends with it at the latest.

    Raises
    ------
    FolderInUseError
        If another process holds it.
    """
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".{safe_name(name, 100)}.lock" if name else folder / ".lock"
    handle = _claim(path, folder)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)
        if is_new:
            with contextlib.suppress(OSError):  # something was written
                folder.rmdir()


def _claim(path: Path, folder: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _locked(handle):
            os.close(handle)
            raise FolderInUseError(
                f"Another process writes to {folder}: wait for it to end, or choose another output folder."
            )
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(handle).st_ino:
                return handle
        os.close(handle)  # its last holder removed it just now


@contextlib.contextmanager
def scratch_folder(root: Path | None = None, prefix: str = "splitstrument-") -> Iterator[Path]:
    """Give a folder for this process's own files, removed at the end; those of processes that were killed go, too."""
    root = root or Path(tempfile.gettempdir())
    if (root, prefix) not in _scratched:
        _scratched.add((root, prefix))
        for path in root.glob(f"{glob.escape(prefix)}????????"):
            _remove_scratch_unless_held(path)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=root, ignore_cleanup_errors=True) as name:
        handle = os.open(Path(name) / SCRATCH_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        _locked(handle)
        try:
            yield Path(name)
        finally:
            os.close(handle)


def _remove_scratch_unless_held(path: Path) -> None:
    """Remove a scratch folder of this user whose process is gone; one without a lock is just being made."""
    try:
        status = path.lstat()
        is_ours = stat.S_ISDIR(status.st_mode) and (not hasattr(os, "getuid") or status.st_uid == os.getuid())
        if not is_ours or os.name != "posix":
            return
        with (path / SCRATCH_LOCK).open("rb") as lock:
            if _locked(lock.fileno()):
                shutil.rmtree(path, ignore_errors=True)
    except OSError:
        pass


@contextlib.contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    """Let errors name the file that was to be written, not its temporary name, nor none as on a full disk."""
    try:
        yield
    except OSError as error:
        named = error.filename2 or error.filename
        if error.errno and (named is None or Path(named).name.startswith(f".{path.stem[:40]}.")):
            error.filename, error.filename2 = str(path), None
        raise


def _umask() -> int:
    """Read the process's umask; mkstemp makes files private, outputs should follow the user's umask."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, data: Any) -> None:
    """Write JSON with sorted keys, whole or not at all."""
    write_text(path, json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False, default=str) + "\n")


def write_yaml(path: str | Path, data: Any) -> None:
    """Write YAML in the given key order, whole or not at all."""
    write_text(path, yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110))


class _Dumper(yaml.SafeDumper):
    """The safe dumper, but values that stand twice are written out: aliases are not read."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write every value out."""
        return True


def user_folder() -> Path:
    """Return the folder of a user's own settings: below ``XDG_CONFIG_HOME`` or ``~/.config``."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "splitstrument"


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file's bytes as hexadecimal text, read in blocks."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# what cuts paths, is reserved somewhere, cannot be seen, or turns the writing around: C0 and C1 control characters,
# bidirectional marks, invisible operators, separators of lines, tags; half characters (surrogates)
_NOT_IN_NAMES = re.compile(
    r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff'
    "\U000e0000-\U000e007f]+"
)


def safe_name(name: str, max_length: int = 120) -> str:
    """Turn any text into one path component: no separators, control characters, leading dots or reserved marks.

    Letters of every alphabet are kept; what cannot be seen or turns the direction of writing is not. An empty result
    becomes ``untitled``.
    """
    cleaned = _NOT_IN_NAMES.sub("_", name[:MAX_NAME]).strip().lstrip(".").rstrip(". ")
    while len(cleaned.encode("utf-8")) > max_length:
        cleaned = cleaned[:-1]
    return cleaned.rstrip(". ") or "untitled"


def safe_path(name: str) -> Path:
    """A relative path of as many folders as `name` has slashes, each made by `safe_name`."""
    return Path(*(safe_name(part) for part in name.split("/")))


def inside(root: str | Path, path: str | Path) -> bool:
    """Tell whether `path`, with links resolved, lies inside `root`."""
    return real_path(path).is_relative_to(real_path(root))


def real_path(path: str | Path) -> Path:
    """Absolute path with links resolved, where they lead somewhere: `Path.resolve` raises on a link to itself."""
    return Path(os.path.realpath(path))
