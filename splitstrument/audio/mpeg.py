"""The frames of MP3 files: how many there are, whatever the first one says, and where another song begins.

Layout of frames, Xing, Info, VBRI and LAME tags: ISO/IEC 11172-3 and the LAME project's description of its tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from splitstrument.audio.sections import Layout, Section

# kbit/s by (MPEG 1?, layer) and index
_RATES = {
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
STEADY = 3  # so many frames in a row make a stream; less is chance
SEARCH_BYTES = 1 << 20
MIDDLE_RATE = 9 << 4  # index of 128 kbit/s, or 80: room for a tag
LAME_TAG = (b"LAME", b"Lavf", b"Lavc", b"GOGO")


@dataclass(frozen=True)
class Frame:
    """A frame's header: where it lies, how long it is, and what it holds."""

    start: int
    size: int
    layer: int
    mpeg1: bool
    sample_rate_hz: int
    n_channels: int

    @property
    def kind(self) -> tuple[int, bool, int, int]:
        """Fields that do not change within a stream."""
        return (self.layer, self.mpeg1, self.sample_rate_hz, self.n_channels)

    @property
    def n_samples(self) -> int:
        """Samples of a channel."""
        if self.layer == 1:
            return 384
        return 1152 if self.layer == 2 or self.mpeg1 else 576

    @property
    def tag_start(self) -> int:
        """Position at which a Xing or Info tag would lie."""
        mono = self.n_channels == 1
        return self.start + 4 + ((17 if mono else 32) if self.mpeg1 else (9 if mono else 17))


_HEADER_START = re.compile(rb"\xff[\xe2-\xff][\x10-\xef]")  # a layer and a bit rate; runs of 0xff are none


def frame_at(data: bytes, start: int) -> Frame | None:
    """The frame whose header lies at `start`; None if there is none, or it has no size of its own (free format)."""
    head = data[start : start + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    index, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or index in (0, 15) or rate == 3:
        return None
    hz, padding, mpeg1 = _HZ[version][rate], head[2] >> 1 & 1, version == 3
    bits = 1000 * _RATES[mpeg1, layer][index]
    slots = 144 if layer == 2 or (layer == 3 and mpeg1) else 72
    size = (12 * bits // hz + padding) * 4 if layer == 1 else slots * bits // hz + padding
    return Frame(start, size, layer, mpeg1, hz, 1 if head[3] >> 6 == 3 else 2)


def frames(data: bytes, start: int = 0) -> Iterator[Frame]:
    """All frames from `start`; what lies between streams (tags, covers, garbage) is passed over."""
    kind, position = None, start
    while position < len(data) - 4:
        frame = frame_at(data, position)
        if frame is None or (frame.kind != kind and not _is_steady(data, frame)):
            position = _next_start(data, position + (frame is not None or data[position] == 0xFF))
            if position < 0:
                return
            kind = None
            continue
        if frame.start + frame.size > len(data):
            return  # cut off within it
        kind = frame.kind
        yield frame
        position += frame.size


def _next_start(data: bytes, position: int) -> int:
    """Return the next place for a frame from `position` on, behind an ID3 tag that begins there; negative if none."""
    found = _HEADER_START.search(data, position + id3_size(data, position))
    return found.start() if found else -1


def id3_size(data: bytes, position: int = 0) -> int:
    """Size of the ID3v2 tag at `position`; 0 if there is none."""
    head = data[position : position + 10]
    if head[:3] != b"ID3" or len(head) < 10 or max(head[6:]) > 0x7F:
        return 0
    return 10 + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))


def _is_steady(data: bytes, frame: Frame) -> bool:
    """Tell whether frames of one kind follow, up to the end of the file or `STEADY` of them."""
    following = frame
    for _ in range(STEADY):
        position = following.start + following.size
        found = frame_at(data, position)
        if found is None:
            return position >= len(data) - 128 and following is not frame  # the last ones
        if found.kind != frame.kind:
            return False
        following = found
    return True


@dataclass
class _Stream:
    first: Frame
    end: int
    n_frames: int = 0


def layout(data: bytes) -> Layout | None:
    """The streams of an MP3 file; None if it is none, or cannot be followed."""
    streams: list[_Stream] = []
    for frame in frames(data, id3_size(data)):
        new = not streams or frame.kind != streams[-1].first.kind
        if new or (streams[-1].n_frames and _tag(data, frame)):
            streams.append(_Stream(frame, frame.start))
        streams[-1].n_frames += 1
        streams[-1].end = frame.start + frame.size
    streams = [stream for stream in streams if stream.n_frames > (_tag(data, stream.first) is not None)]
    if not streams:
        return None
    sections = [_section(data, stream) for stream in streams]
    if id3_size(data):  # which libsndfile reads
        sections[0] = replace(sections[0], start=0)
    sections[-1] = replace(sections[-1], end=len(data))
    return Layout(tuple(sections))


def _section(data: bytes, stream: _Stream) -> Section:
    """A stream's section, with the counts of its tag put right."""
    tag, first = _tag(data, stream.first), stream.first
    if tag is None:
        length, counted = stream.n_frames * first.n_samples, _counting_frame(data, stream)
        return Section(first.start, stream.end, {}, length, inserted=(first.start, counted) if counted else None)
    n_frames, n_bytes = stream.n_frames - 1, stream.end - first.start
    trimmed = sum(_gaps(data, first))
    patches, promised = {}, None
    for offset, value in _counts(data, first, tag, n_frames, n_bytes):
        held = int.from_bytes(data[offset : offset + 4], "big")
        if held != value:
            patches[offset] = value.to_bytes(4, "big")
        if value == n_frames and held != value:
            promised = held * first.n_samples - trimmed
    return Section(first.start, stream.end, patches, max(0, n_frames * first.n_samples - trimmed), promised)


def _counting_frame(data: bytes, stream: _Stream) -> bytes:
    """A frame with a Xing tag that states the length, without which libsndfile would guess; empty if none is needed."""
    first = stream.first
    if first.layer != 3:
        return b""
    head = bytes([0xFF, data[first.start + 1] | 1, MIDDLE_RATE | data[first.start + 2] & 0x0C, data[first.start + 3]])
    made = frame_at(head, 0)
    assert made is not None
    size = stream.end - first.start + made.size
    tag = b"Xing" + (3).to_bytes(4, "big") + stream.n_frames.to_bytes(4, "big") + size.to_bytes(4, "big")
    return (head + bytes(made.tag_start - 4) + tag).ljust(made.size, b"\0")


def _tag(data: bytes, frame: Frame) -> bytes | None:
    """Name of the tag that a frame holds in place of sound."""
    if frame.layer != 3:
        return None
    if (name := data[frame.tag_start : frame.tag_start + 4]) in (b"Xing", b"Info"):
        return bytes(name)
    return b"VBRI" if data[frame.start + 36 : frame.start + 40] == b"VBRI" else None


def _counts(data: bytes, frame: Frame, tag: bytes, n_frames: int, n_bytes: int) -> Iterator[tuple[int, int]]:
    """Offsets of a tag's counts, with what they should be: frames first."""
    if tag == b"VBRI":
        yield frame.start + 50, n_frames
        yield frame.start + 46, n_bytes
        return
    flags, offset = data[frame.tag_start + 7], frame.tag_start + 8
    if flags & 1:
        yield offset, n_frames
        offset += 4
    if flags & 2:
        yield offset, n_bytes


def _gaps(data: bytes, frame: Frame) -> tuple[int, int]:
    """Samples that the encoder has put before and after the sound, which decoders take off again."""
    start = frame.tag_start
    flags = data[start + 7]
    encoder = start + 8 + 4 * (flags & 1) + 4 * (flags >> 1 & 1) + 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
    if data[encoder : encoder + 4] not in LAME_TAG:
        return 0, 0
    packed = int.from_bytes(data[encoder + 21 : encoder + 24], "big")
    return packed >> 12, packed & 0xFFF
