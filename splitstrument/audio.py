"""Read, write, probe and resample audio files; blocks of any size, files of any length.

Audio is float32 ``(n_samples, n_channels)`` at full scale 1.0. Integer files are read as ``value / 2**(bits-1)``, so
that what is read can be written back bit for bit. Decoding is libsndfile's (WAV, RF64, FLAC, OGG, MP3, AIFF, ...),
resampling is soxr's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from splitstrument.errors import AudioFileError
from splitstrument.files import atomic_path

Audio = NDArray[np.float32]

EXTENSIONS = (
    ".wav",
    ".flac",
    ".ogg",
    ".oga",
    ".opus",
    ".mp3",
    ".aiff",
    ".aif",
    ".aifc",
    ".au",
    ".caf",
    ".w64",
    ".rf64",
)
DEFAULT_BLOCK = 1 << 18
WAV_LIMIT_BYTES = 4_000_000_000
RESAMPLE_QUALITY = "HQ"
HEADER_BYTES = 4096
SUBTYPE_BYTES = {"PCM_S8": 1, "PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says.

    Attributes
    ----------
    format, subtype
        libsndfile's names, such as ``WAV`` and ``PCM_16``.
    """

    path: Path
    sample_rate_hz: int
    n_samples: int
    n_channels: int
    format: str
    subtype: str

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sample_rate_hz

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "path": str(self.path), "duration_s": round(self.duration_s, 3)}


def is_audio_name(path: str | Path) -> bool:
    """Tell by its name whether a file claims to be audio (hidden files do not count)."""
    path = Path(path)
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")


@contextlib.contextmanager
def open_audio(path: str | Path) -> Iterator[soundfile.SoundFile]:
    """Open a file for reading, with errors that say what is wrong with it.

    Raises
    ------
    AudioFileError
        If the file is missing, empty, no audio that libsndfile knows, or damaged.
    """
    path = Path(path)
    _check_exists(path)
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, TypeError) as error:
        raise AudioFileError(f"{path} cannot be read as audio ({_reason(error)}): {_remedy(path)}") from None
    try:
        with file:
            yield file
    except soundfile.LibsndfileError as error:
        raise AudioFileError(f"{path} is damaged ({_reason(error)}): get the file again.") from None


def probe(path: str | Path) -> AudioInfo:
    """Read a file's header."""
    with open_audio(path) as file:
        return AudioInfo(Path(path), file.samplerate, file.frames, file.channels, file.format, file.subtype)


def read(
    path: str | Path,
    sample_rate_hz: int | None = None,
    mono: bool = False,
    start: int = 0,
    n_samples: int | None = None,
) -> tuple[Audio, int]:
    """Read a whole file, or `n_samples` from `start` (both at the file's own rate).

    Parameters
    ----------
    sample_rate_hz
        Resample to this rate; None keeps the file's.
    mono
        Average the channels to one.

    Returns
    -------
    audio : (n_samples, n_channels) float32
    sample_rate_hz : its rate

    Raises
    ------
    AudioFileError
        Also for values that are not finite.
    """
    with open_audio(path) as file:
        file.seek(min(start, file.frames))
        audio = file.read(-1 if n_samples is None else n_samples, dtype="float32", always_2d=True)
        rate = file.samplerate
    check_finite(audio, path)
    if mono:
        audio = audio.mean(axis=1, keepdims=True)
    if sample_rate_hz and sample_rate_hz != rate:
        audio, rate = resample(audio, rate, sample_rate_hz), sample_rate_hz
    return audio, rate


def blocks(path: str | Path, block_size: int = DEFAULT_BLOCK) -> Generator[Audio, None, None]:
    """Read a file block by block; every block but the last has `block_size` samples."""
    with open_audio(path) as file:
        while len(block := file.read(block_size, dtype="float32", always_2d=True)):
            check_finite(block, path)
            yield block


def check_finite(audio: Audio, path: str | Path) -> None:
    """Refuse NaN and infinity, which float files can hold and which would spread over whole spectra."""
    if not np.isfinite(audio).all():
        raise AudioFileError(f"{path} holds values that are not numbers (NaN or infinity): export the file again.")


def resample(audio: Audio, from_hz: int, to_hz: int) -> Audio:
    """Resample (n_samples, n_channels); the result has ``ceil(n_samples * to / from)`` samples."""
    if from_hz == to_hz:
        return audio
    wanted = resampled_length(len(audio), from_hz, to_hz)
    return fit_length(soxr.resample(audio, from_hz, to_hz, quality=RESAMPLE_QUALITY), wanted)


def resampled_length(n_samples: int, from_hz: int, to_hz: int) -> int:
    """Number of samples after resampling: the last one covers the end of the input."""
    return -(-n_samples * to_hz // from_hz)


def fit_length(audio: Audio, n_samples: int) -> Audio:
    """Cut, or extend with zeros, to exactly `n_samples`."""
    if len(audio) >= n_samples:
        return audio[:n_samples]
    return np.pad(audio, ((0, n_samples - len(audio)), (0, 0)))


def resample_blocks(audio_blocks: Iterator[Audio], n_channels: int, from_hz: int, to_hz: int) -> Iterator[Audio]:
    """Resample a stream of blocks; the concatenation does not depend on how the input is cut into blocks.

    The total length is `resampled_length` of the total input length.
    """
    if from_hz == to_hz:
        yield from audio_blocks
        return
    stream = soxr.ResampleStream(from_hz, to_hz, n_channels, dtype="float32", quality=RESAMPLE_QUALITY)
    n_in = n_out = 0
    for block in audio_blocks:
        n_in += len(block)
        out = stream.resample_chunk(np.ascontiguousarray(block))
        n_out += len(out)
        if len(out):
            yield out.reshape(-1, n_channels)
    last = stream.resample_chunk(np.zeros((0, n_channels), np.float32), last=True).reshape(-1, n_channels)
    rest = fit_length(last, max(0, resampled_length(n_in, from_hz, to_hz) - n_out))
    if len(rest):
        yield rest


def write(path: str | Path, audio: Audio, sample_rate_hz: int, subtype: str | None = None) -> None:
    """Write a whole file, or none; the format follows from the suffix, `subtype` None is the format's default."""
    with AudioWriter(path, sample_rate_hz, audio.shape[1], subtype) as writer:
        writer.write(audio)


class AudioWriter:
    """Write a file block by block; it appears under its name only when the ``with`` block ends without an error.

    WAV files that may pass 4 GB become RF64 (`n_samples` tells how long the file will be).

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
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> AudioWriter:
        with contextlib.ExitStack() as stack:
            try:
                self.temporary = stack.enter_context(atomic_path(self.path))
                stack.push(self._clear_peak_time)  # between closing and renaming
                self._file = stack.enter_context(
                    soundfile.SoundFile(
                        self.temporary, "w", self.sample_rate_hz, self.n_channels, self.subtype, format=self.format
                    )
                )
            except (soundfile.LibsndfileError, ValueError) as error:
                raise AudioFileError(
                    f"{self.path} cannot be written as {self.format} {self.subtype} with {self.n_channels} channels at "
                    f"{self.sample_rate_hz} Hz ({_reason(error)}): choose another format."
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
            self._file.write(audio)

    def close(self) -> None:
        """Finish the temporary file, which can then be read at `temporary`, without publishing it."""
        with self._disk_errors():
            self._file.close()

    def _clear_peak_time(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is None:
            _clear_peak_time(self.temporary)

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
                f"{self.path} could not be written to the end ({_reason(error)}): is the disk full?"
            ) from None


def _clear_peak_time(path: Path) -> None:
    """Zero the time of writing that libsndfile puts into the PEAK chunk of float files, before the samples.

    With it, the same samples would be other bytes a second later.
    """
    with path.open("r+b") as file:
        header = file.read(HEADER_BYTES)
        chunk, samples = (
            header.find(b"PEAK"),
            min(header.find(b"data") % HEADER_BYTES, header.find(b"SSND") % HEADER_BYTES),
        )
        if 0 <= chunk < samples:
            file.seek(chunk + 12)  # name, size and version come first
            file.write(bytes(4))


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


def _check_exists(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise AudioFileError(f"{path} cannot be opened ({error.strerror}): check the path.") from None
    if path.is_dir():
        raise AudioFileError(f"{path} is a folder, but an audio file was expected.")
    if size == 0:
        raise AudioFileError(f"{path} is empty (0 bytes): get the file again.")


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).strip().rstrip(".")


def _remedy(path: Path) -> str:
    if path.suffix.lower() == ".mp3" and "MP3" not in soundfile.available_formats():
        return "this libsndfile has no MP3 decoder; install version 1.1 or later (`pip install -U soundfile`)."
    if path.suffix.lower() in (".m4a", ".aac", ".mp4", ".wma", ".webm"):
        return "convert it to WAV or FLAC first, for example with `ffmpeg -i INPUT OUTPUT.wav`."
    return "expected WAV, FLAC, OGG, MP3 or AIFF."
