"""Parts of a file that each hold one stream, read as if each were a file, with what its header got wrong corrected."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

MAX_STREAMS = 10_000  # joined end to end; more of them only a file has that is made to take time and memory


class TooManyStreams(Exception):
    """A file seems to hold more than `MAX_STREAMS` streams."""


@dataclass(frozen=True)
class Section:
    """Bytes of a file that make one stream.

    Attributes
    ----------
    start, end
        First byte, and the one after the last.
    patches
        Offset in the file -> bytes that are read there in place of what the file holds.
    inserted
        Offset in the file and bytes that are read before what the file holds there.
    n_samples
        Length of the stream where its structure tells; None where only decoding does.
    promised
        Length that its header states, where that is another; None where it states none.
    """

    start: int
    end: int
    patches: dict[int, bytes] = field(default_factory=dict)
    n_samples: int | None = None
    promised: int | None = None
    inserted: tuple[int, bytes] | None = None

    @property
    def is_changed(self) -> bool:
        """Whether anything is read but what the file holds."""
        return bool(self.patches or self.inserted)


@dataclass(frozen=True)
class Layout:
    """The streams of a file, one after another, and sentences about what is odd.

    Attributes
    ----------
    cut_off
        The file ends before the length that its header promises.
    """

    sections: tuple[Section, ...]
    warnings: tuple[str, ...] = ()
    cut_off: bool = False

    def is_plain(self, size: int) -> bool:
        """Tell whether the file can be read as it is."""
        only = self.sections[0]
        return len(self.sections) == 1 and (only.start, only.end) == (0, size) and not only.is_changed


class SectionFile(io.RawIOBase):
    """A `Section` as a file open for reading; it has no name, so that its content decides what it is."""

    def __init__(self, path: Path, section: Section | None = None) -> None:
        self._file: BinaryIO = path.open("rb")
        size = os.fstat(self._file.fileno()).st_size
        self.section = section or Section(0, size)
        offset, extra = self.section.inserted or (self.section.start, b"")
        self._extra, self._before = extra, offset - self.section.start
        self._length = min(self.section.end, size) - self.section.start + len(extra)
        self._position = 0

    def seekable(self) -> bool:
        """True."""
        return True

    def readable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte of the section."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Position in the section."""
        return self._position

    def readinto(self, buffer: object) -> int:
        """Fill the buffer as far as the section reaches."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        n_read = 0
        while n_read < len(view) and (n_new := self._read_part(view[n_read:])):
            n_read += n_new
            self._position += n_new
        return n_read

    def _read_part(self, view: memoryview) -> int:
        """Read up to where what is inserted begins or ends; damaged files are sought beyond what a file can have."""
        if self._position >= self._length:
            return 0
        after = self._before + len(self._extra)
        if self._before <= self._position < after:
            part = self._extra[self._position - self._before :][: len(view)]
            view[: len(part)] = part
            return len(part)
        is_before = self._position < self._before
        stop = self._before if is_before else self._length
        start = self.section.start + self._position - (0 if is_before else len(self._extra))
        self._file.seek(start)
        n_read: int = self._file.readinto(view[: max(0, stop - self._position)])  # type: ignore[attr-defined]
        self._patch(view, start, n_read)
        return n_read

    def _patch(self, view: memoryview, start: int, n_read: int) -> None:
        for offset, patch in self.section.patches.items():
            first, last = max(offset, start), min(offset + len(patch), start + n_read)
            if first < last:
                view[first - start : last - start] = patch[first - offset : last - offset]

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
