"""Random segments: stretches of audio drawn anywhere in any track, augmented, then transformed.

The draws of a batch are a function of seed, epoch and step alone, so that a training can be resumed anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from splitstrument.network.settings import ModelSettings
from splitstrument.spectrogram import frames_stft
from splitstrument.training.data.examples import ALL, Float, joint_planes_of, planes_of
from splitstrument.training.data.reading import Reader, read_resampled
from splitstrument.training.data.stem_tracks import StemTrack
from splitstrument.training.data.tracks import JointTrack, Track
from splitstrument.training.settings import TrainingSettings

SEGMENT_STREAM = 3


class SegmentSource:
    """Random segments of some tracks, batch by batch.

    A dataset is drawn by its ratio, a track of it by its length, and a start anywhere in the track.
    """

    def __init__(
        self,
        tracks: tuple[Track, ...],
        settings: TrainingSettings,
        reader: Reader,
        augmentation: Callable[..., tuple[Float, ...]],
        phase: bool,
    ) -> None:
        self.tracks, self.reader, self.augmentation, self.phase = tracks, reader, augmentation, phase
        self.seed, self.batch_size, self.model = settings.seed, settings.batch_size, settings.model
        self.n_samples = segment_samples(settings.model)
        self.probabilities = track_probabilities(tracks, settings)
        self.steps_per_epoch = steps_that_hold(tracks, settings)

    def planes(self, epoch: int, step: int, rows: slice = ALL) -> Float:
        """Planes of one batch, or of some rows of it: (batch, n_planes, n_bins, n_frames).

        All rows are drawn and augmented in any case, since they draw from one generator and lend each other their rest.
        """
        instrument, rest = (side[rows] for side in self.segments(epoch, step))
        return planes_of(self._stft(instrument), self._stft(rest), self.model.network.outputs, self.phase)

    def segments(self, epoch: int, step: int) -> tuple[Float, ...]:
        """Augmented waveforms of one batch: instrument (or both instruments) and rest, each (batch, n_samples)."""
        rng = np.random.default_rng([self.seed, epoch, SEGMENT_STREAM, step])
        drawn = rng.choice(len(self.tracks), size=self.batch_size, p=self.probabilities)
        pairs = [self._read(self.tracks[index], rng) for index in drawn]
        return self.augmentation(*(np.stack(side) for side in zip(*pairs, strict=True)), rng)

    def _read(self, track: Track, rng: np.random.Generator) -> tuple[Float, ...]:
        """All sides from a random start, each (n_samples,)."""
        start = self._start(track, rng)
        return sides_of(track, self.reader, start, self.n_samples, self.model.spectrogram.sample_rate_hz)

    def _start(self, track: Track, rng: np.random.Generator) -> int:
        """A sample of the track, at its own rate, from which a whole segment follows."""
        rate_hz = self.model.spectrogram.sample_rate_hz
        n_source = -(-self.n_samples * track.info.sample_rate_hz // rate_hz)
        return int(rng.integers(max(1, track.info.n_samples - n_source + 1)))

    def _stft(self, audio: Float):
        """(batch, n_samples) to (batch, n_bins, n_frames): the batch takes the place of channels."""
        spectrogram = self.model.spectrogram
        return frames_stft(np.ascontiguousarray(audio.T), spectrogram.n_fft, spectrogram.hop)


class JointSegmentSource(SegmentSource):
    """Random segments for two instruments at once: each, and the rest of both.

    A song without a pair of one of them counts as silent in it; what the corpus maker found too little to make a pair
    of stays in the rest.
    """

    def planes(self, epoch: int, step: int, rows: slice = ALL) -> Float:
        """Planes of one batch, or of some rows of it: (batch, n_planes, n_bins, n_frames)."""
        first, second, rest = (self._stft(source[rows]) for source in self.segments(epoch, step))
        return joint_planes_of(first, second, rest, self.phase)


def segment_samples(model: ModelSettings) -> int:
    """Samples that the frames of one chunk cover."""
    return (model.n_frames - 1) * model.spectrogram.hop + model.spectrogram.n_fft


def steps_that_hold(tracks: Sequence[Track | StemTrack], settings: TrainingSettings) -> int:
    """Steps per epoch as set, or as many batches as hold the audio once."""
    if settings.steps_per_epoch:
        return settings.steps_per_epoch
    segment_s = segment_samples(settings.model) / settings.model.spectrogram.sample_rate_hz
    return max(1, int(sum(track.info.duration_s for track in tracks) / segment_s / settings.batch_size))


def joint(settings: TrainingSettings) -> bool:
    """Whether two instruments are learned at once."""
    return settings.data.source == "joint"


def sides_of(track: Track, reader: Reader, start: int, n_samples: int, rate_hz: int) -> tuple[Float, ...]:
    """A stretch of each side of a track, (n_samples,) at `rate_hz`: instrument and rest.

    Of a `JointTrack`, which all tracks of a joint training are, both instruments and the rest of both; `start` counts
    samples of the files' own rate.
    """

    def stretch(path: Path) -> Float:
        return read_resampled(reader, path, track.info, start, n_samples, rate_hz)

    if not isinstance(track, JointTrack):
        return stretch(track.pair.instrument), stretch(track.pair.rest)
    silence = np.zeros(n_samples, np.float32)
    first, second = (stretch(pair.instrument) if pair else silence for pair in track.pairs)
    rest = stretch(track.pair.rest)  # of the first pair there is
    return first, second, rest - second if track.pairs[0] else rest


def track_probabilities(tracks: Sequence[Track | StemTrack], settings: TrainingSettings) -> np.ndarray:
    """Chance of each track: its dataset's ratio, times its share of the dataset's duration."""
    durations = np.array([track.info.duration_s for track in tracks])
    datasets = np.array([track.dataset for track in tracks])
    totals = np.bincount(datasets, durations, minlength=len(settings.datasets))
    ratios = np.array([source.ratio for source in settings.datasets])
    weights = ratios[datasets] * durations / totals[datasets]
    return weights / weights.sum()
