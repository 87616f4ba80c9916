"""From a song file to the files of its instruments and rest, block by block.

The outputs have the song's sample rate, length, channels and sample type; instruments + rest are the song (exactly, for
integer formats). A sidecar beside them says what made them, enough for `rerun_sidecar` to make the same bytes again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from splitstrument.audio import DEFAULT_BLOCK, open_audio
from splitstrument.errors import AudioFileError
from splitstrument.files import sha256_of
from splitstrument.model_folder import ModelFolder
from splitstrument.recognition.listen import Listener
from splitstrument.recognition.timeline import Timeline
from splitstrument.separation.activity import Activity
from splitstrument.separation.options import SeparationOptions
from splitstrument.separation.outputs import (
    LOSSY,
    MASK,
    SIDECAR,
    StemFiles,
    check_format,
    check_pattern,
    output_paths,
    output_subtype,
    remove_empty_folders,
)
from splitstrument.separation.pipeline import LoadedModel, Progress, load_model
from splitstrument.separation.result import SeparatedSong, write_sidecar
from splitstrument.separation.separator import Separator, SongStream
from splitstrument.separation.song_reader import SongPart, part_of, warnings_of_length
from splitstrument.separation.stored_mask import MaskHeader, MaskWriter, read_header


def separate_file(
    song: str | Path,
    folder: str | Path,
    model: str | Path | ModelFolder | LoadedModel = "guitar",
    options: SeparationOptions | None = None,
    progress: Progress | None = None,
    block_size: int = DEFAULT_BLOCK,
    outputs: Mapping[str, Path] | None = None,
) -> SeparatedSong:
    """Separate one file into files.

    Parameters
    ----------
    song
        Any format that libsndfile reads, of any length.
    folder
        Outputs go below this folder, under ``options.filename``; files of that name are replaced.
    model
        A shipped model's name, a path, or a model that is loaded already (`stream.load_model`).
    progress
        Called as ``progress(done_s, total_s)``; False cancels.
    block_size
        Samples that are read at once; the outputs do not depend on it.
    outputs
        Files to write, where a plan has chosen them already (`output_paths`).

    Raises
    ------
    AudioFileError, ModelError, SettingsError
        Before any compute where possible. Nothing is left half-written.
    CancelledError
        If `progress` returned False.
    """
    options = options or SeparationOptions()
    loaded = load_model(model, options.engine, options.threads)
    separator = Separator.by_network(loaded, options)
    return _job(Path(song).expanduser(), Path(folder), separator, outputs).run(progress, block_size)


def reprocess_file(
    song: str | Path,
    mask: str | Path,
    folder: str | Path,
    options: SeparationOptions | None = None,
    progress: Progress | None = None,
) -> SeparatedSong:
    """Separate a song again by its stored mask (``keep_mask``), without the network: for another strength or floor.

    The part of the song, the model and its chunks are the mask's; of `options` the mask processing and the outputs
    count.

    Raises
    ------
    AudioFileError
        If the mask is damaged or belongs to another song.
    """
    header = read_header(mask)
    separator = Separator.by_stored_mask(mask, header, options or SeparationOptions())
    job = _job(Path(song).expanduser(), Path(folder), separator)
    if job.song_sha256 != header.song_sha256:
        raise AudioFileError(f"{mask} is the mask of another song than {song}: separate that song first.")
    return job.run(progress, DEFAULT_BLOCK)


def _job(song: Path, folder: Path, separator: Separator, outputs: Mapping[str, Path] | None = None) -> _Job:
    check_pattern(separator.options.filename)
    outputs = outputs or output_paths(song, folder.expanduser(), separator.identity.name, separator.options)
    return _Job(song, outputs, separator)


@dataclass(frozen=True)
class _Job:
    song: Path
    outputs: Mapping[str, Path]
    separator: Separator

    @property
    def options(self) -> SeparationOptions:
        return self.separator.options

    @cached_property
    def song_sha256(self) -> str:
        return sha256_of(self.song)

    def run(self, progress: Progress | None, block_size: int) -> SeparatedSong:
        started = time.perf_counter()
        with open_audio(self.song) as file:
            part = part_of(file, self.song, self.options)
            subtype = output_subtype(self.options.format, file.subtype)
            shape = (file.sample_rate_hz, file.n_channels)
            check_format(self.options.format, subtype, *shape)
            song = SongStream(part.blocks(block_size), file.n_channels, file.sample_rate_hz, part.estimate)
            mask = self._mask_writer() if self.options.keep_mask else None
            paths = {stem: self.outputs[stem] for stem in self.options.stems or ()}
            tags = {stem: file.tags.for_stem(self._name(stem)) for stem in self.separator.stems}
            stems = StemFiles(paths, self.separator.stems, *shape, subtype, part.estimate, tags, file.channel_mask)
            # whatever goes wrong, the files come to nothing before their folder is looked at
            with (
                contextlib.closing(Listener(file.n_channels, file.sample_rate_hz)) as listener,
                remove_empty_folders(self.outputs[SIDECAR].parent),
                stems,
                mask or contextlib.nullcontext(),
            ):
                on_mask = mask.add if mask else None
                n_samples, activity = self.separator.run(song, stems.write, progress, on_mask, listener.add)
                timeline = listener.finish()
            result = self._result(stems, activity, timeline, n_samples, mask, started, part)
        write_sidecar(result, self.separator.identity, self.options, self.song_sha256)
        return result

    def _result(
        self,
        stems: StemFiles,
        activity: Activity,
        timeline: Timeline,
        n_samples: int,
        mask: MaskWriter | None,
        started: float,
        part: SongPart,
    ) -> SeparatedSong:
        warnings = self.separator.warnings_of(activity, timeline) + warnings_of_length(part, n_samples)
        if stems.switched:
            warnings.append(f"Integers would have clipped, so the stems were written as {stems.subtype} WAV.")
        return SeparatedSong(
            song=self.song,
            track=self.song.stem,
            stems=stems.paths,
            mask=mask.path if mask else None,
            sidecar=self.outputs[SIDECAR],
            sample_rate_hz=part.file.sample_rate_hz,
            n_samples=n_samples,
            n_channels=part.file.n_channels,
            subtype=stems.subtype,
            null_db=None if self.options.format in LOSSY else stems.null.db,
            activity=activity,
            timeline=timeline,
            warnings=warnings,
            elapsed_s=time.perf_counter() - started,
        )

    def _mask_writer(self) -> MaskWriter:
        def header(n_views: int) -> MaskHeader:
            return MaskHeader(
                song_sha256=self.song_sha256,
                start_s=self.options.start_s,
                duration_s=self.options.duration_s,
                model_name=self.separator.identity.name,
                model_files=self.separator.identity.files,
                model=self.separator.model,
                n_views=n_views,
                stems=self.separator.instruments,
            )

        return MaskWriter(self.outputs[MASK], header)

    def _name(self, stem: str) -> str:
        """Return the name of a stem in a title."""
        return self.separator.model.target if stem == "instrument" else stem
