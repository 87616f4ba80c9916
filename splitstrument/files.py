"""Whole files or none: atomic writing, hashing, and names that are safe as paths."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` on success, remove it on any failure.

    The temporary name keeps the suffix, since audio libraries choose the format by it, and starts with a dot, so that
    folder listings of a batch never pick it up.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _errors_name(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}.", suffix=f".part{path.suffix}", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        with _errors_name(path):
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file's bytes as hexadecimal text, read in blocks."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def safe_name(name: str, max_length: int = 120) -> str:
    """Turn any text into one path component: no separators, control characters, leading dots or reserved marks.

    Letters of every alphabet are kept; an empty result becomes ``untitled``.
    """
    text = name.encode("utf-8", "replace").decode()  # names of files need not be text: what is none becomes ?
    cleaned = re.sub(r'[\x00-\x1f\x7f/\\:*?"<>|]+', "_", text).strip().lstrip(".").rstrip(". ")
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
