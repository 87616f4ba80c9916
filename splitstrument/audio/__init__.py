"""Read, write, probe and resample audio files; blocks of any size, files of any length.

Audio is float32 ``(n_samples, n_channels)`` at full scale 1.0, channels in WAV order. Integer files are read as
``value / 2**(bits-1)``, so that what is read can be written back bit for bit.

A file is what its content is, whatever its name: libsndfile is asked first (WAV, FLAC, OGG, MP3, AIFF, ...), then
FFmpeg's libraries through PyAV (extra ``[media]``), then the program ffmpeg. Its length is what decoding finds: where a
header's number cannot be believed `Reader.n_samples` is None, and `probe` counts. Resampling is soxr's.

What a reader has to say of a file (sizes that were never written, parts that cannot be read) is in `Reader.warnings`;
`read` and `blocks`, which hand out no reader, log it once a process.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from splitstrument.audio import ffmpeg, media
from splitstrument.audio.media import MediaError, MediaReader
from splitstrument.audio.reader import Dtype, Reader, cut_off
from splitstrument.audio.resampling import Audio, fit_length, resample, resample_blocks, resampled_length
from splitstrument.audio.sound_file import SoundFileReader, knows
from splitstrument.audio.tags import Tags
from splitstrument.audio.writer import AudioWriter, format_of, write
from splitstrument.errors import AudioFileError

__all__ = [
    "Audio",
    "AudioInfo",
    "AudioWriter",
    "Dtype",
    "Reader",
    "Tags",
    "blocks",
    "check_finite",
    "count_samples",
    "cut_off",
    "fit_length",
    "format_of",
    "is_audio_name",
    "open_audio",
    "probe",
    "read",
    "reads_media",
    "resample",
    "resample_blocks",
    "resampled_length",
    "write",
]

_LIBSNDFILE = ".wav .flac .ogg .oga .opus .mp3 .aiff .aif .aifc .au .caf .w64 .rf64"
EXTENSIONS = frozenset(_LIBSNDFILE.split())
# what needs FFmpeg, in its libraries or as a program
_FFMPEG = """
.3g2 .3ga .3gp .aac .ac3 .adts .alac .amr .ape .asf .avi .awb .dff .dsf .dts .eac3 .ec3 .f4a .flv .m2a .m2ts .m4a
.m4b .m4r .m4v .mka .mkv .mlp .mov .mp2 .mp4 .mpa .mpc .mpeg .mpg .mts .ogv .ogx .spx .tak .thd .tta .weba .webm
.wma .wmv .wv
"""
MEDIA_EXTENSIONS = frozenset(_FFMPEG.split())
DEFAULT_BLOCK = 1 << 18
TEXT_BYTES = 256


@dataclass(frozen=True)
class AudioInfo:
    """Contents of an audio file: rate, length, channels, types.

    Attributes
    ----------
    n_samples
        Counted by decoding where the header's number cannot be believed.
    format, subtype
        libsndfile's names, such as ``WAV`` and ``PCM_16``, or FFmpeg's of a container that libsndfile does not know.
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
    """Tell by its name whether a file claims to be audio that is read here (hidden files do not count)."""
    path = Path(path)
    suffix = path.suffix.lower()
    known = suffix in EXTENSIONS or (suffix in MEDIA_EXTENSIONS and reads_media())
    return known and not path.name.startswith(".")


@lru_cache(maxsize=1)
def reads_media() -> bool:
    """Tell whether there is a reader for `MEDIA_EXTENSIONS`."""
    return media.is_installed() or ffmpeg.is_installed()


@contextlib.contextmanager
def open_audio(path: str | Path) -> Iterator[Reader]:
    """Open a file for reading, with errors that say what is wrong with it.

    Raises
    ------
    AudioFileError
        If the file is missing, empty, no audio that is known, or damaged.
    """
    path = Path(path)
    _check_exists(path)
    reader = _open(path)
    try:
        with contextlib.closing(reader):
            yield reader
    except soundfile.LibsndfileError as error:
        raise AudioFileError(f"{path} is damaged ({knows(error)}): get the file again.") from None
    except MediaError as error:  # on going back to the start
        raise AudioFileError(f"{path} is damaged ({error}): get the file again.") from None


def _open(path: Path) -> Reader:
    """Ask each reader that is installed; the first one's reason is told if none knows the file."""
    try:
        return SoundFileReader(path)
    except (soundfile.LibsndfileError, TypeError) as error:
        reason = knows(error)
    except OSError as error:
        raise AudioFileError(f"{path} cannot be read ({error.strerror}): check the file.") from None
    if text := _text(path):
        raise AudioFileError(f"{path} cannot be read as audio: it is text that begins with {text!r}, no sound.")
    others: list[tuple[Callable[[], bool], Callable[[Path], Reader]]] = [
        (media.is_installed, MediaReader),
        (ffmpeg.is_installed, ffmpeg.FfmpegReader),
    ]
    for is_installed, reader in others:
        if is_installed():
            try:
                return reader(path)
            except MediaError as error:
                reason = str(error)
    raise AudioFileError(f"{path} cannot be read as audio ({reason}): {_remedy()}")


def probe(path: str | Path, longest_s: float | None = None) -> AudioInfo:
    """Find out what a file holds, and how much of it.

    Parameters
    ----------
    longest_s
        Stop counting above this many seconds.

    Raises
    ------
    AudioFileError
        Also of a file that is cut off, and, if the length must be counted, where rate or channels change or decoding
        fails.
    """
    path = Path(path)
    _check_exists(path)
    status = path.stat()
    return _probe(path, longest_s, (status.st_ino, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=4096)
def _probe(path: Path, longest_s: float | None, _identity: tuple[int, ...]) -> AudioInfo:
    with open_audio(path) as file:
        n_samples = file.n_samples
        if n_samples is None:
            n_samples = count_samples(file, None if longest_s is None else longest_s * file.sample_rate_hz)
        if file.cut_off:
            raise cut_off(path, n_samples / file.sample_rate_hz)
        return AudioInfo(path, file.sample_rate_hz, n_samples, file.n_channels, file.format, file.subtype)


def count_samples(file: Reader, limit: float | None = None) -> int:
    """Read an open file to its end, or above `limit` samples, and tell how many there were."""
    while len(file.read(DEFAULT_BLOCK)) and (limit is None or file.position <= limit):
        pass
    return file.position


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
        Also for values that are not finite, and for the whole of a file that is cut off.
    """
    with open_audio(path) as file:
        file.seek(start)
        audio, rate = _read_whole(file) if n_samples is None else file.read(n_samples), file.sample_rate_hz
        if file.cut_off and n_samples is None:
            raise cut_off(file.path, len(audio) / rate)
        _say(file)
    check_finite(audio, path)
    if mono:
        audio = audio.mean(axis=1, keepdims=True)
    if sample_rate_hz and sample_rate_hz != rate:
        audio, rate = resample(audio, rate, sample_rate_hz), sample_rate_hz
    return audio, rate


def _read_whole(file: Reader) -> Audio:
    """All that is left."""
    if file.n_samples is not None and len(whole := file.read(file.n_samples)) < file.n_samples:
        return whole
    parts = [whole] if file.n_samples is not None else []
    while len(part := file.read(DEFAULT_BLOCK)):
        parts.append(part)
    return np.concatenate(parts) if parts else np.empty((0, file.n_channels), np.float32)


def blocks(path: str | Path, block_size: int = DEFAULT_BLOCK) -> Generator[Audio, None, None]:
    """Read a file block by block; every block but the last has `block_size` samples."""
    with open_audio(path) as file:
        while len(block := file.read(block_size)):
            check_finite(block, path)
            yield block
        _say(file)


def _say(file: Reader) -> None:
    for sentence in file.warnings:
        _say_once(file.path, sentence)


@lru_cache(maxsize=1024)
def _say_once(path: Path, sentence: str) -> None:
    logging.getLogger(__name__).warning("%s: %s", path, sentence)


def check_finite(audio: Audio, path: str | Path) -> None:
    """Refuse NaN and infinity, which float files can hold and which would spread over whole spectra."""
    if not np.isfinite(audio).all():
        raise AudioFileError(f"{path} holds values that are not numbers (NaN or infinity): export the file again.")


def _check_exists(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise AudioFileError(f"{path} cannot be opened ({error.strerror}): check the path.") from None
    if path.is_dir():
        raise AudioFileError(f"{path} is a folder, but an audio file was expected.")
    if not path.is_file():
        raise AudioFileError(f"{path} is no regular file: copy what it gives into one.")
    if size == 0:
        raise AudioFileError(f"{path} is empty (0 bytes): get the file again.")


def _text(path: Path) -> str:
    """The first words of a file that is text; empty if it is not."""
    with path.open("rb") as file:
        head = file.read(TEXT_BYTES).removeprefix(b"\xef\xbb\xbf")
    is_text = all(byte >= 0x20 or byte in b"\t\r\n\f" for byte in head) and 0x7F not in head
    try:
        return (
            head.decode("utf-8", "strict" if len(head) < TEXT_BYTES else "ignore").split("\n")[0].strip()[:20] * is_text
        )
    except UnicodeDecodeError:
        return ""


def _remedy() -> str:
    if media.is_installed():
        return "expected WAV, FLAC, OGG, MP3, M4A or another format of sound."
    return (
        "expected WAV, FLAC, OGG, MP3 or AIFF; others, such as M4A and WMA, need `pip install 'splitstrument[media]'` "
        "or the program ffmpeg."
    )
