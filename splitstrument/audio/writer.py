"""Write audio files block by block: whole or absent, the same bytes for the same samples."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from splitstrument.audio.channels import DEFAULT_MASKS, to_vorbis
from splitstrument.audio.sound_file import HEAD_BYTES, knows
from splitstrument.audio.tags import Tags
from splitstrument.errors import AudioFileError
from splitstrument.files import atomic_path

Audio = NDArray[np.float32]

WAV_LIMIT_BYTES = 4_000_000_000
SUBTYPE_BYTES = {"PCM_S8": 1, "PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}


def write(path: str | Path, audio: Audio, sample_rate_hz: int, subtype: str | None = None) -> None:
    """Write a whole file, or none; the format follows from the suffix, `subtype` None is the format's default."""
    with AudioWriter(path, sample_rate_hz, audio.shape[1], subtype) as writer:
        writer.write(audio)


class AudioWriter:
    """Write a file block by block; it appears under its name only when the ``with`` block ends without an error.

    WAV files that may pass 4 GB become RF64 (`n_samples` tells how long the file will be, as far as that is known).
    Those of more than two channels, and of others than the usual loudspeakers, name them (WAVE_FORMAT_EXTENSIBLE).

    Raises
    ------
    AudioFileError
        If the folder cannot be written to or the format cannot hold the rate, channels or subtype.
    """

    def __init__(
        self,
        path: str | Path,
        sample_rate_hz: int,
        n_channels: int,
        subtype: str | None = None,
        n_samples: int | None = None,
        container: str | None = None,
        tags: Tags | None = None,
        channel_mask: int | None = None,
    ) -> None:
        self.path = Path(path)
        self.format = container or format_of(self.path)
        self.subtype = subtype or soundfile.default_subtype(self.format)
        if (
            self.format == "WAV"
            and (n_samples or 0) * n_channels * SUBTYPE_BYTES.get(self.subtype, 4) > WAV_LIMIT_BYTES
        ):
            self.format = "RF64"
        self.sample_rate_hz, self.n_channels = sample_rate_hz, n_channels
        self._mask = channel_mask or DEFAULT_MASKS.get(n_channels, 0)
        if self.format == "WAV" and (n_channels > 2 or self._mask != DEFAULT_MASKS[n_channels]):
            self.format = "WAVEX"
        self._tags = tags or Tags()
        self._order = to_vorbis(n_channels) if self.subtype == "VORBIS" else None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> AudioWriter:
        with contextlib.ExitStack() as stack:
            try:
                self.temporary = stack.enter_context(atomic_path(self.path))
                stack.push(self._finish_header)  # between closing and renaming
                self._file = stack.enter_context(
                    soundfile.SoundFile(
                        self.temporary, "w", self.sample_rate_hz, self.n_channels, self.subtype, format=self.format
                    )
                )
                self._tags.write_to(self._file)
            except (soundfile.LibsndfileError, ValueError) as error:
                raise AudioFileError(
                    f"{self.path} cannot be written as {self.format} {self.subtype} with {self.n_channels} channels at "
                    f"{self.sample_rate_hz} Hz ({knows(error)}): choose another format."
                ) from None
            except OSError as error:
                raise AudioFileError(
                    f"{self.path} cannot be written ({error.strerror}): choose another output folder."
                ) from None
            self._stack = stack.pop_all()
        return self

    def write(self, audio: Audio | NDArray[np.float64] | NDArray[np.int32]) -> None:
        """Append (n_samples, n_channels)."""
        with self._disk_errors():
            self._file.write(audio if self._order is None else audio[:, self._order])

    def close(self) -> None:
        """Finish the temporary file, which can then be read at `temporary`, without publishing it."""
        with self._disk_errors():
            self._file.close()

    def _finish_header(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is None:
            _clear_peak_time(self.temporary)
            if self.format in ("WAVEX", "RF64") and self._mask:
                _set_mask(self.temporary, self._mask)

    def discard(self) -> None:
        """Remove what was written; nothing appears under the name."""
        with contextlib.suppress(_DiscardedError), self._stack:
            raise _DiscardedError

    def __exit__(self, *exception: Any) -> None:
        with self._disk_errors():
            self._stack.__exit__(*exception)

    @contextlib.contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except soundfile.LibsndfileError as error:
            raise AudioFileError(
                f"{self.path} could not be written to the end ({knows(error)}): is the disk full?"
            ) from None


def _clear_peak_time(path: Path) -> None:
    """Zero the time of writing that libsndfile puts into the PEAK chunk of float files, before the samples.

    With it, the same samples would be other bytes a second later.
    """
    with path.open("r+b") as file:
        header = file.read(HEAD_BYTES)
        chunk, samples = (
            header.find(b"PEAK"),
            min(header.find(b"data") % HEAD_BYTES, header.find(b"SSND") % HEAD_BYTES),
        )
        if 0 <= chunk < samples:
            file.seek(chunk + 12)  # name, size and version come first
            file.write(bytes(4))


def _set_mask(path: Path, mask: int) -> None:
    """Name the loudspeakers of a WAVE_FORMAT_EXTENSIBLE file, which soundfile has no call for."""
    with path.open("r+b") as file:
        header = file.read(HEAD_BYTES)
        start = header.find(b"fmt ")
        if start >= 0 and header[start + 8 : start + 10] == b"\xfe\xff":
            file.seek(start + 28)
            file.write(mask.to_bytes(4, "little"))


class _DiscardedError(Exception):
    """Ends a writer without publishing its file."""


def format_of(path: str | Path) -> str:
    """libsndfile's name of the format that a suffix stands for."""
    suffix = Path(path).suffix.lower().lstrip(".")
    names = {"aif": "AIFF", "aifc": "AIFF", "oga": "OGG", "opus": "OGG"}
    name = names.get(suffix, suffix.upper())
    if name not in soundfile.available_formats():
        raise AudioFileError(
            f"{path}: '.{suffix}' is no audio format that can be written; use .wav, .flac, .ogg or .mp3."
        )
    return name
