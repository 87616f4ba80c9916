"""Streams of a file, told from its bytes alone."""

from __future__ import annotations

import mmap
from pathlib import Path

from splitstrument.audio import chunks, flac, joined, mpeg, ogg
from splitstrument.audio.sections import MAX_STREAMS, Layout, Section, TooManyStreams
from splitstrument.errors import AudioFileError

MOGG_VERSIONS = range(0x0A, 0x0B)  # 0x0A is not encrypted

OTHERS = (b"RIFF", b"RIFX", b"FORM", b"RF64", b"BW64", b"caff", b".snd", b"riff", joined.EBML)


def layout_of(path: Path) -> Layout:
    """Find the streams of a file; one that is not known is one stream, to be read as it is.

    Raises
    ------
    AudioFileError
        If there seem to be more than `MAX_STREAMS`.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _layout(data) or Layout((Section(0, len(data)),))  # type: ignore[arg-type]
    except TooManyStreams:
        raise AudioFileError(
            f"{path} seems to hold more than {MAX_STREAMS} streams one after another, as no song does: get it again."
        ) from None


def _layout(data: bytes) -> Layout | None:
    head = data[:12]
    if head[:4] == b"OggS":
        return ogg.layout(data)
    if start := mogg_start(head, data):
        return ogg.layout(data, start)
    if found := joined.layout(data) or chunks.layout(data):
        return found
    if head[:4] in OTHERS or head[4:8] == b"ftyp":
        return None
    return flac.layout(data) or (mpeg.layout(data) if _may_be_mpeg(data) else None)


def _may_be_mpeg(data: bytes) -> bool:
    """Tell whether an MPEG frame, or a tag before one, is where a file would have it; not somewhere in other data."""
    start = mpeg.id3_size(data)
    return any(True for frame in mpeg.frames(data[start : start + mpeg.SEARCH_BYTES]) if frame.start < 1 << 16)


def mogg_start(head: bytes, data: bytes) -> int:
    """Return the start of the Ogg stream of a Rock Band file; 0 if it is none, or encrypted."""
    start = int.from_bytes(head[4:8], "little")
    if int.from_bytes(head[:4], "little") not in MOGG_VERSIONS or data[start : start + 4] != b"OggS":
        return 0
    return start
