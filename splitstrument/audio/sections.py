"""Parts of a file that each hold one stream, read as if each were a file, with what its header got wrong corrected."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class Section:
    """Bytes of a file that make one stream.

    Attributes
    ----------
    start, end
        First byte, and the one after the last.
    patches
        Offset in the file -> bytes that are read there in place of what the file holds.
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
        return len(self.sections) == 1 and (only.start, only.end) == (0, size) and not only.patches


class SectionFile(io.RawIOBase):
    """A `Section` as a file open for reading; it has no name, so that its content decides what it is."""

    def __init__(self, path: Path, section: Section | None = None) -> None:
        self._file: BinaryIO = path.open("rb")
        size = os.fstat(self._file.fileno()).st_size
        self.section = section or Section(0, size)
        self._length = min(self.section.end, size) - self.section.start
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
        wanted = max(0, min(len(view), self._length - self._position))
        start = self.section.start + self._position
        self._file.seek(start)
        n_read = self._file.readinto(view[:wanted])  # type: ignore[attr-defined]
        for offset, patch in self.section.patches.items():
            first, last = max(offset, start), min(offset + len(patch), start + n_read)
            if first < last:
                view[first - start : last - start] = patch[first - offset : last - offset]
        self._position += n_read
        return n_read

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
