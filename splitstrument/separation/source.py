"""The samples of a song file, as the file holds them, or the part of them that is separated."""

from __future__ import annotations

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
        if left and (self.limited or self.file.format not in ("MP3", "MPEG")):
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
    wanted = left if options.duration_s is None else max(1, round(options.duration_s * rate))
    return SongPart(file, path, start, min(left, wanted), wanted < left)


def _check_values(block: Native, path: Path) -> None:
    """Refuse what float files can hold and no sound is."""
    if block.dtype == np.int32:
        return
    largest = np.abs(block).max()
    if not np.isfinite(largest):
        raise AudioFileError(f"{path} holds values that are not numbers (NaN or infinity): export the file again.")
    if largest > LOUDEST:
        raise AudioFileError(f"{path} holds values of {largest:.3g} times full scale: it is damaged, get it again.")
