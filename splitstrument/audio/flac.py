"""FLAC files (RFC 9639): their length by the last frame, whatever the header says, and where another was joined."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from splitstrument.audio.mpeg import id3_size
from splitstrument.audio.sections import MAX_STREAMS, Layout, Section, TooManyStreams

STREAM = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
LENGTH_OFFSET = 18
LENGTH_MASK = (1 << 36) - 1
LARGEST_LENGTH = 1 << 35  # above this a length is no length
TAIL_BYTES = 1 << 17
_SIZES = {1: 192, **{code: 144 << code for code in (2, 3, 4, 5)}, **{code: 1 << code for code in range(8, 16)}}


def layout(data: bytes) -> Layout | None:
    """The streams of a FLAC file; None if it is none."""
    first = id3_size(data)
    starts = [match.start() for match in islice(STREAM.finditer(data), MAX_STREAMS + 1)]
    if len(starts) > MAX_STREAMS:
        raise TooManyStreams
    if not starts or starts[0] != first:
        return None
    found = [_section(data, start, end) for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]
    return Layout(tuple(section for section, _ in found), cut_off=any(cut for _, cut in found))


def _section(data: bytes, start: int, end: int) -> tuple[Section, bool]:
    """A stream, and whether it is cut off."""
    head = int.from_bytes(data[start + LENGTH_OFFSET : start + LENGTH_OFFSET + 8], "big")
    stated: int | None = head & LENGTH_MASK
    if not stated or stated > LARGEST_LENGTH:
        stated = None
    last = last_frame(data, start, end)
    if last is None:
        return Section(start, end, {}, stated, stated), False
    end = last.end
    if last.n_samples == stated:
        return Section(start, end, {}, stated), False
    cut = stated is not None and last.n_samples < stated and not last.is_whole
    unknown = (head & ~LENGTH_MASK).to_bytes(8, "big")
    length = None if cut else last.n_samples
    return Section(start, end, {start + LENGTH_OFFSET: unknown}, length, stated), cut


@dataclass(frozen=True)
class LastFrame:
    """Samples and bytes up to the end of the last frame, and whether its check sum is there and right."""

    n_samples: int
    end: int
    is_whole: bool


def last_frame(data: bytes, start: int, end: int) -> LastFrame | None:
    """Find the last frame whose header has a right check sum."""
    block_size = int.from_bytes(data[start + 8 : start + 10], "big")
    first = _first_frame(data, start)
    if len(data[first : first + 4]) < 4 or data[first] != 0xFF:
        return None
    floor = max(first, end - 8 * TAIL_BYTES)
    position = end
    while (position := data.rfind(data[first : first + 2], floor, position)) >= 0:
        head = data[position : position + 20]
        n_samples = _end_of_frame(head, block_size)
        if n_samples is not None and (head[2] ^ data[first + 2]) & 15 == 0 and (head[3] ^ data[first + 3]) & 14 == 0:
            length = _whole_length(data[position:end])
            return LastFrame(n_samples, position + length if length else end, length > 0)
    return None


def _first_frame(data: bytes, start: int) -> int:
    """Return the position at which the metadata end."""
    position, is_last = start + 4, False
    while not is_last and position + 4 <= len(data):
        is_last = data[position] >= 0x80
        position += 4 + int.from_bytes(data[position + 1 : position + 4], "big")
    return position


def _end_of_frame(head: bytes, block_size: int) -> int | None:
    """The sample after a frame, by its header; None if `head` is none."""
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[3] & 1 or head[2] >> 4 == 0 or head[2] & 15 == 15:
        return None
    number, used = _coded_number(head[4:])
    if number is None:
        return None
    position = 4 + used
    code = head[2] >> 4
    n_extra = {6: 1, 7: 2}.get(code, 0)
    size = _SIZES.get(code) or int.from_bytes(head[position : position + n_extra], "big") + 1
    position += n_extra + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if len(head) <= position or _crc(head[:position], 8, 0x07) != head[position]:
        return None
    return number + size if head[1] & 1 else number * block_size + size


def _coded_number(data: bytes) -> tuple[int | None, int]:
    """A number as UTF-8 codes it, up to 36 bits, and its bytes."""
    first = data[0]
    if first < 0x80:
        return first, 1
    n_bytes = 8 - (first ^ 0xFF).bit_length()
    if not 2 <= n_bytes <= 7 or len(data) < n_bytes or any(byte & 0xC0 != 0x80 for byte in data[1:n_bytes]):
        return None, 0
    value = first & (0x7F >> n_bytes)
    for byte in data[1:n_bytes]:
        value = value << 6 | byte & 0x3F
    return value, n_bytes


def _whole_length(frame: bytes) -> int:
    """Length of a frame that is there to its end, behind which a tag (ID3v1, APE) may lie; 0 of another."""
    for tag in (b"", b"TAG", b"APETAGEX"):
        end = frame.rfind(tag) if tag else len(frame)
        if end > 2 and _crc(frame[:end], 16, 0x8005) == 0:
            return end
    return 0


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    table, shift, mask = _crc_table(bits, polynomial), bits - 8, (1 << bits) - 1
    value = 0
    for byte in data:
        value = value << 8 & mask ^ table[value >> shift ^ byte]
    return value


@lru_cache(maxsize=2)
def _crc_table(bits: int, polynomial: int) -> list[int]:
    table, top, mask = [], 1 << (bits - 1), (1 << bits) - 1
    for byte in range(256):
        value = byte << (bits - 8)
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
        table.append(value)
    return table
