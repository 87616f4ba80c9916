"""Files that were joined end to end (``cat a b``): players stop after the first, and so would every decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from splitstrument.audio.sections import MAX_STREAMS, Layout, Section, TooManyStreams

EBML = b"\x1a\x45\xdf\xa3"
SEGMENT = b"\x18\x53\x80\x67"


def layout(data: bytes) -> Layout | None:
    """The files that are joined; None if there is but one."""
    measure = _measure_of(data[:12])
    if measure is None:
        return None
    starts, start = [0], 0
    while (length := measure(data, start)) > 0 and start + length < len(data):
        start += length
        if _measure_of(data[start : start + 12]) is not measure:
            break
        starts.append(start)
        if len(starts) > MAX_STREAMS:
            raise TooManyStreams
    if len(starts) == 1:
        return None
    return Layout(tuple(Section(a, b) for a, b in zip(starts, [*starts[1:], len(data)], strict=True)))


def _measure_of(head: bytes) -> Callable[[bytes, int], int] | None:
    """Return the function that tells the length of a file that begins like this."""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _riff
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _form
    if head[4:8] == b"ftyp":
        return _mp4
    return _matroska if head[:4] == EBML else None


def _riff(data: bytes, start: int) -> int:
    size = int.from_bytes(data[start + 4 : start + 8], "little")
    return 8 + size + size % 2


def _form(data: bytes, start: int) -> int:
    size = int.from_bytes(data[start + 4 : start + 8], "big")
    return 8 + size + size % 2


def _mp4(data: bytes, start: int) -> int:
    """Up to the next ``ftyp``."""
    for position in _atoms(data, start):
        if position > start and data[position + 4 : position + 8] == b"ftyp":
            return position - start
    return 0


def _atoms(data: bytes, position: int) -> Iterator[int]:
    while position + 8 <= len(data):
        yield position
        size = int.from_bytes(data[position : position + 4], "big")
        if size == 1:
            size = int.from_bytes(data[position + 8 : position + 16], "big")
        if size < 8:  # 0: up to the end of the file
            return
        position += size


def _matroska(data: bytes, start: int) -> int:
    """The EBML header and the segment; 0 if the segment's size is not known."""
    header = _ebml_size(data, start + 4)
    segment = start + 4 + sum(header)
    if data[segment : segment + 4] != SEGMENT:
        return 0
    width, size = _ebml_size(data, segment + 4)
    return segment + 4 + width + size - start if size < (1 << 7 * width) - 1 else 0


def _ebml_size(data: bytes, position: int) -> tuple[int, int]:
    """Bytes of a size, and the size."""
    first = data[position] if position < len(data) else 0
    width = 9 - first.bit_length() if first else 8
    return width, int.from_bytes(data[position : position + width], "big") & (1 << 7 * width) - 1
