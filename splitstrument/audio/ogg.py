"""The pages of Ogg files: where one chained stream ends and the next begins (RFC 3533)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from splitstrument.audio.sections import MAX_STREAMS, Layout, Section, TooManyStreams

CONTINUED, FIRST, LAST = 1, 2, 4
_HEADER = struct.Struct("<4sBBqIIIB")
LONGEST_PAGE = 255 * 120 * 96  # samples: 255 packets of Opus's 120 ms, or of Vorbis's 8192, at most
_CRC = [0] * 256
for _byte in range(256):
    _value = _byte << 24
    for _ in range(8):
        _value = (_value << 1 ^ (0x04C11DB7 if _value >> 31 else 0)) & 0xFFFFFFFF
    _CRC[_byte] = _value


@dataclass(frozen=True)
class Page:
    """A page: its bytes, its flags, and the position (in samples) that it ends at."""

    start: int
    end: int
    flags: int
    position: int
    serial: int


def pages(data: bytes, start: int = 0) -> Iterator[Page]:
    """All pages; what lies between them is passed over."""
    while 0 <= (start := data.find(b"OggS", start)) <= len(data) - _HEADER.size:
        _, _, flags, position, serial, _, _, n_segments = _HEADER.unpack_from(data, start)
        body = start + _HEADER.size + n_segments
        end = body + sum(data[start + _HEADER.size : body])
        yield Page(start, end, flags, position, serial)
        start = end


def layout(data: bytes, start: int = 0) -> Layout | None:
    """The chained streams of an Ogg file from `start`; None if there is none."""
    chains: list[list[Page]] = []
    for page in pages(data, start):
        if page.flags & FIRST and (not chains or not chains[-1][-1].flags & FIRST):
            chains.append([])
            if len(chains) > MAX_STREAMS:
                raise TooManyStreams
        if not chains:
            return None
        chains[-1].append(page)
    if not chains:
        return None
    ends = [chain[0].start for chain in chains[1:]] + [len(data)]
    sections = (Section(chain[0].start, end, _patches(data, chain)) for chain, end in zip(chains, ends, strict=True))
    cut = chains[-1][-1].end > len(data)
    return Layout(tuple(sections), ("The file ends within a page: it may be cut off.",) if cut else ())


def _patches(data: bytes, chain: list[Page]) -> dict[int, bytes]:
    """Give a last page whose position cannot be the latest that can: decoders would end, or never end, by it."""
    serials = {page.serial for page in chain}
    last = chain[-1]
    if len(serials) > 1 or last.flags & FIRST or last.end > len(data):
        return {}
    before = max((page.position for page in chain[:-1]), default=0)
    if before <= last.position <= before + LONGEST_PAGE:
        return {}
    page = bytearray(data[last.start : last.end])
    page[6:14] = (before + LONGEST_PAGE).to_bytes(8, "little")
    page[22:26] = bytes(4)
    return {last.start + 6: bytes(page[6:14]), last.start + 22: crc(page).to_bytes(4, "little")}


def crc(page: bytes | bytearray) -> int:
    """Check sum of a page whose own check sum is set to zero."""
    value = 0
    for byte in page:
        value = value << 8 & 0xFFFFFFFF ^ _CRC[value >> 24 ^ byte]
    return value
