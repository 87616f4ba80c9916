"""Where a training's examples come from, and how they are cut: part of `splitstrument.training.settings`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from splitstrument.settings import Settings


class DatasetSource(Settings):
    """One dataset of instrument/rest pairs.

    Attributes
    ----------
    path
        Its folder; relative paths count from the working folder, then from the folder above the recipe's.
    second_path
        Pairs of a second instrument from the same songs, for source ``joint``; a song may be in either folder or in
        both. Output 1 of the network extracts it, and ``--dataset NAME.second=PATH`` finds it elsewhere. A dataset
        without it has no song with that instrument.
    name
        What tables and ``--dataset NAME=PATH`` call it; the last part of `path` unless set.
    ratio
        Share among the datasets: of tracks for source ``chunks`` (the thesis's rule), of draws for ``segments``.
    tracks
        Take only these tracks.
    exclude
        Leave these tracks out: how a recipe holds out evaluation tracks by name.
    role
        ``both``: the first `validation_ratio` of the tracks by MD5 validate, the others train; ``training`` and
        ``validation`` give the whole dataset to one side.
    """

    path: str = Field(min_length=1)
    second_path: str | None = None
    name: str | None = None
    ratio: float = Field(1.0, gt=0)
    tracks: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    role: Literal["both", "training", "validation"] = "both"

    @property
    def label(self) -> str:
        """Name for tables and messages."""
        return self.name or self.path.rstrip("/").rsplit("/", 1)[-1]

    @property
    def second(self) -> DatasetSource | None:
        """The pairs of the second instrument as a dataset of their own, ``NAME.second``."""
        if self.second_path is None:
            return None
        return self.model_copy(update={"name": f"{self.label}.second", "path": self.second_path, "second_path": None})


class DataSettings(Settings):
    """How examples are cut from the tracks.

    Attributes
    ----------
    source
        ``chunks``: the thesis's chunks, side by side over every track; ``segments``: as many random segments as the
        steps ask for, augmented before the STFT; ``joint``: such segments for two instruments at once, which share
        the network but for its last layer; ``stems``: segments of songs that are mixed anew from stem sets, in stereo,
        for any number of instruments (`MixingSettings` says how).
    place
        Where examples are made: from ``files``, as they are needed, by the processor; or on the ``device`` that
        trains, in whose memory all audio of the training then lies (16 bits, 0.16 GB an hour and side at 22.05 kHz):
        for graphics cards, which no processor can keep busy.
    track_limit
        At most this many tracks in all, validation included; null is all (``chunks`` only).
    chunks_per_track
        A fresh random subset of this many chunks of a track per epoch, scaled by 1536 / n_fft as in the thesis; null
        is all.
    chunk_step
        Frames from one chunk to the next; null is the chunk's length.
    order
        ``listed``: dataset by dataset, tracks by MD5, chunks shuffled inside a track, as in the thesis; ``md5``: the
        tracks of all datasets together by MD5; ``shuffled``: chunks shuffled across all tracks.
    cache
        Folder for spectrograms computed once; entries are found by the content of the audio. Null computes each chunk
        from the audio file when it is needed.
    reader
        Who decodes: soundfile, or tensorflow-io (extra ``tfio``).
    backend
        ``tf.data``, or ``threads`` for trainings on JAX or PyTorch; ``auto`` takes tf.data where the network computes
        with TensorFlow. The batches are the same.
    workers
        Batches prepared in parallel.
    validation_chunks
        Validate on at most this many chunks, spread evenly over the validation tracks; null is all.
    """

    source: Literal["chunks", "segments", "joint", "stems"] = "chunks"
    place: Literal["files", "device"] = "files"
    track_limit: int | None = Field(None, ge=1)
    chunks_per_track: int | None = Field(None, ge=1)
    chunk_step: int | None = Field(None, ge=1)
    order: Literal["listed", "md5", "shuffled"] = "listed"
    cache: str | None = None
    reader: Literal["soundfile", "tfio"] = "soundfile"
    backend: Literal["auto", "tf.data", "threads"] = "auto"
    workers: int = Field(2, ge=1, le=256)
    prefetch: int = Field(4, ge=1, le=256)
    validation_chunks: int | None = Field(None, ge=1)
