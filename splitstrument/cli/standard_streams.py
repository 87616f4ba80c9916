"""Standard output and error that never end the work: what a terminal cannot say is escaped, a closed pipe is borne.

``splitstrument separate ... | head -1`` closes standard output after one line; the other songs are separated all the
same. A full disk under a redirected output does not stop the work either, but makes the command fail at its end.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO


class PatientStream:
    """A text stream that keeps its first failure in `error` instead of raising it; what follows goes nowhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def encoding(self) -> str:
        """The stream's own, but Latin-1 for ASCII, which click would replace by UTF-8 behind our back."""
        name = codecs.lookup(getattr(self._stream, "encoding", None) or "utf-8").name
        return "latin-1" if name == "ascii" else name

    def write(self, text: str) -> int:
        """Write `text` as far as the stream takes it."""
        with self._failure_kept():
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Pass on what was written, as far as the stream takes it."""
        with self._failure_kept():
            self._stream.flush()

    @contextlib.contextmanager
    def _failure_kept(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or error
            _to_nowhere(self._stream)


@contextlib.contextmanager
def patient_streams() -> Iterator[PatientStream]:
    """Make `sys.stdout` and `sys.stderr` patient inside ``with``; gives standard output."""
    before = sys.stdout, sys.stderr
    output, errors = (PatientStream(_escaping(stream)) for stream in before)
    sys.stdout, sys.stderr = output, errors
    try:
        yield output
    finally:
        output.flush()
        errors.flush()
        sys.stdout, sys.stderr = before


def _escaping(stream: TextIO | None) -> TextIO:
    """The stream, which escapes characters that it lacks; where there is none (``>&-``), the null device."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - lives as long as the program
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
    return stream


def _to_nowhere(stream: TextIO) -> None:
    """Let what the stream still holds go to the null device, or Python would complain of it at its end."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
