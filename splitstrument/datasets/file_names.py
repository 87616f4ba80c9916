"""Names for the files of one track, which come from many folders and are to lie side by side."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from splitstrument.files import safe_name

MAX_NAME_BYTES = 120


def unique_names(names: Sequence[str], paths: Sequence[Path]) -> list[str]:
    """Make `names` safe and unique, the same for the same input. A suffix stays: audio is told by it.

    Equal ones get their folder's name in front; those that are still equal, all their folders', and at last a digest.

    Parameters
    ----------
    names, paths
        What each file would be called, and where it lies.
    """
    folders = [path.parent for path in paths]
    top = Path(os.path.commonpath(folders))
    prefixed = _where_taken(names, range(len(names)), lambda index: f"{folders[index].name}_{names[index]}")
    short = [_clean(name) for name in prefixed]
    taken = [index for index, count in enumerate(_counts(short)) if count > 1]
    full = _where_taken(
        short, taken, lambda index: _clean("_".join([*folders[index].relative_to(top).parts, names[index]]))
    )
    return _where_taken(full, taken, lambda index: _clean(full[index], digest_of=paths[index].relative_to(top)))


def _where_taken(names: Sequence[str], changeable: Iterable[int], other: Callable[[int], str]) -> list[str]:
    """Give those of the `changeable` names that are not unique their `other` name."""
    counts = _counts(names)
    others = {index: other(index) for index in changeable if counts[index] > 1}
    return [others.get(index, name) for index, name in enumerate(names)]


def _counts(names: Iterable[str]) -> list[int]:
    """How often each name occurs for a file system that ignores case and the form of accents."""
    keys = [unicodedata.normalize("NFC", name).casefold() for name in names]
    counts = Counter(keys)
    return [counts[key] for key in keys]


def _clean(name: str, digest_of: Path | None = None) -> str:
    """A safe name of at most `MAX_NAME_BYTES` with its suffix, if wanted with a digest."""
    cleaned = safe_name(name, len(os.fsencode(name)) + 1)
    suffix = Path(cleaned).suffix
    ending = suffix
    if digest_of is not None:
        ending = f" {hashlib.sha256(os.fsencode(digest_of.as_posix())).hexdigest()[:8]}{suffix}"
    elif len(cleaned.encode()) <= MAX_NAME_BYTES:
        return cleaned
    return safe_name(cleaned.removesuffix(suffix), max(1, MAX_NAME_BYTES - len(ending.encode()))) + ending
