"""From settings to the two streams of batches that a training reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from splitstrument.network.settings import ModelSettings
from splitstrument.training.augment import AugmentationSettings, make_augmentation, make_joint_augmentation
from splitstrument.training.cache import CachedReader
from splitstrument.training.chunks import ChunkReader, ChunkSource, SeekingReader
from splitstrument.training.examples import ALL, Batch, Float, batch_of
from splitstrument.training.loader import load_batches
from splitstrument.training.reading import Reader, make_reader
from splitstrument.training.segments import JointSegmentSource, SegmentSource
from splitstrument.training.settings import DataSettings, TrainingSettings
from splitstrument.training.tracks import TrackSets


class Source(Protocol):
    """Examples of one side, as a function of epoch and step."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches per epoch."""

    def planes(self, epoch: int, step: int, rows: slice = ALL) -> Float:
        """Planes of one batch, or of some rows of it."""


@dataclass(frozen=True)
class Stream:
    """Batches of one side, numbered from 0 over all epochs.

    Attributes
    ----------
    rows
        The part of every batch that is made; all of it unless several processes share it.
    """

    source: Source
    model: ModelSettings
    data: DataSettings
    phase: bool
    steps_per_epoch: int
    rows: slice = field(default_factory=lambda: ALL)

    def batch(self, index: int) -> Batch:
        """Make batch `index` from nothing but the files, as NumPy arrays: what makes resuming exact."""
        planes = self.source.planes(*divmod(index, self.steps_per_epoch), self.rows)
        return batch_of(planes, self.model, self.phase)

    def batches(self, start: int, stop: int, stride: int = 1) -> Iterator[dict[str, Any]]:
        """Every `stride`-th of the batches ``[start, stop)``, prepared ahead in parallel."""
        numbers = range(start, stop, stride)
        return load_batches(lambda index: self.batch(numbers[index]), 0, len(numbers), self.data)


@dataclass(frozen=True)
class Streams:
    """What a training reads; `validation` is None where there are no validation tracks."""

    training: Stream
    validation: Stream | None


def open_streams(settings: TrainingSettings, tracks: TrackSets, phase: bool) -> Streams:
    """Make both streams; `phase` says that the loss wants complex spectrograms."""
    reader = make_reader(settings.data.reader)
    chunks: ChunkReader = (
        CachedReader(settings.model, reader, phase, settings.data.cache)
        if settings.data.cache
        else SeekingReader(settings.model, reader, phase)
    )
    if settings.data.source == "joint":
        return _joint_streams(settings, tracks, reader, phase)
    if settings.data.source == "segments":
        training = _segments(settings, tracks, reader, phase)
    else:
        training = _stream(ChunkSource(tracks.training, settings, chunks), settings, phase, settings.steps_per_epoch)
    validation = ChunkSource(tracks.validation, settings, chunks, shuffle=False) if tracks.validation else None
    return Streams(training, _stream(validation, settings, phase, None) if validation else None)


def _segments(settings: TrainingSettings, tracks: TrackSets, reader: Reader, phase: bool) -> Stream:
    """Random segments of one instrument or of two, made where the settings say."""
    if settings.data.place == "device":
        from splitstrument.training.device import DeviceSource, DeviceStream  # it needs Keras

        device = DeviceSource(tracks.training, settings, reader, phase)
        return DeviceStream(device, settings.model, settings.data, phase, device.steps_per_epoch)
    rate_hz = settings.model.spectrogram.sample_rate_hz
    source: Source
    if settings.data.source == "joint":
        augment = make_joint_augmentation(settings.augmentation, rate_hz)
        source = JointSegmentSource(tracks.training, settings, reader, augment, phase)
    else:
        source = SegmentSource(
            tracks.training, settings, reader, make_augmentation(settings.augmentation, rate_hz), phase
        )
    return _stream(source, settings, phase, settings.steps_per_epoch)


def _joint_streams(settings: TrainingSettings, tracks: TrackSets, reader: Reader, phase: bool) -> Streams:
    """Both streams of a joint training; validation is a fixed draw of segments as they are."""
    training = _segments(settings, tracks, reader, phase)
    if not tracks.validation:
        return Streams(training, None)
    as_they_are = make_joint_augmentation(AugmentationSettings(), settings.model.spectrogram.sample_rate_hz)
    steps = max(1, settings.data.validation_chunks // settings.batch_size) if settings.data.validation_chunks else None
    fixed = settings.model_copy(update={"steps_per_epoch": steps})
    validation = JointSegmentSource(tracks.validation, fixed, reader, as_they_are, phase)
    return Streams(training, _stream(validation, settings, phase, None))


def _stream(source: Source, settings: TrainingSettings, phase: bool, steps: int | None) -> Stream:
    """A stream whose epochs have `steps` steps, or all there are."""
    steps = min(steps, source.steps_per_epoch) if steps else source.steps_per_epoch
    return Stream(source, settings.model, settings.data, phase, steps)
