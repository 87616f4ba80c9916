"""The samples of a song file, as the file holds them, or the part of them that is separated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from splitstrument.errors import AudioFileError
from splitstrument.separation.options import SeparationOptions
from splitstrument.separation.samples import Native, SampleType

# outside of these a header is damaged, and would make the work endless
RATES_HZ = (1000, 1_536_000)
MAX_CHANNELS = 64
LOUDEST = 1e6

# what libsndfile logs of a file whose audio is shorter than its header says (bytes; frames), and of W64 in any case
SHORT = re.compile(r"^\s*(?:data|SSND|Data Size)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
SHORT_RF64 = re.compile(r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)")
W64 = re.compile(r"Block Align\s*:\s*(\d+).*^data : (\d+)", re.MULTILINE | re.DOTALL)
W64_CHUNK_HEADER_BYTES = 24
# what streams say whose writer could not know: all bits of 31 or 32, rounded down (SoX's AIFF: 0x7f000008)
LENGTH_UNKNOWN = (range(0x7EFF0000, 0x80000001), range(0xFEFF0000, 0x100000000))
LARGEST_LENGTH = 2**62
WIDEST_SAMPLE_BYTES = 8
MP3_FORMATS = ("MP3", "MPEG")
MP3_TAG_BYTES = 4096
MP3_MISSING_S = 0.5


@dataclass(frozen=True)
class SongPart:
    """The samples of a song that are separated."""

    file: soundfile.SoundFile
    path: Path
    start: int
    n_samples: int
    limited: bool

    @property
    def sample_type(self) -> SampleType:
        """How the song's samples are held, in memory and in what is written."""
        return SampleType.of_subtype(self.file.subtype)

    def blocks(self, block_size: int) -> Iterator[Native]:
        """Samples as the file holds them; checks that they are finite and as many as the header promised."""
        self.file.seek(self.start)
        left = self.n_samples
        while left and len(
            block := self.file.read(min(block_size, left), dtype=self.sample_type.dtype, always_2d=True)
        ):
            left -= len(block)
            _check_values(block, self.path)
            yield block
        if left and (self.limited or self.file.format not in MP3_FORMATS):
            raise AudioFileError(
                f"{self.path} ends {left} samples before the length that its header gives: it is cut off or damaged, "
                "get it again."
            )


def part_of(file: soundfile.SoundFile, path: Path, options: SeparationOptions) -> SongPart:
    """The part of an open song that `options` ask for.

    Raises
    ------
    AudioFileError
        If there are no samples in it.
    """
    rate = file.samplerate
    if not RATES_HZ[0] <= rate <= RATES_HZ[1] or file.channels > MAX_CHANNELS:
        raise AudioFileError(
            f"{path} says that it has {file.channels} channels at {rate} Hz; expected at most {MAX_CHANNELS} channels "
            f"at {RATES_HZ[0]} to {RATES_HZ[1]} Hz: it is damaged, or has to be converted first."
        )
    start = round(options.start_s * rate)
    if file.frames == 0:
        raise AudioFileError(f"{path} holds no samples: get the file again.")
    if start >= file.frames:
        raise AudioFileError(
            f"{path} is {file.frames / rate:.2f} s long, so nothing is left after --start {options.start_s:g}."
        )
    left = file.frames - start
    if options.duration_s is None and is_cut_off(file):
        raise AudioFileError(
            f"{path} ends before the length that its header gives: it is cut off, get it again "
            f"(or take what there is by --duration {left / rate:.2f})."
        )
    wanted = left if options.duration_s is None else max(1, round(options.duration_s * rate))
    return SongPart(file, path, start, min(left, wanted), wanted < left)


def is_cut_off(file: soundfile.SoundFile) -> bool:
    """Tell whether an open file has less audio than its header promises, where the header tells.

    WAV, RF64, W64, AIFF and AU tell, FLAC and CAF cannot be read if they are cut off, and an Ogg file's header has no
    length. Headers of streams, whose writer could not know the length, promise nothing.
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


def warnings_of_length(part: SongPart, n_samples: int) -> list[str]:
    """A sentence if an MP3 gave `n_samples`, fewer than its first frame states: many that were cut on purpose do."""
    missing_s = (part.n_samples - n_samples) / part.file.samplerate
    if missing_s < MP3_MISSING_S or not _mp3_states_length(part.path):
        return []
    return [f"The song ends {missing_s:.1f} s before the length that its file states: it may be cut off."]


def _mp3_states_length(path: Path) -> bool:
    """Tell whether the first frame, behind the ID3 tag, counts the others (Xing, 2000); else the length is a guess."""
    with path.open("rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3":
            file.seek(10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=False)))
        first = head + file.read(MP3_TAG_BYTES)
    return any(tag in first for tag in (b"Xing", b"Info", b"VBRI"))


def _check_values(block: Native, path: Path) -> None:
    """Refuse what float files can hold and no sound is."""
    if block.dtype == np.int32:
        return
    largest = np.abs(block).max()
    if not np.isfinite(largest):
        raise AudioFileError(f"{path} holds values that are not numbers (NaN or infinity): export the file again.")
    if largest > LOUDEST:
        raise AudioFileError(f"{path} holds values of {largest:.3g} times full scale: it is damaged, get it again.")
