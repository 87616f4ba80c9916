"""The samples of a song file, as the file holds them, or the part of them that is separated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from splitstrument.audio import Reader, count_samples, cut_off
from splitstrument.audio.plausible import check_header, check_values
from splitstrument.errors import AudioFileError
from splitstrument.separation.options import SeparationOptions
from splitstrument.separation.samples import Native, SampleType

MISSING_S = 0.5


@dataclass(frozen=True)
class SongPart:
    """The samples of a song that are separated.

    Attributes
    ----------
    n_samples
        How many there are, or at most, from `start`; None up to the end, wherever that is.
    is_all
        The song is wanted to its end.
    """

    file: Reader
    path: Path
    start: int
    n_samples: int | None
    is_all: bool
    start_s: float

    @property
    def sample_type(self) -> SampleType:
        """How the song's samples are held, in memory and in what is written."""
        return SampleType.of_subtype(self.file.subtype)

    @property
    def estimate(self) -> int | None:
        """Number of samples, roughly; None where nothing tells."""
        whole = self.file.estimate
        left = None if whole is None else max(0, whole - self.start)
        known = [n for n in (left, self.n_samples) if n is not None]
        return min(known) if known else None

    def blocks(self, block_size: int) -> Iterator[Native]:
        """Samples as the file holds them; checks that they are finite and as many as the header promised."""
        self.file.seek(self.start)
        n_read = 0
        while wanted := block_size if self.n_samples is None else min(block_size, self.n_samples - n_read):
            block: Native = self.file.read(wanted, self.sample_type.dtype)
            if not len(block):
                break
            n_read += len(block)
            check_values(block, self.path)
            yield block
        self._check_end(n_read)

    def _check_end(self, n_read: int) -> None:
        if not n_read:
            raise _nothing_left(self.path, self.file.position / self.file.sample_rate_hz, self.start_s)
        if self.file.cut_off and self.is_all:
            raise cut_off(self.path, n_read / self.file.sample_rate_hz)
        left = (self.n_samples or 0) - n_read
        if self.file.n_samples is not None and left > 0 and self.file.is_exact:
            raise AudioFileError(
                f"{self.path} ends {left} samples before the length that its header gives: it is cut off or damaged, "
                "get it again."
            )


def part_of(file: Reader, path: Path, options: SeparationOptions) -> SongPart:
    """The part of an open song that `options` ask for.

    Raises
    ------
    AudioFileError
        If there are no samples in it, or no song has its rate or number of channels.
    """
    check_header(file, path)
    rate, length = file.sample_rate_hz, file.n_samples
    start = round(options.start_s * rate)
    if length is not None and start >= length:
        raise _nothing_left(path, length / rate, options.start_s)
    if file.cut_off and options.duration_s is None:
        raise cut_off(path, (count_samples(file) - start) / rate)
    wanted = None if options.duration_s is None else max(1, round(options.duration_s * rate))
    known = [n for n in (None if length is None else length - start, wanted) if n is not None]
    return SongPart(file, path, start, min(known) if known else None, wanted is None, options.start_s)


def _nothing_left(path: Path, length_s: float, start_s: float) -> AudioFileError:
    if not length_s:
        return AudioFileError(f"{path} holds no samples: get the file again.")
    return AudioFileError(f"{path} is {length_s:.2f} s long, so nothing is left after --start {start_s:g}.")


def warnings_of_length(part: SongPart, n_samples: int) -> list[str]:
    """Return warnings about the file's length, once `n_samples` were read."""
    file, warnings = part.file, list(part.file.warnings)
    missing_s = ((file.promised or 0) - part.start - n_samples) / file.sample_rate_hz
    if part.is_all and missing_s >= MISSING_S and not any("may be cut off" in warning for warning in warnings):
        warnings.append(f"The song ends {missing_s:.1f} s before the length that its file states: it may be cut off.")
    return warnings
