"""The output files of a separation."""

from __future__ import annotations

import contextlib
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import soundfile

from splitstrument.audio import DEFAULT_BLOCK, AudioWriter, Tags, open_audio
from splitstrument.errors import AudioFileError, SettingsError
from splitstrument.files import real_path, safe_name, scratch_folder
from splitstrument.separation.options import SeparationOptions
from splitstrument.separation.samples import Native, NullMeter, SampleType, split
from splitstrument.spectrogram import Float

SIDECAR, MASK = "separation", "mask"


def output_paths(song: Path, folder: Path, model_name: str, options: SeparationOptions) -> dict[str, Path]:
    """Every file that a separation with these options, which are resolved, would write: stems, `SIDECAR`, `MASK`."""
    names = dict.fromkeys(options.stems or (), options.format) | {SIDECAR: "json"}
    names |= {MASK: "zip"} if options.keep_mask else {}
    return {
        name: output_path(folder, options.filename, song, model_name, name, extension)
        for name, extension in names.items()
    }


@contextlib.contextmanager
def remove_empty_folders(folder: Path) -> Iterator[None]:
    """Remove, on failure, the folders down to `folder` that did not exist before and are empty."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    except BaseException:
        for path in missing:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


OF_TAGS = ("artist", "album", "title", "number")
FIELDS = ("track", "stem", "ext", "model", "folder", *OF_TAGS)
REQUIRED = ("stem", "ext")
OTHER_FIELDS = tuple(f"{{{name}}}" for name in FIELDS[3:])


def check_pattern(pattern: str) -> None:
    """Refuse patterns with unknown fields, or under which two outputs would have one name.

    Raises
    ------
    SettingsError
    """
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None]
    except ValueError as error:
        raise SettingsError(f"--filename {pattern!r} cannot be read ({error}): write it like {_example()}.") from None
    for name in fields:
        if name not in FIELDS:
            raise SettingsError(f"--filename {pattern!r}: there is no field {{{name}}}; use {_example()}.")
    for name in REQUIRED:
        if name not in fields:
            raise SettingsError(f"--filename {pattern!r} lacks {{{name}}}, so that outputs would overwrite each other.")
    if not {"track", "title"} & set(fields):
        raise SettingsError(f"--filename {pattern!r} lacks {{track}} or {{title}}, so that songs would share a place.")
    path = Path(pattern)
    if path.is_absolute() or ".." in path.parts:
        raise SettingsError(f"--filename {pattern!r} leaves the output folder: give the folder by --output.")


def output_path(folder: Path, pattern: str, song: Path, model_name: str, stem: str, extension: str) -> Path:
    """Path of one output; names from outside become single safe path components."""
    values = {
        "track": safe_name(track_name(song)),
        "folder": safe_name(real_path(song).parent.name),
        "model": safe_name(model_name),
        "stem": stem,
        "ext": extension,
    }
    if any(f"{{{name}" in pattern for name in OF_TAGS):
        values |= _tag_values(song)
    return folder / pattern.format_map(values)


def _tag_values(song: Path) -> dict[str, str]:
    """Return the file's tags, with words for those it lacks; the number with two digits, to be sorted."""
    try:
        with open_audio(song) as file:
            tags = file.tags
    except AudioFileError:
        tags = Tags()  # is told when the song's turn comes
    number = re.match(r"\s*(\d+)", tags.tracknumber, re.ASCII)
    return {
        "artist": safe_name(tags.artist or "Unknown artist"),
        "album": safe_name(tags.album or "Unknown album"),
        "title": safe_name(tags.title or track_name(song)),
        "number": f"{int(number[1][:9]):02d}" if number else "00",
    }


def track_name(song: Path) -> str:
    """Name of the track that a file holds."""
    return song.stem


def _example() -> str:
    return f"'{{track}}/{{stem}}.{{ext}}' (also: {', '.join(OTHER_FIELDS)})"


WAV_SUBTYPES = {8: "PCM_U8", 16: "PCM_16", 20: "PCM_24", 24: "PCM_24", 32: "PCM_32"}
FLAC_SUBTYPES = {8: "PCM_S8", 16: "PCM_16"}
LOSSY = {"ogg": "VORBIS", "mp3": "MPEG_LAYER_III"}


def output_subtype(extension: str, song_subtype: str) -> str:
    """Subtype of the output: the song's own where the format has it, else the next finer one.

    WAV holds everything exactly (what was decoded from a lossy format becomes float); FLAC has at most 24 bits.
    """
    if extension in LOSSY:
        return LOSSY[extension]
    held = SampleType.of_subtype(song_subtype)
    if extension == "flac":
        return FLAC_SUBTYPES.get(held.bits or 0, "PCM_24")
    if held.bits is None:
        return "DOUBLE" if held.dtype == "float64" else "FLOAT"
    return WAV_SUBTYPES[held.bits]


class StemFiles:
    """The files of one song's stems; they appear under their names only when the ``with`` block ends without an error.

    Parameters
    ----------
    paths
        Stem -> path; those of `stems` that are missing are not written.
    stems
        Names of the instruments that come, and the rest last.
    n_samples
        Expected length, which decides whether a WAV must become RF64; None where it is not known.
    tags
        Stem -> what its file says of the song.
    channel_mask
        The song's loudspeakers, which WAV files name.

    Attributes
    ----------
    paths, subtype
        As written in the end, which differs from what was asked when integers would have clipped.
    switched
        Whether that happened.
    null
        Measured on what was given to the encoder.
    """

    def __init__(
        self,
        paths: dict[str, Path],
        stems: Sequence[str],
        sample_rate_hz: int,
        n_channels: int,
        subtype: str,
        n_samples: int | None,
        tags: Mapping[str, Tags] | None = None,
        channel_mask: int | None = None,
    ) -> None:
        self.paths, self.stems, self.subtype = dict(paths), tuple(stems), subtype
        self.switched, self.null = False, NullMeter()
        self._type = SampleType.of_subtype(subtype)
        self._shape = (sample_rate_hz, n_channels)
        self._tags, self._channel_mask = tags or {}, channel_mask
        self._n_samples, self._n_written = n_samples, 0
        self._writers: dict[str, AudioWriter] = {}

    def __enter__(self) -> StemFiles:
        with contextlib.ExitStack() as stack:
            for stem in self.paths:
                self._writers[stem] = stack.enter_context(self._writer(stem))
            stack.pop_all()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        with contextlib.ExitStack() as stack:
            for writer in self._writers.values():
                stack.push(writer)
            if error is not None:
                for writer in self._writers.values():
                    writer.discard()
                stack.pop_all()

    def write(self, song: Native, instruments: Sequence[Float]) -> list[Native]:
        """Append a block; return the instruments and the rest as they were written.

        Parameters
        ----------
        song
            (n_samples, n_channels) as read from the file.
        instruments
            Of the same shape, float32.
        """
        stems = split(song, instruments, self._type)
        if stems is None:
            self._switch_to_float()
            stems = split(song, instruments, self._type)
        assert stems is not None  # float types never clip
        self.null.add(song, stems)
        for stem, samples in zip(self.stems, stems, strict=True):
            if stem in self._writers:
                self._writers[stem].write(samples)
        self._n_written += len(song)
        return stems

    def _switch_to_float(self) -> None:
        self._type, self.switched = self._type.float_version, True
        self.subtype = "DOUBLE" if self._type.dtype == "float64" else "FLOAT"
        for stem, old in self._writers.items():
            self.paths[stem] = self.paths[stem].with_suffix(".wav")
            new = self._writer(stem)
            new.__enter__()
            self._writers[stem] = new
            old.close()
            if self._n_written:  # libsndfile cannot read a FLAC file without samples
                _copy(old.temporary, new, self._type.dtype)
            old.discard()

    def _writer(self, stem: str) -> AudioWriter:
        tags, mask = self._tags.get(stem), self._channel_mask
        return AudioWriter(self.paths[stem], *self._shape, self.subtype, self._n_samples, tags=tags, channel_mask=mask)


def check_format(extension: str, subtype: str, sample_rate_hz: int, n_channels: int) -> None:
    """Refuse, before any compute, a format that cannot hold the song's rate or channels.

    Raises
    ------
    AudioFileError
    """
    with scratch_folder() as folder:
        try:
            with AudioWriter(folder / f"check.{extension}", sample_rate_hz, n_channels, subtype):
                pass
        except AudioFileError:
            raise AudioFileError(
                f"{extension.upper()} cannot hold {n_channels} channels at {sample_rate_hz} Hz: choose --format wav."
            ) from None


def _copy(source: Path, writer: AudioWriter, dtype: str) -> None:
    with soundfile.SoundFile(source) as file:
        while len(block := file.read(DEFAULT_BLOCK, dtype=dtype, always_2d=True)):
            writer.write(block)
