"""Type of a file by its first bytes, whatever it is called."""

from __future__ import annotations

from pathlib import Path

from splitstrument.audio import open_audio
from splitstrument.errors import AudioFileError

HEAD_BYTES = 64


def suffix_of(path: Path) -> str | None:
    """Suffix of the audio format that a file's first bytes announce; None if it is none that we read.

    It only keeps films, pictures and archives out; whether the audio is sound is found out by the decoder.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head[:4] in (b"RIFF", b"RF64", b"RIFX") and head[8:12] == b"WAVE":
        return ".wav"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return ".aiff"
    if head[:4] == b"fLaC":
        return ".flac"
    if head[:4] == b"OggS":
        return ".ogg"
    if head[:4] == b"caff":
        return ".caf"
    if head[:4] == b".snd":
        return ".au"
    if head[:16] == b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00":
        return ".w64"
    if head[:3] == b"ID3" or _is_mpeg_frame(head):
        return ".mp3"
    return _suffix_by_reading(path)


def _suffix_by_reading(path: Path) -> str | None:
    """For what does not begin like one of these: does a reader find sound in it?"""
    try:
        with open_audio(path) as file:
            return ".mp3" if file.format == "MP3" else ".mka"
    except AudioFileError:
        return None


def _is_mpeg_frame(head: bytes) -> bool:
    """Sync word of an MPEG audio frame with a layer, rate and bit rate that exist."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    return version != 1 and layer != 0 and head[2] >> 4 not in (0, 15) and head[2] >> 2 & 3 != 3
