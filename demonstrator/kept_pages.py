"""Pages that are the same for every visitor: rendered once, and again when a file that they are made of has changed."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

LOOK_EVERY_S = 2.0


@dataclass(frozen=True)
class KeptPage:
    """A page, its tag for If-None-Match, what it was made of, and when that was last looked at."""

    body: bytes
    tag: str
    made_of: tuple[tuple[str, int, int], ...]
    looked_s: float


class KeptPages:
    """Pages by name."""

    def __init__(self) -> None:
        self._pages: dict[str, KeptPage] = {}
        self._lock = threading.Lock()  # one visitor renders, the others wait for what he gets

    def get(self, name: str, files: Callable[[], Iterable[Path]], render: Callable[[], bytes]) -> KeptPage:
        """Return the page, rendered anew if one of what `files` gives is new, gone or changed."""
        with self._lock:
            kept, now = self._pages.get(name), time.monotonic()
            if kept and now - kept.looked_s < LOOK_EVERY_S:
                return kept
            made_of = _state(files())
            if kept and kept.made_of == made_of:
                page = KeptPage(kept.body, kept.tag, made_of, now)
            else:
                body = render()
                page = KeptPage(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"', made_of, now)
            self._pages[name] = page
            return page


def _state(files: Iterable[Path]) -> tuple[tuple[str, int, int], ...]:
    found = []
    for path in files:
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append((str(path), status.st_size, status.st_mtime_ns))
    return tuple(found)
