"""Type of a file by its first bytes, whatever it is called; nothing is decoded here."""

from __future__ import annotations

import itertools
from pathlib import Path

from splitstrument.audio import mpeg

HEAD_BYTES = 64
SEARCH_BYTES = 1 << 16  # MP3 files may begin with zeros or with part of a frame
STEADY_FRAMES = 3
# what a file begins with, at which byte, and the ending that this announces
SIGNATURES = (
    (0, b"fLaC", ".flac"), (0, b"OggS", ".ogg"), (0, b"caff", ".caf"), (0, b".snd", ".au"), (0, b"dns.", ".au"),
    (0, b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00", ".w64"), (0, b"ID3", ".mp3"),
    (4, b"ftyp", ".m4a"), (4, b"moov", ".mov"), (4, b"mdat", ".mov"), (4, b"wide", ".mov"), (4, b"free", ".mov"),
    (0, b"\x1aE\xdf\xa3", ".mka"), (0, b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\x00\xaa\x00b\xcel", ".wma"),
    (0, b"#!AMR", ".amr"), (0, b"MAC ", ".ape"), (0, b"wvpk", ".wv"), (0, b"TTA", ".tta"), (0, b"MPCK", ".mpc"),
    (0, b"MP+", ".mpc"), (0, b"DSD ", ".dsf"), (0, b"FRM8", ".dff"), (0, b"FLV\x01", ".flv"), (0, b"tBaK", ".tak"),
    (0, b"ajkg", ".shn"), (0, b"Creative Voice File", ".voc"), (0, b"NIST_1A", ".nist"), (0, b"\x0bw", ".ac3"),
    (0, b"\x77\x0b", ".ac3"), (0, b"\x7f\xfe\x80\x01", ".dts"), (4, b"\xf8\x72\x6f\xba", ".thd"),
    (4, b"\xf8\x72\x6f\xbb", ".mlp"), (0, b"\x00\x00\x01\xba", ".mpg"), (0, b"ea3", ".oma"), (0, b".RMF", ".rm"),
)  # fmt: skip
FORMS = {
    b"RIFF": {b"WAVE": ".wav", b"AVI ": ".avi", b"XWMA": ".xwma", b"QLCM": ".qcp"}, b"RIFX": {b"WAVE": ".wav"},
    b"RF64": {b"WAVE": ".wav"}, b"BW64": {b"WAVE": ".wav"},
    b"FORM": {b"AIFF": ".aiff", b"AIFC": ".aiff", b"8SVX": ".iff", b"16SV": ".iff"},
}  # fmt: skip


def suffix_of(path: Path) -> str | None:
    """Suffix of the audio format that a file's first bytes announce; None if it is none that we read.

    It only keeps pictures, archives, playlists and texts out; whether the audio is sound is found out by the decoder,
    in a process of its own.
    """
    with path.open("rb") as file:
        head = file.read(SEARCH_BYTES)
    if head[:4] in FORMS:
        return FORMS[head[:4]].get(head[8:12])
    for start, mark, suffix in SIGNATURES:
        if head.startswith(mark, start):
            return suffix
    if head[:2] in (b"\xff\xf1", b"\xff\xf9"):
        return ".aac"
    if int.from_bytes(head[:4], "little") == 0x0A and head[4:8].strip(b"\0"):
        return ".mogg"
    if head[:1] == b"\x47" and head[188:189] == b"\x47" and head[376:377] == b"\x47":
        return ".mts"
    return ".mp3" if _is_mpeg_frame(head[:HEAD_BYTES]) or _holds_mpeg(head) else None


def _holds_mpeg(head: bytes) -> bool:
    """Tell whether frames of MPEG audio follow one another, behind whatever the file begins with."""
    try:
        head.decode("ascii")
    except UnicodeDecodeError:
        return len(list(itertools.islice(mpeg.frames(head), STEADY_FRAMES))) == STEADY_FRAMES
    return False  # a text


def _is_mpeg_frame(head: bytes) -> bool:
    """Sync word of an MPEG audio frame with a layer, rate and bit rate that exist."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    return version != 1 and layer != 0 and head[2] >> 4 not in (0, 15) and head[2] >> 2 & 3 != 3
