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

# what libsndfile logs of a file that is shorter than its header says; it gives the length of what is there
SHORT = re.compile(r"^\s*(?:data|SSND|Data Size|riff|Riff size)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
LENGTH_UNKNOWN = (range(0x7FFF0000, 0x80000001), range(0xFFFF0000, 0x100000000))  # what streams say: not known yet
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
    if options.duration_s is None and (missing := missing_bytes(file)):
        raise AudioFileError(
            f"{path} ends {missing} bytes before the length that its header gives: it is cut off, get it again "
            f"(or take what there is by --duration {left / rate:.2f})."
        )
    wanted = left if options.duration_s is None else max(1, round(options.duration_s * rate))
    return SongPart(file, path, start, min(left, wanted), wanted < left)


def missing_bytes(file: soundfile.SoundFile) -> int:
    """Bytes of audio that the header of an open file promises and the file lacks, where the header tells.

    WAV, RF64, W64, AIFF and AU tell, FLAC and CAF cannot be read if they are cut off, and an Ogg file's header has no
    length. Headers of streams, whose writer could not know the length, promise nothing.
    """
    for promised, held in ((int(a), int(b)) for a, b in SHORT.findall(file.extra_info)):
        streamed = any(promised in unknown for unknown in LENGTH_UNKNOWN)
        if promised - held >= WIDEST_SAMPLE_BYTES * file.channels and not streamed:
            return promised - held
    return 0


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
