"""From a song file to the files of its instrument and rest, block by block.

The outputs have the song's sample rate, length, channels and sample type; instrument + rest is the song (exactly, for
integer formats). A sidecar beside them says what made them, enough for `rerun_sidecar` to make the same bytes again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from splitstrument.audio import DEFAULT_BLOCK, open_audio
from splitstrument.errors import AudioFileError
from splitstrument.files import sha256_of
from splitstrument.model_folder import ModelFolder
from splitstrument.network.settings import ModelSettings
from splitstrument.separation.activity import Activity, ActivityMeter, warnings_of
from splitstrument.separation.options import SeparationOptions
from splitstrument.separation.outputs import (
    LOSSY,
    StemFiles,
    check_format,
    check_pattern,
    output_path,
    output_subtype,
    remove_empty_folders,
)
from splitstrument.separation.pipeline import (
    LoadedModel,
    MaskStream,
    Progress,
    Report,
    SongSeparation,
    load_model,
    network_masks,
)
from splitstrument.separation.result import ModelIdentity, SeparatedSong, write_sidecar
from splitstrument.separation.samples import to_float32
from splitstrument.separation.song_reader import SongPart, part_of, warnings_of_length
from splitstrument.separation.stored_mask import MaskHeader, MaskWriter, read_header, stored_masks
from splitstrument.spectrogram import Complex
from splitstrument.streams import ArrayQueue


def separate_file(
    song: str | Path,
    folder: str | Path,
    model: str | Path | ModelFolder | LoadedModel = "guitar",
    options: SeparationOptions | None = None,
    progress: Progress | None = None,
    block_size: int = DEFAULT_BLOCK,
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

    Raises
    ------
    AudioFileError, ModelError, SettingsError
        Before any compute where possible. Nothing is left half-written.
    CancelledError
        If `progress` returned False.
    """
    options = options or SeparationOptions()
    loaded = load_model(model, options.engine, options.threads)
    options = options.resolved(loaded.settings)
    identity = ModelIdentity.of(loaded.folder, loaded.engine.name)
    masks = network_masks(loaded, options)
    return _Job(Path(song), Path(folder), loaded.settings, identity, masks, options).run(progress, block_size)


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
    if sha256_of(song) != header.song_sha256:
        raise AudioFileError(f"{mask} is the mask of another song than {song}: separate that song first.")
    part = {"start_s": header.start_s, "duration_s": header.duration_s, "keep_mask": False}
    options = (options or SeparationOptions()).model_copy(update=part)
    identity = ModelIdentity(header.model_name, None, header.model_files, "stored mask")
    job = _Job(Path(song), Path(folder), header.model, identity, stored_masks(mask), options)
    return job.run(progress, DEFAULT_BLOCK)


@dataclass(frozen=True)
class _Job:
    song: Path
    folder: Path
    model: ModelSettings
    identity: ModelIdentity
    masks: Callable[[Iterator[Complex]], MaskStream]
    options: SeparationOptions

    def run(self, progress: Progress | None, block_size: int) -> SeparatedSong:
        started = time.perf_counter()
        check_pattern(self.options.filename)
        with open_audio(self.song) as file:
            part = part_of(file, self.song, self.options)
            subtype = output_subtype(self.options.format, file.subtype)
            check_format(self.options.format, subtype, file.samplerate, file.channels)
            report = Report(progress, part.n_samples, file.samplerate)
            mask = self._mask_writer() if self.options.keep_mask else None
            paths: dict[str, Path] = {stem: self._path(stem, self.options.format) for stem in self.options.stems}
            stems = StemFiles(paths, file.samplerate, file.channels, subtype, part.n_samples)
            # whatever goes wrong, the files come to nothing before their folder is looked at
            with remove_empty_folders(self._path("separation", "json").parent), stems, mask or contextlib.nullcontext():
                n_samples, activity = self._stream(part, stems, mask, report, block_size)
            result = self._result(stems, activity, n_samples, mask, started, part)
        write_sidecar(result, self.identity, self.options, sha256_of(self.song))
        return result

    def _stream(
        self, part: SongPart, stems: StemFiles, mask: MaskWriter | None, report: Report, block_size: int
    ) -> tuple[int, Activity]:
        """Run the song through the pipeline; returns the number of samples and the activity."""
        waiting, meter, n_samples = ArrayQueue(), ActivityMeter(part.file.samplerate), 0

        def floats() -> Iterator[np.ndarray]:
            for block in part.blocks(block_size):
                waiting.push(block)
                yield to_float32(block)

        separation = SongSeparation(
            floats(),
            part.file.channels,
            part.file.samplerate,
            self.model,
            self.masks,
            self.options,
            mask.add if mask else None,
        )
        with contextlib.closing(separation.instrument_blocks()) as blocks:
            for instrument in blocks:
                written = stems.write(waiting.pop(len(instrument)), instrument)
                meter.add(*map(to_float32, written))
                n_samples += len(instrument)
                report(len(instrument))
        return n_samples, meter.finish(separation.certainty.value)

    def _result(
        self,
        stems: StemFiles,
        activity: Activity,
        n_samples: int,
        mask: MaskWriter | None,
        started: float,
        part: SongPart,
    ) -> SeparatedSong:
        warnings = warnings_of(activity, self.model.target) + warnings_of_length(part, n_samples)
        if stems.switched:
            warnings.append(f"Integers would have clipped, so the stems were written as {stems.subtype} WAV.")
        return SeparatedSong(
            song=self.song,
            track=self.song.stem,
            instrument=stems.paths.get("instrument"),
            rest=stems.paths.get("rest"),
            mask=mask.path if mask else None,
            sidecar=self._path("separation", "json"),
            sample_rate_hz=part.file.samplerate,
            n_samples=n_samples,
            n_channels=part.file.channels,
            subtype=stems.subtype,
            null_db=None if self.options.format in LOSSY else stems.null.db,
            activity=activity,
            warnings=warnings,
            elapsed_s=time.perf_counter() - started,
        )

    def _mask_writer(self) -> MaskWriter:
        def header(n_views: int) -> MaskHeader:
            return MaskHeader(
                song_sha256=sha256_of(self.song),
                start_s=self.options.start_s,
                duration_s=self.options.duration_s,
                model_name=self.identity.name,
                model_files=self.identity.files,
                model=self.model,
                n_views=n_views,
            )

        return MaskWriter(self._path("mask", "zip"), header)

    def _path(self, stem: str, extension: str) -> Path:
        return output_path(self.folder, self.options.filename, self.song, self.identity.name, stem, extension)
