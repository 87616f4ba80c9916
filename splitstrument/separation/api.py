"""The Python API: arrays in, arrays out.

>>> import splitstrument
>>> separation = splitstrument.separate(audio, 44100, model="guitar")  # doctest: +SKIP
>>> separation.instrument.shape == separation.rest.shape == audio.shape  # doctest: +SKIP
>>> splitstrument.separate(audio, 44100, model="runs/band").stems["bass"]  # doctest: +SKIP
"""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from splitstrument.errors import SettingsError
from splitstrument.model_folder import ModelFolder
from splitstrument.separation.activity import Activity
from splitstrument.separation.options import INSTRUMENT, REST, SeparationOptions
from splitstrument.separation.pipeline import LoadedModel, Progress, load_model
from splitstrument.separation.samples import Native
from splitstrument.separation.separator import Separator, SongStream
from splitstrument.spectrogram import Float

BLOCK = 1 << 16


@dataclass(frozen=True)
class Separation:
    """A song, taken apart.

    Attributes
    ----------
    stems
        Name -> (n_samples, n_channels) float32 (or (n_samples,), if that came in): the instruments that were taken
        out, in the model's order (``instrument`` of a model that has one), then ``rest``. Their sum is the input to
        rounding.
    activity
        Levels over time and confidence (`splitstrument.separation.activity.Activity`).
    warnings
        Plain sentences, for example that the separation has probably failed.
    """

    stems: dict[str, Float]
    sample_rate_hz: int
    activity: Activity
    warnings: list[str]

    @property
    def instrument(self) -> Float:
        """The instrument of a model that has one.

        Raises
        ------
        AttributeError
            If the model has several.
        """
        if INSTRUMENT not in self.stems:
            raise AttributeError(f"There is not one instrument, but {', '.join(self.stems)}: take them from .stems.")
        return self.stems[INSTRUMENT]

    @property
    def rest(self) -> Float:
        """The song less the instruments."""
        return self.stems[REST]

    def __repr__(self) -> str:
        """One line, whatever the song's length."""
        shape, seconds = "x".join(map(str, self.rest.shape)), len(self.rest) / self.sample_rate_hz
        confidence, n_warnings = self.activity.confidence, len(self.warnings)
        names = f"{', '.join(list(self.stems)[:-1])} and {REST}"
        return (
            f"<Separation of {seconds:.2f} s: {names} {shape} at {self.sample_rate_hz} Hz, "
            f"confidence {confidence:.2f}, {n_warnings} warnings>"
        )


def separate(
    audio: ArrayLike,
    sample_rate_hz: float,
    model: str | Path | ModelFolder | LoadedModel = "guitar",
    engine: str | None = None,
    progress: Progress | None = None,
    options: SeparationOptions | None = None,
) -> Separation:
    """Separate an array.

    Parameters
    ----------
    audio
        (n_samples, n_channels) or (n_samples,) at full scale 1.0; it is not modified.
    sample_rate_hz
        A whole number, of whatever type.
    model
        A shipped model's name, a path, or a model that is loaded already, which saves opening it for every song
        (`splitstrument.separation.pipeline.load_model`).
    engine
        A name of `splitstrument.separation.engines.ENGINES`; None is the best there is.
    progress
        Called as ``progress(done_s, total_s)``; False cancels.
    options
        Overlap, channels, stems and mask processing; what concerns files is ignored.

    Raises
    ------
    SettingsError
        If `audio` is not one- or two-dimensional, empty, or holds values that are not finite, or the rate is no whole
        number between 100 and 1000000.
    ModelError, CancelledError
    """
    rate, song = _whole_rate(sample_rate_hz), _checked(audio)
    options = options or SeparationOptions()
    separator = Separator.by_network(load_model(model, engine or options.engine, options.threads), options)
    kept = _Kept(song.shape, len(separator.instruments))
    _, activity = separator.run(SongStream(_blocks(song), song.shape[1], rate, len(song)), kept.write, progress)
    rest = song.copy()
    for instrument in kept.instruments:
        rest -= instrument
    arrays = [samples.reshape(np.shape(audio)) for samples in (*kept.instruments, rest)]
    stems = dict(zip(separator.stems, arrays, strict=True))
    return Separation(stems, rate, activity, separator.warnings_of(activity))


class _Kept:
    """Instruments in memory, (n_instruments, n_samples, n_channels)."""

    def __init__(self, shape: tuple[int, ...], n_instruments: int) -> None:
        self.instruments, self.n_done = np.empty((n_instruments, *shape), np.float32), 0

    def write(self, song: Native, instruments: Sequence[Float]) -> list[Float]:
        """Append a block; return instruments and rest."""
        part = slice(self.n_done, self.n_done + len(song))
        self.instruments[:, part] = instruments
        self.n_done += len(song)
        return [*instruments, song - np.sum(instruments, axis=0)]


def _blocks(song: Float) -> Iterator[Float]:
    for start in range(0, len(song), BLOCK):
        yield song[start : start + BLOCK]


def _whole_rate(sample_rate_hz: float) -> int:
    """The rate as an integer; other libraries give 44100.0 or a NumPy scalar."""
    if np.ndim(sample_rate_hz) == 0 and isinstance(sample_rate_hz, numbers.Real | np.ndarray):
        rate = float(sample_rate_hz)
        if rate.is_integer() and 100 <= rate <= 1_000_000:
            return int(rate)
    raise SettingsError(
        f"The sample rate {sample_rate_hz!r} is no whole number between 100 and 1000000: give the song's rate in Hz."
    )


def _checked(audio: ArrayLike) -> Float:
    song = np.asarray(audio, np.float32)
    if song.ndim not in (1, 2) or not song.size:
        raise SettingsError(
            f"Audio should be (n_samples, n_channels) or (n_samples,) with at least one sample; received {song.shape}."
        )
    if song.ndim == 2 and song.shape[1] > song.shape[0] and song.shape[1] > 64:
        raise SettingsError(f"Audio should be (n_samples, n_channels); received {song.shape}: transpose it.")
    if not np.isfinite(song).all():
        raise SettingsError("Audio holds values that are not numbers (NaN or infinity).")
    return song.reshape(len(song), -1)
