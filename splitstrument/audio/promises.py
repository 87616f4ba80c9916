"""Lengths that headers promise: libsndfile's log of a file whose sound is shorter than its header says."""

from __future__ import annotations

import re

import soundfile

# bytes of sound; frames; and of W64 in any case
SHORT = re.compile(r"^\s*(?:data|SSND|Data Size)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
SHORT_RF64 = re.compile(r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)")
W64 = re.compile(r"Block Align\s*:\s*(\d+).*^data : (\d+)", re.MULTILINE | re.DOTALL)
W64_CHUNK_HEADER_BYTES = 24
# what streams say whose writer could not know: all bits of 31 or 32, rounded down (SoX's AIFF: 0x7f000008)
LENGTH_UNKNOWN = (range(0x7EFF0000, 0x80000001), range(0xFEFF0000, 0x100000000))
LARGEST_LENGTH = 2**62
WIDEST_SAMPLE_BYTES = 8


def is_cut_off(file: soundfile.SoundFile) -> bool:
    """Tell whether an open file has less audio than its header promises, where libsndfile tells.

    It does of WAV, RF64, W64, AIFF and AU. Headers of streams, whose writer could not know the length, promise
    nothing.
    """
    log, frame_bytes = file.extra_info, WIDEST_SAMPLE_BYTES * file.channels
    for promised, held in ((int(promised), int(held)) for promised, held in SHORT.findall(log)):
        if promised - held >= frame_bytes and not any(promised in unknown for unknown in LENGTH_UNKNOWN):
            return True
    for held, promised in ((int(held), int(promised)) for held, promised in SHORT_RF64.findall(log)):
        if held < promised < LARGEST_LENGTH:
            return True
    return file.format == "W64" and _w64_is_cut_off(file)


def _w64_is_cut_off(file: soundfile.SoundFile) -> bool:
    """libsndfile logs what the header says of the audio, but not that there is less."""
    if not (found := W64.search(file.extra_info)) or not file.subtype.startswith(("PCM", "FLOAT", "DOUBLE")):
        return False
    frame_bytes, promised = int(found[1]), int(found[2]) - W64_CHUNK_HEADER_BYTES
    return file.frames * frame_bytes + frame_bytes <= promised < LARGEST_LENGTH
