"""From settings to the two streams of batches that a training reads."""

from __future__ import annotations

from splitstrument.training.augment import AugmentationSettings, make_augmentation, make_joint_augmentation
from splitstrument.training.data.cache import CachedReader
from splitstrument.training.data.chunks import ChunkReader, ChunkSource, SeekingReader
from splitstrument.training.data.reading import Reader, make_reader
from splitstrument.training.data.segments import JointSegmentSource, SegmentSource
from splitstrument.training.data.stem_tracks import StemTrack
from splitstrument.training.data.stream import Source, Stream, Streams
from splitstrument.training.data.tracks import TrackSets
from splitstrument.training.mixing import MixingSettings
from splitstrument.training.settings import TrainingSettings
from splitstrument.user_code import UserCode


def open_streams(settings: TrainingSettings, tracks: TrackSets, code: UserCode | None = None) -> Streams:
    """Make both streams, with complex spectrograms where the loss wants them; `code` is the user's own."""
    from splitstrument.network.losses.registry import needs_phase  # here: it needs Keras

    return streams_of(settings, tracks, needs_phase(settings.loss.name, code))


def streams_of(settings: TrainingSettings, tracks: TrackSets, phase: bool) -> Streams:
    """As `open_streams`, for a loss that wants the phase or not, without asking it."""
    reader = make_reader(settings.data.reader)
    if settings.data.source == "stems":
        return _stem_streams(settings, tracks, reader)
    chunks: ChunkReader = (
        CachedReader(settings.model, reader, phase, settings.data.cache)
        if settings.data.cache
        else SeekingReader(settings.model, reader, phase)
    )
    if settings.data.source == "joint":
        return _joint_streams(settings, tracks, reader, phase)
    if settings.data.source == "segments":
        training = _segments(settings, tracks, reader, phase)
    elif settings.data.place == "device":
        training = _device_chunks(settings, tracks, reader, phase)
    else:
        training = _stream(ChunkSource(tracks.training, settings, chunks), settings, phase, settings.steps_per_epoch)
    validation = ChunkSource(tracks.validation, settings, chunks, shuffle=False) if tracks.validation else None
    return Streams(training, _stream(validation, settings, phase, None) if validation else None)


def _segments(settings: TrainingSettings, tracks: TrackSets, reader: Reader, phase: bool) -> Stream:
    """Random segments of one instrument or of two, made where the settings say."""
    if settings.data.place == "device":
        from splitstrument.training.data.device import DeviceSource, DeviceStream  # it needs Keras

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


def _device_chunks(settings: TrainingSettings, tracks: TrackSets, reader: Reader, phase: bool) -> Stream:
    """The thesis's chunks, cut on the device."""
    from splitstrument.training.data.device import DeviceStream  # it needs Keras
    from splitstrument.training.data.device_chunks import DeviceChunkSource

    source = DeviceChunkSource(tracks.training, settings, reader, phase)
    steps = min(settings.steps_per_epoch or source.steps_per_epoch, source.steps_per_epoch)
    return DeviceStream(source, settings.model, settings.data, phase, steps)


def _stem_streams(settings: TrainingSettings, tracks: TrackSets, reader: Reader) -> Streams:
    """Both streams of a training on stem sets; validation is a fixed draw of segments as they are."""
    from splitstrument.training.data.stem_source import StemSource, StemStream

    def stream(side: tuple[StemTrack, ...], ours: TrainingSettings) -> Stream:
        source = StemSource(side, ours, reader)
        return StemStream(source, settings.model, settings.data, False, source.steps_per_epoch)

    training = stream(tracks.training, settings)
    as_they_are = {"mixing": MixingSettings(), "steps_per_epoch": _validation_steps(settings)}
    fixed = settings.model_copy(update=as_they_are)
    return Streams(training, stream(tracks.validation, fixed) if tracks.validation else None)


def _validation_steps(settings: TrainingSettings) -> int | None:
    """Batches of a fixed draw of validation segments; None is as many as hold the audio once."""
    chunks = settings.data.validation_chunks
    return max(1, chunks // settings.batch_size) if chunks else None


def _joint_streams(settings: TrainingSettings, tracks: TrackSets, reader: Reader, phase: bool) -> Streams:
    """Both streams of a joint training; validation is a fixed draw of segments as they are."""
    training = _segments(settings, tracks, reader, phase)
    if not tracks.validation:
        return Streams(training, None)
    as_they_are = make_joint_augmentation(AugmentationSettings(), settings.model.spectrogram.sample_rate_hz)
    fixed = settings.model_copy(update={"steps_per_epoch": _validation_steps(settings)})
    validation = JointSegmentSource(tracks.validation, fixed, reader, as_they_are, phase)
    return Streams(training, _stream(validation, settings, phase, None))


def _stream(source: Source, settings: TrainingSettings, phase: bool, steps: int | None) -> Stream:
    """A stream whose epochs have `steps` steps, or all there are."""
    steps = min(steps, source.steps_per_epoch) if steps else source.steps_per_epoch
    return Stream(source, settings.model, settings.data, phase, steps)
