"""Random segments made where the network trains: all audio lies in the memory of the graphics card.

A graphics card trains a small network on hours of music in a second, and no processor decodes, augments and transforms
segments as fast as that. Here the processor draws (where, how fast, how loud ...: a few numbers for each segment), and
the card plays, distorts, transforms and adds up. Batches are those of `splitstrument.training.data.segments` and
`splitstrument.training.augment`, but for these:

- a segment that is remixed or doubled takes its other side from anywhere in the dataset, not from its neighbour;
- speed changes by an interpolation of `TAPS` points, which costs some treble above two thirds of the band and lets what
  a faster segment pushes beyond it fold back: little at the 0.1 of the recipes, too much at 0.5;
- filters act on the STFT, as gains of its bins.

Written with `keras.ops`, so that every backend computes the same; JAX and TensorFlow compile it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from splitstrument.errors import SettingsError
from splitstrument.progress import progress
from splitstrument.spectrogram import hann
from splitstrument.training import augment
from splitstrument.training.data.examples import Batch
from splitstrument.training.data.loader import threaded_batches
from splitstrument.training.data.reading import Reader
from splitstrument.training.data.segments import (
    SEGMENT_STREAM,
    joint,
    segment_samples,
    sides_of,
    steps_that_hold,
    track_probabilities,
)
from splitstrument.training.data.stream import Stream
from splitstrument.training.data.tracks import Track
from splitstrument.training.settings import TrainingSettings

Draw = dict[str, NDArray[Any]]

FULL_SCALE = 32768.0  # audio is kept in 16 bits
BLOCK = 512  # samples whose positions are counted from a start in double precision
TAPS = 8
FAR_ABOVE_HZ = 1e9
LARGEST_INDEX = 2**31 - 1


class DeviceSource:
    """Random segments of some tracks, batch by batch, as a function of seed, epoch and step alone.

    Raises
    ------
    SettingsError
        If hop_length does not divide n_fft, or the tracks have more samples than 32 bits can count.
    """

    def __init__(self, tracks: tuple[Track, ...], settings: TrainingSettings, reader: Reader, phase: bool) -> None:
        self.settings, self.phase = settings, phase
        spectrogram = settings.model.spectrogram
        if spectrogram.n_fft % spectrogram.hop:
            raise SettingsError(
                f"Setting data.place: device needs a hop_length that divides n_fft; {spectrogram.hop} does not divide "
                f"{spectrogram.n_fft}."
            )
        self.n_samples = segment_samples(settings.model)
        self.probabilities = track_probabilities(tracks, settings)
        self.steps_per_epoch = steps_that_hold(tracks, settings)
        self.n_needed = int(self.n_samples * (1 + settings.augmentation.speed)) + TAPS
        self.tracks, self.reader = tracks, reader
        rate_hz = spectrogram.sample_rate_hz
        self.lengths = np.array([_n_samples_at(track, rate_hz) for track in tracks])
        rooms = np.maximum(self.lengths, self.n_needed) + TAPS
        *starts, self.n_audio = TAPS + np.concatenate([[0], np.cumsum(rooms)])
        if self.n_audio > LARGEST_INDEX:
            raise SettingsError(
                f"Setting data.place: device counts samples in 32 bits, {LARGEST_INDEX / rate_hz / 3600:.0f} hours: "
                f"use fewer tracks. Received: {self.n_audio / rate_hz / 3600:.0f} hours."
            )
        self.starts = np.array(starts)
        self._compiled = compiled(self._make)

    def batch(self, epoch: int, step: int) -> dict[str, Any]:
        """One batch, as `splitstrument.network.losses.registry` describes it."""
        return self._compiled(self.audio, self.draw(epoch, step))

    def draw(self, epoch: int, step: int) -> Draw:
        """All random numbers of one batch."""
        rng = np.random.default_rng([self.settings.seed, epoch, SEGMENT_STREAM, step])
        return Drawing(self, rng).draw()

    @property
    def n_sides(self) -> int:
        """Instruments and the rest."""
        return 3 if joint(self.settings) else 2

    @cached_property
    def audio(self) -> list[Any]:
        """All samples of each side, track behind track with silence between them; read when the first batch is made."""
        rate_hz = self.settings.model.spectrogram.sample_rate_hz
        sides = np.zeros((self.n_sides, self.n_audio + 2 * BLOCK), np.int16)  # whole blocks are read

        def fill(index: int) -> None:
            start, length = self.starts[index], self.lengths[index]
            read = sides_of(self.tracks[index], self.reader, 0, length, rate_hz)
            for side, samples in zip(sides, read, strict=True):
                side[start : start + length] = np.clip(np.round(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1)

        with (
            ThreadPoolExecutor(self.settings.data.workers) as pool,
            progress("reading", len(self.tracks), "tracks") as advance,
        ):
            try:
                for _ in pool.map(fill, range(len(self.tracks))):
                    advance(1)
            except BaseException:  # Ctrl-C as well: do not read all others first
                pool.shutdown(cancel_futures=True)
                raise
        return [ops.convert_to_tensor(side) for side in sides]

    def _make(self, audio: list[Any], draw: dict[str, Any]) -> dict[str, Any]:
        """From drawn numbers to the batch."""
        sides = [self._side(side, index, draw) for index, side in enumerate(audio)]
        real, imaginary = (sum(side[part] for side in sides) for part in range(2))
        outputs = self.settings.model.network.outputs
        targets = [*sides[:-1], (real - sides[0][0], imaginary - sides[0][1])][:outputs]
        mixture = _magnitude(real, imaginary)
        batch = {
            "mixture": mixture[..., None],
            "target": ops.stack([_magnitude(*target) for target in targets], axis=-1),
        }
        if self.phase:
            stfts = {"mixture_stft": (real, imaginary), "target_stft": targets[0]}
            stfts |= {"second_stft": targets[1]} if joint(self.settings) else {}
            batch |= {name: ops.stack(stft, axis=-1) for name, stft in stfts.items()}
        if self.settings.model.normalisation == "none":
            return batch
        largest = ops.max(mixture, axis=(1, 2))[:, None, None, None]
        scale = ops.where(largest > 0, largest, 1.0)
        return {name: value / scale for name, value in batch.items()}

    def _side(self, audio: Any, index: int, draw: dict[str, Any]) -> tuple[Any, Any]:
        """Real and imaginary part (batch, n_bins, n_frames) of one side as it is in the mixture."""
        wave = self._played(audio, draw, index)
        if f"double_{index}" in draw:
            wave += draw[f"double_{index}"][:, None] * self._played(audio, draw, self.n_sides + index)
        if "drive" in draw:
            wave = _overdriven(wave, draw["drive"][index], draw["bias"][index])
        gains = ops.exp(ops.matmul(draw["nodes_db"][index], self._curves) * (np.log(10) / 20))
        # 1 / (1 + (f / low_pass) ^ order), whose powers a float32 cannot hold
        gains = gains * ops.sigmoid(augment.LOW_PASS_ORDER * (draw["low_pass"][:, None] - self._log_hertz))
        gains = (gains * draw["level"][index][:, None])[..., None]
        real, imaginary = self._stft(wave)
        return real * gains, imaginary * gains

    def _played(self, audio: Any, draw: dict[str, Any], voice: int) -> Any:
        """A stretch (batch, n_samples) of every segment, at its speed."""
        inner = np.arange(BLOCK, dtype=np.float32)
        position = draw["fraction"][voice][..., None] + inner * draw["speed"][voice][:, None, None]
        whole = ops.floor(position)
        index = draw["base"][voice][..., None] + ops.cast(whole, "int32")
        part = position - whole
        taps = range(1 - TAPS // 2, 1 + TAPS // 2)
        played = sum(ops.cast(ops.take(audio, index + tap), "float32") * _kernel(part - tap) for tap in taps)
        return ops.reshape(played, (len(index), -1))[:, : self.n_samples] / FULL_SCALE

    def _stft(self, wave: Any) -> tuple[Any, Any]:
        """As `splitstrument.spectrogram.frames_stft`: two of (batch, n_bins, n_frames)."""
        spectrogram = self.settings.model.spectrogram
        hop_length, n_frames = spectrogram.hop, self.settings.model.n_frames
        pieces = ops.reshape(wave, (len(wave), -1, hop_length))
        frames = ops.concatenate([pieces[:, i : i + n_frames] for i in range(spectrogram.n_fft // hop_length)], axis=-1)
        return tuple(ops.transpose(part, (0, 2, 1)) for part in ops.rfft(frames * hann(spectrogram.n_fft)))

    @cached_property
    def _log_hertz(self) -> NDArray[np.float32]:
        """Logarithm of every bin's frequency; that of 1 Hz for the lowest."""
        spectrogram = self.settings.model.spectrogram
        hertz = np.fft.rfftfreq(spectrogram.n_fft, 1 / spectrogram.sample_rate_hz)
        return np.log(np.maximum(hertz, 1.0)).astype(np.float32)

    @cached_property
    def _curves(self) -> NDArray[np.float32]:
        """(nodes, n_bins): what each node of the equalizer adds to each bin, by linear interpolation."""
        nodes = np.log(augment.EQ_NODES_HZ)
        return np.stack([np.interp(self._log_hertz, nodes, row) for row in np.eye(len(nodes))]).astype(np.float32)


class Drawing:
    """The random numbers of one batch, in the distributions of `splitstrument.training.augment`."""

    def __init__(self, source: DeviceSource, rng: np.random.Generator) -> None:
        self.source, self.rng, self.settings = source, rng, source.settings.augmentation
        self.size, self.sides = source.settings.batch_size, source.n_sides

    def draw(self) -> Draw:
        """Sources first, then sounds, then levels, then what is there at all."""
        settings, shape = self.settings, (self.sides, self.size)
        apart = self.rng.random(shape) < settings.remix
        apart[0] = False
        factors = self.rng.uniform(1 - settings.speed, 1 + settings.speed, shape)
        speed = np.where(apart, factors, factors[0])
        places = np.where(apart, self._places((self.sides,)), self._places(()))
        draw: Draw = {}
        if settings.double:
            places = np.concatenate([places, self._places((self.sides - 1,))])
            speed = np.concatenate([speed, speed[:-1]])
            for index in range(self.sides - 1):
                doubled = self.rng.random(self.size) < settings.double
                gains = augment.from_db(self.rng.uniform(*augment.DOUBLE_DB, self.size))
                draw[f"double_{index}"] = np.where(doubled, gains, 0)
        if settings.drive or settings.drive_rest:
            share = np.array([settings.drive] * (self.sides - 1) + [settings.drive_rest])[:, None]
            amount = augment.from_db(self.rng.uniform(*augment.DRIVE_DB, shape))
            draw["drive"] = np.where(self.rng.random(shape) < share, amount, 0)
            draw["bias"] = self.rng.uniform(0, augment.DRIVE_BITE, shape)
        most_db = settings.equalizer_db
        draw["nodes_db"] = self.rng.uniform(-most_db, most_db, (*shape, len(augment.EQ_NODES_HZ)))
        low_pass_hz = augment.low_pass(settings.low_pass, self.size, self.rng)
        draw["low_pass"] = np.log(np.minimum(low_pass_hz, FAR_ABOVE_HZ))
        draw["level"] = self._levels() * self._kept()
        draw["speed"] = speed
        single = {name: values.astype(np.float32) for name, values in draw.items()}
        return single | self._positions(places, speed)

    def _places(self, sides: tuple[int, ...]) -> NDArray[np.int64]:
        """Random places in random tracks: (*sides, batch) samples into the audio."""
        source = self.source
        tracks = self.rng.choice(len(source.lengths), size=(*sides, self.size), p=source.probabilities)
        last = np.maximum(0, source.lengths[tracks] - source.n_needed)
        return source.starts[tracks] + self.rng.integers(last + 1)

    def _positions(self, places: NDArray[np.int64], speed: NDArray) -> Draw:
        """Return the start of each block of each voice: a whole sample, and the fraction left."""
        blocks = np.arange(-(-self.source.n_samples // BLOCK)) * BLOCK
        ahead = blocks * speed[..., None]  # in double precision: a float32 counts no fractions far from the start
        whole = np.floor(ahead)
        base = (places[..., None] + whole).astype(np.int32)
        return {"base": base, "fraction": (ahead - whole).astype(np.float32)}

    def _levels(self) -> NDArray:
        """Gain and polarity of the instruments; the rest stays."""
        levels = np.ones((self.sides, self.size))
        for row in levels[:-1]:
            row *= augment.from_db(self.rng.uniform(-self.settings.gain_db, self.settings.gain_db, self.size))
            row *= augment.signs(self.size, self.settings.polarity, self.rng)
        return levels

    def _kept(self) -> NDArray:
        """1 for the sides that are there, 0 for those that are silenced."""
        ones, shares = np.ones((self.size, 1), np.float32), (self.settings.absent, self.settings.solo)
        if self.sides == 2:
            return np.stack(augment.keep(ones, ones, *shares, self.rng))[..., 0]
        return np.stack(augment.keep_joint(ones, ones, ones, *shares, self.rng))[..., 0]


@dataclass(frozen=True)
class DeviceStream(Stream):
    """Batches of a `DeviceSource`, always whole ones."""

    source: DeviceSource  # type: ignore[assignment]  # makes batches, not planes

    def batch(self, index: int) -> Batch:
        """Make batch `index` and bring it to the processor."""
        return {name: ops.convert_to_numpy(value) for name, value in self._on_device(index).items()}

    def batches(self, start: int, stop: int, stride: int = 1) -> Iterator[dict[str, Any]]:
        """Batches as tensors, one ahead of the network, so that the card need not wait for the draws."""
        numbers = range(start, stop, stride)
        one_ahead = self.data.model_copy(update={"workers": 1, "prefetch": 1})
        return threaded_batches(lambda index: self._on_device(numbers[index]), 0, len(numbers), one_ahead)

    def _on_device(self, index: int) -> dict[str, Any]:
        return self.source.batch(*divmod(index, self.steps_per_epoch))


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of tensors where the backend can; elsewhere it runs as it is."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.jit(function)
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function)
    return lambda audio, draw: function(audio, {name: ops.convert_to_tensor(value) for name, value in draw.items()})


def _n_samples_at(track: Track, rate_hz: int) -> int:
    return track.info.n_samples * rate_hz // track.info.sample_rate_hz


def _kernel(distance: Any) -> Any:
    """Windowed sinc at a `distance` in samples from a point."""
    angle = distance * np.float32(np.pi)
    near = ops.abs(distance) < 1e-4
    sinc = ops.where(near, 1.0, ops.sin(angle) / ops.where(near, 1.0, angle))
    return sinc * ops.square(ops.cos(angle / TAPS))


def _overdriven(wave: Any, drive: Any, bias: Any) -> Any:
    """`augment.overdrive` of the segments whose drive is not 0."""
    peak = ops.max(ops.abs(wave), axis=1, keepdims=True)
    driven = ops.tanh(wave * (drive[:, None] / ops.maximum(peak, 1e-9)) + bias[:, None]) - ops.tanh(bias)[:, None]
    driven = driven - ops.mean(driven, axis=1, keepdims=True)
    energy, before = (ops.sum(ops.square(each), axis=1, keepdims=True) for each in (driven, wave))
    chosen = (drive[:, None] > 0) & (energy > 0)
    return ops.where(chosen, driven * ops.sqrt(before / ops.where(chosen, energy, 1.0)), wave)


def _magnitude(real: Any, imaginary: Any) -> Any:
    return ops.sqrt(ops.square(real) + ops.square(imaginary))
