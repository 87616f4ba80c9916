"""The sizes that WAV, RF64, W64, AIFF, AU and CAF files state of their sound, and what they should be.

A recorder that loses power never writes them, a stream cannot; then the sound goes on to the file's end. Where they
state less than there is and what follows is no chunk, the sound goes on, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from splitstrument.audio.sections import Layout, Section

NEVER_WRITTEN = "The file's header states no length, as after a loss of power: all that it holds was read."
TOO_SHORT = "The file's header states a shorter length than the file has: all that it holds was read."
SMALLEST_REST = 4096  # bytes: less than this after the sound is padding, or a tag
TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN")
W64_GUID = b"\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"


@dataclass(frozen=True)
class Sound:
    """The chunk of a file that holds the sound.

    Attributes
    ----------
    start
        First byte of the sound.
    fields
        Offset, width in bytes, and what counts there: a size is the number of the sound's bytes plus `extra`, divided
        by `unit`.
    stated
        Bytes of sound that the header states; negative if it says that it does not know.
    """

    start: int
    stated: int
    order: str
    fields: tuple[tuple[int, int, int, int], ...]
    chunk_header: int = 8


def layout(data: bytes) -> Layout | None:
    """The sound of a file in one of these containers; None if it is another one, or whole."""
    sound = next((found for read in _CONTAINERS if (found := read(data))), None)
    if sound is None:
        return None
    held = len(data) - sound.start
    if sound.stated >= held or (sound.stated >= 0 and _is_chunk(data, sound)):
        return None
    patches = {offset: _number(sound, held, size, extra, unit) for offset, size, extra, unit in sound.fields}
    warnings = () if sound.stated < 0 else (TOO_SHORT if sound.stated else NEVER_WRITTEN,)
    return Layout((Section(0, len(data), patches),), warnings)


def _number(sound: Sound, held: int, size: int, extra: int, unit: int) -> bytes:
    largest = (1 << 8 * size) - 1
    return min(held // unit + extra, largest).to_bytes(size, "little" if sound.order == "little" else "big")


def _is_chunk(data: bytes, sound: Sound) -> bool:
    """Tell whether what follows the stated sound is something else than sound."""
    end = sound.start + sound.stated
    for start in (end, end + end % 2, (end + 7) // 8 * 8):
        rest = data[start : start + 24]
        if len(data) - start < SMALLEST_REST and sound.stated:
            return True
        if rest.startswith(TAGS) or (sound.chunk_header == 24 and rest[4:16].endswith(rest[4:16]) and _is_guid(rest)):
            return True
        if sound.chunk_header and len(rest) >= 8 and _is_name(rest[:4]):
            order = "little" if sound.order == "little" else "big"
            wide = 8 if sound.chunk_header == 12 else 4
            size = int.from_bytes(rest[4 : 4 + wide], order)  # type: ignore[arg-type]
            if 0 < size <= len(data) - start:
                return True
    return False


def _is_name(name: bytes) -> bool:
    """Tell whether these can be the name of a chunk."""
    return all(0x20 <= byte < 0x7F for byte in name) and name[:1].isalnum()


def _is_guid(rest: bytes) -> bool:
    return rest[6:8] != b"\0\0" and _is_name(rest[:4])


def _walk(data: bytes, start: int, order: str, wide: int = 4) -> Iterator[tuple[bytes, int, int]]:
    """Chunks from `start`: name, first byte of the body, stated size."""
    while start + 4 + wide <= len(data):
        size = int.from_bytes(data[start + 4 : start + 4 + wide], order)  # type: ignore[arg-type]
        yield bytes(data[start : start + 4]), start + 4 + wide, size
        start += 4 + wide + size + (size % 2 if wide == 4 else 0)


def _wav(data: bytes) -> Sound | None:
    if data[:4] not in (b"RIFF", b"RIFX") or data[8:12] != b"WAVE":
        return None
    order = "little" if data[:4] == b"RIFF" else "big"
    for name, body, size in _walk(data, 12, order):
        if name == b"data":
            return Sound(body, size, order, ((body - 4, 4, 0, 1),))
    return None


def _rf64(data: bytes) -> Sound | None:
    if data[:4] != b"RF64" or data[8:16] != b"WAVEds64":
        return None
    frame_bytes = 0
    for name, body, _ in _walk(data, 12, "little"):
        if name == b"fmt ":
            frame_bytes = int.from_bytes(data[body + 12 : body + 14], "little")
        elif name == b"data":
            stated = int.from_bytes(data[28:36], "little")
            return Sound(body, stated, "little", ((28, 8, 0, 1), (36, 8, 0, max(1, frame_bytes))))
    return None


def _w64(data: bytes) -> Sound | None:
    if data[:4] != b"riff" or data[4:16] != W64_GUID or data[24:28] != b"wave":
        return None
    start = 40
    while start + 24 <= len(data):
        size = int.from_bytes(data[start + 16 : start + 24], "little")
        if data[start : start + 4] == b"data":
            return Sound(start + 24, max(0, size - 24), "little", ((start + 16, 8, 24, 1),), 24)
        start += max(24, (size + 7) // 8 * 8)
    return None


def _aiff(data: bytes) -> Sound | None:
    if data[:4] != b"FORM" or data[8:12] not in (b"AIFF", b"AIFC"):
        return None
    fields: tuple[tuple[int, int, int, int], ...] = ()
    for name, body, size in _walk(data, 12, "big"):
        if name == b"COMM":
            frame = int.from_bytes(data[body : body + 2], "big") * -(-int.from_bytes(data[body + 6 : body + 8]) // 8)
            fields = ((body + 2, 4, 0, max(1, frame)),)
        elif name == b"SSND":
            return Sound(body + 8, max(0, size - 8), "big", (*fields, (body - 4, 4, 8, 1)))
    return None


def _au(data: bytes) -> Sound | None:
    if data[:4] not in (b".snd", b"dns."):
        return None
    order = "big" if data[:4] == b".snd" else "little"
    start, stated = (int.from_bytes(data[at : at + 4], order) for at in (4, 8))  # type: ignore[arg-type]
    return Sound(start, stated, order, ((8, 4, 0, 1),), 0)


def _caf(data: bytes) -> Sound | None:
    if data[:4] != b"caff":
        return None
    for name, body, size in _walk(data, 8, "big", 8):
        if name == b"data":
            stated = -1 if size >> 63 else max(0, size - 4)
            return Sound(body + 4, stated, "big", ((body - 8, 8, 4, 1),), 12)
    return None


_CONTAINERS: tuple[Callable[[bytes], Sound | None], ...] = (_wav, _rf64, _w64, _aiff, _au, _caf)
